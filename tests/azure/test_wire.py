"""The parsers: any JSON in, facts or the room's own error out; drift and sentinels understood."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.azure import wire
from auditor.azure.backup import container_of, parse_item, parse_policy, parse_vault
from auditor.azure.instance import parse_instance_view
from auditor.azure.jobs import is_running, lacks_reason, last_ended, parse_job, window
from auditor.azure.subscriptions import parse_subscription
from auditor.azure.vm import ClassicItem, parse_vm
from auditor.azure.wire import WireError
from auditor.facts import Job, Vault
from auditor.model import Platform

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GROUP = "/subscriptions/S-1/resourceGroups/RG-One/providers"
VM = f"{GROUP}/Microsoft.Compute/virtualMachines/Web-1"
VAULT_ID = f"{GROUP}/Microsoft.RecoveryServices/vaults/Vault-1"
VAULT = Vault(VAULT_ID.lower(), "Vault-1", "westeurope", "s-1")
ITEM_ID = (
    f"{VAULT_ID}/backupFabrics/Azure/protectionContainers/IaasVMContainer;iaasvmcontainerv2;rg-one;Web-1"
    "/protectedItems/VM;iaasvmcontainerv2;rg-one;Web-1"
)

PARSERS: dict[str, Callable[[Any], Any]] = {
    "vm": lambda body: parse_vm(body, NOW),
    "view": lambda body: parse_instance_view(body, NOW),
    "vault": parse_vault,
    "policy": parse_policy,
    "item": lambda body: parse_item(body, VAULT, {}),
    "job": parse_job,
    "subscription": parse_subscription,
}

# the keys that the parsers look at, so that garbage reaches every depth
KEY_NAMES = """
id name location tags properties resources instanceView statuses code time vmAgent vmAgentVersion
extensionHandlers extensions type status osProfile storageProfile osDisk osType linuxConfiguration
timeCreated redundancySettings securitySettings softDeleteSettings schedulePolicy hourlySchedule
scheduleRunFrequency scheduleRunTimes virtualMachineId healthDetails kpisHealths recommendations
resourceHealthDetails policyId lastBackupTime containerName errorDetails errorCode extendedInfo
startTime endTime operation subscriptionId displayName state isScheduledForDeferredDelete
"""
KEYS = st.sampled_from(KEY_NAMES.split())
IDS = st.sampled_from(
    [VM, VAULT_ID, ITEM_ID, VM.replace("Compute", "ClassicCompute"), "/subscriptions/", "/"]
)
TIMES = st.sampled_from(
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00.1234567Z"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | IDS | TIMES
ANY_JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=8),
    max_leaves=30,
)


def parse(parser: str, body: Any) -> Any:
    """The facts, or the room's own error; anything else escapes and fails the test."""
    try:
        return PARSERS[parser](body)
    except WireError as error:
        return str(error)


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=120, deadline=None)
@given(body=ANY_JSON)
def test_any_json_gives_facts_or_the_rooms_own_error(parser: str, body: Any) -> None:
    assert parse(parser, body)


@settings(max_examples=100, deadline=None)
@given(properties=st.dictionaries(KEYS, ANY_JSON, max_size=10))
def test_any_properties_of_a_known_resource_are_contained(properties: Any) -> None:
    for parser, identifier in (("vm", VM), ("vault", VAULT_ID), ("item", ITEM_ID), ("job", VAULT_ID)):
        body = {"id": identifier, "name": "n", "properties": {"virtualMachineId": VM, **properties}}
        assert parse(parser, body)


# ---- VMs ----------------------------------------------------------------------------------------


def vm_body(**properties: Any) -> dict[str, Any]:
    return {"id": VM, "name": "Web-1", "location": "West Europe", "properties": properties}


def test_a_vm_keeps_its_spelling_and_compares_in_lower_case() -> None:
    machine, _ = parse_vm({**vm_body(), "tags": {"Env": "Prod", "n": 3, "none": None}}, NOW)
    assert machine.id == VM.lower()
    assert (machine.name, machine.resource_group, machine.subscription) == ("Web-1", "RG-One", "s-1")
    assert machine.location == "westeurope"
    assert machine.tags == {"Env": "Prod", "n": "3", "none": ""}


@pytest.mark.parametrize(
    ("properties", "platform"),
    [
        ({"storageProfile": {"osDisk": {"osType": "Windows"}}}, Platform.WINDOWS),
        ({"storageProfile": {"osDisk": {"osType": "linux"}}}, Platform.LINUX),
        ({"osProfile": {"windowsConfiguration": {}}}, Platform.WINDOWS),
        ({"osProfile": {"linuxConfiguration": {"provisionVMAgent": "true"}}}, Platform.LINUX),
        ({}, Platform.UNKNOWN),
    ],
)
def test_the_platform_is_read_from_disk_or_profile(properties: Any, platform: Platform) -> None:
    assert parse_vm(vm_body(**properties), NOW)[0].platform is platform


def test_the_model_is_tolerant_of_texts_for_booleans() -> None:
    profile = {"linuxConfiguration": {"provisionVMAgent": "True"}, "allowExtensionOperations": "false"}
    disk = {"osDisk": {"vhd": {"uri": "https://x"}}}
    _, model = parse_vm(vm_body(osProfile=profile, storageProfile=disk, vmId=17), NOW)
    assert (model.provision_vm_agent, model.allow_extension_operations) == (True, False)
    assert (model.managed_disks, model.vm_id) == (False, "17")


def test_a_classic_vm_is_named_and_nothing_more() -> None:
    classic = VM.replace("Microsoft.Compute", "Microsoft.ClassicCompute")
    with pytest.raises(ClassicItem, match="classic VM") as caught:
        parse_vm({"id": classic, "name": "Web-1"}, NOW)
    assert caught.value.id == classic.lower()


# ---- instance views -----------------------------------------------------------------------------


def test_extensions_are_joined_by_name_and_transition_has_no_type() -> None:
    body = {
        "properties": {
            "instanceView": {
                "extensions": [
                    {"name": "SNAP", "type": "P.Snap", "typeHandlerVersion": "1.5.18",
                     "statuses": [{"code": "ProvisioningState/failed/16", "level": "Error"}]},
                    {"name": "moving", "statuses": [{"code": "ProvisioningState/transitioning"}]},
                ],
                "statuses": [{"code": "powerstate/Running"}],
            }
        },
        "resources": [
            {"name": "snap", "properties": {"publisher": "P", "type": "Snap", "typeHandlerVersion": "1.5",
                                            "provisioningState": "Failed"}},
            {"name": "vm/only-in-arm", "properties": {"publisher": "Q", "type": "Only"}},
        ],
    }  # fmt: skip
    view = parse_instance_view(body, NOW)
    assert view.power_state == "running"
    found = {extension.name: extension for extension in view.extensions}
    assert found.keys() == {"snap", "only-in-arm", "moving"}
    assert (found["snap"].type, found["snap"].version, found["snap"].provisioning_state) == (
        "P.Snap",
        "1.5.18",
        "Failed",
    )
    assert [status.code for status in found["snap"].statuses] == ["ProvisioningState/failed/16"]
    assert found["only-in-arm"].type == "Q.Only"
    assert found["moving"].type is None


def test_absent_and_empty_handlers_are_two_things() -> None:
    def handlers(agent: Any) -> Any:
        return parse_instance_view({"properties": {"instanceView": {"vmAgent": agent}}}, NOW).handlers

    assert handlers({"vmAgentVersion": "Unknown"}) is None
    assert handlers({"vmAgentVersion": "2.9", "extensionHandlers": []}) == ()
    assert handlers(None) is None


def test_a_handler_that_does_not_say_its_type_costs_nothing_else() -> None:
    status = {"code": "ProvisioningState/NotReady/21"}
    agent = {"vmAgentVersion": "2.9", "extensionHandlers": [{"status": status}, {"type": "P.T"}]}
    view = parse_instance_view({"properties": {"instanceView": {"vmAgent": agent}}}, NOW)
    assert view.agent is not None
    assert [handler.type for handler in view.handlers or ()] == ["a handler without a type", "P.T"]


def test_the_last_operation_is_the_state_of_the_vm_itself() -> None:
    statuses = [
        {"code": "PowerState/running"},
        {"code": "ProvisioningState/updating", "time": "2024-08-27T10:10:58.091031+00:00"},
    ]
    view = parse_instance_view({"properties": {"instanceView": {"statuses": statuses}}}, NOW)
    assert view.operation is not None
    assert (view.operation.code, view.operation.at) == (
        "ProvisioningState/updating",
        datetime(2024, 8, 27, 10, 10, 58, 91031, tzinfo=UTC),
    )


# ---- Recovery Services --------------------------------------------------------------------------


def item_body(**properties: Any) -> dict[str, Any]:
    return {"id": ITEM_ID, "properties": {"virtualMachineId": VM.upper(), **properties}}


def test_an_item_belongs_to_the_vm_of_its_whole_id() -> None:
    found = parse_item(item_body(lastBackupTime="2001-01-01T00:00:00Z", lastBackupStatus=""), VAULT, {})
    assert found.item.vm_id == VM.lower()
    assert found.container == "iaasvmcontainerv2;rg-one;web-1"
    assert (found.item.last_backup_at, found.item.last_backup_status) == (None, None)
    by_source = parse_item({"id": ITEM_ID, "properties": {"sourceResourceId": VM}}, VAULT, {})
    assert by_source.item.vm_id == VM.lower()


@pytest.mark.parametrize(
    ("properties", "deleted"),
    [
        ({"isScheduledForDeferredDelete": True}, True),
        ({"isScheduledForDeferredDelete": "true"}, True),
        ({"deferredDeleteTimeInUTC": "2026-01-01T00:00:00Z"}, True),
        ({"isScheduledForDeferredDelete": False}, False),
        ({}, False),
    ],
)
def test_soft_deleted_items_are_told_apart(properties: Any, deleted: bool) -> None:
    assert parse_item(item_body(**properties), VAULT, {}).item.deferred_delete is deleted


def test_indicators_add_what_is_wrong_and_not_success() -> None:
    good = {"code": 0, "title": "Success"}
    bad = {"code": "400500", "title": "Late", "recommendations": ["  do this\r\n  ", ""]}
    kpis = {"RPO": {"resourceHealthDetails": [good, bad]}}
    health = parse_item(item_body(healthDetails=[{"code": 400239}], kpisHealths=kpis), VAULT, {}).item.health
    assert [detail.code for detail in health] == [400239, 400500]
    assert health[1].recommendations == ("do this",)


@pytest.mark.parametrize(
    ("name", "item_id", "container"),
    [
        ("iaasvmcontainerv2;RG;VM", "", "iaasvmcontainerv2;rg;vm"),
        ("IaasVMContainer;iaasvmcontainerv2;RG;VM", "", "iaasvmcontainerv2;rg;vm"),
        ("iaasvmcontainer;svc;vm", "", "iaasvmcontainer;svc;vm"),
        (None, ITEM_ID.lower(), "iaasvmcontainerv2;rg-one;web-1"),
        (None, "", ""),
    ],
)
def test_container_names_meet_however_they_are_written(name: Any, item_id: str, container: str) -> None:
    assert container_of(name, item_id) == container


def test_a_policy_says_version_consistency_and_schedule() -> None:
    def policy(**properties: Any) -> Any:
        return parse_policy({"id": f"{VAULT_ID}/backupPolicies/P", "name": "P", "properties": properties})

    daily = {"scheduleRunFrequency": "Daily", "scheduleRunTimes": ["2024-04-28T16:30:00Z"]}
    old = policy(schedulePolicy=daily, timeZone="UTC")
    assert (old.type, old.crash_consistent_only, old.schedule) == ("V1", False, "Daily 16:30 UTC")
    hourly = {"scheduleRunFrequency": "Hourly", "hourlySchedule": {"interval": 4}}
    new = policy(policyType="V2", snapshotConsistencyType="onlycrashconsistent", schedulePolicy=hourly)
    assert (new.type, new.crash_consistent_only, new.schedule) == ("V2", True, "Hourly, every 4 h")


def test_a_vault_says_redundancy_and_soft_delete_or_nothing() -> None:
    properties = {
        "redundancySettings": {"standardTierStorageRedundancy": "GeoRedundant"},
        "securitySettings": {"softDeleteSettings": {"softDeleteState": "AlwaysON"}},
    }
    full = parse_vault({"id": VAULT_ID, "name": "Vault-1", "location": "West US 2", "properties": properties})
    assert (full.location, full.redundancy, full.soft_delete) == ("westus2", "GeoRedundant", "AlwaysON")
    bare = parse_vault({"id": VAULT_ID, "properties": {"securitySettings": None}})
    assert (bare.name, bare.redundancy, bare.soft_delete) == ("Vault-1", None, None)


# ---- jobs ---------------------------------------------------------------------------------------


def job(operation: str, status: str, minutes: int, *, ended: bool = True) -> Job:
    start = NOW + timedelta(minutes=minutes)
    return Job(f"/job/{minutes}", operation, status, start, start + timedelta(minutes=1) if ended else None)


def test_the_last_backup_that_ended_counts_before_any_other_job() -> None:
    backup = job("Backup", "Failed", 1)
    jobs = [job("Backup", "Completed", 0), backup, job("ConfigureBackup", "Completed", 9)]
    assert last_ended([*jobs, job("Backup", "InProgress", 20, ended=False)]) == backup
    assert last_ended(jobs[2:]) == jobs[2]
    assert last_ended([]) is None
    assert lacks_reason(backup)


@pytest.mark.parametrize(
    ("status", "ended", "runs"),
    [
        ("InProgress", False, True),
        ("inprogress", False, True),
        ("Cancelling", False, True),
        ("Completed", False, False),
        ("CompletedWithWarnings", True, False),
        ("Cancelled", True, False),
        ("SomethingNew", False, True),
        ("SomethingNew", True, False),
    ],
)
def test_which_jobs_are_at_work(status: str, ended: bool, runs: bool) -> None:
    assert is_running(job("Backup", status, 0, ended=ended)) is runs


def test_a_job_says_why_it_failed() -> None:
    details = [{"errorCode": "400206", "errorString": "no network", "recommendations": ["a\r\n", " "]}]
    body = {
        "id": f"{VAULT_ID}/backupJobs/1",
        "properties": {
            "operation": "Backup",
            "status": "Failed",
            "errorDetails": details,
            "endTime": "0001-01-01T00:00:00",
            "extendedInfo": {"dynamicErrorMessage": "more"},
        },
    }
    first, second = parse_job(body).job.errors
    assert (first.code, first.title, first.message, first.recommendations) == (
        400206,
        None,
        "no network",
        ("a",),
    )
    assert (second.code, second.message) == (None, "more")
    assert parse_job(body).job.ended_at is None


@pytest.mark.parametrize(
    ("hour", "written"), [(0, "12:30:00 AM"), (9, "09:30:00 AM"), (12, "12:30:00 PM"), (23, "11:30:00 PM")]
)
def test_the_window_is_written_in_english_whatever_the_locale(hour: int, written: str) -> None:
    text = window(datetime(2026, 3, 20, hour, 30, tzinfo=UTC))
    assert text.startswith(f"startTime eq '2026-03-06 {written}'")


# ---- the smallest parts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("2024-08-27T10:06:49.8396377+00:00", datetime(2024, 8, 27, 10, 6, 49, 839637, tzinfo=UTC)),
        ("2024-08-27T12:06:49+02:00", datetime(2024, 8, 27, 10, 6, 49, tzinfo=UTC)),
        ("2024-08-27T10:06:49", datetime(2024, 8, 27, 10, 6, 49, tzinfo=UTC)),
        ("2001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        ("", None),
        (5, None),
        (None, None),
    ],
)
def test_times(value: Any, read: datetime | None) -> None:
    assert wire.moment(value) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (5, 5),
        ("400206", 400206),
        (" 7 ", 7),
        ("-3", -3),
        (True, None),
        (1.5, None),
        ("x", None),
        ("9" * 30, None),
    ],
)
def test_numbers(value: Any, read: int | None) -> None:
    assert wire.number(value) == read


def test_what_a_vm_shares_with_others() -> None:
    references = {
        "availabilitySet": {"id": "/Subscriptions/S/AS"},
        "virtualMachineScaleSet": {"id": "/X/VMSS"},
    }
    _, model = parse_vm({**vm_body(**references), "zones": ["2"]}, NOW)
    assert (model.availability_set, model.scale_set, model.zone) == ("/subscriptions/s/as", "/x/vmss", "2")
    _, alone = parse_vm(vm_body(), NOW)
    assert (alone.availability_set, alone.scale_set, alone.zone) == (None, None, None)
