"""Paths to handlers: case-insensitive, `;` and `%3B` alike, one dictionary look-up per segment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from auditor.simulator.replies import Call, Reply
from auditor.simulator.throttle import ARM_READ, Meter

Handler = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a path: `kind` names it in the statistics, `action` is the permission it needs."""

    kind: str
    action: str
    meter: Meter
    handle: Handler


@dataclass(slots=True)
class _Node:
    fixed: dict[str, "_Node"] = field(default_factory=dict)
    variable: tuple[str, "_Node"] | None = None
    routes: dict[str, Route] = field(default_factory=dict)


class Router:
    """Routes by path; a fixed segment wins over a variable one."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(
        self, method: str, path: str, handle: Handler, *, kind: str, action: str = "", meter: Meter = ARM_READ
    ) -> None:
        """Bind a path, whose variables stand in braces."""
        node = self._root
        for segment in path.strip("/").split("/"):
            if segment.startswith("{"):
                if node.variable is None:
                    node.variable = (segment[1:-1], _Node())
                node = node.variable[1]
            else:
                node = node.fixed.setdefault(segment.lower(), _Node())
        node.routes[method] = Route(kind, action, meter, handle)

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str], Mapping[str, str]] | None:
        """The route of a decoded path, with its variables in lower case and as spelled."""
        node = self._root
        lowered: dict[str, str] = {}
        spelled: dict[str, str] = {}
        for segment in path.strip("/").split("/"):
            lower = segment.lower()
            fixed = node.fixed.get(lower)
            if fixed is not None:
                node = fixed
            elif node.variable is not None:
                name, node = node.variable
                lowered[name], spelled[name] = lower, segment
            else:
                return None
        route = node.routes.get(method)
        return (route, lowered, spelled) if route else None
