"""Simulated Windows guests in a process of their own: `python -m benchmarks.guests.winrm_server COUNT`."""

import secrets
import sys
import threading
from collections.abc import Mapping

import orjson

from auditor.simulator.wsman import Execution, WinRmServer

USER = "auditor"


class Machine:
    """A guest that answers every command with the same line."""

    def run(
        self, command: str, stdin: bytes, environment: Mapping[str, str], user: str, stop: threading.Event
    ) -> Execution:
        """The answer."""
        del command, stdin, environment, user, stop
        return Execution(0, b'{"kernel":"10.0"}\r\n')


def main() -> None:
    """Serve until standard input ends; the first line says where and how to sign in."""
    password = secrets.token_urlsafe(16)
    guests = {f"127.0.{70 + n // 250}.{n % 250 + 1}": Machine() for n in range(int(sys.argv[1]))}
    with WinRmServer(guests, accounts={USER: password}) as server:
        account = {"user": USER, "secret": password, "ca": str(server.ca_file)}
        ready = {"addresses": list(guests), "port": server.port, "account": account}
        print(orjson.dumps(ready).decode(), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
