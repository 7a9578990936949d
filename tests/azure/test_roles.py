"""The role files hold what the program sends, and nothing else."""

import asyncio
import inspect
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auditor.azure import traffic
from auditor.azure.estate import Azure
from auditor.azure.patience import Patience
from auditor.azure.rights import AUDIT, OPTIONAL, REMEDIATE
from auditor.doctor import diagnose_azure
from auditor.facts import InstanceView
from auditor.inventory.scope import Scope
from auditor.remedy import Request
from auditor.repair.seams import BackupProof
from auditor.simulator.permissions import Grant
from auditor.simulator.server import serve_estate
from auditor.simulator.world import Options
from tests.azure.conftest import OpenArm
from tests.azure.test_repairs import ALLOW, ESTATE, IDLE, MACHINE, SNAPSHOT, of

ROLES = {"audit": AUDIT, "remediate": REMEDIATE}
VM = IDLE.key
VAULT = ESTATE.vaults[0].id
ITEM = f"{VAULT}/backupFabrics/Azure/protectionContainers/iaasvmcontainer;x;g;v/protectedItems/vm;x;g;v"

CALLS: dict[str, Callable[[], list[traffic.Call]]] = {
    "subscriptions": lambda: [traffic.subscriptions()],
    "permissions": lambda: [traffic.permissions("/subscriptions/s")],
    "descendants": lambda: [traffic.descendants("contoso")],
    "virtual_machines": lambda: [traffic.virtual_machines("s")],
    "virtual_machine": lambda: [
        traffic.virtual_machine(VM, "s", "l", instance_view=seen) for seen in (True, False)
    ],
    "run_command": lambda: [traffic.run_command(VM, "s", "l")],
    "operation": lambda: [traffic.operation("/operations/1", "s")],
    "network_interfaces": lambda: [traffic.network_interfaces("s")],
    "public_addresses": lambda: [traffic.public_addresses("s")],
    "vaults": lambda: [traffic.vaults("s")],
    "protected_items": lambda: [traffic.protected_items(VAULT, "s")],
    "policies": lambda: [traffic.policies(VAULT, "s")],
    "jobs": lambda: [traffic.jobs(VAULT, "s", "")],
    "jobs_in_flight": lambda: [traffic.jobs_in_flight(VAULT, "s", "InProgress")],
    "job": lambda: [traffic.job(f"{VAULT}/backupJobs/1", "s")],
    "start_backup": lambda: [traffic.start_backup(ITEM, "s")],
    "backup_operation": lambda: [traffic.backup_operation("/operations/1", "s")],
    "recovery_points": lambda: [traffic.recovery_points(ITEM, "s")],
    "changed": lambda: [traffic.changed(VM), traffic.changed(f"{VM}/extensions/VMSnapshot")],
    "write": lambda: [
        traffic.write("PATCH", VM, ""),
        traffic.write("POST", VM, "reapply"),
        traffic.write("DELETE", f"{VM}/extensions/VMSnapshot", ""),
    ],
}


def role(name: str) -> dict[str, Any]:
    path = Path(__file__).resolve().parent.parent.parent / "roles" / f"{name}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("name", ROLES)
def test_a_role_file_is_what_the_program_names(name: str) -> None:
    content = role(name)
    assert content["Actions"] == sorted(ROLES[name])
    assert (content["NotActions"], content["DataActions"], content["NotDataActions"]) == ([], [], [])
    assert not any("*" in action for action in content["Actions"])


def test_the_role_for_audits_only_reads() -> None:
    assert all(action.endswith("/read") for action in AUDIT)
    assert not set(AUDIT) & set(REMEDIATE)


def test_every_call_that_can_be_sent_is_known() -> None:
    makers = {
        name
        for name, maker in inspect.getmembers(traffic, inspect.isfunction)
        if not name.startswith("_") and inspect.signature(maker).return_annotation in (traffic.Call, "Call")
    }
    assert makers == set(CALLS)


def test_every_right_that_a_call_needs_is_in_a_role_and_none_is_there_for_nothing() -> None:
    needed = {
        right for calls in CALLS.values() for call in calls() for right in call.permission.split(" and ")
    }
    assert needed == {*AUDIT, *REMEDIATE, *OPTIONAL}


async def audit(azure: Azure) -> None:
    found = await azure.inventory(Scope(management_groups=("contoso",)))
    views = await asyncio.gather(*(azure.instance_view(machine) for machine in found.machines))
    _, gaps = await azure.addresses(found.machines)
    limits = await azure.read_vaults(found.machines, jobs=True)
    assert found.machines
    assert (found.limits, gaps) == ((), ())
    assert all(isinstance(view, InstanceView) for view in views)
    assert not [limit for limit in limits if limit.expected]


async def repair(azure: Azure) -> None:
    repairs = azure.repairs(Patience(pause=0.02, backup_pause=0.1))
    snapshot = f"{SNAPSHOT.key}/extensions/VMSnapshot"
    requests = (
        Request("PATCH", VM, body=ALLOW),
        Request("POST", of("provisioning-failed").key, "reapply"),
        Request("DELETE", snapshot),
    )
    assert await repairs.performed(requests[2], datetime.now(UTC)) is False
    assert [(await repairs.perform(request)).state for request in requests] == ["done"] * 3
    proof = await repairs.back_up(MACHINE)
    assert isinstance(proof, BackupProof)
    assert (proof.status, proof.consistency is None) == ("Completed", False)


@pytest.fixture
def demanded(monkeypatch: pytest.MonkeyPatch, open_arm: OpenArm, _signed_in: None) -> Callable[..., set[str]]:
    """The rights that a piece of work demands of an estate, which grants those and no others."""
    monkeypatch.setenv("AZURE_TENANT_ID", ESTATE.tenant)
    monkeypatch.setenv("AZURE_CLIENT_ID", ESTATE.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", ESTATE.client_secret)

    def demanding(work: Callable[[Azure], Any], *roles: str) -> set[str]:
        grants = tuple(Grant(actions=tuple(role(name)["Actions"])) for name in roles)

        async def run() -> Counter[str]:
            async with (
                serve_estate(ESTATE, options=Options(grants=grants, backup_seconds=0.2)) as server,
                open_arm(server.url, server.ca_pem) as arm,
            ):
                await work(Azure(arm))
                return server.world.demanded

        return {action.lower() for action in asyncio.run(run())}

    return demanding


def lowered(*roles: str) -> set[str]:
    return {action.lower() for name in roles for action in role(name)["Actions"]}


def test_an_audit_and_the_doctor_use_the_whole_role_and_nothing_else(
    demanded: Callable[..., set[str]],
) -> None:
    async def both(azure: Azure) -> None:
        await audit(azure)
        await diagnose_azure(azure)

    used = demanded(both, "audit")
    assert used - lowered("remediate") == lowered("audit")


def test_repairs_use_the_whole_second_role_and_nothing_beyond_both(demanded: Callable[..., set[str]]) -> None:
    used = demanded(repair, "audit", "remediate")
    assert lowered("remediate") <= used <= lowered("audit", "remediate")
