"""Which guests remediations mend: seeded for machines that are there and not ready."""

import pytest

from auditor.model import Verdict
from auditor.simulator.estate import Estate
from auditor.simulator.guest_states import GUESTS
from auditor.simulator.inside import ANOTHER, inside
from auditor.simulator.mendable import mendable
from auditor.simulator.windows import WINDOWS_GUESTS
from auditor.simulator.windows.guests import OUTSIDE_AZURE


def test_only_machines_that_are_not_ready_become_so(estate: Estate) -> None:
    within = inside(estate)
    guests = (*GUESTS, *OUTSIDE_AZURE, *within.linux, *within.windows)
    before = {guest.machine_id: guest.verdict for guest in guests}
    after = mendable((*GUESTS, *within.linux), (*OUTSIDE_AZURE, *within.windows))
    assert after.keys() <= before.keys()
    assert set(after.values()) == {Verdict.READY}
    assert all(before[machine] is not Verdict.READY for machine in after)


@pytest.mark.parametrize(
    ("name", "mended"),
    [
        ("win-old-agent", True),
        ("win-service-stopped", True),
        ("win-clock-skewed", False),
        ("win-healthy", False),
    ],
)
def test_windows_guests_outside_azure_are_told_by_name(name: str, mended: bool) -> None:
    guest = next(guest for guest in WINDOWS_GUESTS if guest.name == name)
    assert (f"host/{name}" in mendable((), (guest,))) is mended


def test_somebody_elses_guest_is_not_mended(estate: Estate) -> None:
    stranger = next(guest for guest in inside(estate).windows if guest.state.vm_id == ANOTHER)
    assert mendable((), (stranger,)) == {}
