"""A POSIX shell as root through sudo, with a password that only sudo gets to read.

sudo is told a prompt that nobody else prints, and the password goes over the session's standard input when
that prompt shows, once: with a NOPASSWD rule it is not sent at all, and `-k` leaves no ticket behind. The
shell then says that it is there before it is given the script. sudo reads its line byte by byte, so that
nothing of the script is lost to it, and nothing of the password reaches the shell.
"""

import re
import secrets
import time
from dataclasses import dataclass

import paramiko

from auditor.credentials import Secret, hide
from auditor.hosts import CommandResult
from auditor.hosts.ssh.execute import converse, session
from auditor.text import one_line

# sudo puts the name of the user whose password it wants for %p, so that an echo of this line is no prompt
COMMAND = "sudo -k -S -p auditor-asks-{mark}-%p: -- /bin/sh -c 'echo auditor-runs-{mark}; exec /bin/sh -s'"
MOST_WORDS = 64 * 1024
WRONG = "sudo refused the password"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why sudo gave no shell."""

    reason: str


def run_as_root(
    transport: paramiko.Transport, script: bytes, password: Secret, timeout: float, limit: int
) -> CommandResult | Refused:
    """Run a script as root; raises `HostError` when it does not end in time.

    Half of the time is for sudo, so that the other half is left to ask without it.
    """
    if "\n" in password.reveal():
        return Refused("sudo was not asked: its password has more than one line")
    end = time.monotonic() + timeout
    mark = secrets.token_hex(8)
    with session(transport, timeout) as channel:
        channel.set_combine_stderr(True)
        channel.exec_command(COMMAND.format(mark=mark))
        refusal = _Dialogue(channel, mark, password).refusal(time.monotonic() + timeout / 2, timeout / 2)
        if refusal is not None:
            return Refused(refusal)
        channel.set_combine_stderr(False)
        return converse(channel, script, end, timeout, limit)


class _Dialogue:
    def __init__(self, channel: paramiko.Channel, mark: str, password: Secret) -> None:
        self._channel = channel
        self._prompt = re.compile(rf"auditor-asks-{mark}-(?!%p)[^\s:]*:".encode())
        self._running = re.compile(rf"auditor-runs-{mark}\r?\n".encode())
        self._password = password
        self._said = b""

    def refusal(self, end: float, timeout: float) -> str | None:
        """Why there will be no shell of root's, or None as soon as there is one."""
        asked = False
        while not self._running.search(self._said):
            prompts = len(self._prompt.findall(self._said))
            if prompts > 1:
                return WRONG
            if prompts and not asked:
                asked = True
                self._channel.sendall(self._password.reveal().encode() + b"\n")
            if not self._hear(end) or len(self._said) > MOST_WORDS:
                return self._last_words(asked=asked)
            if time.monotonic() >= end:
                return self._last_words(f" within {timeout:.3g} s", asked=asked)
        return None

    def _hear(self, end: float) -> bool:
        """Wait for more; False at the end of the stream."""
        self._channel.settimeout(max(end - time.monotonic(), 0.01))
        try:
            chunk = self._channel.recv(MOST_WORDS)
        except TimeoutError:
            return True
        self._said += chunk
        return bool(chunk)

    def _last_words(self, within: str = "", *, asked: bool) -> str:
        words = self._prompt.sub(b"", self._said).decode("utf-8", "replace")
        said = one_line(hide(words).replace(self._password.reveal(), "***")) or "nothing"
        if re.search(r"\b\d+ incorrect password", said):
            return WRONG
        return f"sudo {'took the password and ' if asked else ''}started no shell{within}; it said: {said}"
