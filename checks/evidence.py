"""Small words for evidence: when it was, how long ago, and what stood there, cut to size."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from auditor.facts import Agent, Guest, InstanceView, ProtectedItem, StatusCode, Unseen
from auditor.model import Evidence, Plane

LONGEST = 200


def clip(text: str, longest: int = LONGEST) -> str:
    """The text on one line, cut to `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def span(length: timedelta) -> str:
    """A length of time in its largest whole unit: "3 h"."""
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size * (2 if unit == "d" else 1):
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"


def listing(names: Iterable[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    every = [clip(name, 80) for name in names]
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def reported(view: InstanceView, status: StatusCode | None) -> Evidence:
    """What Azure holds of the agent, dated by the agent's own report."""
    at = status.at if status else view.observed_at
    return Evidence(Plane.INSTANCE_VIEW, "vmAgent", at, _agent_text(view.agent, status))


def powered(view: InstanceView) -> Evidence:
    """The power state."""
    state = clip(view.power_state or "not shown")
    return Evidence(Plane.INSTANCE_VIEW, "power state", view.observed_at, state)


def in_guest(guest: Guest, source: str, value: str) -> Evidence:
    """Something that the probe saw."""
    return Evidence(Plane.GUEST, source, guest.observed_at, clip(value))


def unseen(plane: Plane, source: str, fact: Unseen) -> Evidence:
    """Something that could not be seen, and why."""
    return Evidence(plane, source, None, clip(f"not seen: {fact.reason}"))


def protected(item: ProtectedItem, at: datetime, value: str) -> Evidence:
    """Something that a vault says of its item."""
    return Evidence(Plane.BACKUP, f"vault {clip(item.vault.name, 60)}", at, clip(value))


def _agent_text(agent: Agent | None, status: StatusCode | None) -> str:
    if agent is None:
        return "no agent status"
    state = status.display or status.code if status else "no status"
    return clip(f"{agent.version or 'no version'}, {state}")
