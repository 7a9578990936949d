"""What went wrong with a guest over WinRM, in words that name the place and the way out."""

import http.client
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from requests import ConnectionError as Dropped
from requests import ReadTimeout
from requests.exceptions import ChunkedEncodingError
from urllib3.exceptions import ReadTimeoutError
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)

from auditor.credentials import hide
from auditor.errors import HostError, SecretError
from auditor.hosts.winrm.account import BASIC, CERTIFICATE, KERBEROS, NTLM, Account
from auditor.hosts.winrm.link import CONNECTING, SIGNING_IN
from auditor.text import one_line

ACCESS_DENIED = 5
SHELL_QUOTAS = {0x803381A5, 0x803381AB, 0x803381E4, 0x803381E5, 0x803381E6}
"""Shells per user, users with a shell, and the same per plug-in (wsmerror.h)."""
QUOTAS = {0x803381A6, 0x803381A7, 0x803381A8, 0x803381E7, 0x803381E8}
"""Operations per user and in all (wsmerror.h)."""
NO_SHELL = 0x8033805B

_TAKES = {NTLM: {"ntlm", "negotiate"}, KERBEROS: {"kerberos", "negotiate"}, BASIC: {"basic"}}
_CHOICES = {"negotiate": NTLM, "ntlm": NTLM, "kerberos": KERBEROS, "basic": BASIC}
_HTTP = {
    403: "it lets nobody in who signs in so",
    404: "there is no WS-Man service at /wsman",
    407: "a proxy stands in between",
    413: "the message was too large for it",
    503: "the WinRM service is busy or stopped",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Where an exception came from: who signs in, what was done, how long an answer was waited for.

    `offered` are the sign-in methods that the guest named when it refused.
    """

    account: Account
    stage: str
    patience: float
    offered: tuple[str, ...] = ()


def is_lost(error: Exception) -> bool:
    """Whether an established connection went away, as opposed to a guest that is slow or says no."""
    return isinstance(error, Dropped | ChunkedEncodingError) and not _is_silent(error)


def reason(error: Exception, scene: Scene) -> str:
    """Why a guest cannot be asked; the text holds no secret, and of the guest's words only one line."""
    for kind, words in _REASONS:
        if isinstance(error, kind):
            return words(error, scene)
    if _is_silent(error):
        return _stalled(error, scene)
    if is_lost(error):
        return _lost(error, scene)
    if type(error).__module__.startswith("winrm.vendor"):
        return _kerberos(error, scene)
    said = f"{type(error).__name__}: {_clean(error)}"
    return f"{scene.account.place} answered what is no WS-Man while {scene.stage} ({said})"


def _clean(words: object) -> str:
    return one_line(hide(str(words)))


def _own(error: Exception, _: Scene) -> str:
    return hide(str(error))


def _sign_in(_: Exception, scene: Scene) -> str:
    account, offered = scene.account, scene.offered
    if account.method == CERTIFICATE:
        return (
            f"{account.place} refused the client certificate {account.certificate}: it maps no account to it "
            "or takes no certificates at all"
        )
    if offered and not _TAKES[account.method] & {name.lower() for name in offered}:
        return _other_methods(account, offered)
    if account.method == KERBEROS:
        return f"{account.place} refused the Kerberos ticket of {account.user or 'the present user'}"
    hint = "; Windows takes basic from local accounts only" if account.method == BASIC else ""
    return (
        f"{account.place} refused to sign in {account.user} by {account.method}: wrong user or password, or "
        f"the account may not sign in{hint}"
    )


def _other_methods(account: Account, offered: tuple[str, ...]) -> str:
    choices = dict.fromkeys(_CHOICES[name.lower()] for name in offered if name.lower() in _CHOICES)
    way_out = f"; set `auth` to {' or '.join(choices)}" if choices else ""
    names = one_line(", ".join(offered))
    return f"{account.place} takes no sign-in by {account.method}, only by {names}{way_out}"


def _fault(error: Any, scene: Scene) -> str:
    place, user = scene.account.place, scene.account.user or "this user"
    code, said = error.wsman_fault_code, _clean(error.reason)
    if code in SHELL_QUOTAS:
        return (
            f"{place} opens no more shells for {user} (quota: too many are open; those left over end by "
            f"themselves after a while, MaxShellsPerUser allows more): {said}"
        )
    if code in QUOTAS:
        return f"{place} takes no more WinRM operations now (quota): {said}"
    if code == ACCESS_DENIED:
        return (
            f"{place} denied access to {user} while {scene.stage}: a shell wants a member of Administrators "
            "or Remote Management Users"
        )
    if code == NO_SHELL:
        return f"{place} has lost the shell while {scene.stage}: {said}"
    number = f", code {code}" if code is not None else ""
    return f"{place} reported a fault while {scene.stage}: {said} (HTTP {error.code}{number})"


def _http(error: Any, scene: Scene) -> str:
    meaning = _HTTP.get(error.code)
    detail = f": {meaning}" if meaning else ""
    return f"{scene.account.place} answered HTTP {error.code} while {scene.stage}{detail}"


def _stalled(_: Exception, scene: Scene) -> str:
    return f"{scene.account.place} stalled while {scene.stage}: no answer within {scene.patience:.3g} s"


def _lost(error: Exception, scene: Scene) -> str:
    place = scene.account.place
    if _holds(error, http.client.BadStatusLine) and not _holds(error, ConnectionError):
        return f"{place} does not speak HTTP; WinRM listens on port 5986 (HTTPS) or 5985 (plain HTTP)"
    early = scene.stage in (CONNECTING, SIGNING_IN)
    hint = "; `plain_http` is set, and that may be its HTTPS port" if scene.account.plain and early else ""
    return f"{place} dropped the connection while {scene.stage} ({_clean(_root(error))}){hint}"


def _kerberos(error: Exception, scene: Scene) -> str:
    account = scene.account
    service = f"HTTP/{account.server_name or account.host}"
    return (
        f"no Kerberos sign-in to {account.place} as {service}: {_clean(error)}; "
        "kinit gets a ticket, and `server_name` is the name that the service is registered by"
    )


def _is_silent(error: Exception) -> bool:
    return _holds(error, ReadTimeout | ReadTimeoutError | TimeoutError)


def _holds(error: object, kind: Any) -> bool:
    """Whether an exception of a kind is behind this one, as requests and urllib3 wrap them."""
    if isinstance(error, kind):
        return True
    return isinstance(error, Exception) and any(_holds(inner, kind) for inner in error.args)


def _root(error: Exception) -> object:
    """The words of the innermost exception."""
    inner = [value for value in error.args if isinstance(value, Exception)]
    if inner:
        return _root(inner[-1])
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


_REASONS: tuple[tuple[Any, Callable[[Any, Scene], str]], ...] = (
    (HostError | SecretError, _own),
    (InvalidCredentialsError | PermissionError, _sign_in),
    (WSManFaultError, _fault),
    (WinRMTransportError, _http),
    (WinRMOperationTimeoutError, _stalled),
)
