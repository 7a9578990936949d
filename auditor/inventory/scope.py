"""Which machines a run is about."""

from dataclasses import dataclass

from auditor.model import Machine


@dataclass(frozen=True, slots=True)
class Scope:
    """Filters; an empty one lets everything through, several of a kind are alternatives.

    `vms` holds VM names or whole resource ids; names and ids compare without regard to case, and
    so do tag keys, as in Azure; tag values compare exactly.
    """

    subscriptions: tuple[str, ...] = ()
    management_groups: tuple[str, ...] = ()
    resource_groups: tuple[str, ...] = ()
    vms: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    locations: tuple[str, ...] = ()

    def includes(self, machine: Machine) -> bool:
        """Whether the machine passes the filters that look at a machine (not at a subscription)."""
        return (
            _any_of(self.resource_groups, machine.resource_group)
            and (_any_of(self.vms, machine.name) or _any_of(self.vms, machine.id))
            and _any_of(tuple(map(normal_location, self.locations)), normal_location(machine.location))
            and self._has_tags(machine)
        )

    def _has_tags(self, machine: Machine) -> bool:
        tags = {key.lower(): value for key, value in machine.tags.items()}
        return all(tags.get(key.lower()) == value for key, value in self.tags)

    def as_mapping(self) -> dict[str, tuple[str, ...]]:
        """The filters that are set, for the report."""
        filters = {
            "subscription": self.subscriptions,
            "management_group": self.management_groups,
            "resource_group": self.resource_groups,
            "vm": self.vms,
            "tag": tuple(f"{key}={value}" for key, value in self.tags),
            "location": self.locations,
        }
        return {name: values for name, values in filters.items() if values}


def normal_location(location: str) -> str:
    """ "West Europe" and "westeurope" are one place."""
    return location.replace(" ", "").lower()


def _any_of(wanted: tuple[str, ...], value: str) -> bool:
    return not wanted or value.lower() in {item.lower() for item in wanted}
