"""agent-installable, and what else is said of machines that are still to move."""

from dataclasses import replace
from typing import Any

import pytest

from auditor.facts import NOT_ASKED, OUTSIDE_AZURE, Disk, Facts, Interface, Package, Python, Unseen, known
from auditor.judge import judge
from auditor.model import Platform, Status, Verdict
from checks import CHECKS
from tests.checks.estate import ASIDE, HOST, RULES, VM, WINDOWS, finding, guested, said, windowed

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
GB = 1_000_000_000
WINDOWS_HOST = replace(HOST, machine=replace(HOST.machine, platform=Platform.WINDOWS))
WAAGENT = Package("apt", "waagent", "2.7.3.0-4.1")
OLD = Package("apt", "waagent", "2.2.45-4+deb11u1")
MANAGED = (Interface("eth0", True, ("10.0.0.4",), "NetworkManager"),)
LINUX: dict[str, Any] = {
    "agent_is": None,
    "on_azure_host": False,
    "os_name": "Debian GNU/Linux",
    "os_version": "12",
    "kernel": "6.1.0-30-amd64",
    "architecture": "x86_64",
    "bits": 64,
    "disk": Disk("/var/lib/waagent", 5 * GB, 20 * GB),
    "python": Python("/usr/bin/python3", "3.11.2"),
    "installable": WAAGENT,
    "interfaces": (Interface("eth0", True, ("10.0.0.4",), "systemd-networkd"),),
}


def bare(**changes: Any) -> Facts:
    """A Linux host outside Azure that has no agent yet."""
    return guested(HOST, **{**LINUX, **changes})


def server(setup: dict[str, Any] | None = None, **changes: Any) -> Facts:
    """A Windows host outside Azure that has no agent yet."""
    found = replace(known(WINDOWS.windows), **(setup or {}))  # type: ignore[type-var]
    usual = {
        "agent_is": None,
        "on_azure_host": False,
        "disk": Disk("C:\\", 40 * GB, 100 * GB),
        "windows": found,
    }
    return windowed(WINDOWS_HOST, **{**usual, **changes})


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (bare(), PASS, "nothing stands in its way: apt offers waagent 2.7.3.0-4.1"),
        (bare(python=None), PASS, "nothing stands"),
        (bare(python=NOT_ASKED), PASS, "nothing stands"),
        (bare(installable=None), FAIL, "the package manager offers no agent"),
        (bare(installable=Unseen("dnf is busy")), UNKNOWN, "dnf is busy"),
        (bare(python=Python("/usr/bin/python", "2.4.3")), FAIL, "Python 2.4.3 is too old"),
        (bare(disk=Disk("/var/lib/waagent", GB // 20, GB)), FAIL, "only 50 MB free"),
        (bare(disk=Unseen("df gave no answer")), UNKNOWN, "df gave no answer"),
        (bare(bits=32), FAIL, "32-bit is not supported"),
        (bare(os_name="Fedora CoreOS"), FAIL, "is not supported"),
        (bare(os_name="Arch Linux"), PASS, "nothing stands"),
        (bare(os_name=None, os_version=None), UNKNOWN, "neither the guest"),
        (bare(installable=None, disk=Unseen("x")), FAIL, "offers no agent"),
        (bare(installable=None, bits=32), FAIL, "32-bit is not supported; the package manager"),
        # Debian's package removes NetworkManager
        (bare(interfaces=MANAGED), WARN, "would remove NetworkManager"),
        (bare(interfaces=MANAGED, installable=Package("apt", "walinuxagent", "2.11")), PASS, "nothing"),
        (bare(interfaces=Unseen("no ip")), PASS, "nothing"),
        # what is offered may be old
        (bare(installable=OLD), WARN, "apt offers waagent 2.2.45-4+deb11u1, which is older than 2.2.53.1"),
        (bare(installable=OLD, interfaces=MANAGED), WARN, "runs the network; apt offers"),
        (bare(installable=Package("apt", "waagent", None)), PASS, "apt offers waagent"),
        # Windows
        (server(), PASS, "nothing stands"),
        (server({"dotnet": None}), FAIL, ".NET 4 is not installed"),
        (server({"std_reg_prov": False}), FAIL, "StdRegProv"),
        (server({"std_reg_prov": Unseen("WMI hangs")}), UNKNOWN, "WMI hangs"),
        (server({"pending_reboot": ("Windows Update",)}), WARN, "a restart is pending"),
        (server(disk=Disk("C:\\", GB // 20, 100 * GB)), FAIL, "only 50 MB free"),
        (server(os_version="6.0.6003"), FAIL, "too old"),
        (server(os_version=None), UNKNOWN, "the version of Windows was not seen"),
        (server(os_version="6.3.9600"), PASS, "nothing"),
        (server(windows=Unseen("no PowerShell")), UNKNOWN, "no PowerShell"),
        (server(installable=None), PASS, "nothing"),
        # whom it does not concern
        (bare(agent_is="same"), SKIP, "an agent is installed already"),
        (bare(agent_is=Unseen("no rights")), UNKNOWN, "no rights"),
        (guested(VM, agent_is=None), SKIP, "an Azure machine"),
        (VM, SKIP, "an Azure machine"),
        (replace(HOST, guest=ASIDE), SKIP, "no guest connection"),
        (replace(HOST, guest=Unseen("the host key changed")), UNKNOWN, "the host key changed"),
    ],
)
def test_agent_installable(facts: Facts, status: Status, text: str) -> None:
    got, words = said("agent-installable", facts)
    assert (got, text in words) == (status, True), words


def test_what_is_offered_stands_in_the_evidence() -> None:
    rows = finding("agent-installable", bare()).evidence
    assert [(row.source, row.value) for row in rows] == [
        ("package offered", "apt waagent 2.7.3.0-4.1"),
        ("operating system", "Debian GNU/Linux 12 x86_64"),
        ("python", "3.11.2"),
    ]


@pytest.mark.parametrize("facts", [bare(), server()])
def test_a_machine_that_is_ready_to_move_is_at_risk_only_for_its_missing_agent(facts: Facts) -> None:
    assert facts.instance is OUTSIDE_AZURE
    result = judge(facts, CHECKS, RULES)
    warned = [one.check for one in result.findings if one.status in (WARN, FAIL)]
    assert warned == ["vm-agent-installed"]
    assert result.verdict is Verdict.AT_RISK


@pytest.mark.parametrize("facts", [bare(), server()])
def test_a_missing_agent_is_no_order_to_start_it_before_the_move(facts: Facts) -> None:
    step = finding("vm-agent-installed", facts).remediation
    assert step is not None
    assert "once it is in Azure" in step or "may start in Azure only" in step


def test_a_machine_that_cannot_take_an_agent_is_not_ready() -> None:
    assert judge(bare(bits=32), CHECKS, RULES).verdict is Verdict.NOT_READY
