"""Changes of VMs, recovery points, rights, and what happens to an estate from outside."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from auditor.simulator.changes import merged
from auditor.simulator.estate import Estate
from auditor.simulator.permissions import Grant
from auditor.simulator.server import RunningServer
from auditor.simulator.vaults import Vault
from auditor.simulator.vms import Vm
from auditor.simulator.world import Options
from tests.simulator.client import Answer, Client, of

V = "api-version=2024-07-01"
Serve = Callable[..., RunningServer]


@pytest.fixture
def server(serve: Serve) -> RunningServer:
    return serve(options=Options(backup_seconds=0))


@pytest.fixture
def client(server: RunningServer) -> Client:
    return Client(server)


def vm(client: Client, machine: Vm) -> dict[str, Any]:
    return dict(client.get(f"{machine.id}?$expand=instanceView&{V}").json)


def patch(client: Client, machine: Vm, body: dict[str, Any]) -> Answer:
    return client.send("PATCH", f"{machine.id}?{V}", orjson.dumps(body))


def holding(estate: Estate, machine: Vm) -> tuple[Vault, dict[str, Any]]:
    """The vault and the item of a machine."""
    return next(
        (vault, item)
        for vault in estate.vaults
        for item in vault.items
        if item["properties"].get("sourceResourceId", "").lower() == machine.key
    )


def jobs(client: Client, vault: Vault, status: str) -> list[str]:
    path = f"{vault.id}/backupJobs?{V}&$filter=status%20eq%20'{status}'"
    return [job["name"] for job in client.all(path)]


# ---- changes ---------------------------------------------------------------------------------------


def test_a_patch_changes_what_it_names_and_nothing_else(client: Client, estate: Estate) -> None:
    machine = of(estate, "healthy")
    before = vm(client, machine)
    answer = patch(client, machine, {"properties": {"osProfile": {"allowExtensionOperations": False}}})
    after = vm(client, machine)
    assert answer.status == 200
    assert answer.json["properties"]["provisioningState"] == "Updating"
    assert "Azure-AsyncOperation" in answer.headers
    assert client.get(answer.headers["Azure-AsyncOperation"]).json["status"] == "Succeeded"
    assert after["properties"]["osProfile"]["allowExtensionOperations"] is False
    assert {**after["properties"]["osProfile"], "allowExtensionOperations": True} == before["properties"][
        "osProfile"
    ]
    assert after["properties"]["storageProfile"] == before["properties"]["storageProfile"]
    assert after["tags"] == before["tags"]


def test_a_patch_shows_in_the_list_too(client: Client, estate: Estate) -> None:
    machine = of(estate, "healthy")
    patch(client, machine, {"tags": {"owner": "nobody"}})
    path = f"/subscriptions/{machine.subscription}/providers/Microsoft.Compute/virtualMachines?{V}"
    (listed,) = [entry for entry in client.all(path) if entry["id"].lower() == machine.key]
    assert listed["tags"]["owner"] == "nobody"


def test_a_reapply_ends_a_failure_and_dates_it(client: Client, estate: Estate) -> None:
    machine = of(estate, "provisioning-failed")
    before = vm(client, machine)
    answer = client.send("POST", f"{machine.id}/reapply?{V}")
    after = vm(client, machine)
    assert answer.status == 202
    assert "Azure-AsyncOperation" not in answer.headers
    assert client.get(answer.headers["Location"]).status == 200
    assert [body["properties"]["provisioningState"] for body in (before, after)] == ["Failed", "Succeeded"]
    assert {entry["properties"]["provisioningState"] for entry in after["resources"]} == {"Succeeded"}
    first, last = (body["properties"]["instanceView"]["statuses"][0] for body in (before, after))
    assert (first["code"], last["code"]) == (
        "ProvisioningState/failed/VMExtensionProvisioningError",
        "ProvisioningState/succeeded",
    )
    assert last["time"] > first["time"]


def test_a_reapply_does_not_mend_an_extension_that_reports_its_failure(
    client: Client, estate: Estate
) -> None:
    machine = of(estate, "extension-failed")
    client.send("POST", f"{machine.id}/reapply?{V}")
    (extension,) = vm(client, machine)["resources"]
    assert extension["properties"]["provisioningState"] == "Failed"


@pytest.mark.parametrize(
    ("document", "changes", "whole"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": [1]}, {"a": [2]}, {"a": [2]}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    ],
)
def test_merging(document: dict[str, Any], changes: dict[str, Any], whole: dict[str, Any]) -> None:
    kept = orjson.dumps(document)
    assert merged(document, changes) == whole
    assert orjson.dumps(document) == kept


# ---- from outside ----------------------------------------------------------------------------------


def test_a_job_runs_from_when_it_is_started_until_it_is_ended(
    server: RunningServer, client: Client, estate: Estate
) -> None:
    machine = of(estate, "last-job-failed")
    vault, item = holding(estate, machine)
    job = server.start_job(machine.id.upper())
    (running,) = [one for one in jobs(client, vault, "InProgress") if one == job]
    detail = client.get(f"{vault.id}/backupJobs/{running}?{V}").json["properties"]
    assert detail["containerName"].lower() == item["properties"]["containerName"].lower()
    assert "endTime" not in detail
    server.end_job(job, "Cancelling")
    assert job in jobs(client, vault, "Cancelling")
    assert job not in jobs(client, vault, "InProgress")
    server.end_job(job, "Cancelled")
    assert "endTime" in client.get(f"{vault.id}/backupJobs/{job}?{V}").json["properties"]


def test_a_job_can_be_started_in_a_vault_that_does_not_hold_the_machine(
    server: RunningServer, client: Client, estate: Estate
) -> None:
    empty = next(vault for vault in estate.vaults if not vault.items)
    job = server.start_job(of(estate, "last-job-failed").id, empty.id, "Restore")
    assert jobs(client, empty, "InProgress") == [job]


@pytest.mark.parametrize("scenario", ["agent-missing", "agent-silent", "healthy"])
def test_an_agent_can_speak_up_and_fall_silent(
    server: RunningServer, client: Client, estate: Estate, scenario: str
) -> None:
    machine = of(estate, scenario)

    def seen() -> tuple[str, str]:
        block = vm(client, machine)["properties"]["instanceView"]["vmAgent"]
        return block["vmAgentVersion"], block["statuses"][0]["displayStatus"]

    server.agent_reports(machine.id, "2.12.0.4")
    spoke = seen()
    server.agent_reports(machine.id, None)
    assert (spoke, seen()) == (("2.12.0.4", "Ready"), ("Unknown", "Not Ready"))


def test_the_estate_itself_stays_as_it_was_made(server: RunningServer, estate: Estate) -> None:
    machine = of(estate, "healthy")
    server.allow_extensions(machine.id, False)
    server.tag(machine.id, "auditor:skip", "yes")
    assert machine.model["properties"]["osProfile"]["allowExtensionOperations"] is True
    assert "auditor:skip" not in machine.model["tags"]


# ---- backups ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "status"),
    [("healthy", "Completed"), ("agent-silent", "Failed"), ("deallocated", "Completed")],
)
def test_a_backup_needs_the_agent_of_a_vm_that_runs(
    client: Client, estate: Estate, scenario: str, status: str
) -> None:
    vault, item = holding(estate, of(estate, scenario))
    before = len(client.all(f"{item['id']}/recoveryPoints?{V}"))
    started = client.send("POST", f"{item['id']}/backup?{V}", b"{}")
    job = client.get(started.headers["Azure-AsyncOperation"]).json["properties"]["jobId"]
    assert client.get(f"{vault.id}/backupJobs/{job}?{V}").json["properties"]["status"] == status
    points = client.all(f"{item['id']}/recoveryPoints?{V}")
    assert len(points) == before + (status == "Completed")
    kind = points[0]["properties"]["recoveryPointType"]
    assert kind in ("AppConsistent", "FileSystemConsistent", "CrashConsistent")
    assert (kind == "CrashConsistent") is (scenario == "deallocated")


def test_policies_run_when_they_are_told_to(serve: Serve, estate: Estate) -> None:
    path = f"{estate.vaults[0].id}/backupPolicies/DefaultPolicy?{V}"
    times = set()
    for hours in (2, 14):
        answer = Client(serve(options=Options(next_backup_hours=hours))).get(path)
        times |= set(answer.json["properties"]["schedulePolicy"]["scheduleRunTimes"])
    assert len(times) == 2
    assert all(time.endswith((":00:00Z", ":30:00Z")) for time in times)


# ---- rights ----------------------------------------------------------------------------------------

JOBS = "Microsoft.RecoveryServices/vaults/backupJobs/read"


def test_what_is_not_granted_is_refused_with_its_action(serve: Serve, estate: Estate) -> None:
    client = Client(serve(options=Options(grants=(Grant(not_actions=("*/BACKUPJOBS/read",)),))))
    answer = client.get(f"{estate.vaults[0].id}/backupJobs?{V}")
    assert (answer.status, answer.code) == (403, "AuthorizationFailed")
    assert JOBS in answer.json["error"]["message"]
    assert client.get(f"{estate.vaults[0].id}/backupPolicies?{V}").status == 200


def test_a_grant_holds_at_its_scope_and_below(serve: Serve, estate: Estate) -> None:
    vault = estate.vaults[0]
    scope = f"/subscriptions/{vault.subscription}/resourceGroups/{vault.group}"
    client = Client(serve(options=Options(grants=(Grant(scope.upper()),))))
    other = next(one for one in estate.vaults if one.subscription != vault.subscription)
    assert client.get(f"{vault.id}/backupJobs?{V}").status == 200
    assert client.get(f"{other.id}/backupJobs?{V}").status == 403
    assert client.get(f"/subscriptions/{vault.subscription}/resourceGroups?{V}").status == 403


def test_the_permissions_of_a_scope_are_those_that_are_granted_there(serve: Serve, estate: Estate) -> None:
    subscription = f"/subscriptions/{estate.subscriptions[0].id}"
    everywhere = Grant(actions=("*/read",), not_actions=(JOBS,))
    group = Grant(f"{subscription}/resourceGroups/rg-web", ("Microsoft.Compute/*",))
    client = Client(serve(options=Options(grants=(everywhere, group))))

    def actions(scope: str) -> list[list[str]]:
        path = f"{scope}/providers/Microsoft.Authorization/permissions?{V}"
        return [entry["actions"] for entry in client.get(path).json["value"]]

    assert actions(subscription) == [["*/read"]]
    assert actions(f"{subscription}/resourceGroups/RG-WEB") == [["*/read"], ["Microsoft.Compute/*"]]
    (entry,) = client.get(f"{subscription}/providers/Microsoft.Authorization/permissions?{V}").json["value"]
    assert entry["notActions"] == [JOBS]
