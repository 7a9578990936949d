"""One envelope in, one out: Create, Command, Send, Receive, Signal and Delete on a guest's shells."""

import base64
import binascii
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass

from auditor.simulator.wsman import replies
from auditor.simulator.wsman.envelope import SHELL, Envelope, parse
from auditor.simulator.wsman.faults import COMMANDS, Fault, Faults, Kind
from auditor.simulator.wsman.guest import CODEPAGE, Execution, codec
from auditor.simulator.wsman.replies import WsFault
from auditor.simulator.wsman.shells import Command, Shell, Shells, Spawn

_TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
CMD = f"{SHELL}/cmd"
_ROUND_THE_OUTPUT = 2500  # bytes of envelope around the streams of a Receive


@dataclass(frozen=True, slots=True)
class Limits:
    """What a guest allows; the defaults are those of current Windows, sizes in bytes, time in seconds."""

    shells_per_user: int = 30
    envelope: int = 512_000
    output: int = 150_000
    command_line: int = 8191
    receive: float = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: `operation` is empty for what could not be read."""

    operation: str
    status: int
    body: bytes


class Operations:
    """The operations of one guest."""

    def __init__(
        self,
        guest: str,
        shells: Shells,
        *,
        limits: Limits,
        faults: Faults,
        spawn: Spawn,
        report: Callable[[Exception], None],
    ) -> None:
        self._guest = guest
        self._shells = shells
        self._limits = limits
        self._faults = faults
        self._spawn = spawn
        self._report = report
        self._handlers: dict[str, Callable[[Envelope, str], bytes]] = {
            f"{_TRANSFER}/Create": self._create,
            f"{_TRANSFER}/Delete": self._delete,
            f"{SHELL}/Command": self._command,
            f"{SHELL}/Send": self._send,
            f"{SHELL}/Receive": self._receive,
            f"{SHELL}/Signal": self._signal,
        }

    def answer(self, text: bytes | None, user: str) -> Answer:
        """Carry out a user's request (None: one too long to be read); whatever it is, there is an answer."""
        operation = relates_to = ""
        try:
            if text is None or len(text) > self._limits.envelope:
                raise WsFault(replies.TOO_LARGE)
            envelope = parse(text)
            relates_to = envelope.message_id
            handler = self._handlers.get(envelope.action)
            if handler is None or envelope.resource != CMD:
                raise WsFault(replies.UNSUPPORTED)
            operation = envelope.action.rpartition("/")[2]
            self._lose_shell(envelope, operation)
            return Answer(operation, 200, handler(envelope, user))
        except WsFault as error:
            return Answer(operation, 500, replies.fault(error, relates_to, self._guest))

    def _lose_shell(self, envelope: Envelope, operation: str) -> None:
        if envelope.shell_id and self._faults.take(
            self._guest, {Kind.SHELL_GONE}, operation, any_operation=True
        ):
            self._shells.delete(envelope.shell_id)

    def _create(self, envelope: Envelope, user: str) -> bytes:
        if self._faults.take(self._guest, {Kind.QUOTA}):
            raise WsFault(replies.TOO_MANY_SHELLS)
        page = envelope.options.get(CODEPAGE, "437")
        if not page.isascii() or not page.isdigit() or codec(int(page)) is None:
            raise WsFault(replies.UNSUPPORTED, "There is no such code page.")
        if envelope.body.find(f".//{{{SHELL}}}WorkingDirectory") is not None:
            raise WsFault(replies.UNSUPPORTED, "The simulated guest has no working directories.")
        variables = envelope.body.iterfind(f".//{{{SHELL}}}Variable")
        environment = {item.get("Name", ""): item.text or "" for item in variables}
        shell = self._shells.create(user, {**environment, CODEPAGE: page})
        return replies.created(envelope.message_id, shell.id, user)

    def _delete(self, envelope: Envelope, user: str) -> bytes:
        self._shells.delete(self._shell(envelope, user).id)
        return replies.deleted(envelope.message_id)

    def _command(self, envelope: Envelope, user: str) -> bytes:
        shell = self._shell(envelope, user)
        words = [envelope.body.findtext(f".//{{{SHELL}}}Command") or ""]
        words += [item.text or "" for item in envelope.body.iterfind(f".//{{{SHELL}}}Arguments")]
        fault = self._faults.take(self._guest, COMMANDS)
        command = Command(self._work(" ".join(words), shell, fault), fault)
        shell.add(command)
        return replies.command_started(envelope.message_id, command.id)

    def _work(
        self, line: str, shell: Shell, fault: Fault | None
    ) -> Callable[[bytes, threading.Event], Execution]:
        def work(stdin: bytes, stop: threading.Event) -> Execution:
            if len(line) > self._limits.command_line:
                return Execution(1, b"The command line is too long.\r\n")
            if fault is not None and fault.kind is Kind.HUGE_OUTPUT:
                return Execution(0, (b"0123456789abcdef" * (fault.size // 16 + 1))[: fault.size])
            try:
                return self._shells.executor.run(line, stdin, shell.environment, shell.user, stop)
            except Exception as error:
                self._report(error)
                raise

        return work

    def _send(self, envelope: Envelope, user: str) -> bytes:
        shell = self._shell(envelope, user)
        for stream in envelope.body.iterfind(f".//{{{SHELL}}}Stream"):
            command = shell.command(stream.get("CommandId", ""))
            try:
                data = base64.b64decode(stream.text or "", validate=True)
            except (binascii.Error, ValueError):
                raise WsFault(replies.INVALID_XML, "The stream is not base64.") from None
            command.feed(data, stream.get("End", "").lower() in {"true", "1"}, self._spawn)
        return replies.sent(envelope.message_id)

    def _receive(self, envelope: Envelope, user: str) -> bytes:
        wanted = _first(envelope, "DesiredStream")
        command = self._shell(envelope, user).command(wanted.get("CommandId", ""))
        seconds = min(envelope.timeout, self._limits.receive)
        limit = min(self._limits.output, (envelope.largest - _ROUND_THE_OUTPUT) * 3 // 4)
        output = command.receive(seconds, limit, self._spawn)
        if output is None:
            raise WsFault(replies.TIMED_OUT)
        streams = (("stdout", output.stdout), ("stderr", output.stderr))
        return replies.received(envelope.message_id, command.id, streams, output.exit_code)

    def _signal(self, envelope: Envelope, user: str) -> bytes:
        shell = self._shell(envelope, user)
        signal = _first(envelope, "Signal")
        command_id = signal.get("CommandId", "")
        code = (signal.findtext(f"{{{SHELL}}}Code") or "").strip().rpartition("/")[2]
        if code == "terminate":
            shell.terminate(command_id)
        elif code in {"ctrl_c", "ctrl_break"}:
            shell.command(command_id).interrupt()
        else:
            raise WsFault(replies.UNSUPPORTED, "There is no such signal.")
        return replies.signalled(envelope.message_id)

    def _shell(self, envelope: Envelope, user: str) -> Shell:
        return self._shells.find(envelope.shell_id, user)


def _first(envelope: Envelope, tag: str) -> ET.Element:
    found = envelope.body.find(f".//{{{SHELL}}}{tag}")
    if found is None:
        raise WsFault(replies.INVALID_XML, f"The request has no {tag}.")
    return found
