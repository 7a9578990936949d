"""Microsoft.Authorization: what the simulated identity may do, and what it is asked to be allowed for."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from auditor.simulator.replies import Call, Reply, answer
from auditor.simulator.routes import Router

_KIND = "providers/Microsoft.Authorization/permissions"
_READ = "Microsoft.Authorization/permissions/read"


@dataclass(frozen=True, slots=True)
class Grant:
    """A role assignment: what is allowed at a scope ("/" is everything) and below it."""

    scope: str = "/"
    actions: tuple[str, ...] = ("*",)
    not_actions: tuple[str, ...] = ()

    def covers(self, path: str) -> bool:
        """Whether a path is the scope or below it."""
        scope = self.scope.lower().rstrip("/")
        return path.lower() == scope or path.lower().startswith(f"{scope}/")

    def allows(self, action: str) -> bool:
        """Whether the action is among those that are allowed, and not taken out again."""
        return _among(action, self.actions) and not _among(action, self.not_actions)


def allowed(grants: Iterable[Grant], action: str, path: str) -> bool:
    """Whether any assignment allows the action at the path; the list of subscriptions belongs to no scope."""
    listing = path.lower().rstrip("/") in ("/subscriptions", "/tenants")
    return any((listing or grant.covers(path)) and grant.allows(action) for grant in grants)


class Permissions:
    """The handler that tells the caller what it may do."""

    def __init__(self, grants: tuple[Grant, ...]) -> None:
        self._grants = grants

    def register(self, router: Router) -> None:
        """Bind the paths."""
        for scope in ("/subscriptions/{sub}", "/subscriptions/{sub}/resourceGroups/{group}"):
            router.add("GET", f"{scope}/{_KIND}", self.list, kind="permissions", action=_READ)

    def list(self, call: Call) -> Reply:
        """One entry per assignment that holds at the scope."""
        scope = call.path.lower().partition("/providers/")[0]
        entries = [
            {
                "actions": list(grant.actions),
                "notActions": list(grant.not_actions),
                "dataActions": [],
                "notDataActions": [],
            }
            for grant in self._grants
            if grant.covers(scope)
        ]
        return answer({"value": entries})


def _among(action: str, patterns: Iterable[str]) -> bool:
    return any(_pattern(pattern).fullmatch(action) for pattern in patterns)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.IGNORECASE)
