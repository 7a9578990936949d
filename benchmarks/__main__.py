"""`python -m benchmarks`: every figure of docs/performance.md, measured on this machine."""

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import Results, Round, rewrite
from benchmarks.processes import ROOT, audit, browser, compare, serving

PAGE = ROOT / "docs" / "performance.md"


def main() -> None:
    """Measure in interleaved rounds, print the table, and write it where asked."""
    wanted = _arguments()
    results = Results(wanted.vms, _machine())
    for number in range(wanted.rounds):
        for latency in wanted.latency_ms:
            print(f"round {number + 1} of {wanted.rounds}, {latency:g} ms", file=sys.stderr, flush=True)
            results.rounds.setdefault(latency, []).append(_round(wanted.vms, latency))
    print(results.text())
    if wanted.write:
        PAGE.write_text(rewrite(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--vms", type=int, default=10_000, help="simulated VMs (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default %(default)s)")
    parser.add_argument("--latency-ms", type=float, nargs="+", default=[0.0, 50.0], help="default 0 50")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    return parser.parse_args()


def _round(vms: int, latency: float) -> Round:
    with serving(vms, latency) as server:
        bare, ours = compare(server)
    with tempfile.TemporaryDirectory(prefix="auditor-bench-", ignore_cleanup_errors=True) as name:
        with serving(vms, latency) as server:
            audited = audit(server.environment, Path(name))
        opened = browser(Path(name, "audit.html"), Path(name, "profile"))
    return Round(bare, ours, audited, server, opened)


def _machine() -> str:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{os.cpu_count()} processors, {memory:.0f} GiB, {platform.system()} on {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}."
    )


if __name__ == "__main__":
    main()
