"""Where a user's SSH files are, also for a user whom the system does not know."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.hosts.options import NO_SSH_CONFIG, GuestOptions, default_known_hosts, user_files

HOMELESS = """
import os
from auditor.credentials import Secrets
from auditor.hosts.options import GuestOptions
from auditor.hosts.ssh import Credentials, SshConfig
from auditor.hosts.ssh.route import route
from auditor.model import Connection
os.environ.pop("HOME", None)
os.setuid(4_242_424)
problems = []
options = GuestOptions(agent=False)
keys = Credentials(options, Secrets())
config = SshConfig(options.ssh_config_files)
print(*options.known_hosts_files, sep="|")
print(*options.ssh_config_files, sep="|")
for connection in (Connection("127.0.0.1", user="a", key="~/key"), Connection("127.0.0.1", user="a")):
    (hop,) = route(connection, options, config)
    print(list(keys.candidates(hop, 1, problems)), problems)
try:
    route(Connection("127.0.0.1"), options, config)
except Exception as error:
    print(error)
"""


def test_the_files_of_a_user_with_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert user_files("a", "b") == (tmp_path / ".ssh" / "a", tmp_path / ".ssh" / "b")
    assert default_known_hosts()[0] == tmp_path / ".ssh" / "known_hosts"
    assert GuestOptions().ssh_config_files == (tmp_path / ".ssh" / "config", Path("/etc/ssh/ssh_config"))


def test_another_ssh_config_or_none() -> None:
    assert GuestOptions(ssh_config=Path("mine")).ssh_config_files == (Path("mine"),)
    assert GuestOptions(ssh_config=NO_SSH_CONFIG).ssh_config_files == ()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become nobody")
def test_a_user_without_a_home_has_no_files_and_no_crash() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", HOMELESS], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr == ""
    known_hosts, ssh_config, named, default, nameless = done.stdout.splitlines()
    assert Path(ssh_config) == Path("/etc/ssh/ssh_config")
    assert Path(known_hosts) == Path("/etc/ssh/ssh_known_hosts")
    assert named == "[] ['key file ~/key does not exist: its ~ names no home folder']"
    assert default.startswith("[] ")
    assert nameless == "no user is named for this host, and whoever runs the audit has no name"
