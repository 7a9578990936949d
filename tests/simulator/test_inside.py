"""The guests of machines that Azure knows: whose they are, and what Azure says of them."""

from auditor.model import Platform, Verdict
from auditor.simulator.estate import Estate, build_estate
from auditor.simulator.guest_states import probe_answer
from auditor.simulator.inside import ANOTHER, look_inside


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
