"""What repairs ask of Azure and change there, on the wire of the simulated estate."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auditor.azure.job_watch import JobWatch
from auditor.azure.patience import Patience
from auditor.azure.repairs import Repairs
from auditor.azure.throttle import Gate
from auditor.errors import SourceError
from auditor.facts import Unseen, Vault
from auditor.model import Machine
from auditor.remedy import Request, StepResult
from auditor.repair.seams import AzureRepairs, BackupProof, BackupsNow, VmNow
from auditor.simulator.changes import merged
from auditor.simulator.estate import build_estate
from auditor.simulator.faults import Fault
from auditor.simulator.server import RunningServer, serve_estate
from auditor.simulator.vms import Vm
from auditor.simulator.world import Options
from tests.azure.conftest import OpenArm
from tests.azure.waiting import Waiting

ESTATE = build_estate(60, 7)
Play = Callable[..., Any]
Scenario = Callable[[RunningServer, AzureRepairs], Awaitable[Any]]
USUAL = Options()
QUICK = Patience(max_wait=2, change=10, backup=10, pause=0.02, backup_pause=0.1)

ALLOW = {"properties": {"osProfile": {"allowExtensionOperations": True}}}


def of(scenario: str) -> Vm:
    return next(vm for vm in ESTATE.vms if vm.scenario.name == scenario)


def machine_of(vm: Vm) -> Machine:
    return Machine(
        id=vm.key,
        name=vm.name,
        platform=vm.platform,
        source="azure",
        location=vm.location,
        subscription=vm.subscription.lower(),
        resource_group=vm.group,
    )


def home_of(vm: Vm) -> str:
    """The vault that holds a VM."""
    return next(
        vault.id
        for vault in ESTATE.vaults
        for item in vault.items
        if item["properties"].get("sourceResourceId", "").lower() == vm.key
    )


IDLE = of("last-job-failed")
MACHINE = machine_of(IDLE)


@pytest.fixture(autouse=True)
def _service_principal(monkeypatch: pytest.MonkeyPatch, _signed_in: None) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", ESTATE.tenant)
    monkeypatch.setenv("AZURE_CLIENT_ID", ESTATE.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", ESTATE.client_secret)


@pytest.fixture
def play(open_arm: OpenArm) -> Play:
    """Play a scenario with repairs on a served estate."""

    def playing(
        scenario: Scenario,
        *faults: Fault,
        options: Options = USUAL,
        patience: Patience = QUICK,
        gate: Gate | None = None,
    ) -> Any:
        async def run() -> Any:
            async with (
                serve_estate(ESTATE, faults=faults, options=options) as server,
                open_arm(server.url, server.ca_pem, gate) as arm,
            ):
                return await asyncio.wait_for(scenario(server, Repairs(arm, patience)), 60)

        return asyncio.run(run())

    return playing


# ---- now -------------------------------------------------------------------------------------------


def test_a_vm_is_read_at_this_moment_with_its_present_tags(play: Play) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        first = await repairs.now(MACHINE)
        server.tag(IDLE.id, "auditor:skip", "yes")
        server.agent_reports(IDLE.id, None)
        return first, await repairs.now(MACHINE)

    first, second = play(scenario)
    assert isinstance(first, VmNow)
    assert isinstance(second, VmNow)
    assert "auditor:skip" not in first.machine.tags
    assert second.machine.tags["auditor:skip"] == "yes"
    assert first.instance.power_state == "running"
    assert first.model.vm_id == IDLE.model["properties"]["vmId"]
    assert second.instance.agent is not None
    assert second.instance.agent.version == "Unknown"


def test_an_agent_that_is_heard_again_is_fresh_and_ready(play: Play) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        server.agent_reports(of("agent-missing").id, "2.11.1.12")
        return await repairs.now(machine_of(of("agent-missing")))

    seen = play(scenario)
    (status,) = seen.instance.agent.statuses
    assert (seen.instance.agent.version, status.display) == ("2.11.1.12", "Ready")
    assert abs(seen.instance.observed_at - status.at) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("expand=instanceView", deny=True), "virtualMachines/read"),
        (Fault("expand=instanceView", status=404), "the VM is gone"),
        (Fault("expand=instanceView", truncate_json=True), "not JSON"),
        (Fault("expand=instanceView", status=429, headers={"Retry-After": "3600"}), "throttles"),
    ],
)
def test_a_vm_that_cannot_be_read_is_unseen_with_the_reason(play: Play, fault: Fault, said: str) -> None:
    seen = play(lambda _, repairs: repairs.now(MACHINE), fault)
    assert isinstance(seen, Unseen)
    assert said in seen.reason


# ---- jobs ------------------------------------------------------------------------------------------


async def backups(_: RunningServer, repairs: AzureRepairs) -> BackupsNow | Unseen:
    return await repairs.backups(MACHINE)


def running_of(found: BackupsNow | Unseen) -> list[str]:
    assert isinstance(found, BackupsNow), found
    return [job.id.rpartition("/")[2] for job in found.running]


def test_a_vm_at_rest_has_no_job_in_flight(play: Play) -> None:
    assert running_of(play(backups)) == []


def test_of_several_gaps_the_same_is_told_whichever_answer_came_first(play: Play) -> None:
    ids = [vault.id for vault in ESTATE.vaults if vault.items][:2]
    told = set()
    for late in ids:
        slow = [Fault(f"{one}/backupJobs", deny=True, delay_s=0.5 * (one is late)) for one in ids]
        found = play(backups, *slow)
        assert isinstance(found, Unseen)
        told.add(found.reason)
    assert len(told) == 1


def test_a_job_that_starts_is_seen_at_the_next_look_and_gone_when_it_ended(play: Play) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        before = await repairs.backups(MACHINE)
        job = server.start_job(IDLE.id)
        during = await repairs.backups(MACHINE)
        server.end_job(job, "Cancelling")
        ending = await repairs.backups(MACHINE)
        server.end_job(job)
        return job, before, during, ending, await repairs.backups(MACHINE)

    job, before, during, ending, after = play(scenario)
    assert [running_of(found) for found in (before, during, ending, after)] == [[], [job], [job], []]


@pytest.mark.parametrize("operation", ["Backup", "Restore", "ConfigureBackup", "DeleteBackupData"])
def test_a_job_of_whatever_kind_counts(play: Play, operation: str) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        return server.start_job(IDLE.id, operation=operation), await repairs.backups(MACHINE)

    job, found = play(scenario)
    assert running_of(found) == [job]


@pytest.mark.parametrize("vault", [v.id for v in ESTATE.vaults if v.id != home_of(IDLE)])
def test_a_job_in_any_other_vault_counts_though_the_vault_holds_no_item(play: Play, vault: str) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        return server.start_job(IDLE.id, vault), await repairs.backups(MACHINE)

    job, found = play(scenario)
    assert running_of(found) == [job]


def test_a_job_behind_many_others_is_found_on_its_page(play: Play) -> None:
    others = [vm for vm in ESTATE.vms if (vm.group.lower(), vm.name) != (IDLE.group.lower(), IDLE.name)]

    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        job = server.start_job(IDLE.id)
        for vm in others:
            server.start_job(vm.id, home_of(IDLE))
        return job, await repairs.backups(MACHINE)

    job, found = play(scenario)
    assert running_of(found) == [job]


def test_a_job_of_a_vm_of_the_same_names_elsewhere_counts(play: Play) -> None:
    """Jobs carry no subscription: whose it is cannot be told."""
    stranger = machine_of(IDLE)
    other = next(sub.id for sub in ESTATE.subscriptions if sub.id != IDLE.subscription)
    stranger = Machine(
        id=stranger.id.replace(IDLE.subscription, other),
        name=stranger.name,
        platform=stranger.platform,
        source="azure",
        subscription=other,
        resource_group=IDLE.group,
    )

    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        return server.start_job(IDLE.id), await repairs.backups(stranger)

    job, found = play(scenario)
    assert running_of(found) == [job]


def test_the_job_of_another_vm_does_not_count(play: Play) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        server.start_job(of("agent-silent").id, home_of(IDLE))
        return await repairs.backups(MACHINE)

    assert running_of(play(scenario)) == []


ELSEWHERE = next(vault for vault in ESTATE.vaults if vault.id != home_of(IDLE) and not vault.items)
UNREADABLE = [
    ("subscriptions[?]", "/subscriptions"),
    (r"providers/Microsoft.RecoveryServices/vaults[?]", "the vaults of /subscriptions/"),
    (f"{ELSEWHERE.name}/backupProtectedItems", f"items of vault {ELSEWHERE.name}"),
    (f"{ELSEWHERE.name}/backupJobs.*InProgress", f"jobs of vault {ELSEWHERE.name}"),
    (f"{ELSEWHERE.name}/backupJobs.*Cancelling", f"jobs of vault {ELSEWHERE.name}"),
]
BROKEN: dict[str, dict[str, Any]] = {
    "403": {"deny": True},
    "429": {"status": 429, "headers": {"Retry-After": "3600"}},
    "500": {"status": 500},
    "not JSON": {"truncate_json": True},
    "not a list": {"status": 200, "body": b'{"value": {}}'},
    "a broken entry": {"status": 200, "body": b'{"value": [7]}'},
    "a list without an end": {"next_link_loop": True},
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize(("path", "said"), UNREADABLE)
def test_one_vault_that_cannot_be_read_closes_the_gate(play: Play, path: str, said: str, how: str) -> None:
    found = play(backups, Fault(path, **BROKEN[how]))
    assert isinstance(found, Unseen)
    assert said in found.reason


def test_a_later_page_that_cannot_be_read_closes_the_gate(play: Play) -> None:
    name = home_of(IDLE).rpartition("/")[2]
    found = play(backups, Fault(f"{name}/backupProtectedItems.*skipToken=page2", deny=True))
    assert isinstance(found, Unseen)


def test_a_throttle_is_refused_and_not_waited_for(play: Play) -> None:
    """The gate's clock moves only by waiting: the longest wait is the patience, not the hour."""
    fault = Fault("backupJobs", status=429, headers={"Retry-After": "3600"})

    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        return await repairs.backups(MACHINE), server.stats.requests["job.list"]

    found, asked = play(scenario, fault)
    assert isinstance(found, Unseen)
    assert "could go in 3601 s, and it is waited for 2 s at most" in found.reason
    assert asked <= len(ESTATE.vaults)


def test_those_who_ask_at_once_share_a_reading_that_began_after_they_asked(play: Play) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        await repairs.backups(MACHINE)
        once = server.stats.requests["vault.list"]
        early = asyncio.create_task(repairs.backups(MACHINE))
        await asyncio.sleep(0.02)
        job = server.start_job(IDLE.id)
        late = await asyncio.gather(*(repairs.backups(MACHINE) for _ in range(20)))
        await early
        return job, late, server.stats.requests["vault.list"] / once

    job, late, readings = play(scenario)
    assert all(running_of(found) == [job] for found in late)
    assert readings == 3


def test_a_big_wave_waits_for_azures_quota_and_is_not_refused(play: Play) -> None:
    """Azure allows 150 reads an hour of each kind; sixty readings of all vaults take several times that."""
    waiting = Waiting()
    gate = Gate(clock=waiting.clock, sleep=waiting.sleep)

    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        found = [await repairs.backups(MACHINE) for _ in range(60)]
        return found, server.stats.requests["job.list"]

    found, asked = play(scenario, options=Options(enforce_quotas=False), gate=gate)
    assert [one.reason for one in found if isinstance(one, Unseen)] == []
    assert asked == 60 * 2 * len(ESTATE.vaults)
    assert waiting.slept


def test_those_who_ask_while_the_quota_is_used_up_share_the_reading_that_comes_then(play: Play) -> None:
    waiting, asleep = Waiting(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        asleep.set()
        await waiting.sleep(seconds)

    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        await repairs.backups(MACHINE)
        once = server.stats.requests["vault.list"]
        sleeper = asyncio.create_task(asleep.wait())
        while not asleep.is_set():
            early = asyncio.create_task(repairs.backups(MACHINE))
            await asyncio.wait((early, sleeper), return_when=asyncio.FIRST_COMPLETED)
        before = server.stats.requests["vault.list"]
        job = server.start_job(IDLE.id)
        late = await asyncio.gather(early, *(repairs.backups(MACHINE) for _ in range(20)))
        return job, late, (server.stats.requests["vault.list"] - before) / once

    gate = Gate(clock=waiting.clock, sleep=sleep)
    job, late, readings = play(scenario, options=Options(enforce_quotas=False), gate=gate)
    assert all(running_of(found) == [job] for found in late)
    assert readings == 1


# ---- schedules -------------------------------------------------------------------------------------


def due_of(found: BackupsNow | Unseen) -> datetime | Unseen | None:
    assert isinstance(found, BackupsNow), found
    return found.due_at


def test_the_next_backup_is_that_of_the_policy(play: Play) -> None:
    due = due_of(play(backups, options=Options(next_backup_hours=5)))
    assert isinstance(due, datetime)
    assert timedelta(hours=4.9) < due - datetime.now(UTC) < timedelta(hours=5.6)
    assert (due.minute % 30, due.second) == (0, 0)


def test_a_backup_that_is_overdue_is_due_now(play: Play) -> None:
    """A scheduled backup may begin two hours after its time: one not yet seen to begin may come now."""
    found = play(backups, options=Options(next_backup_hours=-1))
    assert due_of(found) == found.observed_at


@pytest.mark.parametrize("scenario", ["protection-stopped", "soft-deleted", "unprotected"])
def test_where_nothing_is_scheduled_nothing_is_due(play: Play, scenario: str) -> None:
    found = play(lambda _, repairs: repairs.backups(machine_of(of(scenario))))
    assert due_of(found) is None


def test_a_vm_in_two_vaults_is_due_by_the_earlier(play: Play) -> None:
    found = play(lambda _, repairs: repairs.backups(machine_of(of("protected-twice"))))
    assert isinstance(due_of(found), datetime)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("backupPolicies", deny=True), "backupPolicies/read"),
        (Fault("backupPolicies", status=200, body=b'{"value": []}'), "policy is not among"),
    ],
)
def test_a_policy_that_cannot_be_read_leaves_the_time_unseen(play: Play, fault: Fault, said: str) -> None:
    found = play(backups, fault)
    due = due_of(found)
    assert isinstance(due, Unseen)
    assert said in due.reason
    assert running_of(found) == []


# ---- changes ---------------------------------------------------------------------------------------

FAILED = of("provisioning-failed")
SNAPSHOT = of("snapshot-extension-failed")
PATCH = Request("PATCH", IDLE.key, body=ALLOW)
REAPPLY = Request("POST", FAILED.key, "reapply")
DELETE = Request("DELETE", f"{SNAPSHOT.key}/extensions/VMSnapshot")
WRITES = [PATCH, REAPPLY, DELETE]
BUSY = Options(lro_polls=2, retry_after=0)


@pytest.mark.parametrize("options", [Options(), BUSY], ids=["at once", "after polls"])
@pytest.mark.parametrize("request_", WRITES, ids=lambda request: request.method)
def test_a_change_is_followed_to_its_end_and_then_seen(
    play: Play, request_: Request, options: Options
) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        server.allow_extensions(IDLE.id, False)
        began = datetime.now(UTC)
        before = await repairs.performed(request_, began)
        result = await repairs.perform(request_)
        return before, result, await repairs.performed(request_, began), server.stats

    before, result, after, stats = play(scenario, options=options)
    assert (before, result, after) == (False, StepResult("done"), True)
    assert stats.requests["compute.operation"] == options.lro_polls + 1


def test_a_reapply_that_was_done_before_does_not_count_as_this_one(play: Play) -> None:
    async def scenario(_: RunningServer, repairs: AzureRepairs) -> Any:
        await repairs.perform(REAPPLY)
        return await repairs.performed(REAPPLY, datetime.now(UTC))

    assert play(scenario) is False


def test_an_extension_that_is_not_there_is_nothing_to_delete(play: Play) -> None:
    gone = Request("DELETE", f"{IDLE.key}/extensions/VMSnapshot")

    async def scenario(_: RunningServer, repairs: AzureRepairs) -> Any:
        return await repairs.performed(gone, datetime.now(UTC)), await repairs.perform(gone)

    performed, result = play(scenario)
    assert performed is True
    assert result.state in ("done", "nothing")


REFUSALS = [
    (Fault("virtualMachines", "PATCH", deny=True), "failed", "AuthorizationFailed"),
    (Fault("virtualMachines", "PATCH", status=409), "failed", "409 Conflict: Another operation"),
    (Fault("virtualMachines", "PATCH", status=404), "failed", "ResourceNotFound"),
    (
        Fault("virtualMachines", "PATCH", status=429, headers={"Retry-After": "3600"}),
        "refused",
        "nothing was sent",
    ),
]


@pytest.mark.parametrize(("fault", "state", "said"), REFUSALS)
def test_what_azure_refuses_is_told_with_its_code(play: Play, fault: Fault, state: str, said: str) -> None:
    result = play(lambda _, repairs: repairs.perform(PATCH), fault)
    assert result.state == state
    assert said in result.output


def test_an_operation_that_fails_is_told_with_its_reason(play: Play) -> None:
    body = b'{"status": "Failed", "error": {"code": "VMAgentSilent", "message": "It\\r\\nsays nothing."}}'
    result = play(lambda _, repairs: repairs.perform(PATCH), Fault("/operations/", status=200, body=body))
    assert result == StepResult("failed", output="VMAgentSilent: It says nothing.")


UNKNOWN = {
    "the answer is lost": Fault("virtualMachines", "PATCH", drop_connection=True),
    "a server's error": Fault("virtualMachines", "PATCH", status=500),
    "the operation is not found": Fault("/operations/", status=404),
    "the operation may not be read": Fault("/operations/", deny=True),
    "the operation has no status": Fault("/operations/", status=200, body=b"{}"),
    "the operation is no document": Fault("/operations/", truncate_json=True),
    "nowhere to follow it": Fault("virtualMachines", "PATCH", status=202, body=b""),
}


@pytest.mark.parametrize("how", UNKNOWN)
def test_an_end_that_is_not_known_is_raised_and_found_out_later(play: Play, how: str) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        with pytest.raises(SourceError):
            await repairs.perform(PATCH)
        server.faults.clear()
        return await repairs.performed(PATCH, datetime.now(UTC)), server.stats.requests["vm.patch"]

    assert play(scenario, UNKNOWN[how]) == (True, 1)


def test_an_operation_is_followed_for_a_bounded_time(play: Play) -> None:
    async def scenario(_: RunningServer, repairs: AzureRepairs) -> Any:
        with pytest.raises(SourceError, match="did not end within"):
            await repairs.perform(PATCH)

    play(scenario, options=Options(lro_polls=10**6), patience=Patience(change=0.3, pause=0.02))


def test_an_address_that_leads_elsewhere_is_not_followed(play: Play) -> None:
    elsewhere = {"Azure-AsyncOperation": "https://example.com/operations/1"}

    async def scenario(_: RunningServer, repairs: AzureRepairs) -> Any:
        with pytest.raises(SourceError, match="leads away"):
            await repairs.perform(PATCH)

    play(scenario, Fault("virtualMachines", "PATCH", status=202, headers=elsewhere))


GROUP = f"/subscriptions/{IDLE.subscription}/resourceGroups/rg"


@pytest.mark.parametrize(
    "request_",
    [
        Request("DELETE", GROUP),
        Request("DELETE", f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/v"),
        Request("PATCH", f"{IDLE.key}/../../x/virtualMachines/y"),
        Request("PATCH", f"{IDLE.key}/extensions/.."),
        Request("PATCH", f"{IDLE.key}?x=y"),
        Request("PUT", IDLE.key, body=ALLOW),
        Request("POST", IDLE.key),
        Request("POST", IDLE.key, "reapply/../delete"),
        Request("PATCH", IDLE.key, "reapply"),
        Request("GET", IDLE.key),
    ],
    ids=lambda request: f"{request.method} {request.resource[-30:]} {request.action}",
)
def test_other_writes_are_not_sent(play: Play, request_: Request) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        before = server.stats.total
        result = await repairs.perform(request_)
        return result.state, server.stats.total - before

    assert play(scenario) == ("refused", 0)


def test_what_is_still_at_work_is_not_told_as_done_or_undone(play: Play) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        state = server.world.vms[IDLE.key]
        with state.changing():
            state.model = merged(state.model, {"properties": {"provisioningState": "Updating"}})
        return await repairs.performed(PATCH, datetime.now(UTC))

    assert isinstance(play(scenario), Unseen)


# ---- backups on demand -----------------------------------------------------------------------------


async def back_up(_: RunningServer, repairs: AzureRepairs) -> BackupProof | Unseen:
    return await repairs.back_up(MACHINE)


SHORT = Options(backup_seconds=0.2)


@pytest.mark.parametrize("options", [SHORT, Options(backup_seconds=0.2, lro_polls=2, retry_after=0)])
def test_a_backup_is_followed_until_it_completed_with_its_consistency(play: Play, options: Options) -> None:
    proof = play(back_up, options=options)
    wanted = "AppConsistent" if IDLE.platform == "windows" else "FileSystemConsistent"
    assert (proof.status, proof.consistency) == ("Completed", wanted)
    assert "recovery point of " in proof.detail


def test_a_backup_that_fails_is_told_with_its_reason(play: Play) -> None:
    silent = of("agent-silent")

    async def scenario(_: RunningServer, repairs: AzureRepairs) -> Any:
        return await repairs.back_up(machine_of(silent))

    proof = play(scenario, options=SHORT)
    assert (proof.status, proof.consistency) == ("Failed", None)
    assert "400196 UserErrorGuestAgentStatusUnavailable" in proof.detail


def test_a_backup_begun_since_then_is_followed_instead_of_a_second_one(play: Play) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        began = datetime.now(UTC)
        proofs = [await repairs.back_up(MACHINE), await repairs.back_up(MACHINE, began)]
        return proofs, server.stats.requests["item.backup"]

    (first, second), sent = play(scenario, options=SHORT)
    assert (first.status, second, sent) == ("Completed", first, 1)


def test_a_backup_whose_answer_was_lost_is_found_again(play: Play) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        began = datetime.now(UTC)
        lost = await repairs.back_up(MACHINE)
        server.faults.clear()
        return lost, await repairs.back_up(MACHINE, began), server.stats.requests["item.backup"]

    lost, found, sent = play(scenario, Fault("/backup[?]", "POST", drop_connection=True), options=SHORT)
    assert isinstance(lost, Unseen)
    assert (found.status, sent) == ("Completed", 1)


def test_an_older_backup_does_not_count_as_begun_since(play: Play) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        await repairs.back_up(MACHINE)
        await repairs.back_up(MACHINE, datetime.now(UTC) + timedelta(minutes=5))
        return server.stats.requests["item.backup"]

    assert play(scenario, options=SHORT) == 2


def test_no_backup_is_started_beside_another_job(play: Play) -> None:
    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        server.start_job(IDLE.id, ELSEWHERE.id, "Restore")
        return await repairs.back_up(MACHINE), server.stats.requests["item.backup"]

    found, sent = play(scenario)
    assert isinstance(found, Unseen)
    assert "Restore" in found.reason
    assert sent == 0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(f"{ELSEWHERE.name}/backupJobs", deny=True), "one may be running"),
        (Fault("/backup[?]", "POST", deny=True), "protectedItems/backup/action"),
        (Fault("/backup[?]", "POST", status=500), "may have started"),
        (Fault("operationsStatus", deny=True), "could not be followed"),
        (Fault("backupJobs[?].*startTime", deny=True), "backupJobs/read"),
    ],
)
def test_a_backup_that_cannot_be_followed_is_unseen(play: Play, fault: Fault, said: str) -> None:
    found = play(back_up, fault, options=SHORT)
    assert isinstance(found, Unseen)
    assert said in found.reason


def test_a_throttle_while_a_backup_runs_is_waited_out(play: Play) -> None:
    fault = Fault("backupJobs[?].*startTime", status=429, headers={"Retry-After": "4"}, times=2)
    patience = Patience(max_wait=1, backup=60, pause=0.02, backup_pause=0.1)
    assert play(back_up, fault, options=SHORT, patience=patience, gate=Gate()).status == "Completed"


def in_one_vault(most: int) -> list[Vm]:
    """VMs that one vault backs up."""
    busy = {job.container.lower() for vault in ESTATE.vaults for job in vault.jobs if job.takes is None}
    healthy = [
        vm
        for vm in ESTATE.vms
        if vm.scenario.name == "healthy" and not any(one.endswith(f";{vm.name.lower()}") for one in busy)
    ]
    vault, count = Counter(map(home_of, healthy)).most_common(1)[0]
    assert count >= most
    return [vm for vm in healthy if home_of(vm) == vault][:most]


def test_backups_of_a_vault_are_followed_by_its_list_and_not_each_on_its_own(play: Play) -> None:
    machines = list(map(machine_of, in_one_vault(6)))
    patience = Patience(max_wait=60, backup=30, pause=0.02, backup_pause=0.2)

    async def scenario(server: RunningServer, repairs: AzureRepairs) -> Any:
        found = await asyncio.gather(*map(repairs.back_up, machines))
        return found, server.stats.requests["job.get"]

    found, alone = play(scenario, options=Options(backup_seconds=1), patience=patience)
    assert [getattr(proof, "status", proof) for proof in found] == ["Completed"] * len(machines)
    assert alone == 0


def test_all_who_follow_a_vault_share_its_looks_and_their_pace(open_arm: OpenArm) -> None:
    """Ten who begin one after the other cost a page each half second, not ten."""
    one = next(vault for vault in ESTATE.vaults if vault.id == home_of(IDLE))
    vault = Vault(one.id.lower(), one.name, "", IDLE.subscription)
    pause, pages = 0.5, 4  # of this list

    async def follow(watch: JobWatch, place: int, end: float) -> int:
        await asyncio.sleep(place * 0.05)
        looks = 0
        while time.monotonic() < end:
            assert (await watch.look(vault, datetime.now(UTC) - timedelta(days=2))).problems == ()
            looks += 1
        return looks

    async def run() -> tuple[list[int], int, float]:
        async with serve_estate(ESTATE) as server, open_arm(server.url, server.ca_pem) as arm:
            watch, began = JobWatch(arm, pause), time.monotonic()
            looks = await asyncio.gather(*(follow(watch, place, began + 3) for place in range(10)))
            return looks, server.stats.requests["job.list"], time.monotonic() - began

    looks, asked, took = asyncio.run(run())
    assert min(looks) >= 1
    assert asked <= took / pause + pages, (looks, asked, took)


def test_a_job_that_the_list_lacks_is_asked_for_by_itself(play: Play) -> None:
    fault = Fault("backupJobs[?].*startTime", status=200, body=b'{"value": []}')
    proof = play(back_up, fault, options=SHORT)
    assert proof.status == "Completed"


def test_a_job_on_a_page_that_cannot_be_read_is_not_told_as_ended(play: Play) -> None:
    """Half a list says nothing of what it lacks."""
    fault = Fault("backupJobs[?].*startTime", truncate_json=True)
    found = play(back_up, fault, options=SHORT)
    assert isinstance(found, Unseen)
    assert "not JSON" in found.reason


def test_a_backup_is_followed_for_a_bounded_time(play: Play) -> None:
    patience = Patience(backup=0.3, pause=0.02, backup_pause=0.1)
    found = play(back_up, options=Options(backup_seconds=3600), patience=patience)
    assert isinstance(found, Unseen)
    assert "not seen within 0.3 s" in found.reason


@pytest.mark.parametrize("scenario", ["unprotected", "protection-stopped", "soft-deleted"])
def test_a_vm_that_is_not_backed_up_is_told_so(play: Play, scenario: str) -> None:
    found = play(lambda _, repairs: repairs.back_up(machine_of(of(scenario))))
    assert isinstance(found, Unseen)
    assert "not backed up" in found.reason


def test_a_recovery_point_that_cannot_be_read_leaves_the_consistency_open(play: Play) -> None:
    proof = play(back_up, Fault("recoveryPoints", deny=True), options=SHORT)
    assert (proof.status, proof.consistency) == ("Completed", None)
    assert "recoveryPoints/read" in proof.detail
