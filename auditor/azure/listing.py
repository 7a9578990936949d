"""Reading a whole list without losing what was read when a later page, or one entry, is broken."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from auditor.azure.client import Arm
from auditor.azure.traffic import Call
from auditor.azure.wire import WireError
from auditor.errors import SourceError

T = TypeVar("T")


@dataclass(slots=True)
class Listing(Generic[T]):
    """What a list held: parsed entries, those that could not be, and why the list ended early."""

    entries: list[T] = field(default_factory=list)
    broken: list[WireError] = field(default_factory=list)
    failure: SourceError | None = None

    @property
    def problems(self) -> tuple[SourceError, ...]:
        """Everything that is missing from the entries."""
        return (*self.broken, *((self.failure,) if self.failure else ()))


async def read_list(
    arm: Arm, call: Call, parse: Callable[[Any], T], keep: Callable[[Any], bool] = lambda _: True
) -> Listing[T]:
    """All pages of a list, each entry that `keep` wants parsed; failures are kept, not raised."""
    listing: Listing[T] = Listing()
    try:
        async for page in arm.pages(call):
            for entry in filter(keep, page):
                try:
                    listing.entries.append(parse(entry))
                except WireError as error:
                    listing.broken.append(error)
    except SourceError as error:
        listing.failure = error
    return listing
