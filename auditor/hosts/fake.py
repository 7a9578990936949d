"""A scripted host, for tests and for the authors of plugins."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from auditor.errors import HostError
from auditor.hosts import CommandResult, Script


@dataclass(slots=True)
class FakeHost:
    """Answers from a list, in order; an exception in the list is raised, an empty list is an error.

    `scripts` holds what was asked, for a test to look at.
    """

    answers: Iterable[CommandResult | HostError] = ()
    scripts: list[Script] = field(default_factory=list)
    stage: str = "running the script"
    closed: bool = False
    _left: list[CommandResult | HostError] = field(init=False)

    def __post_init__(self) -> None:
        self._left = list(self.answers)

    def run(self, script: Script, timeout: float) -> CommandResult:
        """The next answer; raises `HostError` where the list says so or has ended."""
        self.scripts.append(script)
        if not self._left:
            raise HostError(f"the fake host has no answer left (asked with a timeout of {timeout:g} s)")
        answer = self._left.pop(0)
        if isinstance(answer, HostError):
            raise answer
        return answer

    def abort(self, reason: str) -> None:
        """Every further answer is a `HostError` with this reason."""
        self._left = [HostError(reason)]

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
