"""What stands behind the server: whoever runs a guest's commands, and the bytes of its console."""

import codecs
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

CODEPAGE = "WINRS_CODEPAGE"
_NAMES = {20127: "ascii", 28591: "latin-1", 65001: "utf-8"}


@dataclass(frozen=True, slots=True)
class Execution:
    """What a command left behind: its exit code and raw bytes, in the code page of its shell."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""


class Executor(Protocol):
    """Runs the commands of one guest; called from several threads at once."""

    def run(
        self, command: str, stdin: bytes, environment: Mapping[str, str], user: str, stop: threading.Event
    ) -> Execution:
        """Run one command line to its end, or until `stop` is set; what it then returns is thrown away.

        `environment` holds the shell's variables and, as `CODEPAGE`, the code page that the client asked
        for: the executor encodes (see `console`). An exception reaches the client as an internal fault and
        stands in the server's `errors`.
        """


def codec(page: int) -> str | None:
    """The Python codec of a Windows code page, None when there is none."""
    name = _NAMES.get(page, f"cp{page}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def console(text: str, environment: Mapping[str, str]) -> bytes:
    """Text as the console of the shell writes it: CRLF, and `?` for what its code page lacks."""
    page = codec(int(environment.get(CODEPAGE, "437"))) or "cp437"
    return text.replace("\r\n", "\n").replace("\n", "\r\n").encode(page, "replace")
