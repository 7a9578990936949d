"""The auditor's WinRM transport: `python -m benchmarks.guests.winrm_ours < SPEC`."""

import sys

import orjson

from auditor.credentials import Secrets
from auditor.errors import HostError
from auditor.hosts import Script, Shell
from auditor.hosts.options import GuestOptions
from auditor.hosts.winrm import WinRmHost
from auditor.model import WINRM, Connection
from benchmarks.guests.question import ask_all, is_answer


def main() -> None:
    """Ask every host, and print how many answered and how long one took."""
    spec = orjson.loads(sys.stdin.buffer.read())
    options = GuestOptions(connect_timeout=spec["timeout"])
    secrets = Secrets(environment={"SECRET": spec["secret"]})

    def ask(host: tuple[str, int]) -> bool:
        connection = Connection(
            *host, user=spec["user"], password="env:SECRET", ca=spec["ca"], transport=WINRM
        )
        session = WinRmHost(connection, options, secrets)
        try:
            return is_answer(session.run(Script("ver", Shell.CMD), 30).stdout)
        except HostError:
            return False
        finally:
            session.close()

    print(orjson.dumps(ask_all(ask, spec)).decode())


if __name__ == "__main__":
    main()
