"""Run Command, addresses, the vaults of a target region and key vault secrets, over the simulator."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auditor.azure.addresses import read_addresses
from auditor.azure.client import Arm
from auditor.azure.estate import Azure
from auditor.azure.keyvault import key_vault
from auditor.azure.run_commands import RunCommands
from auditor.credentials import Secrets
from auditor.errors import SecretError
from auditor.facts import Backup, Guest, InstanceView, StatusCode, Unseen
from auditor.inventory.scope import Scope
from auditor.model import RUN_COMMAND, Machine, Platform
from auditor.probe import linux_probe, windows_probe
from auditor.probe.bundle import LIMIT
from auditor.rules import Endpoint
from auditor.simulator.estate import build_estate
from auditor.simulator.faults import Fault
from auditor.simulator.server import EstateServer, RunningServer, serve_estate
from auditor.simulator.world import Options
from tests.azure.conftest import OpenArm
from tests.azure.test_faults import sign_in_as

ESTATE = build_estate(60, 7)
ENDPOINTS = (Endpoint("management.azure.com", 443, True, "ARM"),)
PROBE = linux_probe(ENDPOINTS)
Scenario = Callable[[RunningServer, Arm, Azure], Awaitable[Any]]


@pytest.fixture(autouse=True)
def _service_principal(monkeypatch: pytest.MonkeyPatch, _signed_in: None) -> None:
    sign_in_as(monkeypatch, ESTATE)


def play(open_arm: OpenArm, scenario: Scenario, *faults: Fault, options: Options | None = None) -> Any:
    async def run() -> Any:
        async with (
            serve_estate(ESTATE, faults=faults, options=options or Options()) as server,
            open_arm(server.url, server.ca_pem) as arm,
        ):
            return await scenario(server, arm, Azure(arm))

    return asyncio.run(run())


async def healthy(azure: Azure, platform: Platform = Platform.LINUX) -> tuple[Machine, InstanceView]:
    """A machine whose agent is ready, with its instance view."""
    inventory = await azure.inventory(Scope())
    for machine in inventory.machines:
        if machine.platform is platform:
            view = await azure.instance_view(machine)
            if isinstance(view, InstanceView) and _ready(view):
                return machine, view
    raise AssertionError("the estate has no ready machine of that platform")


def _ready(view: InstanceView) -> bool:
    statuses = view.agent.statuses if view.agent else ()
    return view.power_state == "running" and any(
        status.code.lower() == "provisioningstate/succeeded"
        and status.at is not None
        and datetime.now(UTC) - status.at < timedelta(minutes=10)
        for status in statuses
    )


# ---- Run Command -----------------------------------------------------------------------------------


@pytest.mark.parametrize("polls", [0, 3])
@pytest.mark.parametrize("platform", [Platform.LINUX, Platform.WINDOWS])
def test_a_guest_is_asked_through_its_agent(open_arm: OpenArm, platform: Platform, polls: int) -> None:
    probe = PROBE if platform is Platform.LINUX else windows_probe(ENDPOINTS)

    async def scenario(server: RunningServer, arm: Arm, azure: Azure) -> None:
        machine, view = await healthy(azure, platform)
        guest = await RunCommands(arm, pause=0.01).probe(machine, probe, view)
        assert isinstance(guest, Guest)
        assert guest.transport == RUN_COMMAND
        assert guest.platform == platform
        assert (guest.hostname or "").lower() == machine.name.lower()
        assert not isinstance(guest.agent, Unseen)
        assert guest.endpoints[0].target == "management.azure.com:443"  # type: ignore[index,union-attr]
        assert server.stats.requests["vm.run-command"] == 1
        assert server.stats.requests["compute.operation"] == polls + 1

    play(open_arm, scenario, options=Options(lro_polls=polls))


def _with(view: InstanceView, **changes: Any) -> InstanceView:
    return replace(view, **changes)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda view: Unseen("403"), "it rests on the agent, which was not seen (403)"),
        (lambda view: _with(view, power_state="deallocated"), "the VM is deallocated"),
        (lambda view: _with(view, power_state=None), "the VM is in an unknown power state"),
        (lambda view: _with(view, agent=None), "the agent is not ready"),
        (
            lambda view: _with(
                view,
                agent=replace(
                    view.agent, statuses=(StatusCode("ProvisioningState/Unavailable", at=datetime.now(UTC)),)
                ),
            ),
            "the agent is not ready",
        ),
        (
            lambda view: _with(
                view,
                agent=replace(
                    view.agent,
                    statuses=(
                        StatusCode("ProvisioningState/succeeded", at=datetime.now(UTC) - timedelta(hours=2)),
                    ),
                ),
            ),
            "the agent was last heard 2:00:",
        ),
    ],
)
def test_an_agent_that_may_not_answer_gets_no_command(
    open_arm: OpenArm, spoil: Callable[[InstanceView], Any], reason: str
) -> None:
    async def scenario(server: RunningServer, arm: Arm, azure: Azure) -> None:
        machine, view = await healthy(azure)
        answer = await RunCommands(arm).probe(machine, PROBE, spoil(view))
        assert isinstance(answer, Unseen)
        assert answer.reason.startswith("not asked through Run Command: ")
        assert reason in answer.reason
        assert server.stats.requests["vm.run-command"] == 0

    play(open_arm, scenario)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("runCommand", "POST", deny=True), "runCommand/action"),
        (Fault("runCommand", "POST", status=409), "409 Conflict: Another operation"),
        (Fault("runCommand", "POST", status=500), "500"),
        (Fault("operations/", "GET", status=404), "not found"),
    ],
)
def test_a_command_that_azure_refuses_is_said(open_arm: OpenArm, fault: Fault, reason: str) -> None:
    async def scenario(server: RunningServer, arm: Arm, azure: Azure) -> None:
        machine, view = await healthy(azure)
        answer = await RunCommands(arm, pause=0.01).probe(machine, PROBE, view)
        assert isinstance(answer, Unseen)
        assert reason in answer.reason
        assert server.stats.requests["vm.run-command"] == 1, "a command is never sent twice"

    play(open_arm, scenario, fault)


def test_a_command_that_does_not_end_is_left_behind(open_arm: OpenArm) -> None:
    async def scenario(server: RunningServer, arm: Arm, azure: Azure) -> None:
        machine, view = await healthy(azure)
        answer = await RunCommands(arm, timeout=0.3, pause=0.05).probe(machine, PROBE, view)
        assert answer == Unseen("Run Command: it did not end within 0.3 s, and may still run in the guest")

    play(open_arm, scenario, options=Options(lro_polls=10_000))


def test_the_answer_fits_where_azure_cuts(open_arm: OpenArm) -> None:
    async def scenario(server: RunningServer, arm: Arm, azure: Azure) -> str:
        machine, _ = await healthy(azure)
        return await RunCommands(arm, pause=0.01)._run(machine, PROBE)

    assert len(play(open_arm, scenario)) < LIMIT


# ---- addresses ---------------------------------------------------------------------------------------


def test_addresses_come_from_the_interfaces(open_arm: OpenArm) -> None:
    chosen = ESTATE.vms[0]

    async def scenario(server: RunningServer, arm: Arm, azure: Azure) -> None:
        machines = (await azure.inventory(Scope())).machines
        found, limits = await read_addresses(arm, machines)
        assert limits == ()
        assert set(found) == {machine.id for machine in machines}
        assert found[chosen.key].private == ("127.0.0.9",)
        assert any(addresses.public for addresses in found.values())
        (subnet,) = found[chosen.key].subnets
        assert subnet == subnet.lower()
        assert subnet.startswith(f"/subscriptions/{chosen.subscription}/resourcegroups/")
        assert len({subnet for addresses in found.values() for subnet in addresses.subnets}) > 1

    play(open_arm, scenario, options=Options(addresses={chosen.key: "127.0.0.9"}))


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("networkInterfaces", "Microsoft.Network/networkInterfaces/read"),
        ("publicIPAddresses", "Microsoft.Network/publicIPAddresses/read"),
    ],
)
def test_addresses_that_may_not_be_read_are_named(open_arm: OpenArm, path: str, missing: str) -> None:
    async def scenario(server: RunningServer, arm: Arm, azure: Azure) -> None:
        machines = (await azure.inventory(Scope())).machines
        _, limits = await read_addresses(arm, machines)
        assert limits
        assert all(missing in limit.reason for limit in limits)

    play(open_arm, scenario, Fault(path, deny=True))


# ---- the vaults of a region to move to ------------------------------------------------------------------


@pytest.mark.parametrize(("region", "some"), [("West Europe", True), ("westeurope", True), ("mars", False)])
def test_a_target_region_has_vaults_or_none(open_arm: OpenArm, region: str, some: bool) -> None:
    async def scenario(server: RunningServer, arm: Arm, azure: Azure) -> None:
        backup = await azure.target_backup(region)
        assert isinstance(backup, Backup)
        assert backup.items == ()
        assert bool(backup.regional_vaults) is some
        assert server.stats.requests["vm.list"] == 0

    play(open_arm, scenario)


def test_vaults_that_may_not_be_read_leave_a_gap(open_arm: OpenArm) -> None:
    async def scenario(server: RunningServer, arm: Arm, azure: Azure) -> None:
        backup = await azure.target_backup("westeurope")
        assert isinstance(backup, Backup)
        assert len(backup.gaps) == len(ESTATE.subscriptions)

    play(open_arm, scenario, Fault("RecoveryServices/vaults[?]", "GET", deny=True, times=None))


# ---- Key Vault -------------------------------------------------------------------------------------------


SECRETS = {"guests": "c4nary-of-the-vault"}


def test_a_secret_comes_out_of_a_key_vault() -> None:
    with EstateServer(ESTATE, options=Options(secrets=SECRETS)) as server:
        secrets = Secrets({"keyvault": key_vault(server.url, server.ca_pem)})
        found = secrets.resolve(f"keyvault:{server.url}/guests")
        assert found.reveal() == SECRETS["guests"]
        assert SECRETS["guests"] not in repr(found)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("{url}/none", "did not give none: 404"),
        ("https://127.0.0.1:1/guests", "cannot be asked"),
        ("{url}/a b", "names no secret"),
        ("my_vault/guests", "is no name of a key vault"),
    ],
)
def test_a_secret_that_cannot_be_had_says_why(reference: str, reason: str) -> None:
    with EstateServer(ESTATE, options=Options(secrets=SECRETS)) as server:
        secrets = Secrets({"keyvault": key_vault(server.url, server.ca_pem)})
        with pytest.raises(SecretError, match=reason):
            secrets.resolve("keyvault:" + reference.format(url=server.url))


def test_nobody_signed_in_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong-secret-of-mine")
    with EstateServer(ESTATE, options=Options(secrets=SECRETS)) as server:
        secrets = Secrets({"keyvault": key_vault(server.url, server.ca_pem)})
        with pytest.raises(SecretError) as caught:
            secrets.resolve(f"keyvault:{server.url}/guests")
    assert "wrong-secret-of-mine" not in str(caught.value)
