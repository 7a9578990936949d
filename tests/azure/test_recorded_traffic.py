"""Recorded real traffic, served back over TLS and read by the real client, loses nothing."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from auditor.azure import traffic
from auditor.azure.backup import parse_policy
from auditor.azure.client import Arm
from auditor.azure.estate import Azure
from auditor.azure.jobs import is_running, parse_job
from auditor.azure.listing import read_list
from auditor.errors import NotFound
from auditor.facts import Backup, InstanceView, Jobs, StatusCode
from auditor.inventory.scope import Scope
from auditor.model import Machine, Platform
from tests.azure.conftest import OpenArm
from tests.azure.replay import COMPUTE, SUBSCRIPTION, Exchange, Replay, entries, exchanges, path_of, serving

pytestmark = pytest.mark.recordings

T = TypeVar("T")
Ask = Callable[[Replay, Callable[[Arm], Awaitable[Any]]], Any]

SUBSCRIPTIONS = {"value": [{"subscriptionId": SUBSCRIPTION, "displayName": "Recorded", "state": "Enabled"}]}
VAULTS = f"/subscriptions/{SUBSCRIPTION}/providers/microsoft.recoveryservices/vaults"
ARM_VM = "Microsoft.Compute/virtualMachines"
CLASSIC_VM = "Microsoft.ClassicCompute/virtualMachines"


@pytest.fixture
def ask(open_arm: OpenArm, server_tls: ssl.SSLContext, ca_pem: Path) -> Ask:
    """Serve a replay and let the real client ask it something."""

    def asking(replay: Replay, question: Callable[[Arm], Awaitable[T]]) -> T:
        async def run() -> T:
            async with serving(replay, server_tls), open_arm(replay.url, ca_pem) as arm:
                return await question(arm)

        return asyncio.run(run())

    return asking


def machine(vm_id: str) -> Machine:
    return Machine(vm_id.lower(), "vm", Platform.LINUX, "azure", subscription=SUBSCRIPTION)


def utc(text: str | None) -> datetime | None:
    """Read a recorded time by hand: seven decimals, `Z`; the sentinels are no times."""
    if not text or text.startswith(("2001-01-01", "0001-01-01")):
        return None
    whole, _, fraction = text.removesuffix("Z").removesuffix("+00:00").partition(".")
    seconds = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return seconds.replace(microsecond=int(fraction[:6].ljust(6, "0")) if fraction else 0)


def lists_of(recorded: Iterable[Exchange], collection: str) -> list[Exchange]:
    return [
        exchange
        for exchange in recorded
        if exchange["method"] == "GET" and path_of(exchange).endswith(f"/{collection.lower()}")
    ]


# ---- instance views -----------------------------------------------------------------------------


def views(folder: Path) -> list[Exchange]:
    return [
        exchange
        for exchange in exchanges(folder)
        if exchange["method"] == "GET"
        and "$expand=instanceView" in exchange["path"]
        and "/extensions/" not in exchange["path"]
    ]


def read_views(ask: Ask, recorded: list[Exchange]) -> list[tuple[dict[str, Any], InstanceView]]:
    async def read_all(arm: Arm) -> list[tuple[dict[str, Any], InstanceView]]:
        azure = Azure(arm)
        found = []
        for exchange in recorded:
            view = await azure.instance_view(machine(path_of(exchange)))
            assert isinstance(view, InstanceView), view
            found.append((exchange["response_body"], view))
        return found

    found: list[tuple[dict[str, Any], InstanceView]] = ask(Replay(recorded), read_all)
    return found


def wire_statuses(block: list[dict[str, Any]] | None) -> list[StatusCode]:
    return [
        StatusCode(
            s["code"], s.get("level"), s.get("displayStatus"), s.get("message") or None, utc(s.get("time"))
        )
        for s in block or ()
    ]


def test_every_recorded_instance_view_is_read_whole(recordings: Path, ask: Ask) -> None:
    found = read_views(ask, views(recordings))
    assert len(found) >= 20
    for body, view in found:
        wire = body["properties"]["instanceView"]
        codes = [status["code"] for status in wire["statuses"]]
        assert f"PowerState/{view.power_state}" in codes or view.power_state is None
        assert (view.power_state is None) == (not any(code.startswith("PowerState/") for code in codes))
        assert (view.os_name, view.os_version) == (wire.get("osName"), wire.get("osVersion"))
        own = [s for s in wire_statuses(wire["statuses"]) if s.code.startswith("ProvisioningState/")]
        assert [view.operation] == own
        agent = wire.get("vmAgent")
        assert (view.agent is None) == (agent is None)
        if view.agent is not None:
            assert view.agent.version == agent["vmAgentVersion"]
            assert list(view.agent.statuses) == wire_statuses(agent["statuses"])
            handlers = agent.get("extensionHandlers")
            assert (view.handlers is None) == (handlers is None)
            assert [(h.type, h.version) for h in view.handlers or ()] == [
                (h["type"], h["typeHandlerVersion"]) for h in handlers or ()
            ]
        seen = {entry["name"]: entry for entry in wire.get("extensions") or ()}
        resources = {entry["name"]: entry["properties"] for entry in body.get("resources") or ()}
        assert {extension.name for extension in view.extensions} == seen.keys() | resources.keys()
        for extension in view.extensions:
            model, live = resources.get(extension.name, {}), seen.get(extension.name, {})
            assert extension.provisioning_state == model.get("provisioningState")
            assert extension.version == live.get("typeHandlerVersion", model.get("typeHandlerVersion"))
            assert list(extension.statuses) == wire_statuses(live.get("statuses"))


def test_deallocated_has_no_agent_and_stopped_keeps_an_old_ready(recordings: Path, ask: Ask) -> None:
    found = [view for _, view in read_views(ask, [e for e in views(recordings) if "ul-ulova" in e["path"]])]
    by_state = {view.power_state: view for view in found}
    assert by_state["deallocated"].agent is None
    assert by_state["deallocated"].handlers is None
    stopped = by_state["stopped"].agent
    assert stopped is not None
    assert [status.display for status in stopped.statuses] == ["Ready"]
    assert stopped.statuses[0].at == datetime(2024, 8, 27, 10, 9, 47, tzinfo=UTC)


def test_a_silent_agent_is_unknown_without_handlers(recordings: Path, ask: Ask) -> None:
    silent = [
        view
        for _, view in read_views(ask, views(recordings))
        if view.agent is not None and view.agent.version == "Unknown"
    ]
    assert silent
    for view in silent:
        assert view.agent is not None
        assert [status.code for status in view.agent.statuses] == ["ProvisioningState/Unavailable"]
        assert (view.handlers, view.os_name) == (None, None)


def test_agent_versions_stand_as_recorded(recordings: Path, ask: Ask) -> None:
    versions = {view.agent.version for _, view in read_views(ask, views(recordings)) if view.agent}
    assert {"2.2.45", "2.7.41491.1095", "2.9.1.1", "2.11.1.12", "Unknown"} <= versions


# ---- VM lists -----------------------------------------------------------------------------------


def test_every_recorded_vm_list_is_read_whole(recordings: Path, ask: Ask) -> None:
    recorded = lists_of(exchanges(recordings), "virtualMachines")
    items = [item for exchange in recorded for item in entries(exchange)]
    assert items
    replay = Replay()
    replay.add("/subscriptions", SUBSCRIPTIONS)
    replay.add(f"/subscriptions/{SUBSCRIPTION}{COMPUTE}", {"value": items})
    inventory = ask(replay, lambda arm: Azure(arm).inventory(Scope()))
    assert (inventory.limits, inventory.lost) == ((), ())
    by_id = {item["id"].lower(): item for item in items}
    assert {found.id for found in inventory.machines} == by_id.keys()
    for found in inventory.machines:
        item = by_id[found.id]
        properties = item["properties"]
        model = inventory.models[found.id]
        assert (found.name, found.location) == (item["name"], item["location"])
        assert dict(found.tags) == (item.get("tags") or {})
        assert found.platform == properties["storageProfile"]["osDisk"]["osType"].lower()
        assert model.vm_id == properties["vmId"]
        assert model.provisioning_state == properties["provisioningState"]
        assert model.managed_disks == ("managedDisk" in properties["storageProfile"]["osDisk"])
        assert model.created_at == utc(properties["timeCreated"])


# ---- protected items ----------------------------------------------------------------------------


def read_vaults(
    ask: Ask, replay: Replay, vm_ids: Iterable[str], *, jobs: bool = False
) -> tuple[tuple[Any, ...], dict[str, Backup], dict[str, Any]]:
    async def read(arm: Arm) -> Any:
        azure = Azure(arm)
        machines = [machine(vm_id) for vm_id in vm_ids]
        limits = await azure.read_vaults(machines, jobs=jobs)
        backups = {found.id: azure.backup(found) for found in machines}
        return limits, backups, {found.id: azure.jobs(found) for found in machines}

    answer: tuple[tuple[Any, ...], dict[str, Backup], dict[str, Any]] = ask(replay, read)
    return answer


def merged(lists: Iterable[Exchange]) -> Replay:
    """One answer per path: what a vault said at different times, together."""
    by_path: dict[str, dict[str, Any]] = {}
    for exchange in lists:
        by_path.setdefault(path_of(exchange), {}).update((entry["id"], entry) for entry in entries(exchange))
    replay = Replay()
    replay.add("/subscriptions", SUBSCRIPTIONS)
    for path, found in by_path.items():
        replay.add(path, {"value": list(found.values())})
    return replay


def with_subscription(recorded: Iterable[Exchange]) -> Replay:
    replay = Replay(recorded)
    replay.add("/subscriptions", SUBSCRIPTIONS)
    return replay


@pytest.mark.parametrize("name", ["fleet_protected_items_a", "fleet_protected_items_d"])
def test_every_recorded_protected_item_is_read_whole(recordings: Path, ask: Ask, name: str) -> None:
    recorded = exchanges(recordings, name)
    lists = lists_of(recorded, "backupProtectedItems")
    items = {item["id"].lower(): item for exchange in lists for item in entries(exchange)}
    assert {item["properties"]["protectedItemType"] for item in items.values()} <= {ARM_VM, CLASSIC_VM}
    vm_ids = {item["properties"]["virtualMachineId"].lower() for item in items.values()}
    replay = merged([*lists, *lists_of(recorded, "vaults")])
    limits, backups, _ = read_vaults(ask, replay, vm_ids)
    found = {item.id: item for backup in backups.values() for item in backup.items}
    assert found.keys() == items.keys()
    for item in items.values():
        properties, read = item["properties"], found[item["id"].lower()]
        assert read.vm_id == properties["virtualMachineId"].lower()
        assert read.protection_state == properties["protectionState"]
        assert read.protection_status == properties["protectionStatus"]
        assert read.health_status == properties["healthStatus"]
        assert read.last_backup_status == (properties["lastBackupStatus"] or None)
        assert read.last_backup_at == utc(properties["lastBackupTime"])
        assert read.last_recovery_point == utc(properties.get("lastRecoveryPoint"))
        policy = (read.policy.id, read.policy.name) if read.policy else ("", "")
        assert policy == (properties["policyId"].lower(), properties["policyName"])
        details = properties.get("healthDetails") or []
        assert [(d.code, d.title, d.message) for d in read.health[: len(details)]] == [
            (d["code"], d["title"], d["message"]) for d in details
        ]
    named = {limit.scope for limit in limits if "classic VM" in limit.reason and not limit.expected}
    assert named == {vm_id for vm_id in vm_ids if "/microsoft.classiccompute/" in vm_id}


def test_the_recorded_vaults_that_were_not_answered_are_gaps(recordings: Path, ask: Ask) -> None:
    recorded = exchanges(recordings, "fleet_protected_items_a")
    vaults = {entry["id"].lower() for e in recorded if path_of(e) == VAULTS for entry in entries(e)}
    answered = {path_of(e).rpartition("/")[0] for e in lists_of(recorded, "backupProtectedItems")}
    limits, backups, _ = read_vaults(ask, with_subscription(recorded), ["/subscriptions/x"])
    (backup,) = backups.values()
    assert vaults
    assert {gap.partition(":")[0] for gap in backup.gaps} == vaults - answered
    assert {limit.scope for limit in limits} >= vaults - answered


@pytest.mark.parametrize("code", [380016, 400196, 400206, 400239, 400136])
def test_health_codes_arrive_as_numbers(recordings: Path, ask: Ask, code: int) -> None:
    recorded = exchanges(recordings, "fleet_protected_items_a", "fleet_protected_items_d")
    lists = lists_of(recorded, "backupProtectedItems")
    wire = {
        item["id"].lower(): item["properties"]["virtualMachineId"].lower()
        for exchange in lists
        for item in entries(exchange)
        if any(detail["code"] == code for detail in item["properties"].get("healthDetails") or ())
    }
    assert wire, f"no recorded item has the health code {code}"
    replay = merged([*lists, *lists_of(recorded, "vaults")])
    _, backups, _ = read_vaults(ask, replay, set(wire.values()))
    read = {item.id: item for backup in backups.values() for item in backup.items}
    assert all(code in {detail.code for detail in read[item].health} for item in wire)


def test_an_item_before_its_first_backup_has_no_backup_time(recordings: Path, ask: Ask) -> None:
    pending = [
        exchange
        for exchange in lists_of(exchanges(recordings), "backupProtectedItems")
        if any(entry["properties"]["protectionState"] == "IRPending" for entry in entries(exchange))
    ]
    assert pending
    for exchange in pending:
        vault = path_of(exchange).rpartition("/")[0]
        replay = with_subscription([exchange])
        replay.add(VAULTS, {"value": [{"id": vault, "name": "v", "location": "West US", "properties": {}}]})
        vm_id = entries(exchange)[0]["properties"]["virtualMachineId"]
        _, backups, _ = read_vaults(ask, replay, [vm_id])
        (item,) = backups[vm_id.lower()].items
        assert (item.protection_state, item.last_backup_at, item.last_backup_status) == (
            "IRPending",
            None,
            None,
        )
        assert item.vault.location == "westus"


# ---- policies and jobs --------------------------------------------------------------------------


def test_every_recorded_policy_is_read_whole(recordings: Path, ask: Ask) -> None:
    recorded = lists_of(exchanges(recordings), "backupPolicies")
    read = 0
    for exchange in recorded:
        vault = path_of(exchange).rpartition("/")[0]
        wanted = {
            entry["id"].lower(): entry["properties"].get("policyType", "V1")
            for entry in entries(exchange)
            if entry["properties"]["backupManagementType"] == "AzureIaasVM"
        }

        async def read_policies(arm: Arm, vault: str = vault) -> Any:
            from auditor.azure.backup import of_azure_vms

            return await read_list(arm, traffic.policies(vault, SUBSCRIPTION), parse_policy, of_azure_vms)

        listing = ask(Replay([exchange]), read_policies)
        assert listing.problems == ()
        assert {policy.id: policy.type for policy in listing.entries} == wanted
        assert all(policy.schedule for policy in listing.entries)
        read += len(wanted)
    assert read >= 4


def jobs_recorded(folder: Path) -> list[dict[str, Any]]:
    """Every recorded job, whether it stood in a list or was asked for alone."""
    found: list[dict[str, Any]] = []
    for exchange in exchanges(folder):
        if exchange["method"] == "GET" and "/backupjobs" in path_of(exchange) and exchange["status"] == 200:
            body = exchange["response_body"]
            found += entries(exchange) if "value" in body else [body]
    return found


def test_every_recorded_job_is_read_whole(recordings: Path, ask: Ask) -> None:
    wire = jobs_recorded(recordings)
    assert len(wire) >= 20
    replay = Replay()
    vault = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/rg/providers/microsoft.recoveryservices/vaults/v"
    replay.add(f"{vault}/backupjobs", {"value": wire})
    listing = ask(
        replay, lambda arm: read_list(arm, traffic.jobs(vault, SUBSCRIPTION, "status eq 'x'"), parse_job)
    )
    assert listing.problems == ()
    for job, read in zip(wire, listing.entries, strict=True):
        properties = job["properties"]
        assert read.job.id == job["id"].lower()
        assert (read.job.operation, read.job.status) == (properties["operation"], properties["status"])
        assert read.job.started_at == utc(properties["startTime"])
        assert read.job.ended_at == utc(properties.get("endTime"))
        assert is_running(read.job) == (properties["status"] in ("InProgress", "Cancelling"))
        assert read.container == properties.get("containerName", "").lower()


def test_recorded_jobs_are_joined_to_their_vm_by_container(recordings: Path, ask: Ask) -> None:
    recorded = exchanges(recordings, "backup_job")
    item_list = lists_of(recorded, "backupProtectedItems")[0]
    job_list = next(e for e in lists_of(recorded, "backupJobs") if len(entries(e)) == 3)
    vault = path_of(item_list).rpartition("/")[0]
    vault_body = next(e["response_body"] for e in recorded if path_of(e) == vault and e["status"] == 200)
    vm_id = entries(item_list)[0]["properties"]["virtualMachineId"].lower()
    replay = with_subscription([item_list, job_list])
    replay.add(VAULTS, {"value": [vault_body]})
    replay.add(f"{vault}/backuppolicies", {"value": []})
    limits, _, jobs = read_vaults(ask, replay, [vm_id, vm_id + "-other"], jobs=True)
    assert limits == ()
    found = jobs[vm_id]
    assert isinstance(found, Jobs)
    assert [job.operation for job in found.running] == ["Restore"]
    assert found.last is not None
    assert (found.last.operation, found.last.status) == ("Backup", "Completed")
    assert jobs[vm_id + "-other"].running == ()


# ---- errors and paging --------------------------------------------------------------------------


def test_every_recorded_error_keeps_its_code(recordings: Path, ask: Ask) -> None:
    recorded = [e for e in exchanges(recordings) if e["method"] == "GET" and e["status"] == 404]
    assert recorded
    for exchange in recorded:
        call = traffic.Call(path_of(exchange) + "?api-version=x", (), "Microsoft.RecoveryServices/x")

        async def get(arm: Arm, call: traffic.Call = call) -> Any:
            return await arm.get(call)

        with pytest.raises(NotFound, match=exchange["response_body"]["error"]["code"]):
            ask(Replay([exchange]), get)


def test_a_page_of_one_with_a_next_link_is_not_the_end(recordings: Path, ask: Ask) -> None:
    recorded = exchanges(recordings, "fleet_protected_items_d")
    vaults = [entry for e in recorded if path_of(e) == VAULTS for entry in entries(e)]
    assert len(vaults) > 10
    replay = Replay()
    link = "{url}" + VAULTS + "?api-version=2016-06-01&%24skiptoken="
    replay.add(VAULTS, {"value": vaults[:1], "nextLink": link + "1"})
    replay.add(VAULTS, {"value": [], "nextLink": link + "2"})
    replay.add(VAULTS, {"value": vaults[1:], "nextLink": ""})
    read = ask(replay, lambda arm: read_list(arm, traffic.vaults(SUBSCRIPTION), lambda entry: entry["id"]))
    assert read.problems == ()
    assert read.entries == [vault["id"] for vault in vaults]
