"""Faults in ARM, on the wire of the simulated estate: what is missing is named, the rest goes on."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from auditor.azure import traffic
from auditor.azure.client import Arm
from auditor.azure.estate import Azure, open_azure
from auditor.azure.throttle import Gate
from auditor.engine import Inventory
from auditor.errors import AuthenticationError, NotFound, SourceError, Throttled
from auditor.facts import InstanceView, Unseen
from auditor.inventory.scope import Scope
from auditor.model import Plane
from auditor.simulator.estate import Estate, build_estate
from auditor.simulator.faults import Fault
from auditor.simulator.server import RunningServer, serve_estate
from tests.azure.conftest import OpenArm
from tests.azure.waiting import Waiting

ESTATE = build_estate(60, 7)
Play = Callable[..., Any]
Scenario = Callable[[RunningServer, Azure], Awaitable[Any]]

VM_LIST = "providers/Microsoft.Compute/virtualMachines[?]"
VM_GET = "expand=instanceView"
VAULT_LIST = "providers/Microsoft.RecoveryServices/vaults[?]"


@pytest.fixture(autouse=True)
def _service_principal(monkeypatch: pytest.MonkeyPatch, _signed_in: None) -> None:
    sign_in_as(monkeypatch, ESTATE)


def sign_in_as(monkeypatch: pytest.MonkeyPatch, estate: Estate) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", estate.tenant)
    monkeypatch.setenv("AZURE_CLIENT_ID", estate.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", estate.client_secret)


@pytest.fixture
def play(open_arm: OpenArm) -> Play:
    """Play a scenario on a served estate; waiting takes no time unless a gate of its own is given."""

    def playing(
        scenario: Scenario,
        *faults: Fault,
        gate: Gate | None = None,
        read_timeout: float = 20.0,
    ) -> Any:
        async def run() -> Any:
            async with (
                serve_estate(ESTATE, faults=faults) as server,
                open_arm(server.url, server.ca_pem, gate, read_timeout=read_timeout) as arm,
            ):
                return await asyncio.wait_for(scenario(server, Azure(arm)), 60)

        return asyncio.run(run())

    return playing


async def inventory(_: RunningServer, azure: Azure) -> Inventory:
    return await azure.inventory(Scope())


async def whole(server: RunningServer, azure: Azure) -> dict[str, Any]:
    """Everything that a run reads."""
    found = await azure.inventory(Scope())
    views = await asyncio.gather(*(azure.instance_view(machine) for machine in found.machines))
    limits = await azure.read_vaults(found.machines, jobs=True)
    return {
        "inventory": found,
        "views": views,
        "unseen": [view.reason for view in views if isinstance(view, Unseen)],
        "limits": [limit for limit in limits if limit.expected],
        "backups": [azure.backup(machine) for machine in found.machines],
        "jobs": [azure.jobs(machine) for machine in found.machines],
        "stats": server.stats,
    }


def in_subscription(index: int) -> Iterable[str]:
    subscription = ESTATE.subscriptions[index].id
    return [vm.key for vm in ESTATE.vms if vm.subscription == subscription]


def test_without_faults_everything_is_seen_in_one_call_per_vm(play: Play) -> None:
    seen = play(whole)
    assert {machine.id for machine in seen["inventory"].machines} == ESTATE.truth().keys()
    assert (seen["inventory"].limits, seen["inventory"].lost, seen["limits"]) == ((), (), [])
    assert all(isinstance(view, InstanceView) for view in seen["views"])
    assert all(not backup.gaps for backup in seen["backups"])
    assert seen["stats"].requests["vm.get"] == len(ESTATE.vms)
    assert seen["stats"].requests["token"] == 1


def test_a_vm_protected_from_another_subscription_is_found(play: Play) -> None:
    shared = next(
        vm
        for vm in ESTATE.vms
        if vm.scenario.name == "healthy-vault-in-other-subscription"
        and vm.subscription != ESTATE.subscriptions[-1].id
    )

    async def scenario(_: RunningServer, azure: Azure) -> Any:
        found = await azure.inventory(Scope(subscriptions=(shared.subscription,)))
        await azure.read_vaults(found.machines, jobs=False)
        return azure.backup(next(machine for machine in found.machines if machine.id == shared.key))

    (item,) = play(scenario).items
    assert item.vault.subscription == ESTATE.subscriptions[-1].id != shared.subscription


def test_the_errors_of_failed_jobs_are_fetched_where_the_list_leaves_them_out(play: Play) -> None:
    seen = play(whole)
    codes = {
        machine.id: jobs.last.errors[0].code
        for machine, jobs in zip(seen["inventory"].machines, seen["jobs"], strict=True)
        if jobs.last is not None and jobs.last.errors
    }
    assert codes == {vm.key: vm.scenario.job_error for vm in ESTATE.vms if vm.scenario.job_error}


# ---- 401, 403, 404, 409 -------------------------------------------------------------------------


def test_401_on_the_first_call_means_nobody_is_signed_in(play: Play) -> None:
    with pytest.raises(AuthenticationError, match="InvalidAuthenticationToken"):
        play(inventory, Fault("/subscriptions[?]", status=401))


def test_a_wrong_secret_is_reported_without_the_secret(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong-secret-canary")
    with pytest.raises(AuthenticationError, match=r"environment variables.*AADSTS7000215") as caught:
        play(inventory)
    assert "canary" not in str(caught.value)


def test_a_token_that_expires_in_mid_run_is_renewed_once(play: Play) -> None:
    async def scenario(server: RunningServer, azure: Azure) -> Any:
        found = await azure.inventory(Scope())
        server.expire_tokens()
        views = await asyncio.gather(*(azure.instance_view(machine) for machine in found.machines))
        return views, server.stats.requests["token"]

    views, tokens = play(scenario)
    assert all(isinstance(view, InstanceView) for view in views)
    assert tokens == 2


def test_a_token_that_stays_refused_in_mid_run_is_a_limit_and_no_storm_of_sign_ins(play: Play) -> None:
    async def scenario(server: RunningServer, azure: Azure) -> Any:
        found = await azure.inventory(Scope())
        server.faults.add(Fault(VM_GET, status=401))
        views = [await azure.instance_view(machine) for machine in found.machines]
        return views, server.stats.requests["token"]

    views, tokens = play(scenario)
    assert all(isinstance(view, Unseen) and "refused the sign-in" in view.reason for view in views)
    assert tokens <= 3


def test_403_on_one_subscription_names_the_right_and_spares_the_others(play: Play) -> None:
    blocked = ESTATE.subscriptions[0].id
    found = play(inventory, Fault(f"{blocked}/{VM_LIST}", deny=True))
    assert {machine.id for machine in found.machines} == ESTATE.truth().keys() - set(in_subscription(0))
    (limit,) = found.limits
    assert (limit.scope, limit.plane) == (f"/subscriptions/{blocked}", Plane.INVENTORY)
    assert "Microsoft.Compute/virtualMachines/read" in limit.reason


def test_403_on_a_vm_names_the_right(play: Play) -> None:
    seen = play(whole, Fault(f"{ESTATE.vms[0].key}[?].*{VM_GET}", deny=True))
    (reason,) = seen["unseen"]
    assert "Microsoft.Compute/virtualMachines/instanceView/read" in reason


@pytest.mark.parametrize(
    ("collection", "plane", "right"),
    [
        ("backupProtectedItems", Plane.BACKUP, "Vaults/backupProtectedItems/read"),
        ("backupPolicies", Plane.BACKUP, "Vaults/backupPolicies/read"),
        ("backupJobs", Plane.JOBS, "Vaults/backupJobs/read"),
    ],
)
def test_403_in_one_vault_names_the_right(play: Play, collection: str, plane: Plane, right: str) -> None:
    vault = next(vault for vault in ESTATE.vaults if vault.items)
    seen = play(whole, Fault(f"{vault.key}/{collection}[?]", deny=True))
    (limit,) = seen["limits"]
    assert (limit.scope, limit.plane) == (vault.key, plane)
    assert right in limit.reason
    gaps = {gap for backup in seen["backups"] for gap in backup.gaps}
    assert bool(gaps) == (collection == "backupProtectedItems")
    if collection != "backupPolicies":
        assert any(isinstance(jobs, Unseen) for jobs in seen["jobs"])


def test_403_on_the_vaults_of_a_subscription_is_a_gap_for_every_vm(play: Play) -> None:
    blocked = ESTATE.subscriptions[1].id
    seen = play(whole, Fault(f"{blocked}/{VAULT_LIST}", deny=True))
    assert [limit.scope for limit in seen["limits"]] == [f"/subscriptions/{blocked}"]
    assert all("Vaults/read" in backup.gaps[0] for backup in seen["backups"])


def test_what_is_seen_does_not_depend_on_which_answer_came_first(play: Play) -> None:
    vaults = [vault.key for vault in ESTATE.vaults if vault.items][:2]
    subscriptions = [subscription.id for subscription in ESTATE.subscriptions[:2]]

    def reading(late: int) -> Any:
        delays = [0.5 * (index == late) for index in range(2)]
        seen = play(
            whole,
            *(Fault(f"{one}/{VAULT_LIST}", delay_s=delays[at]) for at, one in enumerate(subscriptions)),
            *(
                Fault(f"{one}/backup{what}[?]", deny=True, delay_s=delays[at])
                for at, one in enumerate(vaults)
                for what in ("ProtectedItems", "Policies")
            ),
        )
        backups = [
            ([item.id for item in backup.items], backup.regional_vaults, backup.gaps)
            for backup in seen["backups"]
        ]
        unseen = [jobs.reason for jobs in seen["jobs"] if isinstance(jobs, Unseen)]
        return seen["limits"], backups, unseen

    first, second = reading(0), reading(1)
    assert len(first[0]) == 4
    assert first == second


def test_404_means_the_vm_is_gone(play: Play) -> None:
    seen = play(whole, Fault(f"{ESTATE.vms[0].key}[?]", status=404))
    (reason,) = seen["unseen"]
    assert "the VM is gone" in reason


def test_409_of_one_vm_is_its_own(play: Play) -> None:
    seen = play(whole, Fault(f"{ESTATE.vms[0].key}[?]", status=409))
    assert seen["unseen"] == [
        "Azure answered 409 Conflict: Another operation on this resource is in progress."
    ]


def test_an_unregistered_provider_has_nothing_and_is_no_gap(play: Play) -> None:
    body = b'{"error":{"code":"MissingSubscriptionRegistration","message":"not registered"}}'
    seen = play(whole, Fault(f"{ESTATE.subscriptions[2].id}/{VAULT_LIST}", status=409, body=body))
    assert seen["limits"] == []


# ---- 429 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "40"}, None, 40),
        ({}, b'{"error":{"code":"x","message":"Please try again after \'324\' seconds."}}', 324),
        ({}, None, 1),
    ],
    ids=["with Retry-After", "with the message only", "without a hint"],
)
def test_429_is_waited_out_and_no_machine_is_lost(
    play: Play, headers: dict[str, str], body: bytes | None, seconds: float
) -> None:
    waiting = Waiting()
    gate = Gate(clock=waiting.clock, sleep=waiting.sleep)
    fault = Fault(VM_GET, status=429, headers=headers, body=body, times=3)
    seen = play(whole, fault, gate=gate)
    assert (fault.hits, seen["unseen"]) == (3, [])
    assert waiting.now - 1000 >= seconds


def test_429_for_longer_than_the_run_waits_is_unseen_with_the_reason(play: Play) -> None:
    waiting = Waiting()
    gate = Gate(max_wait=60, clock=waiting.clock, sleep=waiting.sleep)
    seen = play(whole, Fault(VM_GET, status=429, headers={"Retry-After": "20"}), gate=gate)
    assert len(seen["unseen"]) == len(ESTATE.vms)
    assert all("throttle" in reason for reason in seen["unseen"])
    assert seen["stats"].requests["vm.get"] < 10 * len(ESTATE.vms)


def test_no_connection_is_held_while_a_429_is_waited_out(play: Play) -> None:
    held: list[int] = []

    async def scenario(server: RunningServer, azure: Azure) -> Any:
        found = await azure.inventory(Scope())
        connector = azure._arm.compute._client._pipeline._transport._http.connector  # type: ignore[attr-defined]

        async def sleep(seconds: float) -> None:
            end = time.monotonic() + 5  # what is under way elsewhere may come to its end
            while connector._acquired and time.monotonic() < end:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            held.append(len(connector._acquired))
            waiting.now += seconds

        gate.sleep = sleep
        return await asyncio.gather(*(azure.instance_view(machine) for machine in found.machines))

    waiting = Waiting()
    gate = Gate(clock=waiting.clock, sleep=waiting.sleep)
    views = play(scenario, Fault(VM_GET, status=429, headers={"Retry-After": "9"}, times=5), gate=gate)
    assert all(isinstance(view, InstanceView) for view in views)
    assert held
    assert held[-1] == 0


# ---- servers and networks in trouble ------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 503])
def test_a_passing_server_error_is_tried_again(play: Play, status: int) -> None:
    seen = play(whole, Fault(f"{VM_GET}|backupProtectedItems", status=status, times=3))
    assert (seen["unseen"], seen["limits"]) == ([], [])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(VM_GET, status=500), "500 InternalServerError"),
        (Fault(VM_GET, status=503), "503 ServerBusy"),
        (Fault(VM_GET, truncate_json=True), "not JSON"),
        (Fault(VM_GET, drop_connection=True), "no answer from Azure"),
        (Fault(VM_GET, status=200, body=b"[1]"), "not an object"),
        (Fault(VM_GET, status=200, body=b'{"properties":{}}'), "no instance view"),
    ],
    ids=["500", "503", "truncated", "dropped", "a list", "no view"],
)
def test_a_lasting_fault_on_instance_views_ends_with_its_reason(
    play: Play, fault: Fault, reason: str
) -> None:
    fault = Fault(**{name: getattr(fault, name) for name in fault.__slots__})
    fault.path_regex = f"{ESTATE.vms[0].key}[?].*{VM_GET}"
    seen = play(whole, fault)
    (said,) = seen["unseen"]
    assert reason in said
    assert fault.hits <= 8  # four tries, and aiohttp repeats a GET on a kept connection that was cut


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(VM_GET, status=500), "500 InternalServerError"),
        (Fault(VM_GET, status=503, headers={"Retry-After": "3000"}), "503 ServerBusy"),
        (Fault(VM_GET, drop_connection=True), "no answer from Azure"),
    ],
    ids=["500", "503 with Retry-After", "dropped"],
)
def test_a_fault_that_outlasts_the_patience_of_the_run_keeps_its_own_reason(
    play: Play, fault: Fault, reason: str
) -> None:
    waiting = Waiting()
    gate = Gate(max_wait=1, clock=waiting.clock, sleep=waiting.sleep)
    seen = play(whole, fault, gate=gate)
    assert len(seen["unseen"]) == len(ESTATE.vms)
    assert all(reason in said for said in seen["unseen"])


def test_half_a_character_in_one_name_does_not_cost_the_list(play: Play) -> None:
    key = f"/subscriptions/{ESTATE.subscriptions[0].id}/resourceGroups/a/providers"
    key += "/Microsoft.Compute/virtualMachines/b"
    body = b'{"value":[{"id":"%s","name":"x\\ud800y","tags":{"\\uDC00":"\\ud83d\\ude00"}}]}' % key.encode()
    found = play(inventory, Fault(f"{ESTATE.subscriptions[0].id}/{VM_LIST}", status=200, body=body))
    (machine,) = (machine for machine in found.machines if machine.id == key.lower())
    assert (machine.name, machine.tags) == ("x\ufffdy", {"\ufffd": "\U0001f600"})
    assert found.limits == ()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("", status=500), "500 InternalServerError"),
        (Fault("", status=200, body=b'["\\ud800'), "not JSON"),
        (Fault("", truncate_json=True), "not JSON"),
        (Fault("", drop_connection=True), "no answer from Azure"),
        (Fault("", next_link_loop=True), "nextLink comes round again"),
        (Fault("", status=200, body=b'{"value":{}}'), "not a list"),
        (Fault("", status=200, body=b'{"value":[],"nextLink":"https://127.0.0.2/x"}'), "leads away"),
        (Fault("", status=200, body=b'{"value":[],"nextLink":["x"]}'), "nextLink is not a text"),
    ],
    ids=[
        "500",
        "broken in half a character",
        "truncated",
        "dropped",
        "nextLink loop",
        "no list",
        "foreign nextLink",
        "odd nextLink",
    ],
)
def test_a_lasting_fault_on_one_list_is_a_limit_and_the_others_go_on(
    play: Play, fault: Fault, reason: str
) -> None:
    fault = Fault(**{name: getattr(fault, name) for name in fault.__slots__})
    fault.path_regex = f"{ESTATE.subscriptions[0].id}/{VM_LIST}"
    found = play(inventory, fault)
    (limit,) = found.limits
    assert limit.scope == f"/subscriptions/{ESTATE.subscriptions[0].id}"
    assert reason in limit.reason
    assert {machine.id for machine in found.machines} >= set(in_subscription(1))


def test_a_later_page_that_fails_keeps_the_earlier_ones(play: Play) -> None:
    found = play(inventory, Fault(f"{ESTATE.subscriptions[0].id}/.*skiptoken=page2", status=500))
    seen = {machine.id for machine in found.machines} & set(in_subscription(0))
    assert 0 < len(seen) < len(set(in_subscription(0)))
    assert len(found.limits) == 1


def test_the_list_of_subscriptions_that_fails_is_a_limit(play: Play) -> None:
    found = play(inventory, Fault("/subscriptions[?]", status=500))
    assert [(limit.scope, found.machines) for limit in found.limits] == [("/subscriptions", ())]


def test_a_service_that_hangs_is_given_up_after_two_tries(play: Play) -> None:
    fault = Fault(f"{ESTATE.vms[0].key}[?]", hang=True)
    started = time.monotonic()
    seen = play(whole, fault, read_timeout=0.5)
    (reason,) = seen["unseen"]
    assert "no answer from Azure" in reason
    assert fault.hits == 2
    assert time.monotonic() - started < 20


# ---- the scope ----------------------------------------------------------------------------------


def scoped(scope: Scope) -> Scenario:
    async def scenario(_: RunningServer, azure: Azure) -> Inventory:
        return await azure.inventory(scope)

    return scenario


def test_a_subscription_by_its_display_name(play: Play) -> None:
    found = play(scoped(Scope(subscriptions=(ESTATE.subscriptions[1].name.upper(),))))
    assert {machine.id for machine in found.machines} == set(in_subscription(1))
    assert found.limits == ()


def test_a_subscription_that_is_not_visible_is_a_limit(play: Play) -> None:
    found = play(scoped(Scope(subscriptions=("elsewhere", ESTATE.subscriptions[0].id))))
    assert [limit.scope for limit in found.limits] == ["/subscriptions/elsewhere"]
    assert found.machines


def test_a_management_group_stands_for_the_subscriptions_below_it(play: Play) -> None:
    found = play(scoped(Scope(management_groups=(ESTATE.management_group,))))
    assert found.machines
    assert found.limits == ()
    missing = play(scoped(Scope(management_groups=("no-such-group",))))
    assert [limit.scope for limit in missing.limits] == [
        "/providers/Microsoft.Management/managementGroups/no-such-group"
    ]


def test_vms_by_id_are_read_one_by_one_and_a_missing_one_is_lost(play: Play) -> None:
    wanted = ESTATE.vms[3].key.upper()
    missing = wanted.rpartition("/")[0] + "/no-such-vm"

    async def scenario(server: RunningServer, azure: Azure) -> Any:
        found = await azure.inventory(Scope(vms=(wanted, missing, "/not/an/id")))
        return found, server.stats.requests["vm.list"]

    found, lists = play(scenario)
    assert [machine.id for machine in found.machines] == [wanted.lower()]
    assert [lost.id for lost in found.lost] == [missing.lower(), "/not/an/id"]
    assert lists == 0


def test_the_same_name_in_two_groups_stays_two_machines(play: Play) -> None:
    found = play(inventory)
    names = [machine.name.lower() for machine in found.machines]
    twice = [machine for machine in found.machines if names.count(machine.name.lower()) > 1]
    assert len(twice) >= 2
    assert len({machine.id for machine in twice}) == len(twice)


def test_a_classic_vm_in_the_list_is_named_and_leaves_the_run_complete(play: Play) -> None:
    classic = f"/subscriptions/{ESTATE.subscriptions[0].id}/resourceGroups/Old/providers"
    classic += "/Microsoft.ClassicCompute/virtualMachines/Old-1"
    body = b'{"value":[{"id":"%s","name":"Old-1"}, 7, {"id":"nonsense"}]}' % classic.encode()
    found = play(inventory, Fault(f"{ESTATE.subscriptions[0].id}/{VM_LIST}", status=200, body=body))
    first, *others = found.limits
    assert (first.scope, first.expected) == (classic.lower(), False)
    assert [limit.expected for limit in others] == [True, True]


def test_a_disabled_subscription_that_lists_nothing_is_named(play: Play) -> None:
    one = ESTATE.subscriptions[0].id
    body = b'{"value":[{"subscriptionId":"%s","displayName":"One","state":"Disabled"}]}' % one.encode()
    empty = Fault(VM_LIST, status=200, body=b'{"value":[]}')
    (limit,) = play(inventory, Fault("/subscriptions[?]", status=200, body=body), empty).limits
    assert limit.reason == "the subscription is Disabled and lists no machine"
    denied = Fault(VM_LIST, deny=True)
    (limit,) = play(inventory, Fault("/subscriptions[?]", status=200, body=body), denied).limits
    assert limit.reason.startswith("the subscription is Disabled: the identity may not do")


def test_a_subscription_with_odd_entries_keeps_the_good_ones(play: Play) -> None:
    one = ESTATE.subscriptions[0].id
    body = b'{"value":[7,{"displayName":"nameless"},{"subscriptionId":"%s"}]}' % one.encode()
    found = play(inventory, Fault("/subscriptions[?]", status=200, body=body))
    assert {machine.id for machine in found.machines} == set(in_subscription(0))
    assert [limit.scope for limit in found.limits] == ["/subscriptions", "/subscriptions"]


# ---- the estate's own quotas --------------------------------------------------------------------


def real_gate(max_wait: float) -> Gate:
    return Gate(max_wait=max_wait)


def test_the_enforced_list_bucket_provokes_no_429(play: Play) -> None:
    """900 lists at once and 5 a second after that: the gate paces what goes beyond."""
    call = traffic.virtual_machines(ESTATE.subscriptions[0].id)

    async def scenario(server: RunningServer, azure: Azure) -> Any:
        arm = azure._arm
        left = iter(range(908))
        started = time.monotonic()

        async def worker() -> None:
            for _ in left:
                await arm.get(call)

        await asyncio.gather(*(worker() for _ in range(16)))
        return server.stats, time.monotonic() - started

    stats, seconds = play(scenario, gate=real_gate(60))
    assert (stats.requests["vm.list"], stats.too_many) == (908, 0)
    assert seconds >= 1


@pytest.mark.parametrize("kind", ["vm.get", "policy.list"])
def test_a_bucket_that_is_empty_is_not_asked(play: Play, kind: str) -> None:
    """36 per VM, 150 per backup action: the next would wait longer than allowed, so none is sent."""
    vm, vault = ESTATE.vms[0], ESTATE.vaults[0]
    calls = {
        "vm.get": (traffic.virtual_machine(vm.key, vm.subscription, vm.location, instance_view=True), 36),
        "policy.list": (traffic.policies(vault.key, vault.subscription), 150),
    }
    call, size = calls[kind]

    async def scenario(server: RunningServer, azure: Azure) -> Any:
        arm: Arm = azure._arm
        for _ in range(size):
            await arm.get(call)
        with pytest.raises(Throttled):
            await arm.get(call)
        return server.stats

    stats = play(scenario, gate=real_gate(0.5))
    assert (stats.requests[kind], stats.too_many) == (size, 0)


def test_quotas_refused_by_the_service_are_waited_out_with_its_own_hint(play: Play) -> None:
    """A second client emptied the bucket: our own picture is wrong, and still nothing is lost."""
    vm = ESTATE.vms[0]
    call = traffic.virtual_machine(vm.key, vm.subscription, vm.location, instance_view=True)

    async def scenario(server: RunningServer, azure: Azure) -> Any:
        for _ in range(36):
            await azure._arm.get(call)
        gate._lanes.clear()
        await azure._arm.get(call)
        return server.stats

    gate = real_gate(30)
    stats = play(scenario, gate=gate)
    assert stats.too_many == 1


def test_the_front_door_reads_an_estate(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> Any:
        async with (
            serve_estate(ESTATE) as server,
            open_azure(server.url, ca_bundle=server.ca_pem, concurrency=8, max_wait=5) as azure,
        ):
            found = await azure.inventory(Scope())
            assert isinstance(azure.backup(found.machines[0]), Unseen)
            await azure.read_vaults(found.machines[:1], jobs=False)
            return found, azure.backup(found.machines[0])

    found, backup = asyncio.run(scenario())
    assert len(found.machines) == len(ESTATE.vms)
    assert not isinstance(backup, Unseen)
    assert math.isfinite(backup.observed_at.timestamp())


def test_the_vaults_can_be_read_without_an_inventory(play: Play) -> None:
    async def scenario(_: RunningServer, azure: Azure) -> Any:
        return await azure.read_vaults((), jobs=True)

    assert [limit for limit in play(scenario) if limit.expected] == []


def test_get_of_what_is_not_there_is_not_found(play: Play) -> None:
    async def scenario(_: RunningServer, azure: Azure) -> Any:
        await azure._arm.get(traffic.virtual_machine("/subscriptions/x/y", "x", "", instance_view=False))

    with pytest.raises((NotFound, SourceError)):
        play(scenario)
