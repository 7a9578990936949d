"""What could not be seen, and how a check asks for what was."""

from dataclasses import dataclass
from typing import TypeVar

from auditor.errors import FactUnavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unseen:
    """A fact that could not be seen.

    `expected` is false where the run never set out to see it (a plane without a connection):
    such a gap does not make the run incomplete.
    """

    reason: str
    expected: bool = True


def known(fact: T | Unseen) -> T:
    """The fact itself; raises `FactUnavailable` with the reason where it could not be seen."""
    if isinstance(fact, Unseen):
        raise FactUnavailable(fact.reason)
    return fact


@dataclass(frozen=True, slots=True)
class Mismatch(Unseen):
    """A guest that shows the id of another machine: nothing it said counts.

    `shown` is the id that the guest gave, `wanted` the one that Azure has.
    """

    shown: str = ""
    wanted: str = ""
