"""Guests that are still to move to Azure: a hosts file is all there is, and the report is of use."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.lab.bases import Base
from tests.lab.estate import Report, audit, entry, running, write_known_hosts
from tests.lab.faults import FULL_DISK, VERSIONS, Fault, Finding
from tests.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

PURGE = "apt-get -qq purge -y waagent >/dev/null\n"
# a source that has packages, and no agent among them
OTHER_SOURCE = """mkdir /srv/other
curl -sS "http://packages.lab/$(. /etc/os-release; echo "$VERSION_CODENAME")/Packages" |
  sed 's/^Package: waagent/Package: other/' > /srv/other/Packages
echo 'deb [trusted=yes] file:/srv/other ./' > /etc/apt/sources.list
apt-get -qq update
"""
NOT_YET = Finding("vm-agent-installed", "warn", "not installed yet")
GUESTS: Mapping[str, Fault] = {
    "bare": Fault(f"{PURGE}apt-get -qq update", (NOT_YET,)),
    "no-lists": Fault(PURGE, (NOT_YET, Finding("agent-installable", "unknown", "apt-get update"))),
    "no-source": Fault(
        f"{PURGE}{OTHER_SOURCE}", (NOT_YET, Finding("agent-installable", "fail", "offers no agent"))
    ),
    "no-room": Fault(
        f"apt-get -qq update\n{PURGE}head -c 100m /dev/zero > /var/fill 2>/dev/null || true",
        (NOT_YET, Finding("agent-installable", "fail", "free")),
        disk=FULL_DISK,
    ),
    # as the package is, without the lab's help: its unit wants Azure's hypervisor
    "equipped": Fault(
        "rm -r /etc/systemd/system/walinuxagent.service.d\n"
        "systemctl daemon-reload\nsystemctl restart walinuxagent",
        (
            Finding("vm-agent-installed", "pass"),
            Finding("agent-service", "skip", "starts on an Azure host only"),
            Finding("agent-installable", "skip", "installed already"),
            Finding("guest-dhcp", "pass"),
            Finding("internet-connectivity", "pass"),
        ),
    ),
}


@pytest.fixture(scope="session")
def migration(lab: Lab, suite: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """One run over machines outside Azure, without an account."""
    folder: Path = tmp_path_factory.mktemp("before-the-move")
    with running(lab, suite, GUESTS, azure=False) as guests:
        write_known_hosts(folder, {guest.address: guest.host_key for guest in guests.values()})
        yield audit(lab, folder, [entry(lab, guest) for guest in guests.values()])


@pytest.mark.parametrize("name", GUESTS)
def test_a_machine_to_be_moved_gets_its_findings(migration: Report, name: str) -> None:
    assert migration.wrong(name, GUESTS[name].findings) == []


def test_nothing_is_missing_without_azure(migration: Report, suite: Base) -> None:
    coverage = migration.document["coverage"]
    assert (coverage["audited"], coverage["limits"], coverage["lost"]) == (len(GUESTS), [], [])
    assert migration.document["run"]["cloud"] == "none"
    assert VERSIONS[suite.suite] in str(migration.finding("equipped", "vm-agent-version"))
    # machines on which the agent cannot be installed are not ready for the move
    assert migration.exit_status == 20


def test_the_agent_on_offer_is_named_and_judged(migration: Report, suite: Base) -> None:
    found = migration.finding("bare", "agent-installable")
    # bullseye offers one from below the floor of support
    assert found["status"] == ("warn" if suite.suite == "bullseye" else "pass"), found
    assert f"apt waagent {VERSIONS[suite.suite]}" in str(found["evidence"])
