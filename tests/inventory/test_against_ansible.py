"""Our reading of inventories against that of a real `ansible-inventory`."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from auditor.inventory.file import read_hosts
from auditor.model import Machine
from tests.conftest import require_lane
from tests.inventory.inventories import ALL

ANSIBLE = Path(
    os.environ.get("AUDITOR_ANSIBLE") or Path(__file__).parents[2] / ".venv-peers/bin/ansible-inventory"
)
OURS = {"ssh": "ssh", "paramiko": "ssh", "winrm": "winrm", "psrp": "winrm"}

pytestmark = pytest.mark.ansible


@pytest.fixture(scope="module", autouse=True)
def _lane() -> None:
    require_lane("ansible", ANSIBLE.exists())


def listed(path: Path, *options: str) -> str:
    """What `ansible-inventory --list` prints of a file."""
    done = subprocess.run(
        [ANSIBLE, "-i", path, "--list", *options],
        env={"PATH": os.environ["PATH"], "HOME": str(path.parent), "ANSIBLE_LOCALHOST_WARNING": "0"},
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def machines(path: Path) -> dict[str, Machine]:
    return {host.machine.name: host.connected() for host in read_hosts(path)}


def members(inventory: Mapping[str, Any], group: str) -> Iterator[str]:
    content = inventory.get(group, {})
    yield from content.get("hosts", ())
    for child in content.get("children", ()):
        yield from members(inventory, child)


def expected(inventory: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What Ansible's own merged variables say, host by host."""
    groups = {group: set(members(inventory, group)) for group in inventory if group not in {"_meta", "all"}}
    found = {}
    for host in set(members(inventory, "all")):
        variables = inventory["_meta"]["hostvars"].get(host, {})
        transport = OURS[variables.get("ansible_connection", "ssh")]
        ssh = transport == "ssh"
        user = variables.get("ansible_ssh_user" if ssh else "") or variables.get("ansible_user")
        own_port = (
            variables.get("ansible_winrm_port") if variables.get("ansible_connection") == "winrm" else None
        )
        found[host] = {
            "address": variables.get("ansible_host", host),
            "port": own_port or variables.get("ansible_port"),
            "user": user,
            "key": variables.get("ansible_ssh_private_key_file") or variables.get("ansible_private_key_file"),
            "transport": transport,
            "groups": {group for group, names in groups.items() if host in names},
        }
    return found


def ours(path: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for name, machine in machines(path).items():
        connection = machine.connection
        assert connection is not None
        fields = {
            field: getattr(connection, field) for field in ("address", "port", "user", "key", "transport")
        }
        groups = {tag.removeprefix("group:") for tag, value in machine.tags.items() if value == "yes"}
        found[name] = {**fields, "groups": groups}
    return found


@pytest.mark.parametrize("name", ALL)
def test_the_same_hosts_variables_and_groups(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(ALL[name])
    assert ours(path) == expected(json.loads(listed(path)))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("options", [(), ("--export",), ("--yaml",), ("--yaml", "--export")], ids=" ".join)
def test_what_it_prints_says_the_same_as_the_file(
    tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    path = tmp_path / name
    path.write_text(ALL[name])
    printed = tmp_path / ("printed.yaml" if "--yaml" in options else "printed.json")
    printed.write_text(listed(path, *options))
    assert machines(printed) == machines(path)
