"""The whole command and the kernel's account of it: `python -m benchmarks.command FOLDER`.

A process of its own, and a small one: a new process starts with its parent's peak memory on its account.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

JUDGED = (0, 10, 20)


def main(folder: Path) -> None:
    """Run `auditor audit` with both reports into a folder; print seconds, and bytes at the peak."""
    settings = folder / "none.toml"
    settings.touch()
    command = [sys.executable, "-m", "auditor", "audit", "--quiet", "--output", str(folder)]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, "AUDITOR_CONFIG": str(settings)})
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in JUDGED:
        raise RuntimeError(f"the audit ended with {process.returncode}")
    memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "memory": memory}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
