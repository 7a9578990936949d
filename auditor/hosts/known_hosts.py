"""OpenSSH's known_hosts files: read once, asked for every host, and read on before a key is added."""

import base64
import binascii
import hashlib
import hmac
import logging
import os
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from auditor.errors import HostError
from auditor.hosts.options import ACCEPT_NEW, STRICT
from auditor.text import place

if sys.platform != "win32":
    import fcntl

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
        contents = [_content(path) for path in self._files]
        self._read = len(contents[0]) if contents else 0
        for content in contents:
            self._take(content)

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
        with self._lock:
            return self._keys(host_name(address, port))

    def revoked(self, key: HostKey) -> bool:
        """Whether a file marks the key as `@revoked`."""
        return key.blob in self._revoked

    def learn(self, address: str, port: int, key: HostKey) -> None:
        """Write a host's first key to the first file, unless another program has written one meanwhile.

        Raises `OSError` where that cannot be done.
        """
        name, path = host_name(address, port), self._files[0]
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock, path.open("ab+") as file:
            _lock(file)
            self._catch_up(file)
            if self._keys(name) or self.revoked(key):
                return
            text = f"{name} {key.type} {base64.b64encode(key.blob).decode('ascii')}\n"
            file.write(_line_end(file) + text.encode())
            file.flush()
            self._read = file.tell()
            self._plain.setdefault(name, []).append(key)

    def _keys(self, name: str) -> tuple[HostKey, ...]:
        others = (line.key for line in self._others if _matches(line.patterns, name))
        return (*self._plain.get(name, ()), *others)

    def _catch_up(self, file: BinaryIO) -> None:
        """Read what the first file has grown by; all of it where it has shrunk."""
        size = file.seek(0, os.SEEK_END)
        if size != self._read:
            file.seek(self._read if size > self._read else 0)
            self._take(file.read())
            self._read = size

    def _take(self, content: bytes) -> None:
        for row in content.decode("utf-8", "replace").splitlines():
            line = _line(row)
            if line is not None:
                self._take_line(line)

    def _take_line(self, line: _Line) -> None:
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
        known_hosts.learn(address, port, key)
    except OSError as error:
        raise HostError(f"the host key of {where} cannot be written down: {error}") from error
    verify(known_hosts, address, port, key, STRICT)  # another program may have learnt another key just now


def host_name(address: str, port: int) -> str:
    """A host as known_hosts files write it: lower case, with brackets where the port is not 22."""
    return address.lower() if port == 22 else f"[{address.lower()}]:{port}"


def _lock(file: BinaryIO) -> None:
    """Keep other programs of ours from adding to the file until it is closed, where the system can."""
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)


def _line_end(file: BinaryIO) -> bytes:
    """The line end that the last line lacks, so that what is added is a line of its own."""
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        logger.info("known_hosts file %s is not read: %s", path, error)
        return b""


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
