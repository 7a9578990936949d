"""A guest over SSH, through as many hops as the way has, with a wall clock over all of it.

paramiko's own waits are bounded where it lets us; a timer outside it cuts the first line of the way at the
host's deadline, which ends every wait behind it, and `close()` waits for paramiko's threads to end.
"""

import contextlib
import logging
import time
from dataclasses import dataclass, replace

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from auditor.errors import HostError
from auditor.hosts import CommandResult, Script, Shell
from auditor.hosts.alarm import Alarm
from auditor.hosts.commands import command_line
from auditor.hosts.known_hosts import KnownHosts
from auditor.hosts.options import GuestOptions
from auditor.hosts.ssh.config import SshConfig
from auditor.hosts.ssh.execute import execute
from auditor.hosts.ssh.handshake import QuietTransport, SilentPacketizer, shake_hands
from auditor.hosts.ssh.jump import ChannelLine, Network, await_welcome, reach
from auditor.hosts.ssh.keys import Credentials
from auditor.hosts.ssh.login import sign_in
from auditor.hosts.ssh.proxy import ProxyLine, launch
from auditor.hosts.ssh.route import Hop, route
from auditor.hosts.ssh.sudo import run_as_root
from auditor.hosts.wire import Wire, await_banner, dial
from auditor.model import Connection
from auditor.text import one_line

logger = logging.getLogger(__name__)

FAREWELL = 2.0
WINDOWS = 5 * 1024 * 1024
# cmd.exe prints in the code page of its console; where that is not said it would be the guest's old one.
# The `if` is for a Linux that is taken for a Windows: a POSIX shell misses a `then`, and runs nothing at all
# where it would have run some of the line, and left a file of the name "nul".
UTF8 = "if 1==1 chcp 65001 >nul & "
WINDOWS_SERVER = "OpenSSH_for_Windows"


@dataclass(slots=True)
class _Link:
    """One hop that was reached."""

    hop: Hop
    line: Wire | ChannelLine
    transport: paramiko.Transport


class SshHost:
    """One guest over SSH, connected to by the first `run`."""

    def __init__(
        self,
        connection: Connection,
        options: GuestOptions,
        known_hosts: KnownHosts,
        credentials: Credentials,
        network: Network | None = None,
    ) -> None:
        self._connection = connection
        self._options = options
        self._known_hosts = known_hosts
        self._credentials = credentials
        self._network = network or Network(SshConfig(options.ssh_config_files))
        self._end = float("inf")
        self._root: Wire | None = None
        self._links: list[_Link] = []
        self._at: Hop | None = None
        self._cut: str | None = None
        self._stage = "starting"
        self._alarm: Alarm | None = None

    @property
    def stage(self) -> str:
        """What the session is doing now."""
        hop = self._at
        return f"{self._stage} (jump host {hop.place})" if hop and hop.jump else self._stage

    def run(self, script: Script, timeout: float) -> CommandResult:
        """Run a script on the guest; raises `HostError` with the reason."""
        self._start_clock()
        try:
            with contextlib.ExitStack() as turn:
                link = self._open(turn)
                self._stage = "running the script"
                result = self._execute(link, script, min(timeout, self._left()))
            self._left()
            return result
        except Exception as error:  # paramiko hands on whatever its parsers raised
            kind = type(error) if isinstance(error, HostError) and self._cut is None else HostError
            raise kind(self._cut or self._reason(error)) from error

    def abort(self, reason: str) -> None:
        """Cut the connection from another thread; whoever waits gets `HostError(reason)`."""
        self._cut = self._cut or reason
        root = self._root
        if root is not None:
            root.cut()

    def close(self) -> None:
        """Let go of the connection, the alarm and paramiko's threads."""
        self._hang_up()
        if self._alarm is not None:
            self._alarm.cancel()

    # ---- time -------------------------------------------------------------------------------------

    def _start_clock(self) -> None:
        if self._alarm is None:
            self._alarm = Alarm(self._options.deadline, self._overrun)
            self._end = self._alarm.at

    def _overrun(self) -> None:
        self.abort(f"the deadline of {self._options.deadline:g} s passed while {self.stage}")

    def _left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            self._overrun()
        if self._cut is not None:
            raise HostError(self._cut)
        return left

    # ---- the way there ----------------------------------------------------------------------------

    def _open(self, turn: contextlib.ExitStack) -> _Link:
        if self._links and all(link.transport.is_active() for link in self._links):
            return self._links[-1]
        self._hang_up()
        self._at = None
        for hop in route(self._connection, self._options, self._network.config):
            self._at = hop
            with self._network.knocking(hop, self._left):
                self._links.append(self._reach(hop, turn))
                if hop.jump:
                    await_welcome(self._links[-1].transport, min(self._options.auth_timeout, self._left()))
        return self._links[-1]

    def _reach(self, hop: Hop, turn: contextlib.ExitStack) -> _Link:
        self._stage = "connecting"
        line = self._line(hop, min(self._options.connect_timeout, self._left()))
        transport: paramiko.Transport | None = None
        try:
            self._stage = "waiting for the SSH banner"
            await_banner(line, hop.place, min(self._options.banner_timeout, self._left()))
            if not self._links:
                turn.enter_context(self._network.talking())
            self._stage = "exchanging keys"
            transport = QuietTransport(line, packetizer_class=SilentPacketizer)  # type: ignore[arg-type]
            known_hosts = self._known_hosts.of(hop.known_hosts)
            timeout = min(self._options.auth_timeout, self._left())
            shake_hands(transport, hop, known_hosts, self._options.host_key_policy, timeout)
            self._stage = "signing in"
            timeout = min(self._options.auth_timeout, self._left())
            sign_in(transport, hop, self._credentials, timeout, self._left)
        except BaseException:
            _end(line, transport)
            raise
        return _Link(hop, line, transport)

    def _line(self, hop: Hop, timeout: float) -> Wire | ChannelLine:
        if self._links:
            return reach(self._links[-1].transport, self._links[-1].hop, hop, timeout)
        if not hop.proxy:
            return dial(hop.host, hop.port, timeout, self._adopt)
        line = launch(hop.proxy)
        self._adopt(line)
        return line

    def _adopt(self, wire: Wire) -> None:
        self._root = wire
        self._left()

    def _hang_up(self) -> None:
        if self._root is not None:
            self._root.cut()
        while self._links:
            link = self._links.pop()
            _end(link.line, link.transport)
        if isinstance(self._root, ProxyLine):
            self._root.end()
        if self._root is not None:
            self._root.close()
        self._root = None

    # ---- what to say ------------------------------------------------------------------------------

    def _reason(self, error: Exception) -> str:
        hop = self._at
        if hop is None:
            return str(error)
        reason = self._words(error, hop)
        if isinstance(self._root, ProxyLine) and len(self._links) == 0 and (said := self._root.complaint()):
            reason = f"{reason}; the ProxyCommand said: {said}"
        return f"jump host {hop.place}: {reason}" if hop.jump else reason

    def _words(self, error: Exception, hop: Hop) -> str:
        if isinstance(error, HostError | ValueError):
            return str(error)
        if isinstance(error, IncompatiblePeer):
            return f"{hop.place} offers no algorithm that is accepted here: {one_line(str(error))}"
        if isinstance(error, paramiko.ChannelException):
            return f"{hop.place} refused to open a session: {one_line(str(error))}"
        detail = one_line(str(error)) or "end of stream"
        return f"{hop.place} dropped the connection while {self._stage} ({detail})"

    # ---- scripts ----------------------------------------------------------------------------------

    def _execute(self, link: _Link, script: Script, timeout: float) -> CommandResult:
        line, limit = command_line(script), self._options.output_limit
        self._allow_output()
        if script.shell is Shell.POWERSHELL:
            return execute(link.transport, line, script.data, timeout, limit)
        if script.shell is Shell.CMD:
            return execute(link.transport, UTF8 + line, script.data, timeout, limit)
        self._refuse_windows(link)
        end = time.monotonic() + timeout
        result, refusal = self._as_root(link, script.text.encode(), timeout)
        if result is not None:
            return result
        left = max(end - time.monotonic(), 0.1) if refusal else timeout
        result = execute(link.transport, line, script.text.encode(), left, limit)
        return replace(result, note=refusal) if refusal else result

    def _refuse_windows(self, link: _Link) -> None:
        server = link.transport.remote_version
        if WINDOWS_SERVER in server:
            raise HostError(
                f"{link.hop.place} is a Windows (its server is {one_line(server, 60)}), and "
                "was to be asked like Linux; set platform: windows"
            )

    def _allow_output(self) -> None:
        """Two streams up to the limit, and the windows of a channel that is left and of the one in use."""
        for link in self._links:
            link.line.budget = 2 * self._options.output_limit + WINDOWS

    def _as_root(self, link: _Link, text: bytes, timeout: float) -> tuple[CommandResult | None, str]:
        """The result of a script as root, or None and why there is none where sudo's password is named."""
        if known := self._credentials.sudo_refusal(link.hop):
            return None, known
        problems: list[str] = []
        password = self._credentials.password(link.hop.connection.sudo_password, problems)
        if password is not None:
            result = run_as_root(link.transport, text, password, timeout, self._options.output_limit)
            if isinstance(result, CommandResult):
                return result, ""
            problems.append(result.reason)
        why = "; ".join(problems)
        if why:
            self._credentials.refuse_sudo(link.hop, why)
            logger.warning("%s: asked as %s, not as root: %s", link.hop.place, link.hop.user, why)
        return None, why


def _end(line: Wire | ChannelLine, transport: paramiko.Transport | None) -> None:
    if isinstance(line, Wire):
        line.cut()
    if transport is not None:
        transport.close()
        if transport.ident is not None:
            transport.join(FAREWELL)
    line.close()
