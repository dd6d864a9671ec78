"""Waiting for the log's verdict: one listener a process wakes everybody whose sale has changed."""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence

from shared.database import Database
from shared.errors import DependencyUnavailable
from shop.inventory.apply import CHANGES_CHANNEL
from shop.inventory.domain import Sale, State

RECHECK_SECONDS = 1.0


class Waiter:
    """One request that waits for a sale to leave a state."""

    __slots__ = ("event", "sale", "sale_id", "state")

    def __init__(self, sale_id: str, state: State) -> None:
        self.sale_id = sale_id
        self.state = state
        self.sale: Sale | None = None
        self.event = threading.Event()


class Waiting:
    """Who waits for which sale, at most `waiting_max` at once.

    `read` gives sales by id; it is asked once for all who are woken together.
    """

    def __init__(self, database: Database, read: Callable[[Sequence[str]], dict[str, Sale]], waiting_max: int) -> None:
        self._read = read
        self._places = threading.BoundedSemaphore(waiting_max)
        self._lock = threading.Lock()
        self._waiters: defaultdict[str, set[Waiter]] = defaultdict(set)
        self._stopped = False
        self._listener = database.listener(CHANGES_CHANNEL, self._on_notice, self._on_connect)
        self._listener.start()

    def expect(self, sale_id: str, state: State) -> Waiter:
        """Begins to listen; do it before the change can happen. End with `forget`."""
        waiter = Waiter(sale_id, state)
        with self._lock:
            self._waiters[sale_id].add(waiter)
        return waiter

    def forget(self, waiter: Waiter) -> None:
        """Ends what `expect` began."""
        with self._lock:
            waiters = self._waiters[waiter.sale_id]
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[waiter.sale_id]

    def wait(self, waiter: Waiter, seconds: float) -> Sale | None:
        """The sale once it has left the state, or None when the time is over or the process stops.

        Waiting takes a thread; when as many wait as may, the answer comes at once, so that others are served.
        """
        if not self._stopped and self._places.acquire(blocking=False):
            try:
                waiter.event.wait(seconds)
            finally:
                self._places.release()
        return waiter.sale

    def end_all(self) -> None:
        """Lets everybody go: the process stops."""
        self._stopped = True
        self._listener.stop()
        with self._lock:
            waiting = [waiter for waiters in self._waiters.values() for waiter in waiters]
        for waiter in waiting:
            waiter.event.set()

    def _on_notice(self, payload: str) -> None:
        with self._lock:
            ids = [sale_id for sale_id in payload.split(",") if sale_id in self._waiters]
        self._look(ids)

    def _on_connect(self) -> None:
        with self._lock:
            ids = list(self._waiters)
        self._look(ids)

    def _look(self, ids: Sequence[str]) -> None:
        if not ids:
            return
        try:
            sales = self._read(ids)
        except DependencyUnavailable:
            return  # the listener's own connection breaks, too, and everybody is looked up when it is back
        with self._lock:
            woken = [(waiter, sale) for sale in sales.values() for waiter in self._waiters.get(sale.key.sale_id, ())]
        for waiter, sale in woken:
            if sale.state is not waiter.state:
                waiter.sale = sale
                waiter.event.set()
