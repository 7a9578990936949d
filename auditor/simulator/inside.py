"""The insides of machines of an estate: where Azure and the guest agree, disagree, or are two machines."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from auditor.model import Platform, Status, Verdict
from auditor.simulator.estate import Estate
from auditor.simulator.guest_states import GUESTS, GuestState
from auditor.simulator.vms import Vm
from auditor.simulator.windows import WINDOWS_GUESTS, WindowsGuestState, healthy

HEALTHY = "healthy"
ANOTHER = "00000000-0000-4000-8000-000000000bad"


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
