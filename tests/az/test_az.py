"""A real `az`, unmodified, against `auditor simulate`."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auditor.simulator.estate import Estate, build_estate
from auditor.simulator.vaults import Vault
from auditor.simulator.vms import Vm
from auditor.simulator.world import Options
from tests.conftest import require_lane

AZ = Path(os.environ.get("AUDITOR_AZ") or Path(__file__).parents[2] / ".venv-az" / "bin" / "az")
VMS, SEED = 60, 11

pytestmark = pytest.mark.az

Az = Callable[..., Any]


@pytest.fixture(scope="module")
def estate() -> Estate:
    return build_estate(VMS, SEED)


@pytest.fixture(scope="module", autouse=True)
def _lane() -> None:
    require_lane("az", AZ.exists())


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the simulator's env file exports, while the simulator runs."""
    env_file = tmp_path_factory.mktemp("simulate") / "client.env"
    command = [sys.executable, "-m", "auditor", "simulate", "--vms", str(VMS), "--seed", str(SEED)]
    process = subprocess.Popen([*command, "--env-file", str(env_file)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not env_file.exists():
            assert process.poll() is None, "the simulator ended before it was ready"
            assert time.monotonic() < deadline, "the simulator did not become ready"
            time.sleep(0.05)
        lines = [shlex.split(line)[1] for line in env_file.read_text().splitlines()]
        yield dict(line.split("=", 1) for line in lines)
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture(scope="module")
def environment(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of every `az`: its session is kept in a folder of these tests."""
    return {
        **os.environ,
        **variables,
        "AZURE_CONFIG_DIR": str(tmp_path_factory.mktemp("az")),
        "AZURE_CORE_INSTANCE_DISCOVERY": "false",
        "AZURE_CORE_COLLECT_TELEMETRY": "false",
    }


@pytest.fixture(scope="module")
def az(variables: dict[str, str], environment: dict[str, str]) -> Az:
    """Run `az` signed in to the simulated cloud; the answer is its JSON."""

    def run(*arguments: str) -> Any:
        done = subprocess.run(
            [str(AZ), *arguments, "--output", "json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"az {' '.join(arguments[:4])}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    run("cloud", "register", "--name", "Sim", "--endpoint-resource-manager", variables["AUDITOR_CLOUD"])
    run("cloud", "set", "--name", "Sim")
    accounts = run(
        *("login", "--service-principal", "--username", variables["AZURE_CLIENT_ID"]),
        *("--password", variables["AZURE_CLIENT_SECRET"], "--tenant", variables["AZURE_TENANT_ID"]),
    )
    assert {account["name"] for account in accounts} >= {"Contoso Production", "Contoso Development"}
    return run


def of(estate: Estate, scenario: str) -> Vm:
    """The first machine with a scenario."""
    return next(vm for vm in estate.vms if vm.scenario.name == scenario)


def home(estate: Estate, vm: Vm) -> Vault:
    """The vault that holds the item of a machine."""
    return next(
        vault
        for vault in estate.vaults
        if any(item["properties"].get("sourceResourceId", "").lower() == vm.key for item in vault.items)
    )


def at(vm: Vm) -> tuple[str, ...]:
    return ("--subscription", vm.subscription, "--resource-group", vm.group, "--name", vm.name)


def inside(vault: Vault) -> tuple[str, ...]:
    return (
        *("--subscription", vault.subscription, "--resource-group", vault.group),
        *("--vault-name", vault.name),
    )


def test_vm_list_follows_every_page(az: Az, estate: Estate) -> None:
    subscription = estate.subscriptions[0].id
    listed = az("vm", "list", "--subscription", subscription)
    expected = {vm.key for vm in estate.vms if vm.subscription == subscription}
    assert {vm["id"].lower() for vm in listed} == expected
    group = next(vm.group for vm in estate.vms if vm.subscription == subscription)
    in_group = az("vm", "list", "--subscription", subscription, "--resource-group", group)
    assert {vm["id"].lower() for vm in in_group} == {key for key in expected if f"/{group.lower()}/" in key}


def test_get_instance_view(az: Az, estate: Estate) -> None:
    ready = az("vm", "get-instance-view", *at(of(estate, "healthy")))["instanceView"]
    assert ready["vmAgent"]["statuses"][0]["displayStatus"] == "Ready"
    off = az("vm", "get-instance-view", *at(of(estate, "deallocated")))["instanceView"]
    assert off.get("vmAgent") is None


def test_extension_list(az: Az, estate: Estate) -> None:
    vm = of(estate, "extension-failed")
    where = ("--subscription", vm.subscription, "--resource-group", vm.group, "--vm-name", vm.name)
    (extension,) = az("vm", "extension", "list", *where)
    assert extension["provisioningState"] == "Failed"


def test_extension_set(az: Az, estate: Estate) -> None:
    vm = [vm for vm in estate.vms if vm.scenario.name == "healthy"][1]
    where = ("--subscription", vm.subscription, "--resource-group", vm.group, "--vm-name", vm.name)
    az(
        "vm",
        "extension",
        "set",
        *where,
        "--publisher",
        "Contoso.Tools",
        "--name",
        "Probe",
        "--version",
        "1.0",
    )
    (extension,) = az("vm", "extension", "list", *where)
    assert (extension["publisher"], extension["provisioningState"]) == ("Contoso.Tools", "Succeeded")


def test_vault_list(az: Az, estate: Estate) -> None:
    subscription = estate.subscriptions[0].id
    listed = az("backup", "vault", "list", "--subscription", subscription)
    assert {vault["id"].lower() for vault in listed} == {
        vault.key for vault in estate.vaults if vault.subscription == subscription
    }


def test_item_list(az: Az, estate: Estate) -> None:
    vault = home(estate, of(estate, "healthy"))
    everything = az("backup", "item", "list", *inside(vault))
    assert {item["name"] for item in everything} == {item["name"] for item in vault.items}
    kind = ("--backup-management-type", "AzureIaasVM", "--workload-type", "VM")
    machines = az("backup", "item", "list", *inside(vault), *kind)
    assert {item["name"] for item in machines} == {
        item["name"] for item in vault.items if item["name"].startswith("VM;")
    }


def test_job_list_and_show(az: Az, estate: Estate) -> None:
    vault = home(estate, of(estate, "last-job-failed"))
    jobs = az("backup", "job", "list", *inside(vault))
    assert {job["name"] for job in jobs} == {job.id for job in vault.jobs}
    failed = az("backup", "job", "list", *inside(vault), "--status", "Failed")
    assert {job["name"] for job in failed} == {job.id for job in vault.jobs if job.status == "Failed"}
    wanted = next(job.id for job in vault.jobs if job.error == 400349)
    shown = az("backup", "job", "show", *inside(vault), "--name", wanted)
    assert shown["properties"]["errorDetails"][0]["errorCode"] == 400349


def test_policy_list(az: Az, estate: Estate) -> None:
    names = {policy["name"] for policy in az("backup", "policy", "list", *inside(estate.vaults[0]))}
    assert {"DefaultPolicy", "EnhancedPolicy", "CrashConsistentPolicy"} <= names


def test_check_vm(az: Az, estate: Estate) -> None:
    protected, unprotected = of(estate, "healthy"), of(estate, "no-vault-in-region")

    def check(vm: Vm) -> Any:
        return az("backup", "protection", "check-vm", "--subscription", vm.subscription, "--vm", vm.id)

    assert check(protected).lower() == home(estate, protected).key
    assert not check(unprotected)


def test_enable_for_vm_then_backup_now(az: Az, estate: Estate) -> None:
    vm = of(estate, "unprotected")
    vault = next(v for v in estate.vaults if (v.subscription, v.location) == (vm.subscription, vm.location))
    enabled = az(
        "backup",
        "protection",
        "enable-for-vm",
        *inside(vault),
        "--vm",
        vm.id,
        "--policy-name",
        "DefaultPolicy",
    )
    assert enabled["properties"]["operation"] == "ConfigureBackup"
    (item,) = [
        i for i in az("backup", "item", "list", *inside(vault)) if vm.name.lower() in i["name"].lower()
    ]
    assert item["properties"]["protectionState"] == "IRPending"
    job = az(
        *("backup", "protection", "backup-now", *inside(vault), "--container-name", vm.name),
        *("--item-name", vm.name, "--backup-management-type", "AzureIaasVM", "--retain-until", "01-01-2030"),
    )
    assert (job["properties"]["operation"], job["properties"]["entityFriendlyName"].lower()) == (
        "Backup",
        vm.name.lower(),
    )
    time.sleep(Options().backup_seconds)
    shown = az("backup", "job", "show", *inside(vault), "--name", job["name"])
    assert shown["properties"]["status"] == "Completed"
    (item,) = [
        i for i in az("backup", "item", "list", *inside(vault)) if vm.name.lower() in i["name"].lower()
    ]
    assert item["properties"]["protectionState"] == "Protected"
    assert item["properties"]["lastBackupStatus"] == "Completed"


def test_run_command(az: Az, estate: Estate) -> None:
    vm = of(estate, "healthy")
    done = az(
        "vm", "run-command", "invoke", *at(vm), "--command-id", "RunShellScript", "--scripts", "id", "uname"
    )
    assert done["value"][0]["code"] == "ProvisioningState/succeeded"
    assert "2 script lines" in done["value"][0]["message"]


def test_the_session_of_az_login_signs_the_auditor_in(
    az: Az, environment: dict[str, str], estate: Estate, tmp_path: Path
) -> None:
    secrets = {"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"}
    session = {name: value for name, value in environment.items() if name not in secrets}
    session["PATH"] = f"{AZ.parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "auditor", "audit", "--check", "backup-protection", "--quiet"],
        cwd=tmp_path,
        env=session,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 20, done.stderr
    report = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))
    assert {machine["id"] for machine in report["machines"]} == {vm.key for vm in estate.vms}
