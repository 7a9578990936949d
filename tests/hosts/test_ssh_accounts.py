"""Real accounts with real passwords, PAM and sudo, in a mount namespace where they replace the machine's own.

Nothing of the machine is changed: an sshd is started where other files are bound over /etc/passwd, shadow,
group and sudoers, and only it and its sessions see them.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from auditor.errors import HostError
from auditor.hosts import Script
from auditor.hosts.options import GuestOptions
from auditor.model import Connection
from tests.conftest import require_lane
from tests.hosts.conftest import Sshd, opened

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("nothing_left_behind")]

SECRETS = {"RIGHT": "right-horse-battery", "WRONG": "wrong-horse-battery"}
USERS = {"auditlab-admin": 41001, "auditlab-plain": 41002, "auditlab-free": 41003, "auditlab-few": 41004}
SUDOERS = """
Defaults logfile={folder}/sudo.log
Defaults timestampdir={folder}/sudo-tickets
Defaults lecture_status_dir={folder}/sudo-lectures
auditlab-admin ALL=(ALL:ALL) ALL
auditlab-free ALL=(ALL) NOPASSWD: ALL
auditlab-few ALL=(root) /bin/true
"""
BOUND = ("passwd", "shadow", "group", "sudoers")
WHO = Script("id -un; echo err >&2; exit 3\n")
SLOW = 6.0
"""Seconds within which PAM's punishment for one wrong password is over; a second would double it."""

Start = Callable[..., Sshd]


@dataclass
class Accounts:
    """An sshd with accounts of its own."""

    sshd: Sshd

    def way(self, user: str, password: str = "RIGHT", sudo: str | None = None) -> Connection:
        return Connection(
            self.sshd.address,
            self.sshd.port,
            user,
            key="/nowhere/key",
            password=f"env:{password}",
            sudo_password=sudo and f"env:{sudo}",
        )

    @property
    def options(self) -> GuestOptions:
        return self.sshd.options()

    def log(self) -> str:
        return (self.sshd.folder / "log").read_text()


@pytest.fixture
def start_accounts(start_sshd: Start, tmp_path: Path) -> Callable[..., Accounts]:
    """Start an sshd with PAM, the users above, and the machine's own."""
    has = os.geteuid() == 0 and all(map(shutil.which, ("sudo", "unshare", "openssl")))
    require_lane("real accounts (root, sudo, unshare, openssl)", has)
    crypt = subprocess.run(
        ["openssl", "passwd", "-6", SECRETS["RIGHT"]], capture_output=True, text=True, check=True
    ).stdout.strip()
    rows = {
        "passwd": "{user}:x:{id}:{id}::/tmp:/bin/sh\n",
        "shadow": f"{{user}}:{crypt}:19000:0:99999:7:::\n",
        "group": "{user}:x:{id}:\n",
    }
    for name, row in rows.items():
        added = "".join(row.format(user=user, id=number) for user, number in USERS.items())
        (tmp_path / name).write_text(Path("/etc", name).read_text() + added)
        (tmp_path / name).chmod(0o644 if name != "shadow" else 0o600)
    (tmp_path / "sudoers").write_text(SUDOERS.format(folder=tmp_path))
    (tmp_path / "sudoers").chmod(0o440)
    bind = " && ".join(f"mount --bind {tmp_path}/{name} /etc/{name}" for name in BOUND)
    within = ("unshare", "--mount", "--propagation", "private", "sh", "-c", f'{bind} && exec "$@"', "sh")

    def start(*settings: str) -> Accounts:
        return Accounts(start_sshd(*settings, pam=True, within=within))

    return start


@pytest.mark.parametrize(
    ("settings", "method", "failure"),
    [
        ((), "password", "Failed password"),
        (
            ("KbdInteractiveAuthentication yes", "PasswordAuthentication no"),
            "keyboard-interactive/pam",
            "PAM: Authentication failure",
        ),
    ],
    ids=["password", "keyboard-interactive"],
)
def test_a_password_signs_in_once(
    start_accounts: Callable[..., Accounts], settings: tuple[str, ...], method: str, failure: str
) -> None:
    accounts = start_accounts(*settings)
    with opened(accounts.way("auditlab-plain"), accounts.options, SECRETS) as host:
        assert host.run(WHO, 10).stdout == b"auditlab-plain\n"
    assert f"Accepted {method} for auditlab-plain" in accounts.log()
    start = time.monotonic()
    with (
        opened(accounts.way("auditlab-plain", "WRONG"), accounts.options, SECRETS) as host,
        pytest.raises(HostError, match=r"authentication failed for user auditlab-plain .*: refused$"),
    ):
        host.run(WHO, 10)
    assert time.monotonic() - start < SLOW
    assert accounts.log().count(f"{failure} for auditlab-plain") == 1


def test_a_key_and_a_password_where_a_host_wants_both(
    start_accounts: Callable[..., Accounts], tmp_path: Path
) -> None:
    accounts = start_accounts(
        "AuthenticationMethods publickey,password",
        f"AuthorizedKeysCommand /bin/cat {tmp_path}/sshd-0/authorized_keys",  # the user may not read it
        "AuthorizedKeysCommandUser root",
    )
    key = accounts.sshd.key
    for password, said in (("RIGHT", b"auditlab-plain\n"), ("WRONG", None)):
        way = Connection(
            accounts.sshd.address, accounts.sshd.port, "auditlab-plain", str(key), password=f"env:{password}"
        )
        with opened(way, accounts.options, SECRETS) as host:
            if said is not None:
                assert host.run(WHO, 10).stdout == said
            else:
                with pytest.raises(
                    HostError, match="accepted, but the host also wants password; password: ref"
                ):
                    host.run(WHO, 10)


@pytest.mark.parametrize(
    ("setting", "who", "note"),
    [
        ("use_pty", "root", ""),
        ("requiretty", "auditlab-admin", "sudo started no shell; it said: sudo: sorry, you must have a tty"),
        ("passwd_tries=1", "root", ""),
        ("rootpw", "auditlab-admin", "sudo refused the password"),
        ("lecture=always", "root", ""),
        ("timestamp_timeout=15", "root", ""),
    ],
)
def test_settings_of_sudo(
    start_accounts: Callable[..., Accounts], tmp_path: Path, setting: str, who: str, note: str
) -> None:
    with (tmp_path / "sudoers").open("a") as file:
        file.write(f"Defaults {setting}\n")
    accounts = start_accounts()
    with opened(accounts.way("auditlab-admin", sudo="RIGHT"), accounts.options, SECRETS) as host:
        said = host.run(Script(f"id -un; head -c 200000 /dev/zero; exit 4 # {'x' * 100_000}\n"), 20)
        assert (said.exit_status, said.stdout) == (4, f"{who}\n".encode() + bytes(200_000))
        assert said.note.startswith(note)
        assert bool(said.note) == bool(note)
    assert list(tmp_path.glob("sudo-tickets/*")) == []


@pytest.mark.parametrize(
    ("user", "sudo", "who", "note"),
    [
        ("auditlab-admin", "RIGHT", "root", ""),
        ("auditlab-admin", "WRONG", "auditlab-admin", "sudo refused the password"),
        ("auditlab-free", "WRONG", "root", ""),
        ("auditlab-plain", "RIGHT", "auditlab-plain", "auditlab-plain is not in the sudoers file"),
        ("auditlab-plain", "WRONG", "auditlab-plain", "sudo refused the password"),
        ("auditlab-few", "RIGHT", "auditlab-few", "is not allowed to execute '/bin/sh -c"),
    ],
)
def test_root_by_a_password(
    start_accounts: Callable[..., Accounts], tmp_path: Path, user: str, sudo: str, who: str, note: str
) -> None:
    accounts = start_accounts()
    start = time.monotonic()
    with opened(accounts.way(user, sudo=sudo), accounts.options, SECRETS) as host:
        said = host.run(WHO, 20)
        again = host.run(WHO, 20)
    assert time.monotonic() - start < SLOW
    assert (said.exit_status, said.stdout, said.stderr) == (3, f"{who}\n".encode(), b"err\n")
    assert again == said
    assert note in said.note
    assert bool(said.note) == bool(note)
    log = (tmp_path / "sudo.log").read_text()
    wrong = (user, sudo) == ("auditlab-admin", "WRONG")
    assert log.count("1 incorrect password attempt") == log.count("incorrect password") == int(wrong)
    assert not any(secret in log for secret in SECRETS.values())
