"""The server in a process of its own, for those who measure the client."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Served:
    """A running child: `ca_file` is None for plain HTTP."""

    pid: int
    port: int
    addresses: tuple[str, ...]
    ca_file: Path | None


@contextmanager
def serve_in_child(
    guests: int,
    accounts: Mapping[str, str],
    *,
    executor: str = "",
    tls: bool = True,
    seconds: float = 0.0,
    faults: Mapping[str, int] | None = None,
) -> Iterator[Served]:
    """Serve guests at 127.0.10.1 and up until the block ends.

    `executor` is `module:callable`, called with each guest's address; without it every command prints `{}`
    after `seconds`. `faults` maps kinds to how many guests have them, counted from the last guest. The
    accounts travel through a pipe. Raises RuntimeError when the child does not come up.
    """
    options = [f"--guests={guests}", f"--seconds={seconds}", f"--executor={executor}"]
    options += [] if tls else ["--plain"]
    options += [f"--fault={kind}={count}" for kind, count in (faults or {}).items()]
    command = [sys.executable, "-m", "auditor.simulator.wsman", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - asked for above
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(json.dumps(dict(accounts)).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("the simulated guests did not come up; the child's error stands above")
            said = json.loads(line)
            ca_file = Path(said["ca_file"]) if said["ca_file"] else None
            yield Served(process.pid, said["port"], tuple(said["addresses"]), ca_file)
        finally:
            process.stdin.close()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
