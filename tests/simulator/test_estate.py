from collections import Counter

import orjson
import pytest

from auditor.model import Status, Verdict
from auditor.simulator.catalogue import FAULTS, HEALTHY, HEALTHY_SHARED
from auditor.simulator.estate import Estate, build_estate
from auditor.simulator.vaults import Vault


def wire(estate: Estate) -> bytes:
    """Everything that is served of an estate, in order."""
    return orjson.dumps(
        [
            [(vm.id, vm.model, vm.view, vm.extensions) for vm in estate.vms],
            [
                (vault.document, vault.policies, vault.items, [repr(job) for job in vault.jobs])
                for vault in estate.vaults
            ],
            [estate.tenant, estate.client_id, estate.client_secret],
        ]
    )


def items(estate: Estate) -> list[tuple[Vault, dict[str, object]]]:
    return [(vault, item["properties"]) for vault in estate.vaults for item in vault.items]


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert wire(build_estate(80, 3)) == wire(build_estate(80, 3))


@pytest.mark.parametrize("other", [(80, 4), (81, 3)])
def test_other_numbers_give_another_estate(other: tuple[int, int]) -> None:
    assert wire(build_estate(80, 3)) != wire(build_estate(*other))


@pytest.mark.parametrize("count", [0, 1, 2, 7, 60, 250])
def test_every_machine_has_one_truth(count: int) -> None:
    estate = build_estate(count, 5)
    assert len(estate.truth()) == len(estate.vms) == count
    assert all(key == key.lower() for key in estate.truth())


def test_sixty_machines_show_every_fault_and_are_mostly_healthy(estate: Estate) -> None:
    names = Counter(truth.scenario for truth in estate.truth().values())
    assert set(names) == {scenario.name for scenario in (*FAULTS, HEALTHY, HEALTHY_SHARED)}
    assert 0.5 <= (names[HEALTHY.name] + names[HEALTHY_SHARED.name]) / len(estate.vms) <= 0.6


def test_the_truth_of_each_scenario_is_consistent() -> None:
    blockers = {
        "vm-agent-installed",
        "vm-agent-ready",
        "vm-agent-version",
        "extension-health",
        "vault-in-region",
        "backup-protection",
        "wire-server",
    }
    for scenario in FAULTS:
        failed = {check for check, status in scenario.findings.items() if status is Status.FAIL}
        assert bool(failed & blockers) == (scenario.verdict is Verdict.NOT_READY), scenario.name


def test_a_protected_and_an_unprotected_machine_share_a_name(estate: Estate) -> None:
    places = Counter((vm.subscription, vm.name) for vm in estate.vms)
    twins = [[vm for vm in estate.vms if (vm.subscription, vm.name) == place] for place in places]
    pairs = [pair for pair in twins if len(pair) > 1]
    assert any({bool(vm.scenario.items) for vm in pair} == {True, False} for pair in pairs)


def test_ids_are_spelled_in_every_way_that_occurs(estate: Estate) -> None:
    ids = [item["id"] for vault in estate.vaults for item in vault.items]
    assert {identity.split("/")[1] for identity in ids} == {"Subscriptions", "subscriptions"}
    assert any(vm.listed_id != vm.id for vm in estate.vms)
    spelled = [properties["containerName"] for _, properties in items(estate)]
    assert any(name != str(name).lower() for name in spelled)
    assert any(vm.group != vm.group.lower() for vm in estate.vms)


def test_the_vaults_hold_what_real_ones_hold(estate: Estate) -> None:
    kinds = Counter(str(properties["protectedItemType"]) for _, properties in items(estate))
    assert kinds["Microsoft.ClassicCompute/virtualMachines"] == 1
    assert kinds["AzureVmWorkloadSQLDatabase"] == 1
    pending = [p for _, p in items(estate) if p["protectionState"] == "IRPending"]
    assert {p["lastBackupTime"] for p in pending} == {"2001-01-01T00:00:00Z"}
    assert any(p.get("isScheduledForDeferredDelete") for _, p in items(estate))
    assert any(not vault.items for vault in estate.vaults)
    owners = {vm.key: vm.subscription for vm in estate.vms}
    foreign = [
        (vault, p)
        for vault, p in items(estate)
        if owners.get(str(p.get("sourceResourceId", "")).lower(), vault.subscription) != vault.subscription
    ]
    assert foreign


def test_machines_differ_in_platform_disks_and_power(estate: Estate) -> None:
    disks = [vm.model["properties"]["storageProfile"]["osDisk"] for vm in build_estate(200, 1).vms]
    assert {"managedDisk" in disk for disk in disks} == {True, False}
    assert {disk["osType"] for disk in disks} == {"Windows", "Linux"}
    assert {vm.power for vm in estate.vms} == {"running", "stopped", "deallocated"}
    off = next(vm for vm in estate.vms if vm.power == "deallocated")
    assert "vmAgent" not in off.view


def test_the_backup_extension_shows_for_unmanaged_disks_only() -> None:
    shown = {
        ("managedDisk" in vm.model["properties"]["storageProfile"]["osDisk"], bool(vm.extensions))
        for vm in build_estate(200, 1).vms
        if vm.scenario is HEALTHY
    }
    assert shown == {(True, False), (False, True)}
