"""Subscriptions, resource groups, management groups, and what else `az` asks of the resource manager."""

from typing import Any

import orjson

from auditor.simulator.estate import Subscription
from auditor.simulator.replies import ArmError, Call, Reply, answer, group_not_found, not_found, paged
from auditor.simulator.routes import Router
from auditor.simulator.world import World

_GROUPS = "/providers/Microsoft.Management/managementGroups"


class Subscriptions:
    """Handlers of the resource manager itself."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, router: Router) -> None:
        """Bind the paths."""
        read = "Microsoft.Resources/subscriptions/read"
        groups = "Microsoft.Resources/subscriptions/resourceGroups/read"
        add = router.add
        add("GET", "/tenants", self.tenants, kind="tenants")
        add("GET", "/subscriptions", self.list, kind="subscription.list", action=read)
        add("GET", "/subscriptions/{sub}", self.get, kind="subscription.get", action=read)
        add("GET", "/subscriptions/{sub}/resourceGroups", self.groups, kind="group.list", action=groups)
        add("GET", "/subscriptions/{sub}/resourceGroups/{group}", self.group, kind="group.get", action=groups)
        add("GET", "/subscriptions/{sub}/providers/{provider}", self.provider, kind="provider.get")
        add(
            "GET",
            f"{_GROUPS}/{{mg}}/descendants",
            self.descendants,
            kind="management-group.descendants",
            action="Microsoft.Management/managementGroups/descendants/read",
        )
        add(
            "GET",
            "/subscriptions/{sub}/resourceGroups/{group}/providers/Microsoft.Network/networkInterfaces/{nic}",
            self.nic,
            kind="nic.get",
            action="Microsoft.Network/networkInterfaces/read",
        )

    def tenants(self, _call: Call) -> Reply:
        """The tenant."""
        tenant = self._world.estate.tenant
        return answer({"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant, "displayName": "Contoso"}]})

    def list(self, call: Call) -> Reply:
        """The subscriptions that are visible."""
        documents = [orjson.dumps(self._document(sub)) for sub in self._world.estate.subscriptions]
        return paged(call, documents)

    def get(self, call: Call) -> Reply:
        """One subscription."""
        self._world.see_group(call)
        return answer(self._document(self._world.subscriptions[call.parts["sub"]]))

    def groups(self, call: Call) -> Reply:
        """The resource groups of a subscription."""
        self._world.see_group(call)
        sub = call.parts["sub"]
        names = [name for (owner, _), name in self._world.groups.items() if owner == sub]
        return paged(call, [orjson.dumps(_group(call.spelled["sub"], name)) for name in names])

    def group(self, call: Call) -> Reply:
        """One resource group."""
        self._world.see_group(call)
        name = self._world.groups.get((call.parts["sub"], call.parts["group"]))
        if name is None:
            raise group_not_found(call.spelled["group"])
        return answer(_group(call.spelled["sub"], name))

    def provider(self, call: Call) -> Reply:
        """A resource provider: registered."""
        self._world.see_group(call)
        sub, namespace = call.spelled["sub"], call.spelled["provider"]
        identity = f"/subscriptions/{sub}/providers/{namespace}"
        return answer(
            {"id": identity, "namespace": namespace, "registrationState": "Registered", "resourceTypes": []}
        )

    def descendants(self, call: Call) -> Reply:
        """What is below the management group: two of the subscriptions, one of them in a child group."""
        estate = self._world.estate
        if call.parts["mg"] != estate.management_group:
            message = f"The management group '{call.spelled['mg']}' cannot be found."
            raise ArmError(404, "NotFound", message)
        root = f"{_GROUPS}/{estate.management_group}"
        child = f"{root}-development"
        production, development = estate.subscriptions[0], estate.subscriptions[1]
        entries = [
            _descendant(child, "Microsoft.Management/managementGroups", "Development", root),
            _descendant(f"/subscriptions/{production.id}", "/subscriptions", production.name, root),
            _descendant(f"/subscriptions/{development.id}", "/subscriptions", development.name, child),
        ]
        return paged(call, [orjson.dumps(entry) for entry in entries])

    def nic(self, call: Call) -> Reply:
        """The network interface of a VM, as far as `az vm` shows it."""
        name = call.spelled["nic"]
        owner = name.removesuffix("VMNic").lower()
        base = f"/subscriptions/{call.parts['sub']}/resourcegroups/{call.parts['group']}"
        state = self._world.vms.get(f"{base}/providers/microsoft.compute/virtualmachines/{owner}")
        if state is None:
            raise not_found("Microsoft.Network/networkInterfaces", name, call.spelled["group"])
        config = {
            "name": "ipconfig1",
            "properties": {
                "privateIPAddress": "10.0.0.4",
                "privateIPAllocationMethod": "Dynamic",
                "primary": True,
            },
        }
        properties: dict[str, Any] = {
            "provisioningState": "Succeeded",
            "ipConfigurations": [config],
            "macAddress": "00-0D-3A-00-00-01",
            "virtualMachine": {"id": state.vm.id},
        }
        return answer(
            {"name": name, "id": call.path, "location": state.vm.location, "properties": properties}
        )

    def _document(self, subscription: Subscription) -> dict[str, Any]:
        return {
            "id": f"/subscriptions/{subscription.id}",
            "authorizationSource": "RoleBased",
            "managedByTenants": [],
            "subscriptionId": subscription.id,
            "tenantId": self._world.estate.tenant,
            "displayName": subscription.name,
            "state": "Enabled",
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01",
                "quotaId": "PayAsYouGo_2014-09-01",
                "spendingLimit": "Off",
            },
        }


def _group(subscription: str, name: str) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{subscription}/resourceGroups/{name}",
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": "westeurope",
        "tags": {},
        "properties": {"provisioningState": "Succeeded"},
    }


def _descendant(identity: str, kind: str, name: str, parent: str) -> dict[str, Any]:
    return {
        "id": identity,
        "type": kind,
        "name": identity.rsplit("/", 1)[1],
        "properties": {"displayName": name, "parent": {"id": parent}},
    }
