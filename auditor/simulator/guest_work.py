"""How simulated Linux guests take the work of a step: they know it by its hash, do it once, keep a receipt.

A step's script is known when it is byte for byte what `auditor.repair.work.command` makes of the work in it.
Nothing of it is run: the caller says what each known text does to a guest's state.
"""

import asyncio
import hashlib
import re
import shlex
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

from auditor.hosts import Shell
from auditor.remedy import REFUSED_STATUS, Work
from auditor.repair.work import PATIENCE, command
from auditor.simulator.guest_states import GuestState

OUTPUT_LIMIT = 16_000
UNDO = "-undo"
"""Behind the id of a step, the id of what takes it back."""
_STEP, _ARGUMENT, _GUARD, _TEXT = "frame-step", "frame-argument", "frame-guard", "frame-text"
_NO_SUDO = b"sudo: a password is required\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """The work of a step, as a script holds it."""

    step: str
    work: Work

    @property
    def digest(self) -> str:
        """The SHA-256 of the work's text, by which a guest knows it."""
        return digest(self.work)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What work leaves behind: the guest's state, its exit status, what it printed."""

    state: GuestState
    exit_status: int = 0
    output: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What work finds: the guest's state, its own arguments, what the step that it takes back had found."""

    state: GuestState
    arguments: tuple[str, ...] = ()
    kept: GuestState | None = None


Effect = Callable[[Scene], Outcome]
"""What a work's text does to a guest."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong with steps in one guest.

    The first `drops` connections that bring a step are cut while its work runs on. `refuses` is the reason of
    a guard that closes, `fails` the exit status of work that changes nothing. Work that `hangs` never ends;
    work that is `interrupted` was stopped by a reboot.
    """

    drops: int = 0
    refuses: str = ""
    fails: int = 0
    hangs: bool = False
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back over the wire; a connection that `drops` is cut instead."""

    stdout: bytes = b""
    stderr: bytes = b""
    exit_status: int = 0
    drops: bool = False


UNKNOWN = Reply(stderr=b"this guest does not know that script\n", exit_status=127)


@dataclass(slots=True)
class _Receipt:
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    kind: str = "running"
    exit_status: int = 0
    output: str = ""
    found: GuestState | None = None

    def end(self, kind: str, exit_status: int = 0, output: str = "") -> None:
        self.kind, self.exit_status, self.output = kind, exit_status, output
        self.ended.set()

    def reply(self) -> Reply:
        return _said(self.kind, self.exit_status, self.output)


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all guests share: the known texts by hash, how long work takes, how long a sender waits at most.

    `on_change` hears of a guest's new state, in the thread of the guests; `pause` is how work takes its time.
    Times in seconds.
    """

    known: Mapping[str, Effect]
    work_seconds: float = 0.02
    patience: float = PATIENCE
    on_change: Callable[[str, GuestState], None] = lambda _machine, _state: None
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


class WorkingGuest:
    """One guest while it is served: its state, its receipts, and every script that reached it, in order.

    `executions` counts per step how often its work began.
    """

    def __init__(self, state: GuestState, workshop: Workshop, trouble: Trouble | None = None) -> None:
        self.log: list[bytes] = []
        self.executions: Counter[str] = Counter()
        self.trouble = trouble or Trouble()
        self._workshop = workshop
        self._state = state
        self._lock = threading.Lock()
        self._receipts: dict[str, _Receipt] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._drops = self.trouble.drops

    @property
    def state(self) -> GuestState:
        """The state that it is in now."""
        with self._lock:
            return self._state

    def change(self, function: Callable[[GuestState], GuestState]) -> None:
        """Put the guest into another state."""
        with self._lock:
            self._state = function(self._state)

    async def take(self, asked: Asked) -> Reply:
        """Do a step's work, or tell what became of it."""
        if self.state.changes.get("privileged") is False:
            return Reply(stderr=_NO_SUDO, exit_status=1)
        effect = self._workshop.known.get(asked.digest)
        if effect is None:
            return UNKNOWN
        receipt = self._receipts.get(asked.step)
        if receipt is None:
            if self.trouble.refuses:
                return _said("refused", REFUSED_STATUS, self.trouble.refuses)
            receipt = self._begin(asked, effect)
        if self._drops:
            self._drops -= 1
            return Reply(drops=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(receipt.ended.wait(), self._workshop.patience)
        return receipt.reply()

    async def stop(self) -> None:
        """End the work under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, asked: Asked, effect: Effect) -> _Receipt:
        self.executions[asked.step] += 1
        receipt = self._receipts[asked.step] = _Receipt()
        # the work is not the connection's: it goes on when that drops
        task = asyncio.get_running_loop().create_task(self._work(asked, effect, receipt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return receipt

    async def _work(self, asked: Asked, effect: Effect, receipt: _Receipt) -> None:
        await self._workshop.pause(self._workshop.work_seconds)
        trouble = self.trouble
        if trouble.hangs:
            return
        if trouble.interrupted:
            receipt.end("interrupted")
        elif trouble.fails:
            receipt.end("done", trouble.fails, "the work was made to fail")
        else:
            outcome = self._change(asked, effect, receipt)
            receipt.end("done", outcome.exit_status, outcome.output)

    def _change(self, asked: Asked, effect: Effect, receipt: _Receipt) -> Outcome:
        earlier = self._receipts.get(asked.step.removesuffix(UNDO))
        with self._lock:
            receipt.found = self._state
            kept = earlier.found if earlier is not None and earlier is not receipt else None
            outcome = effect(Scene(receipt.found, asked.work.arguments, kept))
            self._state = outcome.state
        if outcome.state != receipt.found:
            self._workshop.on_change(outcome.state.machine_id, outcome.state)
        return outcome


def digest(work: Work) -> str:
    """The SHA-256 of a work's text, by which guests know it."""
    return hashlib.sha256(work.text.encode()).hexdigest()


def recognise(script: str) -> Asked | None:
    """The step in a script; None for anything that differs by a byte from what would be sent for it.

    Work that comes with a file is not known.
    """
    found = _frame().fullmatch(script)
    if found is None:
        return None
    try:
        work = Work(Shell.SH, found["text"], tuple(shlex.split(found["arguments"])), found["guard"])
        sent = command(found["step"], work).text
    except ValueError:
        return None
    return Asked(found["step"], work) if sent == script else None


@cache
def _frame() -> re.Pattern[str]:
    """What every step's script looks like, learned from one."""
    rest, pattern = command(_STEP, Work(Shell.SH, _TEXT, (_ARGUMENT,), _GUARD)).text, ""
    for word, group in (
        (_STEP, "(?P<step>[a-z0-9-]+)"),
        (f" {_ARGUMENT}", "(?P<arguments>(?: .*?)?)"),
        (_GUARD, "(?P<guard>.*?)"),
        (_TEXT, "(?P<text>.*?)"),
    ):
        before, _, rest = rest.partition(word)
        pattern += re.escape(before) + group
    return re.compile(pattern + re.escape(rest), re.DOTALL)


def _said(kind: str, exit_status: int, output: str) -> Reply:
    shown = output.encode()[-OUTPUT_LIMIT:].replace(b"\0", b"?")
    barred = b"".join(b"|%s\n" % line for line in shown.removesuffix(b"\n").split(b"\n") if shown)
    begin = f"\nAUDITOR-STEP-BEGIN {kind} {exit_status}\n".encode()
    return Reply(begin + barred + b"AUDITOR-STEP-END\n")
