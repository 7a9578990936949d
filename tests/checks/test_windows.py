"""agent-certificate, windows-vss and windows-prerequisites."""

from dataclasses import replace
from typing import Any

import pytest

from auditor.facts import Certificate, Facts, Job, Jobs, Service, Unseen, Vss, Writer, known
from auditor.model import Status
from tests.checks.estate import HOST, NOW, VM, WINDOWS, ago, finding, said, windowed

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
HIDDEN = Unseen("the registry is not readable")
NO_POWERSHELL = Unseen("the script agent gave no answer (exit status 1)")


def setup(facts: Facts = VM, **changes: Any) -> Facts:
    return windowed(facts, windows=replace(known(WINDOWS.windows), **changes))  # type: ignore[type-var]


def valid(since: float, until: float) -> Certificate:
    """A certificate with its ends in days from now."""
    return Certificate("CN=x", ago(days=-since), ago(days=-until))


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (windowed(), PASS, "valid until 2027-10-18"),
        (setup(certificate=valid(-400, -35)), FAIL, "expired on 2026-10-18"),
        (setup(certificate=valid(1, 400)), FAIL, "not valid before 2026-11-23"),
        (setup(certificate=None), FAIL, "no certificate"),
        (setup(certificate=NO_POWERSHELL), UNKNOWN, "gave no answer"),
        (windowed(windows=NO_POWERSHELL), UNKNOWN, "gave no answer"),
        (windowed(agent_is=None), SKIP, "no agent"),
        # outside Azure it comes with the move
        (windowed(replace(HOST), windows=known(setup(certificate=None).guest).windows), FAIL, "no cert"),
        (
            windowed(HOST, on_azure_host=False, windows=known(setup(certificate=None).guest).windows),
            SKIP,
            "comes with the move",
        ),
    ],
)
def test_agent_certificate(facts: Facts, status: Status, text: str) -> None:
    got, words = said("agent-certificate", facts)
    assert (got, text in words) == (status, True), words


RUNNING = replace(VM, jobs=Jobs((Job("/jobs/1", "Backup", "InProgress", ago(minutes=9)),), None, NOW))
BLIND = replace(VM, jobs=Unseen("403: may not read backupJobs"))
ON_DEMAND = Service("VSS", "stopped", "manual")
STABLE = Writer("System Writer", 1, 0)


def shadows(
    *writers: Writer, services: tuple[Service, ...] = (ON_DEMAND,), facts: Facts = VM, **more: Any
) -> Facts:
    return windowed(facts, vss=Vss(services, writers), **more)


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (shadows(STABLE), PASS, "every VSS writer is stable"),
        (shadows(STABLE, facts=RUNNING), PASS, "every VSS writer is stable"),
        (shadows(Writer("Registry Writer", 1, None)), PASS, "stable"),
        (shadows(STABLE, Writer("SqlServerWriter", 8, 14)), FAIL, "failed: SqlServerWriter"),
        (shadows(Writer("SqlServerWriter", 6)), FAIL, "failed"),
        (shadows(STABLE, Writer("WMI Writer", 5, 0)), WARN, "not stable: WMI Writer"),
        (shadows(Writer("WMI Writer", 1, 3)), WARN, "not stable"),
        (shadows(Writer("WMI Writer", 0, 0)), WARN, "not stable"),
        # while a backup runs, writers are never stable
        (shadows(Writer("SqlServerWriter", 9), facts=RUNNING), UNKNOWN, "a backup job runs"),
        (shadows(Writer("WMI Writer", 5), facts=RUNNING), UNKNOWN, "a backup job runs"),
        (shadows(Writer("SqlServerWriter", 9), facts=BLIND), FAIL, "failed"),
        (shadows(), WARN, "no VSS writer answered"),
        # services start on demand, unless they may not
        (shadows(STABLE, services=(replace(ON_DEMAND, start="disabled"),)), FAIL, "VSS disabled"),
        (
            shadows(STABLE, services=(replace(ON_DEMAND, start="disabled"),), facts=RUNNING),
            FAIL,
            "VSS disabled",
        ),
        (shadows(STABLE, services=(replace(ON_DEMAND, start=None),)), PASS, "stable"),
        (windowed(vss=Vss((ON_DEMAND,), Unseen("vssadmin gave no answer within 20 s"))), UNKNOWN, "20 s"),
        (windowed(vss=NO_POWERSHELL), UNKNOWN, "gave no answer"),
        (windowed(vss=None), UNKNOWN, "were not found"),
    ],
)
def test_windows_vss(facts: Facts, status: Status, text: str) -> None:
    got, words = said("windows-vss", facts)
    assert (got, text in words) == (status, True), words


def test_the_job_and_the_writers_stand_in_the_evidence() -> None:
    rows = finding("windows-vss", shadows(Writer("SqlServerWriter", 9, 14), facts=RUNNING)).evidence
    assert [(row.plane, row.source, row.value) for row in rows] == [
        ("jobs", "Backup job", "InProgress"),
        ("guest", "writer SqlServerWriter", "state 9, error 14"),
    ]


COM = Service("COMSysApp", "stopped", "manual")


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (windowed(), PASS, "everything is there"),
        (setup(dotnet=378389, strong_crypto=True), PASS, "everything"),
        (setup(dotnet=378388), FAIL, ".NET is older than 4.5"),
        (setup(dotnet=None), FAIL, ".NET 4 is not installed"),
        (setup(dotnet=HIDDEN), UNKNOWN, "registry is not readable"),
        (setup(std_reg_prov=False), FAIL, "StdRegProv"),
        (setup(std_reg_prov=Unseen("WMI hangs")), UNKNOWN, "WMI hangs"),
        (setup(services=(replace(COM, start="disabled"),)), FAIL, "COMSysApp is disabled"),
        (setup(services=(COM, Service("msiserver", "stopped", "disabled"))), FAIL, "msiserver is disabled"),
        (setup(services=(COM,)), PASS, "everything"),
        (setup(services=HIDDEN), UNKNOWN, "not readable"),
        (setup(pending_reboot=("Windows Update",)), WARN, "a restart is pending"),
        (setup(pending_reboot=HIDDEN), UNKNOWN, "not readable"),
        # a fault that was seen outweighs what was not
        (setup(dotnet=None, std_reg_prov=HIDDEN), FAIL, ".NET 4"),
        (setup(dotnet=None, std_reg_prov=False), FAIL, ".NET 4 is not installed; WMI"),
        (setup(dotnet=None, pending_reboot=("Windows Update",)), FAIL, ".NET 4"),
        # strong cryptography is the default since .NET 4.6
        (setup(strong_crypto=False), WARN, "strong cryptography"),
        (setup(dotnet=393295), PASS, "everything"),
        (setup(dotnet=379893), WARN, "strong cryptography"),
        (setup(strong_crypto=HIDDEN), UNKNOWN, "not readable"),
        (windowed(windows=NO_POWERSHELL), UNKNOWN, "gave no answer"),
    ],
)
def test_windows_prerequisites(facts: Facts, status: Status, text: str) -> None:
    got, words = said("windows-prerequisites", facts)
    assert (got, text in words) == (status, True), words


def test_what_was_seen_stands_in_the_evidence() -> None:
    rows = finding("windows-prerequisites", setup(pending_reboot=("Windows Update",))).evidence
    assert [(row.source, row.value) for row in rows] == [
        (".NET release", "528049"),
        ("StdRegProv", "answers"),
        ("services", "COMSysApp manual, MSDTC delayed"),
        ("pending restart", "Windows Update"),
    ]
