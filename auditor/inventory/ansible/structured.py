"""Inventories as mappings: static YAML, and the JSON that `ansible-inventory --list` prints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auditor.errors import InventoryFileError
from auditor.inventory.ansible.groups import ALL, Groups
from auditor.inventory.ansible.patterns import expand

META = "_meta"
PARTS = frozenset({"hosts", "children", "vars"})


def is_inventory(document: Any) -> bool:
    """Whether a document has the form of an Ansible inventory, or of an inventory plugin's settings."""
    if not isinstance(document, dict) or "defaults" in document or isinstance(document.get("hosts"), list):
        return False
    if META in document or ALL in document or isinstance(document.get("plugin"), str):
        return True
    return any(isinstance(value, dict) and PARTS & value.keys() for value in document.values())


def read_structured(path: Path, document: Mapping[Any, Any]) -> Groups:
    """The inventory of a document; raises `InventoryFileError` naming the group."""
    if isinstance(document.get("plugin"), str):
        raise InventoryFileError(
            f"{path} holds the settings of an inventory plugin; let Ansible read it: "
            f"ansible-inventory -i {path.name} --list > inventory.json"
        )
    reader = _Reader(Groups(str(path)))
    try:
        for name, content in document.items():
            if name != META:
                reader.read_group(reader.name(name), content)
        reader.read_host_variables(document.get(META))
    except ValueError as error:
        raise InventoryFileError(f"{path}: {error}") from None
    return reader.groups


class _Reader:
    def __init__(self, groups: Groups) -> None:
        self.groups = groups

    def read_group(self, group: str, content: Any) -> None:
        """Read a group and those nested in it."""
        self.groups.add_group(group)
        if isinstance(content, list):
            content = {"hosts": content}
        if content is None:
            return
        if not isinstance(content, dict):
            raise ValueError(f"the group {group!r} is no mapping of hosts, children and vars")
        for key in content:
            if key not in PARTS:
                raise ValueError(f"the group {group!r} has {key!r}; known: children, hosts, vars")
        for name, value in _named(_mapping(group, "vars", content.get("vars"))).items():
            self.groups.set_variable(group, name, value)
        self._read_hosts(group, content.get("hosts"))
        self._read_children(group, content.get("children"))

    def read_host_variables(self, meta: Any) -> None:
        """Read the hosts' variables, which stand apart in what `--list` prints."""
        variables = _mapping(META, "hostvars", _mapping(META, META, meta).get("hostvars"))
        for host, values in variables.items():
            self.groups.set_host_variables(self.name(host), _named(_mapping(META, str(host), values)))

    def name(self, value: Any) -> str:
        """The name of a group or host."""
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise ValueError(f"{value!r} is no name of a group or host; put it in quotes")
        return value

    def _read_hosts(self, group: str, content: Any) -> None:
        if isinstance(content, list):  # as `--list` prints it: names, not patterns
            for item in content:
                self.groups.add_host(self.name(item), group, {})
            return
        for pattern, variables in _mapping(group, "hosts", _keyed(content)).items():
            names, port = expand(self.name(pattern))
            own = _named(_mapping(group, pattern, variables))
            for name in names:
                self.groups.add_host(name, group, own, port)

    def _read_children(self, group: str, content: Any) -> None:
        listed = {self.name(item): None for item in content} if isinstance(content, list) else _keyed(content)
        for child, nested in _mapping(group, "children", listed).items():
            self.groups.add_child(group, self.name(child))
            self.read_group(child, nested)


def _keyed(content: Any) -> Any:
    return {content: None} if isinstance(content, str) else content


def _named(variables: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in variables.items()}


def _mapping(group: str, part: str, value: Any) -> dict[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{part!r} of {group!r} is no mapping")
    return value
