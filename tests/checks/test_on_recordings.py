"""The checks on recorded real traffic: what each VM, item and job was is known, so is what must be found."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor.azure.backup import ItemInVault, parse_item, parse_vault
from auditor.azure.instance import parse_instance_view
from auditor.azure.jobs import last_ended, parse_job, running
from auditor.azure.vm import is_classic, parse_vm
from auditor.facts import Backup, Facts, Jobs, StatusCode, known
from auditor.judge import judge
from auditor.model import MachineResult, Status, Verdict
from checks import CHECKS
from tests.azure.replay import Exchange, entries, exchanges, path_of
from tests.checks.estate import RULES

pytestmark = pytest.mark.recordings

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
AGENT = ("vm-agent-installed", "vm-agent-ready", "vm-agent-version", "extension-health", "wire-server")
ALIVE = (PASS, PASS, PASS, PASS, PASS)
NO_WORD = (UNKNOWN,) * 5
BEFORE = (PASS, UNKNOWN, PASS, UNKNOWN, UNKNOWN)
POWER = "vm_power_states"


def answer(folder: Path, name: str, number: int) -> Any:
    """The body of one recorded exchange."""
    (body,) = [e["response_body"] for e in exchanges(folder, name) if e["n"] == number]
    return body


def facts_of(body: Any, after: timedelta = timedelta(minutes=1)) -> Facts:
    """A recorded VM as it stood that long after the last thing that its instance view tells."""
    view = parse_instance_view(body, datetime.now(UTC))
    told = [status.at for status in _statuses(view.agent, view.operation) if status.at]
    now = max(told) + after
    machine, model = parse_vm(body, now)
    view = replace(view, observed_at=now)
    return Facts(machine, now, model, view, Backup((), (), (), now), Jobs((), None, now))


def _statuses(agent: Any, operation: StatusCode | None) -> Iterator[StatusCode]:
    yield from agent.statuses if agent else ()
    if operation:
        yield operation


def statuses(result: MachineResult, checks: Iterable[str] = AGENT) -> tuple[Status, ...]:
    found = {finding.check: finding.status for finding in result.findings}
    return tuple(found[check] for check in checks)


def text(result: MachineResult, check: str) -> str:
    (found,) = [finding for finding in result.findings if finding.check == check]
    return found.reason or found.summary


@pytest.mark.parametrize(
    ("name", "number", "wanted", "ready"),
    [
        # created two minutes ago, the status blob not yet populated
        ("backup_job", 23, NO_WORD, "created"),
        ("vm_extension", 12, NO_WORD, "created"),
        ("vm_extension", 58, NO_WORD, "created"),
        # Windows and Linux, alive
        ("backup_policy", 29, ALIVE, "fresh heartbeat"),
        ("backup_protection", 26, ALIVE, "fresh heartbeat"),
        ("vm_list", 17, ALIVE, "fresh heartbeat"),
        (POWER, 24, ALIVE, "fresh heartbeat"),
        # Ready from before the stop, the start, the restart and the redeployment that came last
        (POWER, 71, BEFORE, "created 8 min ago"),
        (POWER, 52, NO_WORD, "the VM is stopped"),
        (POWER, 56, BEFORE, "created 5 min ago"),
        (POWER, 62, BEFORE, "created 5 min ago"),
        (POWER, 75, NO_WORD, "deallocated, and Azure keeps no agent status"),
    ],
)
def test_a_recorded_vm_is_judged_as_it_was(
    recordings: Path, name: str, number: int, wanted: tuple[Status, ...], ready: str
) -> None:
    result = judge(facts_of(answer(recordings, name, number)), CHECKS, RULES)
    assert statuses(result) == wanted
    assert ready in text(result, "vm-agent-ready")


def test_an_hour_of_silence_is_no_settling(recordings: Path) -> None:
    for name, number, word in (("backup_job", 23, "Not Ready"), (POWER, 56, "stale: last heard 1 h ago")):
        result = judge(facts_of(answer(recordings, name, number), timedelta(hours=1)), CHECKS, RULES)
        assert statuses(result, ["vm-agent-ready", "wire-server"]) == (FAIL, UNKNOWN)
        assert word in text(result, "vm-agent-ready")


def test_a_recorded_linux_agent_is_measured_by_the_linux_floor(recordings: Path) -> None:
    result = judge(facts_of(answer(recordings, "vm_run_command_action", 16)), CHECKS, RULES)
    assert statuses(result, ["vm-agent-ready"]) == (PASS,)
    assert statuses(result, ["vm-agent-version"]) == (WARN,)
    assert text(result, "vm-agent-version") == "agent 2.2.45 is older than 2.2.53.1"


# ---- what the vaults said -------------------------------------------------------------------------


def items_of(folder: Path) -> list[tuple[Exchange, dict[str, Any]]]:
    """Every recorded protected item of a VM that is not a classic one, once."""
    found = {}
    for exchange in exchanges(folder):
        if exchange["method"] == "GET" and path_of(exchange).endswith("/backupprotecteditems"):
            for item in entries(exchange):
                if not is_classic(item["properties"]["virtualMachineId"].lower()):
                    found[repr(item)] = (exchange, item)
    return list(found.values())


def judged(exchange: Exchange, item: dict[str, Any], location: str = "westus") -> MachineResult:
    """The VM of an item, six hours after its last backup; nothing but the vault was asked."""
    vault_id = path_of(exchange).rpartition("/")[0]
    vault = parse_vault({"id": vault_id, "location": location, "name": "v"})
    read: ItemInVault = parse_item(item, vault, {})
    now = (read.item.last_backup_at or datetime(2024, 5, 13, tzinfo=UTC)) + timedelta(hours=6)
    machine, _ = parse_vm({"id": item["properties"]["virtualMachineId"], "location": "westus"}, now)
    return judge(Facts(machine, now, backup=Backup((read.item,), (vault,), (), now)), CHECKS, RULES)


STATES = {
    ("IRPending", "Passed", ""): (WARN, SKIP, SKIP),
    ("Protected", "Passed", "Completed"): (PASS, PASS, PASS),
    ("Protected", "ActionSuggested", "Failed"): (PASS, WARN, UNKNOWN),
    ("Protected", "ActionRequired", "Failed"): (PASS, FAIL, UNKNOWN),
    ("ProtectionStopped", "Passed", "Completed"): (FAIL, SKIP, SKIP),
    ("ProtectionStopped", "Passed", ""): (FAIL, SKIP, SKIP),
}


def test_every_recorded_item_is_judged_by_what_its_vault_said(recordings: Path) -> None:
    seen = set()
    for exchange, item in items_of(recordings):
        said = item["properties"]
        state = (said["protectionState"], said["healthStatus"], said["lastBackupStatus"])
        wanted = STATES[state]
        never = state[0] == "Protected" and "lastRecoveryPoint" not in said
        if never:
            wanted = (WARN, *wanted[1:])
        result = judged(exchange, item)
        found = statuses(result, ["backup-protection", "backup-health", "backup-extension"])
        assert found == wanted, (state, found)
        assert statuses(result, ["vault-in-region"]) == (PASS,)
        assert result.verdict is not Verdict.READY
        assert not [row.summary for row in result.findings if row.reason and "crashed" in row.reason]
        seen.add((state, never))
    assert len(seen) == len(STATES) + 1


def test_the_health_codes_lead(recordings: Path) -> None:
    found = {text(judged(*recorded), "backup-health") for recorded in items_of(recordings)}
    assert "Azure complains: 400136 UserErrorVmNotFoundV2" in found
    assert "Azure complains: 400196 UserErrorGuestAgentStatusUnavailable" in found


def test_protection_is_stopped_and_was_there_once(recordings: Path) -> None:
    for exchange, item in items_of(recordings):
        said = item["properties"]
        if said["protectionState"] == "ProtectionStopped":
            reason = text(judged(exchange, item), "backup-extension")
            assert ("no longer backed up" in reason) == bool(said["lastBackupStatus"]), reason


def test_vm_item_and_jobs_of_one_recording_make_one_machine(recordings: Path) -> None:
    recorded = exchanges(recordings, "backup_job")
    body = answer(recordings, "backup_job", 23)
    exchange, item = next(
        (exchange, item)
        for exchange, item in items_of(recordings)
        if item["properties"]["lastBackupStatus"] == "Completed"
        and item["properties"]["virtualMachineId"].lower() == body["id"].lower()
    )
    vault_id = path_of(exchange).rpartition("/")[0]
    vault = parse_vault(
        next(e["response_body"] for e in recorded if path_of(e) == vault_id and e["status"] == 200)
    )
    protected = parse_item(item, vault, {})
    lists = [entries(e) for e in recorded if path_of(e).endswith("/backupjobs")]
    parsed = [parse_job(job) for job in next(jobs for jobs in lists if len(jobs) == 3)]
    assert {job.container for job in parsed} == {protected.container}
    jobs = [job.job for job in parsed]
    facts = facts_of(body)
    assert protected.item.vm_id == facts.machine.id
    now = known(facts.instance).observed_at + timedelta(hours=1)
    alive = facts_of(answer(recordings, "backup_protection", 26), timedelta(0))
    moved = replace(known(alive.instance), operation=None, observed_at=now)
    assert moved.agent is not None
    agent = replace(moved.agent, statuses=(StatusCode("ProvisioningState/succeeded", at=now),))
    facts = replace(
        facts,
        now=now,
        instance=replace(moved, agent=agent),
        backup=Backup((protected.item,), (vault,), (), now),
        jobs=Jobs(running(jobs), last_ended(jobs), now),
    )
    result = judge(facts, [check for check in CHECKS if check.id != "internet-connectivity"], RULES)
    asked_of_azure = {
        "vm-agent-installed", "vm-agent-ready", "vm-agent-version", "extensions-enabled", "backup-extension",
        "extension-health", "vault-in-region", "backup-protection", "backup-health", "wire-server",
    }  # fmt: skip
    assert asked_of_azure <= {row.check for row in result.findings if row.status is PASS}
    others = [
        (row.check, row.status, row.summary) for row in result.findings if row.status not in {PASS, SKIP}
    ]
    summary = "Windows Server 2012 R2 Datacenter 6.3.9600.0 is out of support"
    assert others == [("os-supported", WARN, summary)]
    assert result.verdict is Verdict.AT_RISK
