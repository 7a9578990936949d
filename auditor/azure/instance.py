"""The run-time view of a VM: wire JSON of `GET {vm}?$expand=instanceView` to `InstanceView`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from auditor.azure import wire
from auditor.facts import Agent, Extension, Handler, InstanceView, StatusCode

_POWER = "powerstate/"
_OPERATION = "provisioningstate/"


def parse_instance_view(body: Any, observed_at: datetime) -> InstanceView:
    """The view with its extensions; raises `WireError` where there is none or its shape is wrong."""
    vm = wire.mapping(body, "the VM")
    properties = wire.mapping(vm.get("properties"), "properties")
    if properties.get("instanceView") is None:
        raise wire.WireError("the answer holds no instance view")
    view = wire.mapping(properties["instanceView"], "instanceView")
    agent, statuses = view.get("vmAgent"), _statuses(view.get("statuses"))
    return InstanceView(
        power_state=_power_state(statuses),
        agent=None if agent is None else _agent(wire.mapping(agent, "vmAgent")),
        handlers=None if agent is None else _handlers(agent.get("extensionHandlers")),
        extensions=_extensions(view.get("extensions"), vm.get("resources")),
        observed_at=observed_at,
        os_name=wire.text(view.get("osName")),
        os_version=wire.text(view.get("osVersion")),
        operation=next((status for status in statuses if status.code.lower().startswith(_OPERATION)), None),
    )


def _power_state(statuses: tuple[StatusCode, ...]) -> str | None:
    codes = (status.code.lower() for status in statuses)
    return next((code.removeprefix(_POWER) for code in codes if code.startswith(_POWER)), None)


def _agent(block: Mapping[str, Any]) -> Agent:
    return Agent(version=wire.text(block.get("vmAgentVersion")), statuses=_statuses(block.get("statuses")))


def _handlers(block: Any) -> tuple[Handler, ...] | None:
    if block is None:
        return None
    return tuple(
        _handler(wire.mapping(item, "a handler")) for item in wire.sequence(block, "extensionHandlers")
    )


def _handler(item: Mapping[str, Any]) -> Handler:
    status = item.get("status")
    return Handler(
        type=wire.text(item.get("type")) or "a handler without a type",
        version=wire.text(item.get("typeHandlerVersion")),
        status=None if status is None else _status(status),
    )


def _extensions(view: Any, resources: Any) -> tuple[Extension, ...]:
    """The ARM resources and the view's extensions, joined by name without regard to case."""
    found: dict[str, Extension] = {}
    for entry in wire.sequence(resources, "resources"):
        extension = _from_resource(wire.mapping(entry, "an extension"))
        found[extension.name.lower()] = extension
    for entry in wire.sequence(view, "extensions"):
        extension = _from_view(wire.mapping(entry, "an extension's view"), found)
        found[extension.name.lower()] = extension
    return tuple(found.values())


def _from_resource(item: Mapping[str, Any]) -> Extension:
    properties = wire.mapping(item.get("properties"), "an extension's properties")
    publisher, kind = wire.text(properties.get("publisher")), wire.text(properties.get("type"))
    return Extension(
        name=wire.required(item.get("name"), "an extension's name").rpartition("/")[2],
        type=f"{publisher}.{kind}" if publisher and kind else None,
        version=wire.text(properties.get("typeHandlerVersion")),
        provisioning_state=wire.text(properties.get("provisioningState")),
    )


def _from_view(item: Mapping[str, Any], resources: Mapping[str, Extension]) -> Extension:
    name = wire.required(item.get("name"), "an extension's name")
    model = resources.get(name.lower(), Extension(name, None))
    return Extension(
        name=model.name,
        type=wire.text(item.get("type")) or model.type,
        version=wire.text(item.get("typeHandlerVersion")) or model.version,
        provisioning_state=model.provisioning_state,
        statuses=(*_statuses(item.get("statuses")), *_statuses(item.get("substatuses"))),
    )


def _statuses(block: Any) -> tuple[StatusCode, ...]:
    return tuple([_status(item) for item in wire.sequence(block, "statuses")])


def _status(item: Any) -> StatusCode:
    status = wire.mapping(item, "a status")
    return StatusCode(
        code=wire.text(status.get("code")) or "",
        level=wire.text(status.get("level")),
        display=wire.text(status.get("displayStatus")),
        message=wire.text(status.get("message")),
        at=wire.moment(status.get("time")),
    )
