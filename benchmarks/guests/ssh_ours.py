"""The auditor's SSH transport: `python -m benchmarks.guests.ssh_ours < SPEC`."""

import sys
from pathlib import Path

import orjson

from auditor.credentials import Secrets
from auditor.errors import HostError
from auditor.hosts import Script
from auditor.hosts.known_hosts import KnownHosts
from auditor.hosts.options import GuestOptions
from auditor.hosts.ssh import Credentials, Network, SshConfig, SshHost
from auditor.model import Connection
from benchmarks.guests.question import QUESTION, ask_all, is_answer


def main() -> None:
    """Ask every host, and print how many answered and how long one took."""
    spec = orjson.loads(sys.stdin.buffer.read())
    options = GuestOptions(
        known_hosts=(Path(spec["known_hosts"]),), agent=False, connect_timeout=spec["timeout"]
    )
    known_hosts, credentials = KnownHosts(options.known_hosts_files), Credentials(options, Secrets())
    network = Network(SshConfig(options.ssh_config_files))

    def ask(host: tuple[str, int]) -> bool:
        connection = Connection(*host, user=spec["user"], key=spec["key"])
        session = SshHost(connection, options, known_hosts, credentials, network)
        try:
            return is_answer(session.run(Script(QUESTION), 30).stdout)
        except HostError:
            return False
        finally:
            session.close()

    print(orjson.dumps(ask_all(ask, spec)).decode())


if __name__ == "__main__":
    main()
