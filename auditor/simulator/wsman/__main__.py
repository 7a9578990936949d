"""`python -m auditor.simulator.wsman`: serve many guests until standard input ends.

The accounts come as one line of JSON on standard input; one line of JSON on standard output says where the
guests answer.
"""

import argparse
import importlib
import ipaddress
import json
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from auditor.simulator.wsman import Execution, Executor, Fault, Faults, Kind, Tls, WinRmServer

_FIRST = ipaddress.IPv4Address("127.0.10.1")


@dataclass(frozen=True, slots=True)
class Fixed:
    """A guest on which every command prints `{}` after `seconds`."""

    seconds: float

    def run(
        self,
        command: str,  # noqa: ARG002 - all the same to it
        stdin: bytes,  # noqa: ARG002
        environment: Mapping[str, str],  # noqa: ARG002
        user: str,  # noqa: ARG002
        stop: threading.Event,
    ) -> Execution:
        """Wait and answer."""
        if self.seconds:
            stop.wait(self.seconds)
        return Execution(0, b"{}\r\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m auditor.simulator.wsman", description=__doc__)
    parser.add_argument("--guests", type=int, default=1, help=f"how many, at {_FIRST} and up")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="HTTP: only sealed messages get in")
    parser.add_argument("--seconds", type=float, default=0.0, help="how long each command takes")
    parser.add_argument("--executor", default="", help="module:callable, called with each guest's address")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="KIND=COUNT", help="for so many guests, from the last"
    )
    return parser.parse_args()


def _factory(options: argparse.Namespace) -> Callable[[str], Executor]:
    if not options.executor:
        return lambda _: Fixed(options.seconds)
    module, _, name = options.executor.partition(":")
    return cast(Callable[[str], Executor], getattr(importlib.import_module(module), name))


def _faults(wanted: list[str], addresses: list[str]) -> Faults:
    faults = Faults()
    left = list(addresses)
    for text in wanted:
        kind, _, count = text.partition("=")
        for _ in range(int(count)):
            faults.add(Fault(Kind(kind)), left.pop())
    return faults


def main() -> None:
    """Serve until standard input ends."""
    options = _options()
    accounts = json.loads(sys.stdin.readline())
    addresses = [str(_FIRST + index) for index in range(options.guests)]
    create = _factory(options)
    server = WinRmServer(
        {address: create(address) for address in addresses},
        accounts=accounts,
        port=options.port,
        tls=None if options.plain else Tls(),
        faults=_faults(options.fault, addresses),
    )
    with server:
        ca_file = "" if options.plain else str(server.ca_file)
        print(json.dumps({"port": server.port, "addresses": addresses, "ca_file": ca_file}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
