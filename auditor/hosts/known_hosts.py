"""OpenSSH's known_hosts files: read once, asked for every host."""

import base64
import binascii
import hashlib
import hmac
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from auditor.errors import HostError
from auditor.hosts.options import ACCEPT_NEW
from auditor.text import place

logger = logging.getLogger(__name__)

HASHED = "|1|"


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public host key: its type ("ssh-ed25519") and its wire form."""

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """The fingerprint as `ssh-keygen -l` prints it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


@dataclass(frozen=True, slots=True)
class _Line:
    marker: str
    patterns: tuple[str, ...]
    key: HostKey


class KnownHosts:
    """The keys that hosts are known by; safe to use from many threads."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = tuple(files)
        self._lock = threading.Lock()
        self._plain: dict[str, list[HostKey]] = {}
        self._others: list[_Line] = []
        self._revoked: set[bytes] = set()
        self._variants: dict[tuple[Path, ...], KnownHosts] = {}
        for path in self._files:
            for line in _lines(path):
                self._take(line)

    def of(self, files: tuple[Path, ...] | None) -> "KnownHosts":
        """What a host's own files say, each read once; None means these files here."""
        if files is None:
            return self
        with self._lock:
            if files not in self._variants:
                self._variants[files] = KnownHosts(files)
            return self._variants[files]

    def keys(self, address: str, port: int) -> tuple[HostKey, ...]:
        """Every key that the files name for a host, in the order of the files."""
        name = host_name(address, port)
        with self._lock:
            found = list(self._plain.get(name, ()))
        found += [line.key for line in self._others if _matches(line.patterns, name)]
        return tuple(found)

    def revoked(self, key: HostKey) -> bool:
        """Whether a file marks the key as `@revoked`."""
        return key.blob in self._revoked

    def add(self, address: str, port: int, key: HostKey) -> None:
        """Write a new key to the first file; raises `OSError` where that cannot be done."""
        name = host_name(address, port)
        text = f"{name} {key.type} {base64.b64encode(key.blob).decode('ascii')}\n"
        with self._lock:
            path = self._files[0]
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(f"{_line_end(path)}{text}")
            self._plain.setdefault(name, []).append(key)

    def _take(self, line: _Line) -> None:
        if line.marker == "@revoked":
            self._revoked.add(line.key.blob)
        elif line.marker:
            logger.info("known_hosts: %s lines are not used", line.marker)
        elif any(pattern.startswith((HASHED, "!")) or set(pattern) & set("*?") for pattern in line.patterns):
            self._others.append(line)
        else:
            for name in line.patterns:
                self._plain.setdefault(name, []).append(line.key)


def verify(known_hosts: KnownHosts, address: str, port: int, key: HostKey, policy: str) -> None:
    """Hold a shown key against the known ones; raises `HostError` unless it may be trusted.

    A host that is known by another key, of whatever type, is a changed host under every policy.
    """
    where = place(address, port)
    if known_hosts.revoked(key):
        raise HostError(f"the host key of {where} is revoked ({key.fingerprint}) - not connected")
    known = known_hosts.keys(address, port)
    if key in known:
        return
    if known:
        expected = next((old for old in known if old.type == key.type), known[0])
        raise HostError(
            f"host key changed: expected {expected.fingerprint} ({expected.type}) "
            f"got {key.fingerprint} ({key.type}) from {where} - not connected"
        )
    if policy != ACCEPT_NEW:
        raise HostError(
            f"host key of {where} is not in known_hosts ({key.fingerprint}); compare the fingerprint and "
            f"add it, or choose the host key policy {ACCEPT_NEW!r}"
        )
    try:
        known_hosts.add(address, port, key)
    except OSError as error:
        raise HostError(f"the host key of {where} cannot be written down: {error}") from error


def host_name(address: str, port: int) -> str:
    """A host as known_hosts files write it: lower case, with brackets where the port is not 22."""
    return address.lower() if port == 22 else f"[{address.lower()}]:{port}"


def _line_end(path: Path) -> str:
    """The line end that the last line lacks, so that what is added is a line of its own."""
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return "" if file.read(1) == b"\n" else "\n"
    except OSError:  # empty, or not to be read
        return "" if path.stat().st_size == 0 else "\n"


def _lines(path: Path) -> Iterator[_Line]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        logger.info("known_hosts file %s is not read: %s", path, error)
        return
    for row in text.splitlines():
        line = _line(row)
        if line is not None:
            yield line


def _line(row: str) -> _Line | None:
    fields = row.split()
    marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
    if len(fields) < 3 or fields[0].startswith("#"):
        return None
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except (binascii.Error, ValueError):
        return None
    patterns = fields[0] if fields[0].startswith(HASHED) else fields[0].lower()
    return _Line(marker, tuple(patterns.split(",")), HostKey(fields[1], blob))


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    if patterns[0].startswith(HASHED):
        return _hash_matches(patterns[0], name)
    if any(_glob(pattern[1:], name) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_glob(pattern, name) for pattern in patterns if not pattern.startswith("!"))


def _glob(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _hash_matches(pattern: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in pattern[len(HASHED) :].split("|"))
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)
