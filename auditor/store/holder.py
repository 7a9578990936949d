"""Which process works on a run, and whether it still lives."""

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process. What the system does not tell is empty.

    `pids` is where its number means something (the installation and the PID namespace), `boot` the boot id,
    `started` its start in clock ticks since the boot: a number that is used again has another one.
    """

    host: str
    pids: str
    boot: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def here() -> Holder:
    """This process."""
    return Holder(
        host=socket.gethostname(),
        pids=f"{_line(Path('/etc/machine-id'))} {_namespace()}".strip(),
        boot=_line(_PROC / "sys/kernel/random/boot_id"),
        pid=os.getpid(),
        started=_started(os.getpid()),
    )


def is_gone(holder: Holder, me: Holder, silent: timedelta, limit: timedelta) -> bool:
    """Whether a holder has died, or was `silent` for longer than the `limit` where one cannot look."""
    if holder == me:
        return False
    if (holder.host, holder.pids) != (me.host, me.pids):
        return silent > limit
    if holder.boot != me.boot:
        return True
    if started := _started(holder.pid):
        return started != holder.started
    return _is_nobody(holder.pid) or silent > limit


def _started(pid: int) -> str:
    """The start time in proc_pid_stat(5), field 22; empty for a zombie, and where it cannot be read."""
    stat = _line(_PROC / str(pid) / "stat")
    # the name in field 2 may hold anything, also blanks and brackets
    fields = stat.rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def _is_nobody(pid: int) -> bool:
    """Whether no process has this number; a zombie counts as none."""
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return bool(_line(_PROC / str(pid) / "stat"))


def _namespace() -> str:
    try:
        return os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return ""


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
