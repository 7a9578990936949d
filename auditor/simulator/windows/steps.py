"""How a simulated Windows guest takes the steps of repairs: each once, with a receipt."""

import base64
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from auditor.repair.windows import arguments, digest
from auditor.simulator.windows.state import WindowsState
from auditor.simulator.windows.works import EFFECTS, Effect, Outcome, Scene, WindowsTrouble

OUTPUT_LIMIT = 16_000
_POLL = 0.02

Change = Callable[[Callable[[WindowsState], WindowsState]], None]


@dataclass(slots=True)
class _Receipt:
    ended: threading.Event = field(default_factory=threading.Event)
    kind: str = "running"
    exit_status: int = 0
    output: str = ""

    def end(self, kind: str, exit_status: int = 0, output: str = "") -> None:
        self.kind, self.exit_status, self.output = kind, exit_status, output
        self.ended.set()

    def told(self) -> bytes:
        return frame(self.kind, self.exit_status, self.output)


class Steps:
    """The receipts and files of one guest; `executions` counts per step how often its work began.

    `change` is given what becomes of the guest's state. `patience` is how long a sender waits at most, in
    seconds.
    """

    def __init__(self, state: Callable[[], WindowsState], change: Change, trouble: WindowsTrouble) -> None:
        self.trouble = trouble
        self.executions: Counter[str] = Counter()
        self.patience = 15.0
        self._state, self._change = state, change
        self._lock = threading.Lock()
        self._receipts: dict[str, _Receipt] = {}
        self._parts: dict[str, bytearray] = {}

    def step(self, stdin: bytes, stop: threading.Event) -> bytes:
        """Do a step's work, or tell what became of it; raises `KeyError` for work that no model knows."""
        asked = json.loads(stdin)
        contents = {file["name"]: file["text"] for file in asked["files"]}
        given = arguments(contents)
        if given is None:
            raise KeyError(asked["id"])
        effect = EFFECTS[digest(contents)]
        with self._lock:
            receipt = self._receipts.get(asked["id"])
            if receipt is None:
                if not self._state().elevated:
                    return frame("refused", 10, "Attempted to perform an unauthorized operation.")
                receipt = self._receipts[asked["id"]] = self._begin(asked["id"], effect, given)
        end = time.monotonic() + min(asked["patience"], self.patience)
        while not receipt.ended.wait(_POLL) and time.monotonic() < end and not stop.is_set():
            pass
        return receipt.told()

    def receive(self, stdin: bytes) -> bytes:
        """Take one piece of a file, as the script does."""
        asked = json.loads(stdin)
        with self._lock:
            if asked["id"] in self._receipts:
                return frame("done", 11, "the step was begun before")
            return self._piece(asked, base64.b64decode(asked["data"], validate=True))

    def _piece(self, asked: dict[str, Any], data: bytes) -> bytes:
        part = self._parts.setdefault(asked["id"], bytearray())
        if _sha256(part) == asked["sha256"]:
            return frame("done", 11, "the file is there")
        if len(part) < asked["offset"]:
            return frame("done", 1, "the file was not taken: the piece before this one is missing")
        part[asked["offset"] :] = data
        if len(part) < asked["size"]:
            return frame("done", 0, "a piece has arrived")
        if (found := _sha256(part)) != asked["sha256"]:
            del self._parts[asked["id"]]
            return frame("done", 1, f"the file was not taken: its SHA-256 is {found}")
        return frame("done", 0, "the file has arrived whole")

    def _begin(self, step: str, effect: Effect, given: tuple[str, ...]) -> _Receipt:
        self.executions[step] += 1
        receipt = _Receipt()
        part = self._parts.pop(step, None)
        work = (effect, given, _sha256(part) if part is not None else None, receipt)
        # the task is not the connection's: it goes on when that drops
        threading.Thread(target=self._work, args=work, name="simulated-task", daemon=True).start()
        return receipt

    def _work(self, effect: Effect, given: tuple[str, ...], payload: str | None, receipt: _Receipt) -> None:
        time.sleep(self.trouble.seconds)
        if self.trouble.interrupted:
            receipt.end("interrupted")
            return
        outcomes: list[Outcome] = []

        def changed(state: WindowsState) -> WindowsState:
            outcomes.append(effect(Scene(state, given, self.trouble, payload)))
            return outcomes[0].state

        self._change(changed)
        receipt.end("done", outcomes[0].exit_status, outcomes[0].output)


def frame(kind: str, exit_status: int, output: str) -> bytes:
    """An answer as the scripts print it."""
    lines = [f"|{line}" for line in output[-OUTPUT_LIMIT:].split("\n")]
    return "\n".join(
        ["", f"AUDITOR-STEP-BEGIN {kind} {exit_status}", *lines, "AUDITOR-STEP-END", ""]
    ).encode()


def _sha256(content: bytes | bytearray) -> str:
    return hashlib.sha256(content).hexdigest()
