"""Commands of the machine that carries the lab."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("systemd-nspawn", "mmdebstrap", "dpkg-deb", "dpkg-scanpackages", "ip", "nsenter", "ssh-keygen")
CLONE_NEWNET = 0x40000000


def run(*command: str | Path, text: str | None = None, timeout: float = 60) -> str:
    """What a command prints; an assertion with its complaint where it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}"
    return done.stdout


def missing() -> Sequence[str]:
    """What this machine lacks for the lab."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return ("root",)
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def network_namespace(path: Path) -> Iterator[None]:
    """Put the calling thread into a network namespace; sockets keep the one that they were made in."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(descriptor: int) -> None:
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {path}")

    with Path("/proc/thread-self/ns/net").open("rb") as home, path.open("rb") as away:
        enter(away.fileno())
        try:
            yield
        finally:
            enter(home.fileno())
