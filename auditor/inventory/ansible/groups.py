"""Groups, hosts and their variables, put together as Ansible puts them together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.errors import InventoryFileError

ALL, UNGROUPED = "all", "ungrouped"
MOST_HOSTS = 100_000
PRIORITY = "ansible_group_priority"


@dataclass(slots=True)
class Group:
    """One group: the groups directly above it, its variables, and how it ranks among groups as deep."""

    name: str
    parents: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    priority: int = 1


class Groups:
    """An inventory while it is read; `variables` and `of` are for when it is whole."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._groups: dict[str, Group] = {ALL: Group(ALL), UNGROUPED: Group(UNGROUPED)}
        self._hosts: dict[str, dict[str, Any]] = {}
        self._member: dict[str, list[str]] = {}
        self._depths: dict[str, int] | None = None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts in the order in which they were first named."""
        return tuple(self._hosts)

    def add_group(self, name: str) -> None:
        """Add a group, unless it is there."""
        self._groups.setdefault(name, Group(name))

    def add_child(self, parent: str, child: str) -> None:
        """Put one group below another; both are added where they are missing."""
        self.add_group(parent)
        self.add_group(child)
        if parent == child:
            raise InventoryFileError(f"{self._place}: the group {child!r} is its own child")
        if parent not in self._groups[child].parents:
            self._groups[child].parents.append(parent)

    def add_host(self, host: str, group: str, variables: Mapping[str, Any], port: int | None = None) -> None:
        """Put a host into a group; of variables that stand twice the later counts."""
        self.add_group(group)
        if host not in self._hosts:
            if len(self._hosts) >= MOST_HOSTS:
                raise InventoryFileError(f"{self._place}: more than {MOST_HOSTS} hosts; split it")
            self._hosts[host] = {} if port is None else {"ansible_port": port}
            self._member[host] = []
        self._hosts[host].update(variables)
        if group not in self._member[host]:
            self._member[host].append(group)

    def set_host_variables(self, host: str, variables: Mapping[str, Any]) -> None:
        """Give a host variables; one that no group names is added."""
        if host not in self._hosts:
            self.add_host(host, UNGROUPED, {})
        self._hosts[host].update(variables)

    def set_variable(self, group: str, name: str, value: Any) -> None:
        """Give a group a variable."""
        if name != PRIORITY:
            self._groups[group].variables[name] = value
            return
        try:
            self._groups[group].priority = int(value)
        except (TypeError, ValueError, OverflowError):
            raise InventoryFileError(
                f"{self._place}: {PRIORITY} of the group {group!r} is no whole number"
            ) from None

    def of(self, host: str) -> tuple[str, ...]:
        """The groups a host is in, directly or through others, outermost first; "all" comes first."""
        depths = self._depths = self._depths or self._measure()
        seen: set[str] = {ALL}
        waiting = [name for name in self._member[host] if name not in (ALL, UNGROUPED)] or [UNGROUPED]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += self._groups[name].parents
        return tuple(sorted(seen, key=lambda name: (depths[name], self._groups[name].priority, name)))

    def variables(self, host: str) -> dict[str, Any]:
        """A host's variables: of outer groups, of inner ones, its own, each over those before."""
        merged: dict[str, Any] = {}
        for name in self.of(host):
            merged.update(self._groups[name].variables)
        return {**merged, **self._hosts[host]}

    def _measure(self) -> dict[str, int]:
        """How deep each group lies: the longest way down to it, "all" being 0."""
        if self._groups[ALL].parents:
            raise InventoryFileError(f"{self._place}: the group 'all' cannot stand below another")
        below: dict[str, list[str]] = {name: [] for name in self._groups}
        for name, group in self._groups.items():
            for parent in group.parents:
                below[parent].append(name)
        missing = {name: len(group.parents) for name, group in self._groups.items()}
        depths = {name: int(name != ALL) for name in self._groups}
        ready = [name for name, count in missing.items() if not count]
        for name in ready:  # which grows: a group is ready once all above it are measured
            for child in below[name]:
                depths[child] = max(depths[child], depths[name] + 1)
                missing[child] -= 1
                if not missing[child]:
                    ready.append(child)
        if len(ready) < len(self._groups):
            lost = min(self._groups.keys() - set(ready))
            raise InventoryFileError(f"{self._place}: the group {lost!r} stands below itself")
        return depths
