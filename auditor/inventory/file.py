"""Machines from files: our hosts files, and Ansible's inventories. Data only: nothing in them runs."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from auditor.errors import InventoryFileError
from auditor.inventory import ansible
from auditor.inventory.ansible.ini import looks_like_ini
from auditor.inventory.documents import read_json, read_text, read_yaml
from auditor.inventory.host import Host
from auditor.inventory.hosts_file import csv_hosts, yaml_hosts

logger = logging.getLogger(__name__)

INI, YAML, CSV = {".ini", ".cfg"}, {".yaml", ".yml"}, {".csv"}


def read_hosts(path: Path) -> tuple[Host, ...]:
    """The hosts of a file, in its order; raises `InventoryFileError` naming place and way out.

    What a file is, its name and then its content decide: `.csv` is CSV, `.ini` and `.cfg` are INI, `.yaml`,
    `.yml` and `.json` are a hosts file or an inventory by their keys, anything else is looked at.
    """
    placed = list(_hosts(path, read_text(path)))
    if not placed:
        raise InventoryFileError(f"{path} names no host; each needs at least a name and an address")
    _refuse_twins(placed)
    return tuple(host for _, host in placed)


def _hosts(path: Path, text: str) -> Iterator[tuple[str, Host]]:
    suffix = path.suffix.lower()
    if suffix in CSV:
        return csv_hosts(path, text)
    if suffix in INI or (suffix not in YAML | {".json"} and looks_like_ini(text)):
        return ansible.ini_hosts(path, text)
    document = read_json(path, text) if text.lstrip().startswith("{") else read_yaml(path, text)
    if document.content is None:
        return iter(())
    if ansible.is_inventory(document.content):
        if document.twice:
            logger.warning("%s; only the last one counts", document.twice)
        return ansible.structured_hosts(path, document.content)
    if document.twice:
        raise InventoryFileError(f"{document.twice}; put both into one")
    return yaml_hosts(path, document.content)


def _refuse_twins(placed: Iterable[tuple[str, Host]]) -> None:
    seen: dict[str, str] = {}
    for where, host in placed:
        machine = host.machine
        for key, what in ((f"name {machine.name.lower()}", "name"), (machine.id, "azure_id")):
            if seen.get(key, where) != where:
                raise InventoryFileError(
                    f"{where}: the {what} of {machine.name!r} stands at {seen[key]} already; choose another"
                )
            seen[key] = where
