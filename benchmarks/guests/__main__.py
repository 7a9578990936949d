"""`python -m benchmarks.guests`: the figures on guests in docs/performance.md, measured on this machine."""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from benchmarks.guests.engines import CURVE, Cost, Engine, ansible, module, pyinfra, ssh2
from benchmarks.guests.farm import Farm, black_holes, ssh_farm, winrm_farm
from benchmarks.guests.table import Run, table

CONCURRENCY = 64
TIMEOUT = 5.0


def main() -> None:
    """Measure in interleaved rounds, and print the tables."""
    wanted = _arguments()
    with tempfile.TemporaryDirectory(prefix="auditor-bench-") as name:
        folder = Path(name)
        with ssh_farm(folder, wanted.hosts) as farm:
            print(table("SSH", _rounds(farm, _ssh(wanted), wanted, folder), wanted.hosts))
            print(f"\nOne host, median of 20: {_single(farm, folder):.0f} ms (at most 65 ms)\n")
        with winrm_farm(wanted.hosts) as farm:
            print(table("WinRM", _rounds(farm, _winrm(), wanted, folder), wanted.hosts))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guests", description=__doc__)
    parser.add_argument("--hosts", type=int, default=200, help="guests of each kind (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default %(default)s)")
    parser.add_argument("--peers", type=Path, help="bin folder with ansible, pyinfra, ssh2-python's python")
    return parser.parse_args()


def _ssh(wanted: argparse.Namespace) -> Mapping[str, Engine]:
    engines: dict[str, Engine] = {"auditor": module("ssh_ours")}
    if wanted.peers is not None:
        peers = wanted.peers.absolute()
        engines["ssh2-python, threads"] = ssh2(peers)
        engines["pyinfra exec"] = pyinfra(peers)
        engines["ansible raw, 50 forks"] = ansible(peers)
        engines["ansible raw, 50 forks, curve25519"] = ansible(peers, CURVE)
        engines["ansible raw, its defaults"] = ansible(peers, forks=None)
    return engines


def _winrm() -> Mapping[str, Engine]:
    return {"auditor": module("winrm_ours"), "pywinrm, threads": module("winrm_bare")}


def _rounds(farm: Farm, engines: Mapping[str, Engine], wanted: argparse.Namespace, folder: Path) -> list[Run]:
    runs = []
    for number in range(wanted.rounds):
        for share in (0, 10):
            dead = wanted.hosts // share if share else 0
            for name, engine in engines.items():
                print(f"round {number + 1}: {name}, {dead} dead", file=sys.stderr, flush=True)
                runs.append(Run(name, dead, _ask(farm, engine, dead, folder)))
    return runs


def _ask(farm: Farm, engine: Engine, dead: int, folder: Path) -> Cost:
    with black_holes(dead) as holes, tempfile.TemporaryDirectory(dir=folder) as own:
        return engine(_spec(farm, holes), Path(own))


def _spec(farm: Farm, holes: tuple[tuple[str, int], ...]) -> Any:
    return orjson.loads(farm.spec(holes, CONCURRENCY, TIMEOUT))


def _single(farm: Farm, folder: Path) -> float:
    """Milliseconds from connecting to one host until its answer is there, one after the other."""
    spec = {**_spec(farm, ()), "concurrency": 1}
    return (module("ssh_ours")({**spec, "hosts": spec["hosts"][:20]}, folder).median or 0) * 1000


if __name__ == "__main__":
    main()
