"""Secrets by reference: where one stands is written down, what it is stays in memory.

A `Secret` does not print, compare or pickle itself; `hide` takes every secret that was ever resolved out of
a text, for the log and for messages of libraries.
"""

import getpass
import html
import json
import os
import signal
import stat
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from auditor.errors import SecretError

SCHEMES = ("env", "file", "prompt", "keyring", "keyvault")
HIDDEN = "***"
SHORTEST = 4
LONGEST = 64 * 1024

Source = Callable[[str], str]
"""What fetches a secret by the part of its reference after the scheme; raises `SecretError`."""

_resolved: set[str] = set()
_lock = threading.Lock()


class Secret:
    """A secret in memory; only `reveal` gives it away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= SHORTEST:
            with _lock:
                _resolved.update(_spellings(value))

    def reveal(self) -> str:
        """The secret itself: for the library that signs in, and nobody else."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written down")


def hide(text: str) -> str:
    """The text without any secret that was resolved, also as Python, JSON, XML or a URL spell it."""
    with _lock:
        found = [secret for secret in _resolved if secret in text]
    for secret in sorted(found, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


@contextmanager
def forgetting() -> Iterator[None]:
    """Let go, at the end, of the secrets resolved within: for a process that goes on to other work."""
    with _lock:
        before = set(_resolved)
    try:
        yield
    finally:
        with _lock:
            _resolved.intersection_update(before)


def _spellings(value: str) -> set[str]:
    return {
        value,
        repr(value)[1:-1],
        json.dumps(value)[1:-1],
        quote(value, safe=""),
        html.escape(value, quote=False),
    }


def check_reference(reference: str) -> str:
    """The reference, if it is one; raises `SecretError` that does not repeat what may be a secret."""
    scheme, colon, name = reference.partition(":")
    if not colon or scheme not in SCHEMES or not name.strip():
        raise SecretError(
            "a secret is given by reference (env:NAME, file:PATH, prompt:NAME, keyring:SERVICE/USER, "
            "keyvault:VAULT/SECRET), never written out"
        )
    return reference


class Secrets:
    """Resolves references, each once; safe to use from many threads.

    `sources` are kinds of references and what fetches them, besides those of this module; `environment` is
    the process's where none is given.
    """

    def __init__(
        self, sources: Mapping[str, Source] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._sources: dict[str, Source] = {
            "env": self._from_environment,
            "file": _from_file,
            "prompt": ask,
            "keyring": _from_keyring,
            **(sources or {}),
        }
        self._lock = threading.Lock()
        self._known: dict[str, Secret | SecretError] = {}

    def resolve(self, reference: str) -> Secret:
        """The secret that a reference names; raises `SecretError` with the reason and the way out."""
        with self._lock:
            if reference not in self._known:
                self._known[reference] = self._fetch(reference)
            found = self._known[reference]
        if isinstance(found, SecretError):
            raise found
        return found

    def resolve_all(self, references: Iterable[str]) -> dict[str, SecretError]:
        """Resolve ahead of the run, so that prompts come before anything is shown; returns what failed."""
        failures: dict[str, SecretError] = {}
        for reference in dict.fromkeys(references):
            try:
                self.resolve(reference)
            except SecretError as error:
                failures[reference] = error
        return failures

    def _fetch(self, reference: str) -> Secret | SecretError:
        try:
            scheme, _, name = check_reference(reference).partition(":")
            if scheme not in self._sources:
                raise SecretError(f"no secrets of the kind {scheme!r} can be had here")
            return Secret(_without_line_end(self._sources[scheme](name), scheme))
        except SecretError as error:
            return error

    def _from_environment(self, name: str) -> str:
        value = self._environment.get(name)
        if not value:
            raise SecretError(f"the environment variable {name} is not set")
        return value


def _without_line_end(value: str, scheme: str) -> str:
    """The value as it was meant: files, `echo` and vaults filled from files bring a line end along."""
    value = value.rstrip("\r\n")
    if not value:
        raise SecretError(f"the secret of the {scheme} reference is empty")
    return value


def _from_file(name: str) -> str:
    path = Path(name).expanduser()
    try:
        # a named pipe that nobody writes to would be waited for without end
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(number, encoding="utf-8") as file:
            if problem := _why_not_secret(os.fstat(number)):
                raise SecretError(f"the secret file {path} {problem}")
            value = file.readline(LONGEST).rstrip("\r\n")
    except (OSError, UnicodeDecodeError, RuntimeError, ValueError) as error:
        raise SecretError(f"the secret file {path} cannot be read ({type(error).__name__})") from None
    if not value:
        raise SecretError(f"the secret file {path} is empty")
    return value


def _why_not_secret(status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "is no plain file"
    if os.name == "posix" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return "is open to others; chmod 600 it"
    if sys.platform != "win32" and status.st_uid not in (0, os.geteuid()):
        return "belongs to another user"
    return None


def ask(name: str) -> str:
    """A secret from whoever sits at the terminal, unseen; raises `SecretError` where nobody does."""
    try:
        value = _typed(f"Secret {name!r}: ")
    except (EOFError, UnicodeDecodeError):
        value = ""
    except (getpass.GetPassWarning, OSError):
        raise SecretError(
            f"there is no terminal to ask for the secret {name!r} on; "
            "give it as env:NAME, file:PATH, keyring:SERVICE/USER or keyvault:VAULT/SECRET"
        ) from None
    if not value:
        raise SecretError(f"nothing was entered for the secret {name!r}")
    return value


def _typed(prompt: str) -> str:
    if os.name != "posix" and not sys.stdin.isatty():
        raise OSError("no terminal")
    with _interruptible(), warnings.catch_warnings():
        # getpass would go on with an echo, or with whatever standard input holds
        warnings.simplefilter("error", getpass.GetPassWarning)
        return getpass.getpass(prompt)


@contextmanager
def _interruptible() -> Iterator[None]:
    """An interrupt at the prompt ends the program, where an event loop would only take a note of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def _from_keyring(name: str) -> str:
    service, slash, user = name.rpartition("/")
    if not slash or not service or not user:
        raise SecretError(f"keyring:{name} names no entry; write keyring:SERVICE/USER")
    try:
        import keyring  # noqa: PLC0415 - an extra
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ImportError:
        raise SecretError("reading a keyring needs: pip install 'fleet-auditor[keyring]'") from None
    try:
        value = keyring.get_password(service, user)
    except (KeyringError, OSError) as error:
        raise SecretError(f"the keyring cannot be asked for {name} ({type(error).__name__})") from None
    if not value:
        raise SecretError(
            f"the keyring holds nothing for {name}; store it with: keyring set {service} {user}"
        )
    return value
