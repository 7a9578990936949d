"""How guests are reached: users, keys, host keys, limits."""

from dataclasses import dataclass
from pathlib import Path

STRICT = "strict"
ACCEPT_NEW = "accept-new"
HOST_KEY_POLICIES = (STRICT, ACCEPT_NEW)
NO_SSH_CONFIG = Path("none")
GLOBAL_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")
GLOBAL_SSH_CONFIG = Path("/etc/ssh/ssh_config")


def default_known_hosts() -> tuple[Path, ...]:
    """The files that OpenSSH reads: the user's, then the machine's."""
    return (*user_files("known_hosts"), GLOBAL_KNOWN_HOSTS)


def default_ssh_config() -> tuple[Path, ...]:
    """The configuration that OpenSSH's client reads: the user's, then the machine's."""
    return (*user_files("config"), GLOBAL_SSH_CONFIG)


def user_files(*names: str) -> tuple[Path, ...]:
    """Files of the user's `.ssh` folder; none for a user without a home, as containers have them."""
    try:
        folder = Path.home() / ".ssh"
    except RuntimeError:
        return ()
    return tuple(folder / name for name in names)


@dataclass(frozen=True, slots=True)
class GuestOptions:
    """What holds for every guest unless its own connection says otherwise; times in seconds.

    `known_hosts` of None means OpenSSH's files; under "accept-new" the first file is written to.
    `deadline` is the wall clock for one guest, whatever happens; a session that does not end then is
    left behind after `grace`. `output_limit` is in bytes. `run_command` lets Run Command stand in for guests
    without a connection, and for those whose port is closed. `ssh_config` of None means OpenSSH's files,
    `NO_SSH_CONFIG` none at all.
    """

    user: str | None = None
    key: str | None = None
    port: int = 22
    known_hosts: tuple[Path, ...] | None = None
    host_key_policy: str = STRICT
    agent: bool = True
    connect_timeout: float = 10
    banner_timeout: float = 10
    auth_timeout: float = 15
    command_timeout: float = 30
    deadline: float = 60
    grace: float = 5
    output_limit: int = 1_000_000
    concurrency: int = 64
    run_command: bool = True
    ssh_config: Path | None = None

    @property
    def known_hosts_files(self) -> tuple[Path, ...]:
        """The files to read, in order."""
        return default_known_hosts() if self.known_hosts is None else self.known_hosts

    @property
    def ssh_config_files(self) -> tuple[Path, ...]:
        """The client configuration to read, in order."""
        if self.ssh_config is None:
            return default_ssh_config()
        return () if self.ssh_config == NO_SSH_CONFIG else (self.ssh_config,)
