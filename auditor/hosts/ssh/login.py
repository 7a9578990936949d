"""Signing in: keys first, then the password, each secret at most once."""

import contextlib
from collections.abc import Callable, Sequence
from functools import partial

import paramiko

from auditor.credentials import Secret
from auditor.errors import HostError
from auditor.hosts.ssh.keys import Credentials
from auditor.hosts.ssh.route import Hop
from auditor.text import one_line

PASSWORD, INTERACTIVE = "password", "keyboard-interactive"
NO_KEY = "no key to offer: no key is named, no default key, none in an ssh-agent"


class _AskedForMore(paramiko.SSHException):
    """The host asks for something that is not the password."""


def sign_in(
    transport: paramiko.Transport,
    hop: Hop,
    credentials: Credentials,
    timeout: float,
    still_time: Callable[[], object],
) -> None:
    """Sign in to a hop; raises `HostError` with the user, the methods tried, and what became of each.

    `still_time` is called between attempts and raises where there is none.
    """
    transport.auth_timeout = timeout
    _Login(transport, hop, credentials, timeout, still_time).go()


class _Login:
    def __init__(
        self,
        transport: paramiko.Transport,
        hop: Hop,
        credentials: Credentials,
        timeout: float,
        still_time: Callable[[], object],
    ) -> None:
        self._transport = transport
        self._hop = hop
        self._credentials = credentials
        self._timeout = timeout
        self._still_time = still_time
        self._problems: list[str] = []
        self._methods = ["publickey"]
        self._allowed: Sequence[str] = ()
        self._declined = False

    def go(self) -> None:
        if self._with_keys():
            return
        secret = self._credentials.password(self._hop.connection.password, self._problems)
        if secret is not None and self._transport.is_active() and self._with_password(secret):
            return
        tried = ", ".join(self._methods)
        said = "; ".join(self._problems) or NO_KEY
        raise HostError(f"authentication failed for user {self._hop.user} ({tried}): {said}")

    def _with_keys(self) -> bool:
        keys = self._credentials.candidates(self._hop, self._timeout, self._problems)
        with contextlib.closing(keys):
            for name, key in keys:
                if self._attempt(name, "keys", partial(self._transport.auth_publickey, self._hop.user, key)):
                    return True
                self._still_time()
                if self._allowed or not self._transport.is_active():
                    break
        return False

    def _with_password(self, secret: Secret) -> bool:
        """One method alone is given the secret: where it is wrong, two would count as two wrong attempts."""
        user, reveal = self._hop.user, secret.reveal
        if PASSWORD in self._allowed or not self._allowed:
            self._methods.append(PASSWORD)
            attempt = partial(self._transport.auth_password, user, reveal(), fallback=False)
            if self._attempt(PASSWORD, "passwords", attempt):
                return True
            self._still_time()
            if not self._declined:
                return False
        if INTERACTIVE not in self._allowed or not self._transport.is_active():
            return False
        self._methods.append(INTERACTIVE)
        return self._attempt(
            INTERACTIVE, "answers", partial(self._transport.auth_interactive, user, _Answer(secret))
        )

    def _attempt(self, name: str, kind: str, request: Callable[[], list[str]]) -> bool:
        """Whether the host let us in; if not, `_problems` tells why, and `_allowed` what it names instead."""
        self._allowed, self._declined = (), False
        try:
            self._allowed = request()
            problem = f"accepted, but the host also wants {one_line(', '.join(self._allowed))}"
        except paramiko.BadAuthenticationType as error:
            self._allowed, self._declined = error.allowed_types, True
            problem = f"the host takes no {kind}, only {one_line(', '.join(error.allowed_types))}"
        except (paramiko.AuthenticationException, _AskedForMore) as error:
            text = one_line(str(error))
            problem = {
                "Authentication failed.": "refused",
                "Authentication timeout.": f"no answer within {self._timeout:.3g} s",
            }.get(text, text)
        else:
            if not self._allowed:
                return True
        self._problems.append(f"{name}: {problem}")
        return False


class _Answer:
    """Answers one hidden question with the secret, and nothing else.

    A second question (a new password, a code) ends the attempt: the secret is no answer to it.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret: Secret | None = secret

    def __call__(self, title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:  # noqa: ARG002
        if not prompts:
            return []
        if len(prompts) > 1 or prompts[0][1] or self._secret is None:
            asked = one_line(" ".join(text for text, _ in prompts), 80)
            raise _AskedForMore(f"the host asks for more than the password: {asked!r}")
        answer, self._secret = self._secret.reveal(), None
        return [answer]
