"""The accounts of the simulated guests; passwords are never written down, NTLM's store holds their hashes."""

import hmac
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from spnego._ntlm_raw.crypto import ntowfv1

_VARIABLE = "NTLM_USER_FILE"


class Accounts:
    """Who may sign in: `user` or `DOMAIN\\user`, either of which may be asked for without its domain."""

    def __init__(self, accounts: Mapping[str, str]) -> None:
        self._passwords = dict(accounts)
        self._names: dict[str, str] = {}
        for account in accounts:
            for spelling in _spellings(account):
                self._names[spelling.lower()] = account

    def name(self, given: str) -> str | None:
        """The account that a spelling means."""
        return self._names.get(given.lower())

    def proven(self, given: str, password: str) -> str | None:
        """The account, when this is its password."""
        account = self.name(given)
        if account is None:
            return None
        expected = self._passwords[account].encode()
        return account if hmac.compare_digest(expected, password.encode()) else None

    def ntlm_lines(self) -> str:
        """The accounts as pyspnego's NTLM store wants them."""
        lines = []
        for spelling, account in self._names.items():
            digest = ntowfv1(self._passwords[account]).hex().upper()
            lines.append(f"{spelling}:0:{'0' * 32}:{digest}:[U]:LCT-0")
        return "\n".join(lines) + "\n"


def _spellings(account: str) -> tuple[str, ...]:
    if ":" in account or "\n" in account:
        raise ValueError("a simulated account has neither colon nor line break in its name")
    domain, _, user = account.rpartition("\\")
    return (account, user) if domain else (user, f".\\{user}")


class NtlmStore:
    """pyspnego reads accounts from a file named in the environment: one per process, lent in turns.

    The variable is set once and the file's content exchanged, because changing the environment of a
    process with running threads is not safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._lent_to: Accounts | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._before: str | None = None

    @property
    def _path(self) -> Path:
        assert self._folder is not None  # noqa: S101 - between open() and close()
        return Path(self._folder.name) / "accounts"

    def open(self) -> None:
        """Called by each server when it starts."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._folder = tempfile.TemporaryDirectory(prefix="auditor-ntlm-")
                self._before = os.environ.get(_VARIABLE)
                os.environ[_VARIABLE] = str(self._path)

    def close(self) -> None:
        """Called by each server when it ends; the last one takes the file away."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._folder is not None:
                self._folder.cleanup()
                self._folder = self._lent_to = None
                if self._before is None:
                    os.environ.pop(_VARIABLE, None)
                else:
                    os.environ[_VARIABLE] = self._before

    @contextmanager
    def lent(self, accounts: Accounts) -> Iterator[None]:
        """The store with these accounts in it, for as long as one step of signing in takes."""
        with self._lock:
            if self._lent_to is not accounts:
                self._path.write_text(accounts.ntlm_lines(), encoding="utf-8")
                self._lent_to = accounts
            yield


NTLM_STORE = NtlmStore()
