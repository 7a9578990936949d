"""Instance views as Microsoft.Compute describes them."""

from random import Random
from typing import Any

from auditor.model import Platform
from auditor.simulator.scenarios import ExtensionSpec, Heartbeat, Power, Scenario
from auditor.simulator.seeds import Seed
from auditor.simulator.wire import ago

WINDOWS_VERSIONS = ("2.7.41491.1095", "2.7.41491.1172", "2.7.41491.1010")
LINUX_VERSIONS = ("2.11.1.12", "2.13.0.2", "2.9.1.1", "2.12.0.4", "2.2.53.1")
_NOT_POPULATED = "VM status blob is found but not yet populated."
_POWER_DISPLAY = {
    Power.RUNNING: "VM running",
    Power.STOPPED: "VM stopped",
    Power.DEALLOCATED: "VM deallocated",
}


def power_status(power: str) -> dict[str, Any]:
    """The instance-view status that tells the power state; it carries no time."""
    return {"code": f"PowerState/{power}", "level": "Info", "displayStatus": _POWER_DISPLAY[Power(power)]}


def handler_entry(type_name: str, version: str, code: str, display: str) -> dict[str, Any]:
    """A handler of the agent's list; its level says Info also when it is not ready."""
    status = {"code": code, "level": "Info", "displayStatus": display, "message": "Plugin enabled"}
    return {"type": type_name, "typeHandlerVersion": version, "status": status}


def view_entry(name: str, type_name: str, version: str, status: dict[str, Any]) -> dict[str, Any]:
    """An extension of the instance view."""
    return {"name": name, "type": type_name, "typeHandlerVersion": version, "statuses": [status]}


def reporting(version: str | None, handlers: list[dict[str, Any]]) -> dict[str, Any]:
    """The agent's block while Azure hears it in this version, or (None) while it hears nothing."""
    if version is None:
        return {"vmAgentVersion": "Unknown", "statuses": [_unavailable(_NOT_POPULATED, ago(0))]}
    return {"vmAgentVersion": version, "statuses": [_ready(ago(0))], "extensionHandlers": handlers}


def make_view(rng: Random, seed: Seed) -> dict[str, Any]:
    """The instance view of a machine in the state that its scenario asks for."""
    scenario, image = seed.scenario, seed.image
    view: dict[str, Any] = {}
    if scenario.heartbeat in (Heartbeat.READY, Heartbeat.NOT_READY):
        view |= {"computerName": seed.name, "osName": image.os_name, "osVersion": image.os_version}
    agent = _agent(rng, seed)
    if agent is not None:
        view["vmAgent"] = agent
    view["disks"] = [{"name": seed.disk, "statuses": [_succeeded("2024-10-04T07:19:34.7743922+00:00")]}]
    entries = [_seen(spec) for spec in seed.extensions if spec.in_view and agent is not None]
    if entries:
        view["extensions"] = entries
    view["hyperVGeneration"] = rng.choice(("V1", "V2"))
    view["statuses"] = [_provisioned(scenario), power_status(scenario.power)]
    return view


def _agent(rng: Random, seed: Seed) -> dict[str, Any] | None:
    scenario = seed.scenario
    if scenario.heartbeat is Heartbeat.ABSENT:
        return None
    time = ago(scenario.heartbeat_age + rng.randint(0, 25))
    if scenario.heartbeat is Heartbeat.SILENT:
        return {"vmAgentVersion": "Unknown", "statuses": [_unavailable(_NOT_POPULATED, time)]}
    versions = scenario.versions or (
        WINDOWS_VERSIONS if seed.platform is Platform.WINDOWS else LINUX_VERSIONS
    )
    if scenario.heartbeat is Heartbeat.NOT_READY:
        status = _unavailable("The guest agent does not process the goal state.", time)
    else:
        status = _ready(time)
    handlers = [
        handler_entry(_type_of(spec), spec.version, spec.handler_code, spec.handler_display)
        for spec in seed.extensions
        if spec.in_view
    ]
    return {"vmAgentVersion": rng.choice(versions), "statuses": [status], "extensionHandlers": handlers}


def _ready(time: str) -> dict[str, str]:
    return {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Ready",
        "message": "Guest Agent is running",
        "time": time,
    }


def _unavailable(message: str, time: str) -> dict[str, str]:
    return {
        "code": "ProvisioningState/Unavailable",
        "level": "Warning",
        "displayStatus": "Not Ready",
        "message": message,
        "time": time,
    }


def _succeeded(time: str) -> dict[str, str]:
    return {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "time": time,
    }


def _provisioned(scenario: Scenario) -> dict[str, str]:
    time = "2024-10-04T07:19:57.8682571+00:00"
    if scenario.provisioning == "Succeeded":
        return _succeeded(time)
    return {
        "code": "ProvisioningState/failed/VMExtensionProvisioningError",
        "level": "Error",
        "displayStatus": "Provisioning failed",
        "message": "An extension of the VM reported a failure.",
        "time": time,
    }


def _type_of(spec: ExtensionSpec) -> str:
    return f"{spec.publisher}.{spec.type}"


def _seen(spec: ExtensionSpec) -> dict[str, Any]:
    level = "Error" if "/failed" in spec.code else "Info"
    status = {"code": spec.code, "level": level, "displayStatus": spec.display, "message": spec.message}
    return view_entry(spec.type, _type_of(spec), spec.version, status)
