"""A seeded fleet that looks like a real one, and the schema check that every JSON report must pass."""

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import orjson
import pytest

from auditor.judge import verdict
from auditor.model import (
    AuditRun,
    Coverage,
    Evidence,
    Finding,
    Limit,
    Lost,
    Machine,
    MachineResult,
    Plane,
    Platform,
    Severity,
    Status,
    Verdict,
)
from reports.json import schema

START = datetime(2026, 11, 22, 6, 14, 9, 312000, tzinfo=UTC)
SUBSCRIPTIONS = ("5b1ca0de-0000-4000-8000-00000000a001", "5b1ca0de-0000-4000-8000-00000000a002")
LOCATIONS = ("westeurope", "northeurope", "germanywestcentral")
ROLES = ("web", "sql", "app", "file", "dc", "batch", "build", "erp")
ENVIRONMENTS = ("prod", "test", "dev")
OWNERS = ("payments", "platform", "retail", "finance")

CHECKS = (
    ("vm-agent-installed", "The VM agent is installed", Severity.BLOCKER, Plane.INSTANCE_VIEW),
    ("vm-agent-ready", "The VM agent is ready", Severity.BLOCKER, Plane.INSTANCE_VIEW),
    ("vm-agent-version", "The VM agent is recent enough", Severity.BLOCKER, Plane.INSTANCE_VIEW),
    ("backup-extension", "The backup extension is in place", Severity.DEGRADED, Plane.BACKUP),
    ("extension-health", "No extension has failed", Severity.BLOCKER, Plane.INSTANCE_VIEW),
    ("vault-in-region", "A vault in the machine's region", Severity.BLOCKER, Plane.BACKUP),
    ("backup-protection", "The machine is backed up", Severity.BLOCKER, Plane.BACKUP),
    ("backup-health", "Azure Backup has no complaint", Severity.DEGRADED, Plane.BACKUP),
    ("wire-server", "The guest reaches the wire server", Severity.BLOCKER, Plane.GUEST),
    ("internet-connectivity", "The guest reaches the internet endpoints", Severity.DEGRADED, Plane.GUEST),
)

# check -> status, summary, reason, evidence value, next step, how often among a thousand machines
TROUBLE: dict[str, tuple[tuple[Status, str, str | None, str, str | None, int], ...]] = {
    "vm-agent-ready": (
        (
            Status.FAIL,
            "the agent last reported 3 days ago",
            None,
            "ProvisioningState/succeeded (Ready) at {heartbeat}",
            "Restart the agent service (`systemctl restart walinuxagent`, or RdAgent on Windows).",
            70,
        ),
        (
            Status.UNKNOWN,
            "could not be judged",
            "may not read the instance view: Microsoft.Compute/virtualMachines/instanceView/read is missing",
            "403 AuthorizationFailed",
            "Give the audit identity the Reader role on this resource group.",
            25,
        ),
    ),
    "vm-agent-version": (
        (
            Status.FAIL,
            "agent 2.6.1198.600 is older than 2.6.1198.718",
            None,
            "vmAgentVersion 2.6.1198.600",
            "Install the current Windows VM agent from its MSI; no reboot is needed.",
            25,
        ),
        (
            Status.WARN,
            "agent 2.7.41491.971 is older than the supported 2.7.41491.1010",
            None,
            "vmAgentVersion 2.7.41491.971",
            "Let the agent update itself, or install the current MSI.",
            90,
        ),
    ),
    "extension-health": (
        (
            Status.FAIL,
            "1 of 4 extensions has failed: AzureMonitorLinuxAgent",
            None,
            "AzureMonitorLinuxAgent: NotReady/21, level Info: handler did not report within 20 minutes",
            "Remove or repair the extension AzureMonitorLinuxAgent; until then every snapshot may fail.",
            35,
        ),
    ),
    "vault-in-region": (
        (
            Status.FAIL,
            "no visible Recovery Services vault is in {location}",
            None,
            "3 vaults read, none of them in {location}",
            "Create a Recovery Services vault in {location} and protect the VM there.",
            22,
        ),
    ),
    "backup-protection": (
        (
            Status.FAIL,
            "protection was stopped; the recovery points are kept",
            None,
            "protectionState ProtectionStopped, last recovery point {heartbeat}",
            "Resume protection in the vault rsv-prod-weu with the policy that the VM had.",
            30,
        ),
        (
            Status.UNKNOWN,
            "could not be judged",
            "vault rsv-legacy could not be read (429 for longer than 300 s), so no item proves nothing",
            "no item for this VM in 5 of 6 vaults",
            None,
            20,
        ),
    ),
    "backup-health": (
        (
            Status.WARN,
            "the last backup completed with warnings",
            None,
            "healthStatus ActionSuggested, 400206: file-system consistent only, VSS writers failed",
            "Look at the VSS writers in the guest (`vssadmin list writers`) and restart the failed one.",
            60,
        ),
    ),
    "wire-server": (
        (
            Status.FAIL,
            "168.63.129.16:32526 refuses the connection",
            None,
            "tcp: connection refused after 12 ms; port 80 answers",
            "Remove the firewall rule on 168.63.129.16 in the guest.",
            12,
        ),
    ),
    "internet-connectivity": (
        (
            Status.FAIL,
            "2 of 3 endpoints cannot be reached",
            None,
            "login.microsoftonline.com:443 tls: timed out after 5 s",
            "Allow outbound HTTPS to the AzureBackup and AzureActiveDirectory service tags.",
            40,
        ),
    ),
}


def demo_run(count: int = 60, seed: int = 1, *, complete: bool = False) -> AuditRun:
    """A run over `count` machines with the faults of a real fleet, the same for the same seed."""
    chance = random.Random(seed)
    results = tuple(_result(index, chance) for index in range(count))
    lost = (
        () if complete else (Lost(_id(0, "rg-retired-001", "vm-gone-01"), "listed, then 404 on every read"),)
    )
    limits = () if complete else tuple(_limits(results))
    return AuditRun(
        id="0f6d5c1e-7f5a-4f0e-9a52-2f1f7f5b9c11",
        started_at=START,
        finished_at=START + timedelta(seconds=7.4 + count / 110),
        cloud="public",
        rule_set="2026-11-22",
        scope={"subscription": SUBSCRIPTIONS, "tag": ("env=prod",)},
        coverage=Coverage(count + len(lost), count, lost, limits),
        machines=results,
    )


def _limits(results: Iterable[MachineResult]) -> Iterable[Limit]:
    vault = (
        f"/subscriptions/{SUBSCRIPTIONS[1]}/resourcegroups/rg-backup"
        "/providers/microsoft.recoveryservices/vaults/rsv-legacy"
    )
    yield Limit(vault, Plane.BACKUP, "429 for longer than 300 s")
    for result in results:
        for finding in result.findings:
            if finding.check == "vm-agent-ready" and finding.status is Status.UNKNOWN:
                yield Limit(result.machine.id, Plane.INSTANCE_VIEW, finding.reason or "")


def _id(subscription: int, group: str, name: str) -> str:
    return (
        f"/subscriptions/{SUBSCRIPTIONS[subscription]}/resourcegroups/{group}"
        f"/providers/microsoft.compute/virtualmachines/{name}"
    )


def _result(index: int, chance: random.Random) -> MachineResult:
    machine = _machine(index, chance)
    findings = tuple(_finding(machine, check, chance) for check in CHECKS)
    power = "running" if machine.in_azure else None
    return MachineResult(machine, power, verdict(findings), findings)


def _machine(index: int, chance: random.Random) -> Machine:
    role, environment = chance.choice(ROLES), chance.choice(ENVIRONMENTS)
    platform = Platform.WINDOWS if role in ("sql", "dc", "file", "erp") else Platform.LINUX
    name = f"vm-{role}-{environment}-{index + 1:03}"
    tags = {
        "env": environment,
        "owner": chance.choice(OWNERS),
        "cost-centre": str(chance.randint(4100, 4140)),
    }
    if index % 20 == 19:
        return Machine(f"host/{name}", name, platform, "hosts.yaml", tags={"env": environment})
    subscription, group = index % 2, f"rg-{role}-{environment}-{index // 50:03}"
    return Machine(
        _id(subscription, group, name),
        name,
        platform,
        "azure",
        chance.choice(LOCATIONS),
        SUBSCRIPTIONS[subscription],
        group,
        tags,
    )


def _finding(machine: Machine, check: tuple[str, str, Severity, Plane], chance: random.Random) -> Finding:
    name, title, severity, plane = check
    if not machine.in_azure and plane is not Plane.GUEST:
        return Finding(name, title, Status.SKIP, severity, "not applicable", "not an Azure machine")
    seen_at = START + timedelta(seconds=chance.randint(1, 7), milliseconds=chance.randint(0, 999))
    heartbeat = (START - timedelta(days=3, seconds=chance.randint(0, 9000))).strftime("%Y-%m-%dT%H:%M:%SZ")
    for status, summary, reason, value, step, often in TROUBLE.get(name, ()):
        if chance.random() < often / 1000:
            words = {"heartbeat": heartbeat, "location": machine.location or "no region"}
            evidence = Evidence(plane, _source(plane), seen_at, value.format(**words))
            wanted = step and step.format(**words)
            return Finding(
                name, title, status, severity, summary.format(**words), reason, (evidence,), wanted
            )
    return _good(machine, name, title, severity, plane, seen_at)


def _good(
    machine: Machine, id: str, title: str, severity: Severity, plane: Plane, seen_at: datetime
) -> Finding:
    if plane is Plane.GUEST and machine.in_azure and hash_of(machine.name) % 3:
        return Finding(
            id,
            title,
            Status.SKIP,
            severity,
            "not applicable",
            "no guest connection is configured for this machine",
        )
    beat = (seen_at - timedelta(seconds=hash_of(machine.name) % 300)).strftime("%Y-%m-%dT%H:%M:%SZ")
    summary = {
        "vm-agent-ready": "ready, reported less than 5 minutes ago",
        "vm-agent-version": "agent 2.7.41491.1172"
        if machine.platform is Platform.WINDOWS
        else "agent 2.12.0.4",
        "vault-in-region": f"vault rsv-{machine.location} is in {machine.location}",
    }.get(id, "as it should be")
    value = {
        "vm-agent-ready": f"ProvisioningState/succeeded (Ready) at {beat}",
        "backup-protection": f"protected in rsv-{machine.location}, last recovery point {beat}",
    }.get(id, summary)
    return Finding(
        id, title, Status.PASS, severity, summary, None, (Evidence(plane, _source(plane), seen_at, value),)
    )


def hash_of(text: str) -> int:
    """A small number that depends on the text only."""
    return sum(text.encode("utf-8", "replace"))


def _source(plane: Plane) -> str:
    return {
        Plane.INSTANCE_VIEW: "GET …/instanceView",
        Plane.BACKUP: "GET …/backupProtectedItems",
        Plane.GUEST: "probe over SSH",
    }[plane]


@pytest.fixture(name="demo_run")
def demo_run_fixture() -> Callable[..., AuditRun]:
    """`demo_run(count, seed)`."""
    return demo_run


@pytest.fixture(scope="session")
def check_json() -> Callable[[bytes], dict[str, Any]]:
    """Parse a written JSON report; fails where it does not keep to the published schema."""
    published = schema()
    jsonschema.Draft202012Validator.check_schema(published)
    validator = jsonschema.Draft202012Validator(published, format_checker=jsonschema.FormatChecker())

    def check(written: bytes) -> dict[str, Any]:
        document: dict[str, Any] = orjson.loads(written)
        validator.validate(document)
        return document

    return check


@pytest.fixture
def one_machine() -> Callable[..., AuditRun]:
    """A run of one machine whose name, tags and finding text the test chooses."""

    def make(text: str, verdict: Verdict = Verdict.NOT_READY) -> AuditRun:
        evidence = Evidence(Plane.GUEST, text, START, text)
        finding = Finding(text, text, Status.FAIL, Severity.BLOCKER, text, text, (evidence,), f"{text}")
        machine = Machine(f"host/{text}", text, Platform.LINUX, text, text, tags={text: text})
        return AuditRun(
            id="run",
            started_at=START,
            finished_at=START,
            cloud=text,
            rule_set=text,
            scope={"vm": (text,)},
            coverage=Coverage(2, 1, (Lost(text, text),), (Limit(text, Plane.GUEST, text),)),
            machines=(MachineResult(machine, text, verdict, (finding,)),),
        )

    return make
