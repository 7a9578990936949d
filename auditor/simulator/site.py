"""A whole site in this process: an Azure estate, guests in it and outside, agents that Azure hears."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from auditor.model import Verdict
from auditor.remedy import Plan, Result
from auditor.simulator.estate import build_estate
from auditor.simulator.guest_effects import known_by
from auditor.simulator.guest_work import Effect, Workshop
from auditor.simulator.guests import GUESTS, SshGuests
from auditor.simulator.heartbeats import Heartbeats
from auditor.simulator.inside import agents, inside
from auditor.simulator.mendable import backing_up, mendable
from auditor.simulator.run import environment
from auditor.simulator.server import EstateServer, RunningServer
from auditor.simulator.windows import WinRmGuests
from auditor.simulator.windows.guests import OUTSIDE_AZURE


class Seeded:
    """What is seeded in a site, and what must be found of it; nothing is served."""

    def __init__(self, vms: int, seed: int) -> None:
        self.estate = build_estate(vms, seed)
        self.inside = inside(self.estate)
        self.linux = (*GUESTS, *self.inside.linux)
        self.windows = (*OUTSIDE_AZURE, *self.inside.windows)

    def verdicts(self) -> dict[str, Verdict]:
        """The verdict of every machine that only Azure tells of, by its id."""
        seen = self.guest_verdicts()
        return {key: truth.verdict for key, truth in self.estate.truth().items() if key not in seen}

    def guest_verdicts(self) -> dict[str, Verdict]:
        """The verdict of every machine whose guest is served."""
        linux = {guest.machine_id: guest.verdict for guest in self.linux}
        return linux | {guest.machine_id: guest.verdict for guest in self.windows}

    def mendable(self) -> dict[str, Verdict]:
        """The verdict after remediations of every machine that they mend."""
        busy = backing_up(self.estate)
        return {key: verdict for key, verdict in self._mendable().items() if key not in busy}

    def refused(self) -> dict[str, Result]:
        """What becomes of the machines that could be mended, were there no backup of them at work."""
        return dict.fromkeys(self._mendable().keys() & backing_up(self.estate), Result.REFUSED)

    def _mendable(self) -> dict[str, Verdict]:
        return mendable(self.linux, self.windows)


class Site:
    """Served while it is entered; its Linux guests know the work of the plans that they were told of."""

    server: RunningServer

    def __init__(self, vms: int, seed: int) -> None:
        self.seeded = Seeded(vms, seed)
        self._known: dict[str, Effect] = {}
        self.linux = SshGuests(self.seeded.linux, Workshop(self._known))
        self.windows = WinRmGuests(self.seeded.windows)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.server = stack.enter_context(EstateServer(self.seeded.estate))
            stack.enter_context(self.linux)
            stack.enter_context(self.windows)
            running = agents(self.seeded.inside, self.linux.guests, self.windows.running)
            stack.enter_context(Heartbeats(self.server.agent_reports, running))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a client needs, the secret among them."""
        return environment(self.server)

    @property
    def hosts_files(self) -> tuple[Path, ...]:
        """The inventories of the guests."""
        return self.linux.hosts_file, self.windows.hosts_file

    def learn(self, plan: Plan) -> None:
        """Tell the guests what a plan's work does to them."""
        self._known.update(known_by(plan))
