"""A guest over SSH; the one module that imports paramiko.

paramiko's own waits are bounded where it lets us; a timer outside it cuts the socket at the host's
deadline, which ends every wait inside it, and `close()` waits for its thread to end.
"""

import contextlib
import getpass
import logging
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import paramiko
from paramiko.agent import AgentSSH, get_agent_connection
from paramiko.packet import Packetizer
from paramiko.ssh_exception import IncompatiblePeer

from auditor.credentials import Secrets
from auditor.errors import HostError
from auditor.hosts import CommandResult, Script
from auditor.hosts.known_hosts import HostKey, KnownHosts, verify
from auditor.hosts.options import GuestOptions, user_files
from auditor.hosts.wire import Wire, await_banner, dial
from auditor.model import Connection
from auditor.text import one_line

COMMAND = "/bin/sh -s"
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
DIGESTS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
RSA = ("rsa-sha2-512", "rsa-sha2-256")
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
CHUNK = 64 * 1024
STDERR_LIMIT = 64 * 1024
POLL = 0.25
FAREWELL = 2.0

_SILENT = "auditor.hosts.ssh.paramiko"
logging.getLogger(_SILENT).setLevel(logging.CRITICAL + 1)

Candidates = Generator[tuple[str, paramiko.PKey], None, None]


class Credentials:
    """The private keys of a run: files, each read once, and the user's ssh-agent."""

    def __init__(self, options: GuestOptions, secrets: Secrets) -> None:
        self._options = options
        self._secrets = secrets
        self._lock = threading.Lock()
        self._keys: dict[str, paramiko.PKey | str] = {}

    def candidates(self, connection: Connection, timeout: float, problems: list[str]) -> Candidates:
        """The keys to offer, in order, each with its name; what is not to be had goes to `problems`.

        A named key file is the only one offered; where it is encrypted the agent may hold it.
        """
        named = connection.key or self._options.key
        files = [named] if named else [str(path) for path in _default_keys()]
        offered = 0
        for path in files:
            found = self._load(path)
            if isinstance(found, str):
                problems.append(found)
            else:
                offered += 1
                yield f"key {path}", found
        if self._options.agent and not (named and offered):
            yield from _agent_keys(timeout, problems)

    def _load(self, path: str) -> paramiko.PKey | str:
        with self._lock:
            if path not in self._keys:
                self._keys[path] = _read_key(Path(path))
            return self._keys[path]


def _default_keys() -> Iterator[Path]:
    return (path for path in user_files(*DEFAULT_KEYS) if path.is_file())


def _read_key(path: Path) -> paramiko.PKey | str:
    try:
        return paramiko.PKey.from_path(path.expanduser())
    except FileNotFoundError:
        return f"key file {path} does not exist"
    except OSError as error:
        return f"key file {path} cannot be read: {error.strerror}"
    except RuntimeError:
        return f"key file {path} does not exist: its ~ names no home folder"
    except (paramiko.PasswordRequiredException, TypeError):
        return f"key file {path} is encrypted; load it into the ssh-agent"
    except Exception as error:  # the parsers below paramiko raise what they like
        return f"key file {path} holds no usable private key ({type(error).__name__})"


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


def _agent_keys(timeout: float, problems: list[str]) -> Candidates:
    try:
        agent = _Agent(timeout)
    except (OSError, EOFError, paramiko.SSHException) as error:
        problems.append(f"the ssh-agent did not answer ({type(error).__name__})")
        return
    with contextlib.closing(agent):
        for key in agent.get_keys():
            yield f"agent key {one_line(key.comment, 60)}", key


class _Packetizer(Packetizer):
    """paramiko's, without its timer thread for the handshake, which outlives a handshake that fails."""

    def start_handshake(self, timeout: float) -> None:
        """Our own clock runs already."""


class SshHost:
    """One guest over one SSH connection, opened by the first `run`, with a wall clock over all of it."""

    def __init__(
        self, connection: Connection, options: GuestOptions, known_hosts: KnownHosts, credentials: Credentials
    ) -> None:
        self._connection = connection
        self._options = options
        self._known_hosts = known_hosts
        self._credentials = credentials
        self._port = connection.port or options.port
        self._place = f"{connection.address}:{self._port}"
        self._end = float("inf")
        self._wire: Wire | None = None
        self._transport: paramiko.Transport | None = None
        self._cut: str | None = None
        self._stage = "starting"
        self._timer = threading.Timer(options.deadline, self._overrun)
        self._timer.daemon = True

    @property
    def stage(self) -> str:
        """What the session is doing now."""
        return self._stage

    def run(self, script: Script, timeout: float) -> CommandResult:
        """Give `script` to `/bin/sh` on its standard input; raises `HostError` with the reason."""
        self._start_clock()
        try:
            transport = self._open()
            self._stage = "running the script"
            result = _run(
                transport, script.text.encode(), min(timeout, self._left()), self._options.output_limit
            )
            self._left()
            return result
        except (HostError, paramiko.SSHException, EOFError, OSError) as error:
            raise HostError(self._cut or self._reason(error)) from error

    def abort(self, reason: str) -> None:
        """Cut the connection from another thread; whoever waits gets `HostError(reason)`."""
        self._cut = self._cut or reason
        if self._wire is not None:
            self._wire.cut()

    def close(self) -> None:
        """Let go of the connection, the timer and paramiko's thread."""
        self._timer.cancel()
        self._hang_up()
        if self._timer.ident is not None:
            self._timer.join(FAREWELL)

    def _start_clock(self) -> None:
        if self._timer.ident is None:
            self._end = time.monotonic() + self._options.deadline
            self._timer.start()

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.cut()
        if self._transport is not None:
            self._transport.close()
            if self._transport.ident is not None:
                self._transport.join(FAREWELL)
        if self._wire is not None:
            self._wire.close()
        self._transport = self._wire = None

    def _overrun(self) -> None:
        self.abort(f"the deadline of {self._options.deadline:g} s passed while {self._stage}")

    def _left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            self._overrun()
        if self._cut is not None:
            raise HostError(self._cut)
        return left

    def _adopt(self, wire: Wire) -> None:
        self._wire = wire
        self._left()

    def _reason(self, error: Exception) -> str:
        if isinstance(error, HostError):
            return str(error)
        if isinstance(error, IncompatiblePeer):
            return f"{self._place} offers no algorithm that is accepted here: {one_line(str(error))}"
        if isinstance(error, paramiko.ChannelException):
            return f"{self._place} refused to open a session: {one_line(str(error))}"
        detail = one_line(str(error)) or "end of stream"
        return f"{self._place} dropped the connection while {self._stage} ({detail})"

    def _open(self) -> paramiko.Transport:
        if self._transport is not None and self._transport.is_active():
            return self._transport
        self._hang_up()
        self._stage = "connecting"
        timeout = min(self._options.connect_timeout, self._left())
        wire = dial(self._connection.address, self._port, timeout, self._adopt)
        self._stage = "waiting for the SSH banner"
        await_banner(wire, self._place, min(self._options.banner_timeout, self._left()))
        self._transport = transport = paramiko.Transport(wire, packetizer_class=_Packetizer)
        self._stage = "exchanging keys"
        self._exchange_keys(transport)
        shown = transport.get_remote_server_key()
        key = HostKey(shown.get_name(), shown.asbytes())
        verify(self._known_hosts, self._connection.address, self._port, key, self._options.host_key_policy)
        self._stage = "signing in"
        self._sign_in(transport)
        wire.budget = 2 * self._options.output_limit + 1024 * 1024
        return transport

    def _exchange_keys(self, transport: paramiko.Transport) -> None:
        transport.set_log_channel(_SILENT)
        known = self._known_hosts.keys(self._connection.address, self._port)
        _choose_algorithms(transport.get_security_options(), known)
        timeout = min(self._options.auth_timeout, self._left())
        end = time.monotonic() + timeout
        done = threading.Event()
        transport.start_client(done)
        while not done.wait(POLL) and transport.is_active() and time.monotonic() < end:
            pass
        if not transport.is_active():
            raise transport.get_exception() or EOFError()
        if not done.is_set():
            raise HostError(f"{self._place} did not finish the key exchange within {timeout:.3g} s")

    def _sign_in(self, transport: paramiko.Transport) -> None:
        user = self._connection.user or self._options.user or getpass.getuser()
        timeout = min(self._options.auth_timeout, self._left())
        transport.auth_timeout = timeout
        problems: list[str] = []
        with contextlib.closing(self._credentials.candidates(self._connection, timeout, problems)) as keys:
            for name, key in keys:
                problem = _offer(transport, user, key)
                if problem is None:
                    return
                problems.append(f"{name}: {problem}")
                self._left()
                if not transport.is_active():
                    break
        raise HostError(
            f"authentication failed for user {user} (publickey): "
            + (
                "; ".join(problems)
                or "no key to offer: no key is named, no default key, none in an ssh-agent"
            )
        )


def _choose_algorithms(options: paramiko.SecurityOptions, known: Iterable[HostKey]) -> None:
    """Modern ciphers, the host key types that are known for this host first, never classic DH.

    Classic Diffie-Hellman costs ten to twenty times the processor time of the curves.
    """
    types = [name for key in known for name in (RSA if key.type == "ssh-rsa" else (key.type,))]
    offered = options.key_types
    options.key_types = tuple(dict.fromkeys([*(name for name in types if name in offered), *offered]))
    options.kex = tuple(name for name in options.kex if not name.startswith("diffie-hellman"))
    options.ciphers = CIPHERS
    options.digests = DIGESTS


def _offer(transport: paramiko.Transport, user: str, key: paramiko.PKey) -> str | None:
    try:
        further = transport.auth_publickey(user, key)
    except paramiko.BadAuthenticationType as error:
        return f"the host takes no keys, only {one_line(', '.join(error.allowed_types))}"
    except paramiko.AuthenticationException as error:
        text = str(error)
        return {"Authentication failed.": "refused"}.get(text, one_line(text))
    return f"accepted, but the host also wants {one_line(', '.join(further))}" if further else None


def _run(transport: paramiko.Transport, script: bytes, timeout: float, limit: int) -> CommandResult:
    end = time.monotonic() + timeout
    with contextlib.closing(transport.open_session(timeout=timeout)) as channel:
        channel.settimeout(timeout)
        channel.exec_command(COMMAND)
        with contextlib.suppress(OSError):  # a guest that does not read its input may still answer
            channel.sendall(script)
            channel.shutdown_write()
        stdout, stderr, truncated = _read(channel, end, timeout, limit)
        if not truncated:
            channel.status_event.wait(max(min(end - time.monotonic(), FAREWELL), 0))
        status = channel.exit_status if channel.exit_status >= 0 else None
        return CommandResult(status, stdout, stderr, truncated)


def _read(channel: paramiko.Channel, end: float, timeout: float, limit: int) -> tuple[bytes, bytes, bool]:
    stdout, stderr, noise = bytearray(), bytearray(), 0
    channel.settimeout(POLL)
    while time.monotonic() < end:
        ended = False
        with contextlib.suppress(TimeoutError):
            chunk = channel.recv(CHUNK)
            stdout += chunk
            ended = not chunk
        while channel.recv_stderr_ready():
            more = channel.recv_stderr(CHUNK)
            noise += len(more)
            stderr += more[: max(STDERR_LIMIT - len(stderr), 0)]
        if len(stdout) > limit or noise > limit:
            return bytes(stdout[:limit]), bytes(stderr), True
        if ended:
            return bytes(stdout), bytes(stderr), False
    raise HostError(f"the script did not end within {timeout:.3g} s")
