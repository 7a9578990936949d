"""Every call that this room makes: its path, api-version, permission and the quotas it is counted in.

The compute figures are Microsoft's published throttling table (2024-05-27: per minute and burst). The
Recovery Services figure is the limit that a real refusal names: 150 per action and hour. ARM itself
publishes no figure that its own headers bear out, so its lane starts open and follows the headers;
25 per second, the published refill, is the pace after a refusal.
"""

import math
import re
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote, urlencode

from auditor.azure.retry_after import ARM_READS
from auditor.azure.throttle import LaneKey, Quota

API = {
    "subscriptions": "2022-12-01",
    "managementGroups": "2020-05-01",
    "virtualMachines": "2026-04-01",
    "vaults": "2026-11-01",
    "backup": "2026-10-01",
    "network": "2024-05-01",
    "permissions": "2022-04-01",
}

HIGH_COST_GET = Quota("HighCostGet", 900, 300 / 60)
LOW_COST_GET = Quota("LowCostGet", 24_000, 8_000 / 60)
LOW_COST_GET_RESOURCE = Quota("LowCostGetResource", 36, 12 / 60)
UPDATE_VM = Quota("UpdateVM", 1_500, 500 / 60)
UPDATE_VM_RESOURCE = Quota("UpdateVMResource", 12, 4 / 60)
ARM = Quota(ARM_READS, math.inf, 25)

_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+").fullmatch
_ACTION = re.compile(r"[A-Za-z]*").fullmatch
_RESOURCE = re.compile(
    r"/subscriptions/(?P<subscription>[^/?#]+)/resourceGroups/[^/?#]+/providers/Microsoft\.Compute"
    r"/virtualMachines/[^/?#]+(?P<extension>/extensions/[^/?#]+)?",
    re.IGNORECASE,
).fullmatch
_VM = "Microsoft.Compute/virtualMachines"
_VM_RIGHT = f"{_VM}/read"
_ITEM_RIGHT = "Microsoft.RecoveryServices/Vaults/backupFabrics/protectionContainers/protectedItems"
_VM_RIGHTS = f"{_VM_RIGHT} and {_VM}/instanceView/read"
_PLAIN = f"?api-version={API['virtualMachines']}"
_EXPANDED = f"?$expand=instanceView&api-version={API['virtualMachines']}"
_VAULT_ITEMS = "backupManagementType eq 'AzureIaasVM' and itemType eq 'VM'"
_VM_POLICIES = "backupManagementType eq 'AzureIaasVM'"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the address below the resource manager, the lanes it passes, the right it needs."""

    url: str
    lanes: tuple[LaneKey, ...]
    permission: str

    @property
    def recovery_services(self) -> bool:
        """Whether Recovery Services answers it."""
        return self.permission.startswith("Microsoft.RecoveryServices/")


def subscriptions() -> Call:
    """Every subscription that the identity can see."""
    return _call("/subscriptions", "subscriptions", (), "Microsoft.Resources/subscriptions/read")


def permissions(scope: str) -> Call:
    """What the identity may do at a subscription or resource group (its id)."""
    path = f"{_path(scope)}/providers/Microsoft.Authorization/permissions"
    lanes = (_arm(scope.split("/")[2].lower()),)
    return _call(path, "permissions", lanes, "Microsoft.Authorization/permissions/read")


def descendants(group: str) -> Call:
    """Everything below a management group, however deep."""
    path = f"/providers/Microsoft.Management/managementGroups/{quote(group, safe='')}/descendants"
    right = "Microsoft.Management/managementGroups/descendants/read"
    return _call(path, "managementGroups", (), right)


def virtual_machines(subscription: str) -> Call:
    """The VMs of a subscription."""
    return _call(
        f"/subscriptions/{quote(subscription, safe='')}/providers/Microsoft.Compute/virtualMachines",
        "virtualMachines",
        (LaneKey(HIGH_COST_GET, (subscription,)), _arm(subscription)),
        _VM_RIGHT,
    )


def virtual_machine(vm_id: str, subscription: str, location: str, *, instance_view: bool) -> Call:
    """One VM, with its instance view and extensions if asked for."""
    shared = _low_cost(subscription, location)
    lanes = (shared, LaneKey(LOW_COST_GET_RESOURCE, (vm_id,)), _arm(subscription))
    if instance_view:
        return Call(_path(vm_id) + _EXPANDED, lanes, _VM_RIGHTS)
    return Call(_path(vm_id) + _PLAIN, lanes, _VM_RIGHT)


def run_command(vm_id: str, subscription: str, location: str) -> Call:
    """A script for one VM, to be sent as a POST."""
    right = "Microsoft.Compute/virtualMachines/runCommand/action"
    lanes = (LaneKey(UPDATE_VM, (subscription, location)), LaneKey(UPDATE_VM_RESOURCE, (vm_id,)))
    return Call(f"{_path(vm_id)}/runCommand{_PLAIN}", lanes, right)


def operation(url: str, subscription: str) -> Call:
    """An operation under way, at the address that Azure gave."""
    return Call(url, (_arm(subscription),), "Microsoft.Compute/locations/operations/read")


def network_interfaces(subscription: str) -> Call:
    """The network interfaces of a subscription."""
    return _network(subscription, "networkInterfaces")


def public_addresses(subscription: str) -> Call:
    """The public IP addresses of a subscription."""
    return _network(subscription, "publicIPAddresses")


def _network(subscription: str, kind: str) -> Call:
    path = f"/subscriptions/{quote(subscription, safe='')}/providers/Microsoft.Network/{kind}"
    return _call(path, "network", (_arm(subscription),), f"Microsoft.Network/{kind}/read")


def vaults(subscription: str) -> Call:
    """The Recovery Services vaults of a subscription."""
    path = f"/subscriptions/{quote(subscription, safe='')}/providers/Microsoft.RecoveryServices/vaults"
    right = "Microsoft.RecoveryServices/Vaults/read"
    return _call(path, "vaults", (_per_action(right, subscription), _arm(subscription)), right)


def protected_items(vault_id: str, subscription: str) -> Call:
    """The protected Azure VMs of a vault."""
    return _in_vault(vault_id, subscription, "backupProtectedItems", _VAULT_ITEMS)


def policies(vault_id: str, subscription: str) -> Call:
    """The backup policies for Azure VMs of a vault."""
    return _in_vault(vault_id, subscription, "backupPolicies", _VM_POLICIES)


def jobs(vault_id: str, subscription: str, window: str) -> Call:
    """The jobs of Azure VMs of a vault; `window` is a filter on times."""
    return _in_vault(vault_id, subscription, "backupJobs", f"{_VM_POLICIES} and {window}")


def jobs_in_flight(vault_id: str, subscription: str, status: str) -> Call:
    """The jobs of Azure VMs of a vault that have this status, however old."""
    return _in_vault(vault_id, subscription, "backupJobs", f"{_VM_POLICIES} and status eq '{status}'")


def job(job_id: str, subscription: str) -> Call:
    """One job with its error details."""
    right = "Microsoft.RecoveryServices/Vaults/backupJobs/read"
    return _call(_path(job_id), "backup", (_per_action(right, subscription), _arm(subscription)), right)


def start_backup(item_id: str, subscription: str) -> Call:
    """A backup of a protected item now, to be sent as a POST."""
    return _of_item(f"{item_id}/backup", subscription, "backup/action")


def backup_operation(url: str, subscription: str) -> Call:
    """An operation on a protected item, at the address that Azure gave."""
    right = f"{_ITEM_RIGHT}/operationsStatus/read"
    return Call(url, (_per_action(right, subscription), _arm(subscription)), right)


def recovery_points(item_id: str, subscription: str) -> Call:
    """The recovery points of a protected item."""
    return _of_item(f"{item_id}/recoveryPoints", subscription, "recoveryPoints/read")


def _of_item(path: str, subscription: str, right: str) -> Call:
    whole = f"{_ITEM_RIGHT}/{right}"
    return _call(_path(path), "backup", (_per_action(whole, subscription), _arm(subscription)), whole)


def write(method: str, resource: str, action: str) -> Call:
    """A change of a VM or of an extension of one; raises `ValueError` for anything else."""
    subscription, kind = _changeable(resource)
    lanes = (LaneKey(UPDATE_VM, (subscription, "")), LaneKey(UPDATE_VM_RESOURCE, (resource.lower(),)))
    rights = {"PATCH": "write", "DELETE": "delete", "POST": f"{action}/action"}
    if method not in rights or bool(action) != (method == "POST") or not _ACTION(action):
        raise ValueError(f"{method} {action} is no change that this program makes")
    path = f"{_path(resource)}/{action}" if action else _path(resource)
    return Call(f"{path}{_PLAIN}", lanes, f"{kind}/{rights[method]}")


def changed(resource: str) -> Call:
    """A VM, with its run-time view, or an extension of one, to see whether a change has come."""
    subscription, kind = _changeable(resource)
    if kind == _VM:
        return virtual_machine(resource, subscription, "", instance_view=True)
    lanes = (_low_cost(subscription, ""), LaneKey(LOW_COST_GET_RESOURCE, (resource.lower(),)))
    return Call(_path(resource) + _PLAIN, lanes, f"{kind}/read")


def _changeable(resource: str) -> tuple[str, str]:
    found = _RESOURCE(resource)
    if found is None or {".", ".."} & set(resource.split("/")):
        raise ValueError(f"{resource[:300]!r} is neither a VM nor an extension of one")
    return found["subscription"].lower(), f"{_VM}/extensions" if found["extension"] else _VM


def _in_vault(vault_id: str, subscription: str, collection: str, condition: str) -> Call:
    right = f"Microsoft.RecoveryServices/Vaults/{collection}/read"
    lanes = (_per_action(right, subscription), _arm(subscription))
    return _call(f"{_path(vault_id)}/{collection}", "backup", lanes, right, {"$filter": condition})


def _per_action(action: str, subscription: str) -> LaneKey:
    return LaneKey(Quota(action, 150, 150 / 3600), (subscription,))


@cache
def _low_cost(subscription: str, location: str) -> LaneKey:
    return LaneKey(LOW_COST_GET, (subscription, location))


@cache
def _arm(subscription: str) -> LaneKey:
    return LaneKey(ARM, (subscription,))


def _path(resource_id: str) -> str:
    return resource_id if _PLAIN_PATH(resource_id) else quote(resource_id, safe="/;()!*'~")


def _call(
    path: str, api: str, lanes: tuple[LaneKey, ...], right: str, query: dict[str, str] | None = None
) -> Call:
    parameters = urlencode({**(query or {}), "api-version": API[api]}, safe="$", quote_via=quote)
    return Call(f"{path}?{parameters}", lanes or (LaneKey(ARM, ("tenant",)),), right)
