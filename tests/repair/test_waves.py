"""Waves and the order of machines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import SettingsError
from auditor.model import Machine, Platform, Verdict
from auditor.remedy import MachinePlan
from auditor.repair.waves import Share, parse_waves, spread, waves


def machine(number: int, *groups: str) -> MachinePlan:
    name = f"m{number}"
    return MachinePlan(
        Machine(f"host/{name}", name, Platform.LINUX, "hosts"), Verdict.NOT_READY, {}, groups=groups
    )


def sizes(total: int, text: str) -> list[int]:
    return [len(wave) for wave in waves([machine(number) for number in range(total)], parse_waves(text))]


@pytest.mark.parametrize(
    ("total", "text", "expected"),
    [
        (100, "5,25%,100%", [5, 20, 75]),
        (3, "5,25%,100%", [3]),
        (30, "5,25%,100%", [5, 3, 22]),
        (10, "1", [1, 9]),
        (10, "50%", [5, 5]),
        (7, "10%,10%", [1, 6]),
        (0, "5", []),
    ],
)
def test_waves_cut_the_machines(total: int, text: str, expected: list[int]) -> None:
    assert sizes(total, text) == expected


@pytest.mark.parametrize("text", ["", "0", "101%", "5,,6", "-1", "a", "5;6"])
def test_what_are_no_waves_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="are no waves; write numbers or percentages"):
        parse_waves(text)


@given(
    st.integers(0, 300),
    st.lists(st.builds(Share, st.integers(1, 100), st.booleans()), min_size=1, max_size=6),
)
def test_every_machine_is_in_exactly_one_wave(total: int, shares: list[Share]) -> None:
    machines = [machine(number) for number in range(total)]
    cut = waves(machines, shares)
    assert [one for wave in cut for one in wave] == machines
    assert all(cut)


def test_neighbours_come_from_different_groups() -> None:
    machines = [machine(number, "a") for number in range(3)] + [
        machine(number, "b") for number in range(3, 6)
    ]
    assert [one.groups[0] for one in spread(machines)] == ["a", "b"] * 3
    assert {one.machine.id for one in spread(machines)} == {one.machine.id for one in machines}
