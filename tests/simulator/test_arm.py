"""What the resource manager answers, read without an SDK in between."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from auditor.simulator.estate import Estate
from auditor.simulator.server import RunningServer
from tests.simulator.client import Client, of

V = "api-version=2024-07-01"
FAILED = quote("status eq 'Failed'")
SOON = quote("startTime eq 'soon'")


def test_every_machine_is_listed_once_over_all_pages(client: Client, estate: Estate) -> None:
    found: list[str] = []
    for subscription in estate.subscriptions:
        pages = list(
            client.pages(f"/subscriptions/{subscription.id}/providers/Microsoft.Compute/virtualMachines?{V}")
        )
        if sum(map(len, pages)) > 1:
            assert [len(page) for page in pages[:2]] == [1, 0]
        found += [vm["id"].lower() for page in pages for vm in page]
        assert not any("instanceView" in vm["properties"] for page in pages for vm in page)
    assert sorted(found) == sorted(vm.key for vm in estate.vms)


def test_run_time_states_hold_no_agent(client: Client, estate: Estate) -> None:
    subscription = estate.subscriptions[0].id
    path = f"/subscriptions/{subscription}/providers/Microsoft.Compute/virtualMachines?{V}&statusOnly=true"
    states = {vm["id"].lower(): vm["properties"]["instanceView"] for vm in client.all(path)}
    assert {key: view["statuses"][0]["code"] for key, view in states.items()} == {
        vm.key: f"PowerState/{vm.power}" for vm in estate.vms if vm.subscription == subscription
    }
    assert all(set(view) == {"statuses"} for view in states.values())


def test_lists_by_group_and_by_region(client: Client, estate: Estate) -> None:
    vm = estate.vms[0]
    group = f"/subscriptions/{vm.subscription}/resourceGroups/{vm.group.upper()}"
    listed = client.all(f"{group}/providers/Microsoft.Compute/virtualMachines?{V}")
    assert {entry["id"].lower() for entry in listed} == {
        other.key for other in estate.vms if (other.subscription, other.group) == (vm.subscription, vm.group)
    }
    region = f"/subscriptions/{vm.subscription}/providers/Microsoft.Compute/locations/{vm.location}"
    listed = client.all(f"{region}/virtualMachines?{V}")
    assert {entry["id"].lower() for entry in listed} == {
        other.key
        for other in estate.vms
        if (other.subscription, other.location) == (vm.subscription, vm.location)
    }


@pytest.mark.parametrize(
    ("scenario", "low", "high"),
    [("healthy", 0, 60), ("agent-stale", 10_800, 10_860), ("agent-not-ready", 0, 60)],
)
def test_heartbeats_are_as_old_as_the_scenario_says(
    client: Client, estate: Estate, scenario: str, low: int, high: int
) -> None:
    view = client.get(f"{of(estate, scenario).id}/instanceView?{V}").json
    heard = datetime.fromisoformat(view["vmAgent"]["statuses"][0]["time"])
    assert low <= (datetime.now(UTC) - heard).total_seconds() <= high


def test_expanded_and_bare_instance_views_agree(client: Client, estate: Estate) -> None:
    vm = of(estate, "extension-failed")
    expanded = client.get(f"{vm.id}?{V}&$expand=instanceView").json
    bare = client.get(f"{vm.id}/instanceView?{V}").json
    view = expanded["properties"]["instanceView"]
    assert view.keys() == bare.keys()
    assert view["extensions"] == bare["extensions"]
    assert [resource["name"] for resource in expanded["resources"]] == ["CustomScript"]
    plain = client.get(f"{of(estate, 'healthy').id}?{V}").json
    assert "resources" not in plain
    assert "instanceView" not in plain["properties"]


def test_items_are_filtered_by_management_type(client: Client, estate: Estate) -> None:
    vault = max(estate.vaults, key=lambda v: len(v.items))
    path = f"{vault.id}/backupProtectedItems?{V}"
    wanted = quote("backupManagementType eq 'AzureIaasVM' and itemType eq 'VM'")
    assert len(client.all(path)) == len(vault.items)
    machines = client.all(f"{path}&$filter={wanted}")
    assert len(machines) == sum(item["name"].startswith("VM;") for item in vault.items)
    assert {item["properties"]["backupManagementType"] for item in machines} == {"AzureIaasVM"}
    one = client.get(f"{machines[0]['id'].replace(';', '%3B')}?{V}").json
    assert one["name"] == machines[0]["name"]


def test_jobs_are_filtered_by_status_and_time(client: Client, estate: Estate) -> None:
    vault = next(v for v in estate.vaults if any(job.error for job in v.jobs))
    path = f"{vault.id}/backupJobs?{V}"
    assert {job["name"] for job in client.all(path)} == {job.id for job in vault.jobs}
    failed = client.all(f"{path}&$filter={FAILED}")
    assert {job["name"] for job in failed} == {job.id for job in vault.jobs if job.status == "Failed"}
    assert isinstance(failed[0]["properties"]["errorDetails"][0]["errorCode"], int)
    future = quote("startTime eq '2090-01-01 01:00:00 AM'")
    assert client.all(f"{path}&$filter={future}") == []
    assert client.get(f"{path}&$filter={SOON}").status == 400
    detail = client.get(f"{vault.id}/backupJobs/{vault.jobs[0].id}?{V}").json
    assert "tasksList" in detail["properties"]["extendedInfo"]


def test_vault_configuration(client: Client, estate: Estate) -> None:
    vault = estate.vaults[0]
    storage = client.get(f"{vault.id}/backupstorageconfig/vaultstorageconfig?{V}").json["properties"]
    assert (storage["storageType"], storage["storageTypeState"]) == (vault.redundancy, "Locked")
    config = client.get(f"{vault.id}/backupconfig/vaultconfig?{V}").json["properties"]
    assert config["softDeleteFeatureState"] in {"Enabled", "AlwaysON", "Disabled"}


def test_a_management_group_holds_two_of_the_subscriptions(client: Client, estate: Estate) -> None:
    path = f"/providers/Microsoft.Management/managementGroups/{estate.management_group}/descendants?{V}"
    entries = client.all(path)
    assert {e["name"] for e in entries if e["type"] == "/subscriptions"} == {
        subscription.id for subscription in estate.subscriptions[:2]
    }
    assert client.get(path.replace(estate.management_group, "other")).status == 404


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (
            "/subscriptions/{sub}/resourceGroups/none/providers/Microsoft.Compute/virtualMachines",
            404,
            "ResourceGroupNotFound",
        ),
        ("/subscriptions/none/providers/Microsoft.Compute/virtualMachines", 404, "SubscriptionNotFound"),
        ("{vm}x", 404, "ResourceNotFound"),
        ("{vm}/extensions/none", 404, "ResourceNotFound"),
        ("{vault}x/backupJobs", 404, "ResourceNotFound"),
        ("{vault}/backupJobs/none", 404, "JobNotFound"),
        ("{vault}/backupPolicies/none", 404, "BMSUserErrorObjectNotFound"),
        ("{vault}/backupProtectedItems?$skipToken=page99", 400, "InvalidSkipToken"),
        (
            "/subscriptions/{sub}/providers/Microsoft.Compute/virtualMachines?$expand=instanceView",
            400,
            "InvalidParameter",
        ),
        ("/subscriptions/{sub}/providers/Microsoft.Unknown/things", 404, "InvalidResourceType"),
        ("/subscriptions/../../etc/passwd", 404, "InvalidResourceType"),
        ("/subscriptions/{sub}%2F..%2F{sub}/resourceGroups", 404, "InvalidResourceType"),
    ],
)
def test_what_is_not_there_is_named(
    client: Client, estate: Estate, path: str, status: int, code: str
) -> None:
    vm = estate.vms[0]
    target = path.format(sub=vm.subscription, vm=vm.id, vault=estate.vaults[0].id)
    answer = client.get(f"{target}{'&' if '?' in target else '?'}{V}")
    assert (answer.status, answer.code) == (status, code)


def test_paths_ignore_case_and_the_encoding_of_semicolons(client: Client, estate: Estate) -> None:
    vm = estate.vms[0]
    assert client.get(f"{vm.id.upper()}?{V}").json["id"] == vm.id
    vault = next(v for v in estate.vaults if v.items)
    item = vault.items[0]["id"]
    answers = [
        client.get(f"{spelled}?{V}").json["name"] for spelled in (item, item.replace(";", "%3b").lower())
    ]
    assert answers == [vault.items[0]["name"]] * 2


def test_the_api_version_is_required(client: Client, estate: Estate) -> None:
    answer = client.get(estate.vms[0].id)
    assert (answer.status, answer.code) == (400, "MissingApiVersionParameter")


def test_cloud_metadata_is_one_object_and_a_list_for_old_versions(shared: RunningServer) -> None:
    client = Client(shared)
    now = client.get("/metadata/endpoints?api-version=2022-09-01", Authorization="").json
    assert now["resourceManager"] == now["authentication"]["loginEndpoint"] == shared.url
    assert now["authentication"]["audiences"][0] == shared.url
    (old,) = client.get("/metadata/endpoints?api-version=2019-05-01", Authorization="").json
    assert old == now
