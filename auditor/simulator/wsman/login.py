"""Signing in on one connection: Basic, client certificates, NTLM and Kerberos."""

import base64
import binascii
import struct
from dataclasses import dataclass, field

import spnego
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import NegotiateOptions

from auditor.simulator.wsman.accounts import NTLM_STORE, Accounts

CERTIFICATE = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
_NTLM_TOKEN = b"NTLMSSP\0"
_FIRST_NTLM_TOKEN = _NTLM_TOKEN + b"\1\0\0\0"
_LAST_NTLM_TOKEN = _NTLM_TOKEN + b"\3\0\0\0"
_NTLM_V1_LENGTH = 24


@dataclass(frozen=True, slots=True)
class Schemes:
    """What the guests offer; Kerberos takes its keys from the keytab that KRB5_KTNAME names."""

    basic: bool = True
    negotiate: bool = True
    certificate: bool = True
    kerberos: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may go on, as whom, and what goes into the answer's headers."""

    user: str | None
    scheme: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Login:
    """Who speaks on one connection; `context` seals its messages once NTLM or Kerberos is through."""

    accounts: Accounts
    schemes: Schemes
    certificate_name: str | None = None  # the common name of the client's certificate
    bindings: GssChannelBindings | None = None
    context: spnego.ContextProxy | None = None
    _verdict: Verdict = field(default=Verdict(None))
    _pending: spnego.ContextProxy | None = None

    def check(self, authorization: str | None) -> Verdict:
        """Judge the Authorization header of a request, or its absence."""
        if authorization is None:
            return self._verdict if self.context is not None else self._refused()
        scheme, _, rest = authorization.partition(" ")
        match scheme.lower():
            case "basic" if self.schemes.basic:
                return self._basic(rest)
            case "negotiate" | "ntlm" | "kerberos" if self.schemes.negotiate or self.schemes.kerberos:
                return self._negotiate(scheme, rest)
            case _ if authorization.strip() == CERTIFICATE and self.schemes.certificate:
                return self._mutual()
        return self._refused()

    def _basic(self, rest: str) -> Verdict:
        try:
            credentials = base64.b64decode(rest, validate=True)
        except (binascii.Error, ValueError):
            return self._refused()
        for encoding in ("utf-8", "latin-1"):  # clients differ, and the standard leaves it open
            name, _, password = credentials.decode(encoding, "replace").partition(":")
            user = self.accounts.proven(name, password)
            if user is not None:
                return Verdict(user, "basic")
        return self._refused()

    def _mutual(self) -> Verdict:
        user = self.accounts.name(self.certificate_name or "")
        return Verdict(user, "certificate") if user is not None else self._refused()

    def _negotiate(self, scheme: str, rest: str) -> Verdict:
        try:
            token = base64.b64decode(rest, validate=True)
            if self._pending is None or token.startswith(_FIRST_NTLM_TOKEN):
                self.context = None
                self._pending = self._acceptor(token)
            if token.startswith(_LAST_NTLM_TOKEN) and not _proves_by_ntlm_v2(token):
                raise ValueError("no NTLMv2 response")
            with NTLM_STORE.lent(self.accounts):
                answer = self._pending.step(token)
        except Exception:  # what the libraries raise for a token that is none depends on where it breaks
            self._pending = None
            return self._refused()
        headers = (("WWW-Authenticate", f"{scheme} {base64.b64encode(answer).decode()}"),) if answer else ()
        if not self._pending.complete:
            return Verdict(None, headers=headers)
        return self._through(self._pending, headers)

    def _acceptor(self, token: bytes) -> spnego.ContextProxy:
        if token.startswith(_NTLM_TOKEN):
            if not self.schemes.negotiate:
                raise ValueError("NTLM is not offered")
            with NTLM_STORE.lent(self.accounts):
                return spnego.server(
                    protocol="ntlm", channel_bindings=self.bindings, options=NegotiateOptions.use_ntlm
                )
        if not self.schemes.kerberos:
            raise ValueError("Kerberos is not offered")
        return spnego.server(protocol="kerberos", channel_bindings=self.bindings)

    def _through(self, context: spnego.ContextProxy, headers: tuple[tuple[str, str], ...]) -> Verdict:
        self._pending = None
        principal = context.client_principal or ""
        protocol = context.negotiated_protocol or ""
        user = principal if protocol == "kerberos" else self.accounts.name(principal)
        if user is None:
            return self._refused()
        self.context = context
        self._verdict = Verdict(user, protocol)
        return Verdict(user, protocol, headers)

    def _refused(self) -> Verdict:
        offers = []
        if self.schemes.negotiate or self.schemes.kerberos:
            offers.append(("WWW-Authenticate", "Negotiate"))
        if self.schemes.kerberos:
            offers.append(("WWW-Authenticate", "Kerberos"))
        if self.schemes.basic:
            offers.append(("WWW-Authenticate", 'Basic realm="WSMAN"'))
        return Verdict(None, headers=tuple(offers))


def _proves_by_ntlm_v2(token: bytes) -> bool:
    # pyspnego would fall back to the LM response, which proves nothing with extended session security
    fields: tuple[int, int, int] = struct.unpack_from("<HHI", token, 20)
    length, _, offset = fields
    return _NTLM_V1_LENGTH < length <= len(token) - offset
