"""Where a user's SSH files are, also for a user whom the system does not know."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.hosts.options import default_known_hosts, user_files

HOMELESS = """
import os
from auditor.credentials import Secrets
from auditor.hosts.options import GuestOptions
from auditor.hosts.ssh import Credentials
from auditor.model import Connection
os.environ.pop("HOME", None)
os.setuid(4_242_424)
problems = []
keys = Credentials(GuestOptions(agent=False), Secrets())
connection = Connection("127.0.0.1", key="~/key")
print(*GuestOptions().known_hosts_files, sep="|")
print(list(keys.candidates(connection, 1, problems)), problems)
print(list(keys.candidates(Connection("127.0.0.1"), 1, problems)))
"""


def test_the_files_of_a_user_with_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert user_files("a", "b") == (tmp_path / ".ssh" / "a", tmp_path / ".ssh" / "b")
    assert default_known_hosts()[0] == tmp_path / ".ssh" / "known_hosts"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become nobody")
def test_a_user_without_a_home_has_no_files_and_no_crash() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", HOMELESS], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr == ""
    known_hosts, named, default = done.stdout.splitlines()
    assert Path(known_hosts) == Path("/etc/ssh/ssh_known_hosts")
    assert named == "[] ['key file ~/key does not exist: its ~ names no home folder']"
    assert default == "[]"
