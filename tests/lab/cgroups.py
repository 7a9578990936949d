"""A cgroup subtree per guest, in whichever hierarchies this machine has (v1, hybrid or v2)."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

WANTED = ("cpu", "memory", "pids")
PERIOD = 100_000


def _hierarchies() -> Iterator[Path]:
    """Where the hierarchies that count are mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        kind, options = words[words.index("-") + 1], words[-1].split(",")
        if kind == "cgroup2" or (kind == "cgroup" and {"name=systemd", *WANTED} & set(options)):
            yield Path(words[4])


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One subtree, named alike in every hierarchy."""

    name: str

    @property
    def folders(self) -> tuple[Path, ...]:
        """Its folder in every hierarchy."""
        return tuple(mount / self.name for mount in _hierarchies())

    def create(self) -> None:
        """Make it, with the controllers that its parents can lend."""
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)
            offered = folder.parent / "cgroup.controllers"
            for controller in set(WANTED) & set(offered.read_text().split() if offered.exists() else ()):
                (folder.parent / "cgroup.subtree_control").write_text(f"+{controller}")

    def count_for_more(self) -> None:
        """Weigh more than one process beside it, which a group of many would not."""
        for folder in self.folders:
            for name, weight in (("cpu.shares", "16384"), ("cpu.weight", "1600")):
                if (folder / name).exists():
                    (folder / name).write_text(weight)

    def freeze(self, *, frozen: bool) -> None:
        """Stop every process in it, or let them go on; waits until that is so."""
        for folder in self.folders:
            if (folder / "cgroup.freeze").exists():
                (folder / "cgroup.freeze").write_text(str(int(frozen)))
                end = time.monotonic() + 10
                while f"frozen {int(frozen)}" not in (folder / "cgroup.events").read_text():
                    assert time.monotonic() < end, f"{folder} does not freeze"
                    time.sleep(0.02)

    def slow_down(self, percent: int) -> None:
        """Leave it this share of one processor."""
        for folder in self.folders:
            if (folder / "cpu.max").exists():
                (folder / "cpu.max").write_text(f"{PERIOD * percent // 100} {PERIOD}")
            elif (folder / "cpu.cfs_quota_us").exists():
                (folder / "cpu.cfs_period_us").write_text(str(PERIOD))
                (folder / "cpu.cfs_quota_us").write_text(str(PERIOD * percent // 100))

    def kill(self) -> None:
        """Kill every process in it, and remove it."""
        end = time.monotonic() + 20
        self.freeze(frozen=False)
        while self._kill() or not self._remove():
            assert time.monotonic() < end, f"{self.name} does not end"
            time.sleep(0.02)

    def _kill(self) -> int:
        files = (file for folder in self.folders for file in folder.rglob("cgroup.procs"))
        processes = {int(line) for file in files for line in file.read_text().split()}
        for process in processes - {os.getpid()}:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return len(processes)

    def _remove(self) -> bool:
        for folder in self.folders:
            for path, _, _ in os.walk(folder, topdown=False):
                try:
                    os.rmdir(path)
                except OSError:
                    return False
        return True
