"""The examples of docs/inventory.md are files that can be read."""

import re
from pathlib import Path

import pytest

from auditor.inventory.connections_file import read_connections
from auditor.inventory.file import read_hosts
from auditor.model import Connection, Machine, Platform

PAGE = Path(__file__).parents[2] / "docs" / "inventory.md"


def example(language: str, folder: Path) -> Path:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    path = folder / f"example.{language}"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_hosts_file(tmp_path: Path) -> None:
    web, db, files = (host.connected() for host in read_hosts(example("yaml", tmp_path)))
    assert web.connection == Connection("10.0.4.11", user="azops", key="~/.ssh/fleet")
    assert db.in_azure
    assert files.platform is Platform.WINDOWS
    assert files.connection is not None
    assert (files.connection.transport, files.connection.user) == ("winrm", "CORP\\audit")
    assert [machine.unreachable for machine in (web, db, files)] == ["", "", ""]


@pytest.mark.parametrize(
    ("name", "platform", "place"),
    [("legacy-17", Platform.LINUX, 1), ("web", Platform.WINDOWS, 5), ("web", Platform.LINUX, 15)],
)
def test_the_connections_file(tmp_path: Path, name: str, platform: Platform, place: int) -> None:
    path = example("toml", tmp_path)
    machine = Machine(f"host/{name}", name, platform, "hosts-file", tags={"env": "prod"})
    rule = read_connections(path).rule_for(machine)
    assert rule is not None
    assert rule.where == f"{path}, line {place}"


def test_every_field_has_its_line() -> None:
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| field | meaning |") : text.index("## Ansible inventories")]
    fields = set(Connection.__dataclass_fields__) | {"name", "platform", "tags", "azure_id", "location"}
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    assert {word for cell in cells for word in re.findall(r"`([a-z_]+)`", cell)} == fields
