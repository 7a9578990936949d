"""Machines from Ansible inventories: what `ansible-inventory --list` prints, and static INI and YAML files.

Nothing of them is evaluated: a template is never rendered, and a password is never taken.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auditor.inventory.ansible.groups import Groups
from auditor.inventory.ansible.ini import read_ini
from auditor.inventory.ansible.mapping import Notes, host
from auditor.inventory.ansible.structured import META, is_inventory, read_structured
from auditor.inventory.host import Host

__all__ = ["ini_hosts", "is_inventory", "structured_hosts"]

logger = logging.getLogger(__name__)


def ini_hosts(path: Path, text: str) -> Iterator[tuple[str, Host]]:
    """The hosts of a static INI inventory, each with its place."""
    return _hosts(path, read_ini(path, text), static=True)


def structured_hosts(path: Path, document: Any) -> Iterator[tuple[str, Host]]:
    """The hosts of a YAML inventory, or of what `ansible-inventory --list` prints, each with its place."""
    return _hosts(path, read_structured(path, document), static=META not in document)


def _hosts(path: Path, groups: Groups, *, static: bool) -> Iterator[tuple[str, Host]]:
    if static:
        _warn_of_folders(path)
    notes = Notes(path)
    for name in groups.hosts:
        member_of = [group for group in groups.of(name) if group != "all"]
        yield f"{path}, host {name!r}", host(name, groups.variables(name), member_of, notes)
    notes.say()


def _warn_of_folders(path: Path) -> None:
    """Ansible also reads folders beside a static inventory; what it makes of them is not imitated."""
    for folder in ("group_vars", "host_vars"):
        if (path.parent / folder).is_dir():
            logger.warning(
                "%s: %s beside it is not read; `ansible-inventory -i %s --list > inventory.json` joins both",
                path,
                folder,
                path.name,
            )
