"""What the identity may do in Azure: the rights that this program uses, and who says that it has them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from auditor.model import Limit

_ITEM = "Microsoft.RecoveryServices/Vaults/backupFabrics/protectionContainers/protectedItems"

AUDIT: Mapping[str, str] = {
    "Microsoft.Authorization/permissions/read": "say what the identity may do",
    "Microsoft.Compute/virtualMachines/instanceView/read": "see power state, agent and extensions",
    "Microsoft.Compute/virtualMachines/read": "list the machines",
    "Microsoft.Management/managementGroups/descendants/read": "audit below a management group",
    "Microsoft.Network/networkInterfaces/read": "find the addresses of guests",
    "Microsoft.Network/publicIPAddresses/read": "find the addresses of guests",
    "Microsoft.RecoveryServices/Vaults/backupJobs/read": "see backups that run or failed",
    "Microsoft.RecoveryServices/Vaults/backupPolicies/read": "see schedules and consistency",
    "Microsoft.RecoveryServices/Vaults/backupProtectedItems/read": "see what is protected",
    "Microsoft.RecoveryServices/Vaults/read": "list the vaults",
    "Microsoft.Resources/subscriptions/read": "list the subscriptions",
}
"""The actions of roles/audit.json, and what each is for."""

REMEDIATE: Mapping[str, str] = {
    "Microsoft.Compute/locations/operations/read": "follow a change to its end",
    "Microsoft.Compute/virtualMachines/extensions/delete": "backup-extension-reset",
    "Microsoft.Compute/virtualMachines/extensions/read": "backup-extension-reset",
    "Microsoft.Compute/virtualMachines/reapply/action": "vm-reapply",
    "Microsoft.Compute/virtualMachines/write": "vm-agent-property",
    f"{_ITEM}/backup/action": "back up on demand",
    f"{_ITEM}/operationsStatus/read": "back up on demand",
    f"{_ITEM}/recoveryPoints/read": "back up on demand",
}
"""The actions of roles/remediate.json, which adds to the other role, and what each is for."""

OPTIONAL: Mapping[str, str] = {
    "Microsoft.Compute/virtualMachines/runCommand/action": "ask guests through Run Command",
}
"""In neither role: it lets its holder run anything in every guest."""


@dataclass(frozen=True, slots=True)
class Permission:
    """What one role assignment allows, and takes out again; both may hold wildcards."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        """Whether it allows the action; data actions are another matter."""
        return _among(action, self.actions) and not _among(action, self.not_actions)


def allowed(permissions: Iterable[Permission], action: str) -> bool:
    """Whether any of the assignments allows the action: what one takes out another may give."""
    return any(permission.allows(action) for permission in permissions)


@dataclass(frozen=True, slots=True)
class Seen:
    """A subscription: what the identity may do there, and in each resource group that it sees.

    Groups are read only where the subscription alone does not allow everything. `problem` says why the
    permissions could not be read; `reads` holds by action how the harmless reads in it went.
    """

    id: str
    name: str
    state: str
    permissions: tuple[Permission, ...] = ()
    groups: Mapping[str, tuple[Permission, ...]] = field(default_factory=dict)
    problem: str | None = None
    reads: Mapping[str, "Read"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Read:
    """How a harmless read went: it worked, Azure refused it, or (neither) nobody can tell."""

    worked: bool
    refused: bool = False
    said: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found."""

    seen: tuple[Seen, ...]
    limits: tuple[Limit, ...]


def best_read(seen: Iterable[Seen], action: str) -> Read | None:
    """The read for an action that went best in these subscriptions; None where none was tried."""
    tried = [one.reads[action] for one in seen if action in one.reads]
    return next((read for read in tried if read.worked), tried[-1] if tried else None)


def _among(action: str, patterns: Iterable[str]) -> bool:
    return any(_pattern(pattern).fullmatch(action) for pattern in patterns)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.IGNORECASE | re.DOTALL)
