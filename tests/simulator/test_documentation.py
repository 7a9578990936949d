"""docs/simulator.md shows the catalogue as it is."""

import re
from collections.abc import Iterable
from pathlib import Path

from auditor.cli.simulate import simulate
from auditor.simulator.catalogue import FAULTS, HEALTHY, HEALTHY_SHARED
from auditor.simulator.guests import GUESTS, GuestState
from auditor.simulator.scenarios import Scenario


def rows(entries: Iterable[Scenario | GuestState]) -> list[str]:
    return [
        f"| `{entry.name}` | {entry.verdict} | "
        + ", ".join(f"`{check}` {status}" for check, status in entry.findings.items())
        + " |"
        for entry in entries
    ]


def test_the_page_lists_every_scenario_and_guest(root: Path) -> None:
    text = (root / "docs" / "simulator.md").read_text(encoding="utf-8")
    expected = rows((HEALTHY, HEALTHY_SHARED, *FAULTS)) + rows(GUESTS)
    assert [line for line in text.splitlines() if re.match(r"\| `[a-z]", line)] == expected


def test_the_page_lists_every_option(root: Path) -> None:
    text = (root / "docs" / "simulator.md").read_text(encoding="utf-8")
    options = [f"--{name.replace('_', '-')}" for name in simulate.__annotations__ if name != "return"]
    assert re.findall(r"^\| `(--[a-z-]+)` \|", text, re.MULTILINE) == options
