"""Microsoft.Compute: machines, instance views, extensions, run command."""

from datetime import UTC, datetime
from typing import Any

from auditor.simulator import throttle
from auditor.simulator.replies import ArmError, Call, Reply, answer, not_found, paged
from auditor.simulator.routes import Router
from auditor.simulator.scenarios import Power
from auditor.simulator.scripts import script_output
from auditor.simulator.state import VmState
from auditor.simulator.views import handler_entry, view_entry
from auditor.simulator.vms import extension_document
from auditor.simulator.world import Operation, World, signed

_SUB = "/subscriptions/{sub}/providers/Microsoft.Compute"
_VMS = "/subscriptions/{sub}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines"
VM = f"{_VMS}/{{vm}}"
_READ = "Microsoft.Compute/virtualMachines/read"
_VIEW = "Microsoft.Compute/virtualMachines/instanceView/read"
_EXTENSIONS = "Microsoft.Compute/virtualMachines/extensions"


class Compute:
    """Handlers of the compute service."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, router: Router) -> None:
        """Bind the paths with what they cost."""
        add, low, high = router.add, throttle.LOW_COST_GET, throttle.HIGH_COST_GET
        update, delete = throttle.UPDATE_VM, throttle.DELETE_VM
        add("GET", f"{_SUB}/virtualMachines", self.list, kind="vm.list", action=_READ, meter=high)
        add(
            "GET",
            f"{_SUB}/locations/{{location}}/virtualMachines",
            self.list_location,
            kind="vm.list",
            action=_READ,
            meter=high,
        )
        add("GET", _VMS, self.list, kind="vm.list", action=_READ, meter=high)
        add("GET", VM, self.get, kind="vm.get", action=_READ, meter=low)
        add("GET", f"{VM}/instanceView", self.view, kind="vm.instance-view", action=_VIEW, meter=low)
        read, write = f"{_EXTENSIONS}/read", f"{_EXTENSIONS}/write"
        one = f"{VM}/extensions/{{extension}}"
        add("GET", f"{VM}/extensions", self.extensions, kind="extension.list", action=read, meter=low)
        add("GET", one, self.extension, kind="extension.get", action=read, meter=low)
        add("PUT", one, self.put_extension, kind="extension.put", action=write, meter=update)
        add(
            "DELETE",
            one,
            self.delete_extension,
            kind="extension.delete",
            action=f"{_EXTENSIONS}/delete",
            meter=delete,
        )
        run = "Microsoft.Compute/virtualMachines/runCommand/action"
        add("POST", f"{VM}/runCommand", self.run_command, kind="vm.run-command", action=run, meter=update)
        add(
            "GET",
            f"{_SUB}/locations/{{location}}/operations/{{operation}}",
            self.operation,
            kind="compute.operation",
            action="Microsoft.Compute/locations/operations/read",
            meter=throttle.GET_OPERATION,
        )

    def list(self, call: Call) -> Reply:
        """The VMs of a subscription or group; `statusOnly=true` sends run-time states instead."""
        states = self._world.vms_of(call)
        if "$expand" in call.query and "$filter" not in call.query:
            message = (
                "The expand parameter is only supported together with a filter by virtualMachineScaleSet."
            )
            raise ArmError(400, "InvalidParameter", message)
        if call.query.get("statusonly", "").lower() == "true" and "group" not in call.parts:
            return paged(call, [state.status_only() for state in states])
        return paged(call, [state.listed() for state in states])

    def list_location(self, call: Call) -> Reply:
        """The VMs of a subscription in one region."""
        region = call.parts["location"]
        return paged(call, [s.listed() for s in self._world.vms_of(call) if s.vm.location == region])

    def get(self, call: Call) -> Reply:
        """One VM, with its instance view when it is asked for."""
        expand = call.query.get("$expand", "").lower() == "instanceview"
        if expand:
            self._world.demand(_VIEW, call.path)
        return Reply(body=self._world.vm(call).full(call.now, expand))

    def view(self, call: Call) -> Reply:
        """The bare instance view."""
        return Reply(body=self._world.vm(call).instance_view(call.now))

    def extensions(self, call: Call) -> Reply:
        """The extensions that are resources of the VM."""
        return answer({"value": list(self._world.vm(call).extensions.values())})

    def extension(self, call: Call) -> Reply:
        """One extension."""
        document = self._extension(call)
        if call.query.get("$expand", "").lower() == "instanceview":
            seen = self._world.vm(call).view.get("extensions", ())
            view = next((entry for entry in seen if entry["name"] == document["name"]), None)
            document = {**document, "properties": {**document["properties"], "instanceView": view}}
        return answer(document)

    def put_extension(self, call: Call) -> Reply:
        """Install an extension: the answer says Creating, the operation ends it."""
        state = self._running(call)
        requested = call.body.get("properties", {})
        kept = {k: v for k, v in requested.items() if k not in ("protectedSettings", "provisioningState")}
        name = call.spelled["extension"]
        document = extension_document(
            state.vm.id, state.vm.location, name, {**kept, "provisioningState": "Succeeded"}
        )
        known = name.lower() in state.extensions
        with state.changing():
            state.extensions[name.lower()] = document
            state.view = _with_extension(state.view, name, kept)
        creating = {
            **document,
            "properties": {**kept, "provisioningState": "Updating" if known else "Creating"},
        }
        headers = operation_headers(call, state, self._world.start(), location=False)
        return answer(creating, 200 if known else 201, headers)

    def delete_extension(self, call: Call) -> Reply:
        """Remove an extension."""
        state = self._running(call)
        with state.changing():
            if state.extensions.pop(call.parts["extension"], None) is None:
                return Reply(204)
            state.view = _without_extension(state.view, call.parts["extension"])
        return Reply(202, headers=operation_headers(call, state, self._world.start()))

    def run_command(self, call: Call) -> Reply:
        """Run a script through the agent: nothing is run, the tool's own probe is known."""
        state = self._running(call)
        lines = [str(line) for line in call.body.get("script") or []]
        text = script_output(state.vm, str(call.body.get("commandId", "")), lines)
        result = {
            "code": "ProvisioningState/succeeded",
            "level": "Info",
            "displayStatus": "Provisioning succeeded",
            "message": f"Enable succeeded: \n[stdout]\n{text}\n\n[stderr]\n",
        }
        operation = self._world.start(output={"value": [result]})
        return Reply(202, headers=operation_headers(call, state, operation))

    def operation(self, call: Call) -> Reply:
        """The state of an operation, or with `monitor=true` its result."""
        operation = self._world.operations.get(call.parts["operation"])
        if operation is None:
            raise ArmError(404, "NotFound", f"The operation '{call.spelled['operation']}' was not found.")
        monitor = call.query.get("monitor") == "true"
        done = operation.done if monitor and operation.done else operation.poll()
        if monitor:
            return self._result(call, operation, done)
        body: dict[str, Any] = {"startTime": _offset(operation.started), "status": "InProgress"}
        if done:
            body |= {"endTime": _offset(call.now), "status": "Succeeded"}
            if operation.output is not None:
                body["properties"] = {"output": operation.output}
        headers = {} if done else {"Retry-After": str(self._world.options.retry_after)}
        return answer({**body, "name": operation.id}, headers=headers)

    def _result(self, call: Call, operation: Operation, done: bool) -> Reply:
        if not done:
            headers = {"Location": f"{call.base}{call.path}?{_query(call)}"}
            return Reply(202, headers=headers | {"Retry-After": str(self._world.options.retry_after)})
        return answer(operation.output) if operation.output is not None else Reply(200)

    def _extension(self, call: Call) -> dict[str, Any]:
        document = self._world.vm(call).extensions.get(call.parts["extension"])
        if document is None:
            name = f"{call.spelled['vm']}/extensions/{call.spelled['extension']}"
            raise not_found("Microsoft.Compute/virtualMachines", name, call.spelled["group"])
        return document

    def _running(self, call: Call) -> VmState:
        state = self._world.vm(call)
        if state.power != Power.RUNNING:
            message = "Cannot modify extensions in the VM when the VM is not running."
            raise ArmError(409, "OperationNotAllowed", message)
        return state


def operation_headers(
    call: Call, state: VmState, operation: Operation, *, location: bool = True, status: bool = True
) -> dict[str, str]:
    """Where an operation on a VM can be followed: by its status, by its result, or by both."""
    base = f"/subscriptions/{state.vm.subscription}/providers/Microsoft.Compute"
    path = f"{base}/locations/{state.vm.location}/operations/{operation.id}"
    version = call.query["api-version"]
    headers = {"Azure-AsyncOperation": signed(call.base, path, version, "p=0&")} if status else {}
    if location:
        headers["Location"] = signed(call.base, path, version, "p=0&monitor=true&")
    return headers


def _query(call: Call) -> str:
    return "&".join(f"{key}={value}" for key, value in call.query.items())


def _offset(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat()


def _with_extension(view: dict[str, Any], name: str, properties: dict[str, Any]) -> dict[str, Any]:
    if "vmAgent" not in view:
        return view
    kind = f"{properties.get('publisher')}.{properties.get('type')}"
    version = f"{properties.get('typeHandlerVersion', '1.0')}.0"
    cleared = _without_extension(view, name.lower())
    agent = cleared["vmAgent"]
    handlers = [entry for entry in agent.get("extensionHandlers", ()) if entry["type"] != kind]
    handlers.append(handler_entry(kind, version, "ProvisioningState/succeeded", "Ready"))
    status = {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "message": "Enable succeeded.",
    }
    entries = [*cleared.get("extensions", ()), view_entry(name, kind, version, status)]
    return {**cleared, "vmAgent": {**agent, "extensionHandlers": handlers}, "extensions": entries}


def _without_extension(view: dict[str, Any], name: str) -> dict[str, Any]:
    entries = view.get("extensions", ())
    gone = [entry.get("type") for entry in entries if entry["name"].lower() == name]
    kept = [entry for entry in entries if entry["name"].lower() != name]
    changed = {key: value for key, value in view.items() if key != "extensions"}
    if kept:
        changed["extensions"] = kept
    if "vmAgent" in view:
        handlers = [h for h in view["vmAgent"].get("extensionHandlers", ()) if h["type"] not in gone]
        changed["vmAgent"] = {**view["vmAgent"], "extensionHandlers": handlers}
    return changed
