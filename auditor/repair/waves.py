"""In what order and how many at a time: a canary, then waves, each a share of all machines."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from auditor.errors import SettingsError
from auditor.remedy import MachinePlan

_SHARE = re.compile(r"(\d+)(%?)")


@dataclass(frozen=True, slots=True)
class Share:
    """How far a wave goes, counted from the first machine: a number, or a share of all in percent."""

    amount: int
    percent: bool

    def of(self, total: int) -> int:
        """Machines that are done when this wave is over."""
        wanted = math.ceil(total * self.amount / 100) if self.percent else self.amount
        return min(wanted, total)


def parse_waves(text: str) -> tuple[Share, ...]:
    """The waves in a text such as "5,25%,100%"; raises `SettingsError` naming the text and the shape."""
    shares = []
    for word in text.split(","):
        found = _SHARE.fullmatch(word.strip())
        if found is None or int(found[1]) == 0 or (found[2] and int(found[1]) > 100):
            raise SettingsError(f"{text!r} are no waves; write numbers or percentages, as in 5,25%,100%")
        shares.append(Share(int(found[1]), bool(found[2])))
    return tuple(shares)


def waves(machines: Sequence[MachinePlan], shares: Sequence[Share]) -> tuple[tuple[MachinePlan, ...], ...]:
    """The machines cut into waves; what the last share leaves is a wave of its own."""
    cut, done = [], 0
    for share in (*shares, Share(100, True)):
        end = share.of(len(machines))
        if end > done:
            cut.append(tuple(machines[done:end]))
            done = end
    return tuple(cut)


def spread(machines: Sequence[MachinePlan]) -> tuple[MachinePlan, ...]:
    """The machines so that neighbours share no group while that can be: round robin over their groups."""
    rows: dict[tuple[str, ...], list[MachinePlan]] = {}
    for machine in machines:
        rows.setdefault(machine.groups, []).append(machine)
    turns = max(map(len, rows.values()), default=0)
    return tuple(row[turn] for turn in range(turns) for row in rows.values() if turn < len(row))
