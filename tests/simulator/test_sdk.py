"""The real SDK, unmodified, against the simulator over TLS."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity import ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AioCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.aio import ComputeManagementClient as AioCompute
from azure.mgmt.recoveryservicesbackup import RecoveryServicesBackupClient
from azure.mgmt.recoveryservicesbackup.aio import RecoveryServicesBackupClient as AioBackup

from auditor.simulator.estate import Estate
from auditor.simulator.faults import Fault
from auditor.simulator.server import RunningServer
from tests.simulator.client import of

Connect = Callable[[str], tuple[Any, Any]]


@pytest.fixture(scope="module")
def connect(shared: RunningServer) -> Iterator[Connect]:
    """Synchronous clients of one subscription."""
    with ExitStack() as stack:
        trust = {"connection_verify": str(shared.ca_pem)}
        credential = stack.enter_context(
            ClientSecretCredential(
                shared.estate.tenant,
                shared.estate.client_id,
                shared.estate.client_secret,
                authority=shared.url,
                disable_instance_discovery=True,
                **trust,
            )
        )
        place: dict[str, Any] = {
            "base_url": shared.url,
            "credential_scopes": [f"{shared.url}/.default"],
            **trust,
        }

        def clients(subscription: str) -> tuple[Any, Any]:
            return (
                stack.enter_context(ComputeManagementClient(credential, subscription, **place)),
                stack.enter_context(RecoveryServicesBackupClient(credential, subscription, **place)),
            )

        yield clients


def test_lists_and_views_deserialise(connect: Connect, estate: Estate) -> None:
    subscription = estate.subscriptions[0].id
    compute, _ = connect(subscription)
    expected = {vm.key for vm in estate.vms if vm.subscription == subscription}
    assert {vm.id.lower() for vm in compute.virtual_machines.list_all()} == expected
    assert len(list(compute.virtual_machines.list_all(status_only="true"))) == len(expected)
    vm = next(vm for vm in estate.vms if vm.key in expected and vm.scenario.name == "healthy")
    view = compute.virtual_machines.instance_view(vm.group, vm.name)
    assert view.vm_agent.statuses[0].display_status == "Ready"
    assert compute.virtual_machines.get(vm.group, vm.name, expand="instanceView").instance_view.statuses


def test_extension_and_run_command_pollers_end(connect: Connect, estate: Estate) -> None:
    vm = of(estate, "healthy")
    compute, _ = connect(vm.subscription)
    extensions = compute.virtual_machine_extensions
    wanted = {"publisher": "Contoso.Tools", "type": "Probe", "typeHandlerVersion": "1.0"}
    body = {"location": vm.location, "properties": {**wanted, "protectedSettings": {"secret": "s3cret"}}}
    installed = extensions.begin_create_or_update(vm.group, vm.name, "probe", body).result()
    assert installed.provisioning_state == "Succeeded"
    assert "s3cret" not in str(installed.as_dict())
    handlers = compute.virtual_machines.instance_view(vm.group, vm.name).vm_agent.extension_handlers
    assert "Contoso.Tools.Probe" in [handler.type for handler in handlers]
    extensions.begin_delete(vm.group, vm.name, "probe").result()
    with pytest.raises(ResourceNotFoundError):
        extensions.get(vm.group, vm.name, "probe")
    script = {"commandId": "RunShellScript", "script": ["id"]}
    done = compute.virtual_machines.begin_run_command(vm.group, vm.name, script).result()
    assert "[stdout]" in done.value[0].message


@pytest.mark.parametrize("scenario", ["deallocated", "stopped-stale-ready"])
def test_a_machine_that_is_off_refuses_commands(connect: Connect, estate: Estate, scenario: str) -> None:
    vm = of(estate, scenario)
    compute, _ = connect(vm.subscription)
    script = {"commandId": "RunShellScript", "script": ["id"]}
    with pytest.raises(HttpResponseError) as caught:
        compute.virtual_machines.begin_run_command(vm.group, vm.name, script)
    assert caught.value.status_code == 409
    assert "OperationNotAllowed" in str(caught.value)


def test_items_jobs_and_policies_deserialise(connect: Connect, estate: Estate) -> None:
    vault = next(v for v in estate.vaults if any(job.error == 400206 for job in v.jobs))
    _, backup = connect(vault.subscription)
    machines = "backupManagementType eq 'AzureIaasVM' and itemType eq 'VM'"
    items = list(backup.backup_protected_items.list(vault.name, vault.group, filter=machines))
    assert {item.name for item in items} == {i["name"] for i in vault.items if i["name"].startswith("VM;")}
    assert items[0].properties.get("virtualMachineId")
    jobs = {job.name: job for job in backup.backup_jobs.list(vault.name, vault.group)}
    failed = next(job for job in vault.jobs if job.error == 400206)
    assert jobs[failed.id].properties.error_details[0].error_code == 400206
    policies = {p.name: p.properties for p in backup.backup_policies.list(vault.name, vault.group)}
    assert policies["CrashConsistentPolicy"].snapshot_consistency_type == "OnlyCrashConsistent"
    storage = backup.backup_resource_storage_configs_non_crr.get(vault.name, vault.group)
    assert storage.properties.storage_type == vault.redundancy


async def read_with_aio(server: RunningServer, subscription: str) -> tuple[int, int]:
    """How many machines and items the asynchronous clients see."""
    estate = server.estate
    connector = TCPConnector(ssl=ssl.create_default_context(cafile=str(server.ca_pem)), limit=8)
    async with ClientSession(
        connector=connector, auto_decompress=False, cookie_jar=DummyCookieJar()
    ) as session:
        transport: dict[str, Any] = {"transport": AioHttpTransport(session=session, session_owner=False)}
        credential = AioCredential(
            estate.tenant,
            estate.client_id,
            estate.client_secret,
            authority=server.url,
            disable_instance_discovery=True,
            **transport,
        )
        place: dict[str, Any] = {
            "base_url": server.url,
            "credential_scopes": [f"{server.url}/.default"],
            **transport,
        }
        vault = next(v for v in estate.vaults if v.subscription == subscription and v.items)
        async with AioCompute(credential, subscription, **place) as compute:
            vms = [vm async for vm in compute.virtual_machines.list_all()]
        async with AioBackup(credential, subscription, **place) as backup:
            items = [item async for item in backup.backup_protected_items.list(vault.name, vault.group)]
        assert len(items) == len(vault.items)
        return len(vms), len(items)


def test_the_asynchronous_clients(shared: RunningServer, estate: Estate) -> None:
    subscription = estate.subscriptions[0].id
    vms, items = asyncio.run(read_with_aio(shared, subscription))
    assert vms == sum(vm.subscription == subscription for vm in estate.vms)
    assert items > 0


def test_a_401_in_the_middle_reaches_the_caller(serve: Callable[..., RunningServer], estate: Estate) -> None:
    server = serve(faults=[Fault("skiptoken", status=401)])
    trust: dict[str, Any] = {"connection_verify": str(server.ca_pem)}
    with (
        ClientSecretCredential(
            estate.tenant,
            estate.client_id,
            estate.client_secret,
            authority=server.url,
            disable_instance_discovery=True,
            **trust,
        ) as credential,
        ComputeManagementClient(
            credential,
            estate.subscriptions[0].id,
            base_url=server.url,
            credential_scopes=[f"{server.url}/.default"],
            **trust,
        ) as compute,
        pytest.raises(ClientAuthenticationError),
    ):
        list(compute.virtual_machines.list_all())
