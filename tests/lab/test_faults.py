"""Real guests, one fault each: the program says what is wrong with them, and nothing that is not so."""

from collections.abc import Mapping

import pytest

from tests.lab.bases import Base
from tests.lab.estate import Report
from tests.lab.faults import FAULTS, VERSIONS
from tests.lab.guests import Guest
from tests.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_gives_its_findings(report: Report, name: str) -> None:
    assert report.wrong(name, FAULTS[name].findings) == []


def test_the_real_agent_reports_and_is_read_as_it_is(
    report: Report, lab: Lab, suite: Base, estate: Mapping[str, Guest]
) -> None:
    version = VERSIONS[suite.suite]
    lab.services.wait_for_report(estate["healthy"].address, version)
    found = report.finding("healthy", "vm-agent-version")
    # the agent of bullseye is below the floor of support
    assert found["status"] == ("warn" if suite.suite == "bullseye" else "pass")
    assert version in str(found["evidence"])


def test_the_run_names_every_guest_that_it_did_not_see(report: Report) -> None:
    unseen = {"changed-key", "frozen", "no-sshd", "killed-always"}
    limits = report.document["coverage"]["limits"]
    assert {limit["scope"].rpartition("/")[2] for limit in limits} - {"slow"} == unseen
    assert report.exit_status == 20


def test_a_slow_guest_is_not_called_broken(report: Report) -> None:
    found = {finding["check"]: finding for finding in report.machine("slow")["findings"]}
    for check in ("vm-agent-installed", "agent-service", "extensions-enabled", "wire-server", "linux-freeze"):
        assert found[check]["status"] in {"pass", "unknown"}, found[check]
        assert found[check]["status"] == "pass" or found[check]["reason"], found[check]
