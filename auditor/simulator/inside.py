"""The insides of machines of an estate: where Azure and the guest agree, disagree, or are two machines."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from auditor.model import Platform, Status, Verdict
from auditor.simulator.estate import Estate
from auditor.simulator.guest_states import GUESTS, GuestState
from auditor.simulator.guest_work import WorkingGuest
from auditor.simulator.heartbeats import Agents
from auditor.simulator.vms import Vm
from auditor.simulator.windows import WINDOWS_GUESTS, WindowsGuestState, healthy
from auditor.simulator.windows.executor import WindowsGuest
from auditor.simulator.windows.state import RUNNING

HEALTHY = "healthy"
ANOTHER = "00000000-0000-4000-8000-000000000bad"
SILENT = {
    "agent-missing": ("guest-agent-missing", "win-service-disabled"),
    "agent-silent": ("guest-unit-masked", "win-service-disabled"),
    "agent-not-ready": ("guest-python-broken", "win-service-stopped"),
    "agent-stale": ("guest-agent-stopped", "win-service-stopped"),
}
"""Why Azure hears nothing: by scenario, what a Linux and a Windows guest then say."""


@dataclass(frozen=True, slots=True)
class Inside:
    """Guests of machines that Azure knows and finds nothing wrong with."""

    linux: tuple[GuestState, ...]
    windows: tuple[WindowsGuestState, ...]


def look_inside(estate: Estate) -> Inside:
    """The guests of the first healthy machines, as many as the estate has of those that are wanted."""
    linux = zip(_healthy(estate, Platform.LINUX), ("guest-healthy", "guest-agent-stopped"), strict=False)
    windows = zip(
        _healthy(estate, Platform.WINDOWS), ("win-healthy", "win-service-stopped", ANOTHER), strict=False
    )
    return Inside(
        tuple(_linux(vm, name) for vm, name in linux), tuple(_windows(vm, name) for vm, name in windows)
    )


def look_into_the_silent(estate: Estate) -> Inside:
    """The guests of machines whose agent Azure does not hear, each with the fault behind it."""
    silent = [vm for vm in estate.vms if vm.scenario.name in SILENT]
    return Inside(
        tuple(_linux(vm, SILENT[vm.scenario.name][0]) for vm in silent if vm.platform is Platform.LINUX),
        tuple(_windows(vm, SILENT[vm.scenario.name][1]) for vm in silent if vm.platform is Platform.WINDOWS),
    )


def inside(estate: Estate) -> Inside:
    """Every guest of the estate."""
    heard, silent = look_inside(estate), look_into_the_silent(estate)
    return Inside((*heard.linux, *silent.linux), (*heard.windows, *silent.windows))


def agents(guests: Inside, linux: Mapping[str, WorkingGuest], windows: Mapping[str, WindowsGuest]) -> Agents:
    """Which agent runs in each of these guests now, by the id of its VM.

    `linux` are served guests by machine id, `windows` by name. A guest of another VM is left out.
    """
    own = [guest for guest in guests.windows if guest.state.vm_id != ANOTHER]
    return {
        **{guest.machine_id: partial(_linux_agent, linux[guest.machine_id]) for guest in guests.linux},
        **{guest.machine_id: partial(_windows_agent, windows[guest.name]) for guest in own},
    }


def _linux_agent(guest: WorkingGuest) -> str | None:
    agent = guest.state.told("agent")
    return str(agent["goal_state_version"]) if agent and agent["active"] == "active" else None


def _windows_agent(guest: WindowsGuest) -> str | None:
    services = guest.state.services
    main = services.get("RdAgent")
    if main is None or any(services[name].state != RUNNING for name in ("RdAgent", "WindowsAzureGuestAgent")):
        return None
    return guest.state.files.get(main.image)


def _healthy(estate: Estate, platform: Platform) -> Iterator[Vm]:
    return (vm for vm in estate.vms if vm.scenario.name == HEALTHY and vm.platform is platform)


def _linux(vm: Vm, name: str) -> GuestState:
    state = next(state for state in GUESTS if state.name == name)
    changes = {**state.changes, "hostname": vm.name, "vm_id": _vm_id(vm), "firmware_id": _vm_id(vm)}
    return replace(state, name=vm.name, azure_id=vm.id, changes=changes)


def _windows(vm: Vm, name: str) -> WindowsGuestState:
    if name == ANOTHER:
        findings = {"guest-identity": Status.FAIL, "wire-server": Status.UNKNOWN}
        state = healthy("somebody-else", ANOTHER)
        return WindowsGuestState(vm.name, Verdict.NOT_READY, findings, state, azure_id=vm.id)
    guest = next(guest for guest in WINDOWS_GUESTS if guest.name == name)
    state = replace(healthy(vm.name, _vm_id(vm)), services=guest.state.services)
    return replace(guest, name=vm.name, azure_id=vm.id, state=state)


def _vm_id(vm: Vm) -> str:
    return str(vm.model["properties"]["vmId"])
