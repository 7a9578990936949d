"""Enabling, stopping and running backups: state changes that later reads show."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from auditor.simulator.estate import Estate
from auditor.simulator.server import RunningServer
from auditor.simulator.vaults import Vault
from auditor.simulator.vms import Vm
from auditor.simulator.world import Options
from tests.simulator.client import Answer, Client, Clock, of

V = "api-version=2024-04-01"
Serve = Callable[..., RunningServer]


def vault_for(estate: Estate, vm: Vm, *, same_region: bool = True) -> Vault:
    return next(
        vault
        for vault in estate.vaults
        if vault.subscription == vm.subscription and (vault.location == vm.location) is same_region
    )


def item_path(vault: Vault, vm: Vm) -> str:
    name = f"iaasvmcontainerv2%3B{vm.group}%3B{vm.name}"
    container = f"{vault.id}/backupFabrics/Azure/protectionContainers/iaasvmcontainer%3B{name}"
    return f"{container}/protectedItems/vm%3B{name}"


def post(client: Client, path: str, properties: dict[str, Any] | None = None) -> Answer:
    return client.send("POST", f"{path}?{V}", orjson.dumps({"properties": properties or {}}))


def protect(client: Client, vault: Vault, vm: Vm, policy: str = "DefaultPolicy", **more: str) -> Answer:
    properties = {
        "protectedItemType": "Microsoft.Compute/virtualMachines",
        "sourceResourceId": vm.id,
        "policyId": f"{vault.id}/backupPolicies/{policy}",
        **more,
    }
    return client.send("PUT", f"{item_path(vault, vm)}?{V}", orjson.dumps({"properties": properties}))


def status_of(client: Client, vm: Vm, location: str | None = None) -> dict[str, Any]:
    path = f"/subscriptions/{vm.subscription}/providers/Microsoft.RecoveryServices"
    body = orjson.dumps({"resourceId": vm.id, "resourceType": "VM"})
    answer = client.send("POST", f"{path}/locations/{location or vm.location}/backupStatus?{V}", body)
    return dict(answer.json)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(serve: Serve, clock: Clock) -> Client:
    return Client(serve(options=Options(backup_seconds=0.3, clock=clock)))


def test_protection_is_enabled_and_a_backup_completes(client: Client, clock: Clock) -> None:
    estate = client.server.estate
    vm = of(estate, "unprotected")
    vault = vault_for(estate, vm)
    assert status_of(client, vm)["protectionStatus"] == "NotProtected"
    accepted = protect(client, vault, vm)
    assert (accepted.status, accepted.raw) == (202, b"")
    operation = client.get(accepted.headers["Azure-AsyncOperation"]).json
    assert operation["status"] == "Succeeded"
    job = client.get(f"{vault.id}/backupJobs/{operation['properties']['jobId']}?{V}").json["properties"]
    assert job["operation"] == "ConfigureBackup"
    item = client.get(f"{item_path(vault, vm)}?{V}").json["properties"]
    assert (item["protectionState"], item["lastBackupTime"]) == ("IRPending", "2001-01-01T00:00:00Z")
    assert status_of(client, vm)["vaultId"] == vault.id
    assert status_of(client, vm, "elsewhere")["protectionStatus"] == "NotProtected"

    backed = post(client, f"{item_path(vault, vm)}/backup", {"objectType": "IaasVMBackupRequest"})
    job_id = client.get(backed.headers["Azure-AsyncOperation"]).json["properties"]["jobId"]
    running = client.get(f"{vault.id}/backupJobs/{job_id}?{V}").json["properties"]
    assert (running["status"], "endTime" in running) == ("InProgress", False)
    clock.now += 0.35
    assert client.get(f"{vault.id}/backupJobs/{job_id}?{V}").json["properties"]["status"] == "Completed"
    item = client.get(f"{item_path(vault, vm)}?{V}").json["properties"]
    assert (item["protectionState"], item["lastBackupStatus"]) == ("Protected", "Completed")


def test_operations_are_in_progress_for_as_many_polls_as_told(serve: Serve) -> None:
    client = Client(serve(options=Options(lro_polls=2, retry_after=3)))
    vm = of(client.server.estate, "unprotected")
    accepted = protect(client, vault_for(client.server.estate, vm), vm)
    polls = [client.get(accepted.headers["Azure-AsyncOperation"]) for _ in range(3)]
    assert [poll.json["status"] for poll in polls] == ["InProgress", "InProgress", "Succeeded"]
    assert [poll.headers["Retry-After"] for poll in polls] == ["3", "3", None]
    assert polls[0].json["endTime"] == "0001-01-01T00:00:00"
    assert client.get(accepted.headers["Location"]).json["properties"]["protectionState"] == "IRPending"


def test_a_vault_finds_machines_only_after_it_looked(client: Client) -> None:
    estate = client.server.estate
    vm = of(estate, "unprotected")
    vault = vault_for(estate, vm)
    assert client.all(f"{vault.id}/backupProtectableItems?{V}") == []
    accepted = post(client, f"{vault.id}/backupFabrics/Azure/refreshContainers")
    assert accepted.status == 202
    assert client.get(accepted.headers["Location"]).status == 204
    found = {
        item["properties"]["virtualMachineId"]
        for item in client.all(f"{vault.id}/backupProtectableItems?{V}")
    }
    assert vm.id in found
    assert of(estate, "healthy").id not in found


@pytest.mark.parametrize(
    ("scenario", "same_region", "policy", "status", "code"),
    [
        ("unprotected", False, "DefaultPolicy", 400, "UserErrorVmVaultLocationMismatch"),
        ("unprotected", True, "NoSuchPolicy", 404, "BMSUserErrorObjectNotFound"),
        ("healthy-vault-in-other-subscription", True, "DefaultPolicy", 400, "UserErrorVmAlreadyProtected"),
    ],
)
def test_protection_that_cannot_be(
    client: Client, scenario: str, same_region: bool, policy: str, status: int, code: str
) -> None:
    vm = of(client.server.estate, scenario)
    vault = vault_for(client.server.estate, vm, same_region=same_region)
    answer = protect(client, vault, vm, policy)
    assert (answer.status, answer.code) == (status, code)


def test_protection_is_stopped_resumed_and_deleted(client: Client) -> None:
    estate = client.server.estate
    vm = of(estate, "unprotected")
    vault = vault_for(estate, vm)
    protect(client, vault, vm)
    protect(client, vault, vm, protectionState="ProtectionStopped")
    item = client.get(f"{item_path(vault, vm)}?{V}").json["properties"]
    assert (item["protectionState"], item["policyId"]) == ("ProtectionStopped", "")
    refused = post(client, f"{item_path(vault, vm)}/backup")
    assert refused.status == 400
    assert status_of(client, vm)["protectionStatus"] == "Protected"
    protect(client, vault, vm, "EnhancedPolicy")
    item = client.get(f"{item_path(vault, vm)}?{V}").json["properties"]
    assert (item["protectionState"], item["policyName"]) == ("Protected", "EnhancedPolicy")
    assert client.send("DELETE", f"{item_path(vault, vm)}?{V}").status == 202
    assert client.get(f"{item_path(vault, vm)}?{V}").status == 404
    assert client.send("DELETE", f"{item_path(vault, vm)}?{V}").status == 204


def test_another_server_of_the_same_estate_starts_fresh(serve: Serve, estate: Estate) -> None:
    vm = of(estate, "unprotected")
    protect(Client(serve()), vault_for(estate, vm), vm)
    assert status_of(Client(serve()), vm)["protectionStatus"] == "NotProtected"
