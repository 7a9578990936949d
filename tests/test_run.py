"""What a run is about: the checks chosen, and Azure and the hosts files made one inventory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditor.engine import Inventory
from auditor.errors import SettingsError, UsageError
from auditor.inventory.scope import Scope
from auditor.model import Connection, Machine, Platform
from auditor.plugin import load_checks
from auditor.run import Request, check_usable, choose, combine, unmatched
from auditor.settings import Settings, resolve, settings

VM = Machine(
    "/subscriptions/s/resourcegroups/one/providers/microsoft.compute/virtualmachines/web",
    "web",
    Platform.LINUX,
    "azure",
    location="westeurope",
    resource_group="one",
)
TWIN = replace(VM, id=VM.id.replace("/one/", "/two/"), resource_group="two")
WAY_IN = Connection("10.0.0.4", user="azops")
HOST = Machine("host/web", "web", Platform.LINUX, "hosts-file", connection=WAY_IN)


def given(**options: object) -> Settings:
    return settings(resolve(options, environment={}, read_file=False))


def test_a_host_with_an_azure_id_is_that_vm_and_no_other() -> None:
    found = combine(Inventory((VM, TWIN)), [replace(HOST, id=VM.id)])
    assert found.machines == (VM, TWIN)
    assert found.lost == ()


def test_a_host_of_the_same_name_is_a_machine_of_its_own() -> None:
    assert combine(Inventory((VM,)), [HOST]).machines == (VM, HOST)


def test_an_azure_id_that_azure_does_not_list_is_lost_and_named() -> None:
    found = combine(Inventory((VM,)), [replace(HOST, id=TWIN.id)])
    assert found.machines == (VM,)
    assert [lost.id for lost in found.lost] == [TWIN.id]


@pytest.mark.parametrize(
    ("wanted", "missing"),
    [
        ("web", []),
        ("WEB", []),
        (VM.id.upper() + "/", []),
        ("host/web", []),
        ("wep", ["wep"]),
        (TWIN.id, [TWIN.id]),
    ],
)
def test_a_machine_asked_for_and_not_found_is_lost(wanted: str, missing: list[str]) -> None:
    found = unmatched(Scope(vms=(wanted,)), Inventory((VM, HOST)))
    assert [lost.id for lost in found] == missing


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"check": "wire-server,vault-in-region"}, ["vault-in-region", "wire-server"]),
        ({"check": "wire-server,vault-in-region", "skip_check": "wire-server"}, ["vault-in-region"]),
    ],
)
def test_checks_are_chosen_in_their_own_order(options: dict[str, object], expected: list[str]) -> None:
    assert [check.id for check in choose(load_checks(), given(**options))] == expected


def test_all_but_the_skipped_are_chosen() -> None:
    everything = load_checks()
    assert len(choose(everything, given(skip_check="wire-server"))) == len(everything) - 1


def test_the_same_host_in_two_files_is_refused(tmp_path: Path) -> None:
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for file in files:
        file.write_text("name,platform,address\nweb,linux,10.0.0.4\n")
    with pytest.raises(UsageError, match="two entries of the hosts files are 'web'"):
        Request.prepare(given(inventory=[str(file) for file in files]), load_checks())


def test_no_check_left_is_refused() -> None:
    with pytest.raises(SettingsError, match="leave no check"):
        choose(load_checks(), given(check="wire-server", skip_check="wire-server"))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"ssh_config": "{}/nowhere"}, "--ssh-config: there is no file"),
        ({"ssh_config": "{}"}, "--ssh-config: there is no file"),
        ({"ssh_config": "none"}, None),
        ({"key": "{}/nowhere"}, "--key: there is no file"),
        ({"key": "{}/in-the-agent"}, None),
        ({"known_hosts": "{}/nowhere"}, "--known-hosts: there is no file"),
        ({"known_hosts": "{}", "host_key_policy": "accept-new"}, "--known-hosts: there is no file"),
        ({"known_hosts": "{}/nowhere", "host_key_policy": "accept-new"}, None),
        ({"run_command": True}, None),
        ({"run_command": True, "inventory": ["h"]}, "--run-command goes through Azure"),
        ({"run_command": True, "inventory": ["h"], "target_region": "x"}, "--run-command goes through Azure"),
        ({"run_command": True, "inventory": ["h"], "azure": True}, None),
    ],
)
def test_what_no_guest_could_be_asked_with(tmp_path: Path, raw: dict[str, Any], said: str | None) -> None:
    (tmp_path / "in-the-agent.pub").touch()
    wanted = given(
        **{name: one.format(tmp_path) if isinstance(one, str) else one for name, one in raw.items()}
    )
    if said is None:
        check_usable(wanted)
    else:
        with pytest.raises(SettingsError, match=said):
            check_usable(wanted)
