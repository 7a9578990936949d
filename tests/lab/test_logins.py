"""Ways into a real guest: jump hosts, ssh_config, passwords of real PAM accounts, sudo."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.lab.bases import Base
from tests.lab.estate import Report, audit, entry, running, write_known_hosts
from tests.lab.faults import SECRETS, Fault
from tests.lab.guests import Guest
from tests.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

ASKS = "PasswordAuthentication no\nChallengeResponseAuthentication yes\nKbdInteractiveAuthentication yes"
GUESTS = {"gate": Fault(), "second": Fault(), "inner": Fault(), "asker": Fault(sshd=ASKS)}
# networks that the operator has no way into: from the gate to the second, from there to the inner guest
SECOND, INNER = "198.51.100.2", "203.0.113.2"
BEHIND = {
    "gate": "ip address add 198.51.100.1/24 dev eth0",
    "second": f"""ip address flush dev eth0
ip address add {SECOND}/24 dev eth0
ip address add 203.0.113.1/24 dev eth0""",
    "inner": f"ip address flush dev eth0; ip address add {INNER}/24 dev eth0",
}
CONFIG = """Host gate
  HostName {gate}
Host second
  HostName {second}
  ProxyJump gate
Host inner
  HostName {inner}
  ProxyJump second
Host gate second inner
  User ops
  IdentityFile {key}
"""


@pytest.fixture(scope="session")
def doors(lab: Lab, suite: Base) -> Iterator[Mapping[str, Guest]]:
    """A gate, what lies behind it, and a guest that only asks questions."""
    with running(lab, suite, GUESTS) as guests:
        for name, script in BEHIND.items():
            guests[name].sh(script)
        yield guests


@pytest.fixture(scope="session")
def ways(lab: Lab, doors: Mapping[str, Guest], tmp_path_factory: pytest.TempPathFactory) -> Report:
    """One run that takes every way in."""
    folder: Path = tmp_path_factory.mktemp("ways")
    gate, asker = doors["gate"], doors["asker"]
    known = {SECOND: doors["second"].host_key, INNER: doors["inner"].host_key}
    write_known_hosts(folder, known | {guest.address: guest.host_key for guest in (gate, asker)})
    (folder / ".ssh").mkdir(mode=0o700)
    names = {"gate": gate.address, "second": SECOND, "inner": INNER, "key": lab.key}
    (folder / ".ssh" / "config").write_text(CONFIG.format(**names))
    chain = [f"ops@{gate.address}", f"ops@{SECOND}"]
    keyless = {"key": None, "user": "asks"}
    entries = [
        entry(lab, doors["inner"], name="no-way", address=INNER),
        entry(lab, doors["inner"], name="jumps", address=INNER, jump=chain),
        entry(lab, doors["inner"], name="configured", address="inner", key=None, user=None),
        entry(lab, gate, name="password", **keyless, password="env:LAB_PASSWORD"),
        entry(lab, gate, name="wrong-password", **keyless, password="env:LAB_WRONG"),
        entry(lab, asker, name="questions", **keyless, password="env:LAB_PASSWORD"),
        entry(lab, gate, name="no-password", **keyless),
        entry(lab, gate, name="sudo", user="asks", sudo_password="env:LAB_PASSWORD"),
        entry(lab, gate, name="wrong-sudo", user="asks", sudo_password="env:LAB_WRONG"),
    ]
    return audit(lab, folder, entries, **SECRETS)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("jumps", None),
        ("configured", None),
        ("password", None),
        ("questions", None),
        ("sudo", None),
        ("wrong-sudo", None),
        ("no-way", "unreachable"),
        ("wrong-password", "authentication failed for user asks"),
        ("no-password", "authentication failed for user asks"),
    ],
)
def test_a_way_in_works_or_says_why_not(ways: Report, name: str, reason: str | None) -> None:
    found = ways.finding(name, "vm-agent-installed")
    assert (found["status"], reason or "") == ("unknown" if reason else "pass", reason or ""), found
    assert (reason or "") in (found["reason"] or ""), found


def test_a_wrong_password_is_tried_once(ways: Report, doors: Mapping[str, Guest]) -> None:
    told = doors["gate"].sh("journalctl -q -t sshd -t sshd-session -t sudo --no-pager")
    assert told.count("Failed password for asks") == 1
    assert told.count("1 incorrect password attempt") == 1
    assert "2 incorrect" not in told
