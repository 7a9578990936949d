"""The guests of machines that Azure knows: whose they are, what Azure says of them, which agents it hears."""

from dataclasses import replace

from auditor.model import Platform, Verdict
from auditor.simulator.estate import Estate, build_estate
from auditor.simulator.guest_states import probe_answer
from auditor.simulator.guest_work import WorkingGuest, Workshop
from auditor.simulator.inside import ANOTHER, SILENT, agents, inside, look_inside, look_into_the_silent
from auditor.simulator.windows import WindowsGuest


def test_guests_belong_to_machines_that_azure_finds_healthy(estate: Estate) -> None:
    inside = look_inside(estate)
    machines = {vm.key: vm for vm in estate.vms}
    for guest in inside.linux:
        vm = machines[guest.machine_id]
        assert vm.platform is Platform.LINUX
        assert vm.scenario.verdict is Verdict.READY
        assert vm.model["properties"]["vmId"].encode() in probe_answer(guest, [])
    for windows in inside.windows:
        vm = machines[windows.machine_id]
        assert vm.platform is Platform.WINDOWS
        assert vm.scenario.verdict is Verdict.READY
        assert windows.state.vm_id in (vm.model["properties"]["vmId"], ANOTHER)


def test_every_kind_is_there(estate: Estate) -> None:
    inside = look_inside(estate)
    assert [guest.verdict for guest in inside.linux] == [Verdict.READY, Verdict.NOT_READY]
    assert [guest.verdict for guest in inside.windows] == [
        Verdict.READY,
        Verdict.NOT_READY,
        Verdict.NOT_READY,
    ]
    assert inside.windows[-1].state.vm_id == ANOTHER


def test_a_small_estate_has_what_it_has() -> None:
    inside = look_inside(build_estate(1, 1))
    assert len(inside.linux) + len(inside.windows) <= 1


def test_every_machine_whose_agent_is_not_heard_has_a_fault_inside(estate: Estate) -> None:
    silent = look_into_the_silent(estate)
    guests = {guest.machine_id: guest for guest in (*silent.linux, *silent.windows)}
    wanted = {vm.key: vm for vm in estate.vms if vm.scenario.name in SILENT}
    assert guests.keys() == wanted.keys()
    assert {vm.scenario.name for vm in wanted.values()} == SILENT.keys()
    assert all(guest.verdict is wanted[key].scenario.verdict for key, guest in guests.items())
    assert {guest.machine_id for guest in silent.linux} == {
        key for key, vm in wanted.items() if vm.platform is Platform.LINUX
    }


def test_azure_hears_an_agent_from_when_it_runs(estate: Estate) -> None:
    every = inside(estate)
    linux = {guest.machine_id: WorkingGuest(guest, Workshop({})) for guest in every.linux}
    windows = {guest.name: WindowsGuest(guest.state) for guest in every.windows}
    heard = agents(every, linux, windows)
    own = {guest.machine_id for guest in every.windows if guest.state.vm_id != ANOTHER}
    assert heard.keys() == linux.keys() | own
    ready = {guest.machine_id for guest in (*every.linux, *every.windows) if guest.verdict is Verdict.READY}
    assert {vm for vm, running in heard.items() if running() is not None} == ready
    for guest in linux.values():
        guest.change(lambda state: state.mended("agent"))
    services = next(guest for guest in every.windows if guest.verdict is Verdict.READY).state.services
    for stopped in windows.values():
        stopped.change(lambda state: replace(state, services=services))
    assert {running() for running in heard.values()} == {"2.13.0.2", "2.7.41491.1183"}
