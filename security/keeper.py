"""One thread of the service: moves decisions to the audit log, keeps the lists in Redis, deletes what is old.

Any number may run: a row lock lets one move decisions at a time, and all write the same lists.
"""

import threading

import structlog

from security import handlers
from security.handlers import BATCH, Desk
from shared import metrics
from shared.errors import DependencyUnavailable

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 0.5
RETRY_SECONDS_MAX = 5.0
PRUNE_EVERY = 120  # rounds
STOP_SECONDS_MAX = 5.0


class Keeper(threading.Thread):
    """Runs until it is stopped."""

    def __init__(self, desk: Desk, entries_max: int) -> None:
        super().__init__(name="keeper", daemon=True)
        self._desk = desk
        self._entries_max = entries_max
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()

    def end(self) -> None:
        if self.is_alive():
            self.join(STOP_SECONDS_MAX)

    def run(self) -> None:
        pause, number = 0.0, 0
        while not self._stopping.wait(pause):
            try:
                pause = 0 if self.once(number) >= BATCH else PAUSE_SECONDS
                number += 1
            except DependencyUnavailable as error:
                pause = min(max(pause, PAUSE_SECONDS) * 2, RETRY_SECONDS_MAX)
                log.warning("keeper_waits", error=str(error), seconds=pause)

    def once(self, number: int = 0) -> int:
        """One round; returns how many decisions were moved."""
        handlers.publish(self._desk)
        waiting = self._desk.published.waiting()
        metrics.AUDIT_WAITING.set(waiting)
        if waiting >= self._entries_max:
            metrics.AUDIT_LOST.inc()
            log.error("audit_overflows", waiting=waiting)
        moved = handlers.drain(self._desk)
        if number % PRUNE_EVERY == 0:
            handlers.prune(self._desk)
        return moved
