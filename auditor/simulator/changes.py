"""Microsoft.Compute, changing: a VM's properties, and its state applied once more."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from auditor.simulator import throttle
from auditor.simulator.compute import VM, operation_headers
from auditor.simulator.replies import Call, Reply, answer
from auditor.simulator.routes import Router
from auditor.simulator.state import VmState
from auditor.simulator.world import World

_KIND = "Microsoft.Compute/virtualMachines"


class Changes:
    """Handlers that change a VM itself."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, router: Router) -> None:
        """Bind the paths with what they cost."""
        meter = throttle.UPDATE_VM
        router.add("PATCH", VM, self.patch, kind="vm.patch", action=f"{_KIND}/write", meter=meter)
        reapply = f"{_KIND}/reapply/action"
        router.add("POST", f"{VM}/reapply", self.reapply, kind="vm.reapply", action=reapply, meter=meter)

    def patch(self, call: Call) -> Reply:
        """Change properties or tags: the answer says Updating, the operation ends it."""
        state = self._world.vm(call)
        changes = {k: v for k, v in call.body.items() if k in ("properties", "tags")}
        with state.changing():
            state.model = merged(state.model, changes)
            applied(state)
        updating = merged(state.model, {"properties": {"provisioningState": "Updating"}})
        headers = operation_headers(call, state, self._world.start(), location=False)
        return answer(updating, 200, headers)

    def reapply(self, call: Call) -> Reply:
        """Apply the VM's state once more: a failure that nothing keeps alive is gone afterwards."""
        state = self._world.vm(call)
        with state.changing():
            _reapplied(state)
        # the published sample of this call shows the one header
        return Reply(202, headers=operation_headers(call, state, self._world.start(), status=False))


def merged(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the changes laid over it, object by object."""
    whole = dict(document)
    for name, value in changes.items():
        known = whole.get(name)
        nested = isinstance(known, Mapping) and isinstance(value, Mapping)
        whole[name] = merged(known, value) if nested and isinstance(known, Mapping) else value
    return whole


def _reapplied(state: VmState) -> None:
    succeeded = {"properties": {"provisioningState": "Succeeded"}}
    state.model = merged(state.model, succeeded)
    seen = {entry["name"].lower() for entry in state.view.get("extensions", ())}
    for name, document in state.extensions.items():
        if name not in seen:
            state.extensions[name] = merged(document, succeeded)
    applied(state)


def applied(state: VmState) -> None:
    """Note in the instance view that an operation on the VM has just ended as its model says."""
    if state.model["properties"]["provisioningState"] == "Succeeded":
        status = {
            "code": "ProvisioningState/succeeded",
            "level": "Info",
            "displayStatus": "Provisioning succeeded",
            "time": datetime.fromtimestamp(time.time(), UTC).isoformat(),
        }
        rest = [s for s in state.view["statuses"] if not s["code"].startswith("ProvisioningState/")]
        state.view = {**state.view, "statuses": [status, *rest]}
