"""The geometry of the charts: shares of a whole, with nothing too small to be seen. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Part(Generic[K]):
    """One part of a chart that is 100 long."""

    key: K
    count: int
    start: float
    length: float


def parts(counts: Mapping[K, int], order: Sequence[K], *, smallest: float = 1.2) -> tuple[Part[K], ...]:
    """The non-zero counts as parts of 100 in `order`; none shorter than `smallest`."""
    present = [(key, counts[key]) for key in order if counts[key]]
    total = sum(count for _, count in present)
    wide = [(key, count, max(100 * count / total, smallest)) for key, count in present]
    stretch = 100 / sum(length for _, _, length in wide) if wide else 1
    found, start = [], 0.0
    for key, count, length in wide:
        found.append(Part(key, count, round(start * stretch, 3), round(length * stretch, 3)))
        start += length
    return tuple(found)
