"""What a user signs in with: private keys from files and the ssh-agent, and passwords by reference."""

import base64
import binascii
import contextlib
import os
import stat
import struct
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import paramiko
from paramiko.agent import AgentSSH, get_agent_connection

from auditor.credentials import Secret, Secrets
from auditor.errors import SecretError
from auditor.hosts.options import GuestOptions, user_files
from auditor.hosts.ssh.route import Hop
from auditor.text import one_line

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
OPENSSH = b"openssh-key-v1\0"

Candidates = Generator[tuple[str, paramiko.PKey], None, None]


class Credentials:
    """The keys and passwords of a run: key files, each read once, the user's ssh-agent, and references."""

    def __init__(self, options: GuestOptions, secrets: Secrets) -> None:
        self._options = options
        self._secrets = secrets
        self._lock = threading.Lock()
        self._keys: dict[tuple[str, str | None], paramiko.PKey | str] = {}
        self._refused: dict[tuple[str, str], str] = {}

    def candidates(self, hop: Hop, timeout: float, problems: list[str]) -> Candidates:
        """The keys to offer, in order, each with its name; what is not to be had goes to `problems`.

        Where keys are named and `only_keys` holds, the agent serves for those files that cannot be read.
        """
        files = list(hop.keys) if hop.keys is not None else [str(path) for path in _default_keys()]
        closed = []
        for path in files:
            found = self._load(path, hop.connection.passphrase)
            if isinstance(found, str):
                problems.append(found)
                closed.append(path)
            else:
                yield f"key {path}", found
        wanted = {blob for path in closed if (blob := _public_half(Path(os.path.expanduser(path))))}
        if self._options.agent and (wanted or not hop.only_keys):
            yield from _agent_keys(timeout, problems, wanted, only=hop.only_keys)

    def password(self, reference: str | None, problems: list[str]) -> Secret | None:
        """The secret of a reference, if there is one; why it cannot be had goes to `problems`."""
        if reference is None:
            return None
        try:
            return self._secrets.resolve(reference)
        except SecretError as error:
            problems.append(f"the password cannot be had: {error}")
            return None

    def sudo_refusal(self, hop: Hop) -> str | None:
        """Why sudo refused this user on this guest earlier in the run: it is not asked twice."""
        return self._refused.get((hop.place, hop.user))

    def refuse_sudo(self, hop: Hop, why: str) -> None:
        """Remember a refusal: a second wrong password may lock an account."""
        self._refused[(hop.place, hop.user)] = why

    def _load(self, path: str, passphrase: str | None) -> paramiko.PKey | str:
        with self._lock:
            if (path, passphrase) not in self._keys:
                self._keys[path, passphrase] = self._read(Path(path), passphrase)
            return self._keys[path, passphrase]

    def _read(self, path: Path, reference: str | None) -> paramiko.PKey | str:
        if problem := _unsafe(path):
            return f"key file {path} {problem}"
        found = _read_key(path, None)
        if found is not None:
            return found
        if reference is None:
            return f"key file {path} is encrypted; name its passphrase, or load it into the ssh-agent"
        try:
            passphrase = self._secrets.resolve(reference)
        except SecretError as error:
            return f"key file {path} is encrypted, and its passphrase cannot be had: {error}"
        return _read_key(path, passphrase) or f"key file {path} is encrypted"


def _default_keys() -> Iterator[Path]:
    return (path for path in user_files(*DEFAULT_KEYS) if path.is_file())


def _unsafe(path: Path) -> str | None:
    """Why a key file is not opened, as OpenSSH's client has it; what cannot be looked at is the reader's."""
    try:
        status = path.expanduser().stat()
    except (OSError, RuntimeError, ValueError):
        return None
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        return "is no plain file"
    mine = sys.platform != "win32" and status.st_uid == os.geteuid()
    if mine and path.suffix != ".pub" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return "is open to others; chmod 600 it"
    return None


def _read_key(path: Path, passphrase: Secret | None) -> paramiko.PKey | str | None:
    """The key, why there is none, or None where the file is encrypted and nothing was given to open it."""
    try:
        # paramiko's types say str; its reader takes bytes alone
        given: Any = passphrase.reveal().encode() if passphrase else None
        return paramiko.PKey.from_path(path.expanduser(), given)
    except (paramiko.PasswordRequiredException, TypeError):
        return None
    except Exception as error:  # the parsers below paramiko raise what they like
        return f"key file {path} {_no_key(error, opened=passphrase is not None)}"


def _no_key(error: Exception, *, opened: bool) -> str:
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    if isinstance(error, RuntimeError):
        return "does not exist: its ~ names no home folder"
    if opened:
        return "is not opened by its passphrase"
    return f"holds no usable private key ({type(error).__name__})"


def _public_half(path: Path) -> bytes | None:
    """The public key that belongs to a key file: from the file beside it, or from its own open part."""
    beside = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    with contextlib.suppress(OSError, IndexError, binascii.Error):
        return base64.b64decode(beside.read_bytes().split()[1], validate=True)
    with contextlib.suppress(OSError, struct.error, binascii.Error):
        return _open_part(path.read_bytes()) if path.is_file() else None
    return None


def _open_part(text: bytes) -> bytes | None:
    """The public key in an encrypted file of OpenSSH's own format (source: its PROTOCOL.key)."""
    rows = [row for row in text.split(b"\n") if row and not row.startswith(b"-----")]
    body = base64.b64decode(b"".join(rows))
    if not body.startswith(OPENSSH):
        return None
    rest = body[len(OPENSSH) :]
    for _ in range(3):  # cipher, key derivation, its options
        rest = rest[4 + struct.unpack_from(">I", rest)[0] :]
    size = struct.unpack_from(">I", rest, 4)[0]
    return rest[8 : 8 + size]


class _Agent(paramiko.Agent):
    """The user's ssh-agent with a time limit, which paramiko's own does not have."""

    def __init__(self, timeout: float) -> None:
        AgentSSH.__init__(self)
        link: Any = get_agent_connection()
        if hasattr(link, "settimeout"):
            link.settimeout(timeout)
        if link is None:
            return
        try:
            self._connect(link)  # type: ignore[attr-defined]
        except BaseException:
            self.close()
            raise


def _agent_keys(timeout: float, problems: list[str], wanted: set[bytes], *, only: bool) -> Candidates:
    try:
        agent = _Agent(timeout)
    except (OSError, EOFError, paramiko.SSHException) as error:
        problems.append(f"the ssh-agent did not answer ({type(error).__name__})")
        return
    with contextlib.closing(agent):
        keys = sorted(agent.get_keys(), key=lambda key: key.asbytes() not in wanted)
        for key in keys:
            if not only or key.asbytes() in wanted:
                yield f"agent key {one_line(key.comment, 60)}", key
