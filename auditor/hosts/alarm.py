"""Deadlines of sessions, rung from outside of whatever library may hang.

One thread keeps those of all sessions, and ends with the last of them: a thread for each costs a fleet some
percent of its processor time.
"""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

FAREWELL = 2.0
THREAD = "deadlines"

Ring = Callable[[], None]


class Alarm:
    """Calls `ring` from the thread of all alarms after `seconds`, unless it is cancelled before.

    `ring` must not wait: the alarms of all other sessions would wait with it.
    """

    def __init__(self, seconds: float, ring: Ring) -> None:
        self.at = time.monotonic() + seconds
        self.ring: Ring | None = ring
        _KEEPER.take(self)

    def cancel(self) -> None:
        """Let go of it; a second call, or one after the ring, does nothing."""
        _KEEPER.drop(self)


class _Keeper:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Alarm]] = []
        self._number = itertools.count()
        self._pending = 0
        self._thread: threading.Thread | None = None

    def take(self, alarm: Alarm) -> None:
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._keep, name=THREAD, daemon=True)
                thread.start()  # waits at our lock
                self._thread = thread
            heapq.heappush(self._due, (alarm.at, next(self._number), alarm))
            self._pending += 1
            if self._due[0][2] is alarm:
                self._changed.notify()

    def drop(self, alarm: Alarm) -> None:
        with self._changed:
            if alarm.ring is None:
                return
            alarm.ring = None
            thread = self._thread
            if not self._done():
                return
            self._changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join(FAREWELL)

    def _done(self) -> bool:
        """One alarm less; whether it was the last, with which the thread goes."""
        self._pending -= 1
        if self._pending == 0:
            self._due.clear()
            self._thread = None
        return self._pending == 0

    def _keep(self) -> None:
        while (ring := self._next()) is not None:
            try:
                ring()
            except Exception:  # the alarms of all other sessions have to go on
                logger.exception("an alarm could not be rung")

    def _next(self) -> Ring | None:
        """Wait for the next alarm that rings; None when this thread is no longer needed."""
        with self._changed:
            while self._due and self._thread is threading.current_thread():
                at, _, alarm = self._due[0]
                if alarm.ring is not None and (left := at - time.monotonic()) > 0:
                    self._changed.wait(left)
                    continue
                heapq.heappop(self._due)
                if alarm.ring is not None:
                    ring, alarm.ring = alarm.ring, None
                    self._done()
                    return ring
        return None


_KEEPER = _Keeper()
