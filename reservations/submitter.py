"""Group commit: buyers who come at the same time share a transaction.

One pool is one row, and a row is locked until its transaction is on disk; a rush on one pool would wait in line for the
disk. So whoever comes while a transaction runs waits in a queue, and the next transaction takes all who wait. In a rush
it even waits a moment for more of them: what a batch costs, here, in the relay and in the consumer, is shared by more.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

from reservations.domain import Standing, Submit
from reservations.handlers import Result
from shared.errors import DependencyUnavailable, MatchdayError
from shop.inventory.domain import State

SUBMIT_SECONDS_MAX = 30.0
WAITED_SECONDS_KNOWN = 2.0  # how long the last batch's wait says anything
STOP: None = None


class Ticket:
    """A place in the queue. `wake` is the event of somebody who has more to wait for than the transaction's end."""

    __slots__ = ("begun", "future", "wake", "wish")

    def __init__(self, wish: Submit, wake: threading.Event | None) -> None:
        self.wish = wish
        self.wake = wake
        self.future: Future[Result] = Future()
        self.begun = time.monotonic()

    def settle(self, result: Result) -> None:
        """Hands the result over; who waits for the verdict is woken only if there is none to wait for."""
        self.future.set_result(result)
        if self.wake is not None and not self._is_awaited(result):
            self.wake.set()

    def _is_awaited(self, result: Result) -> bool:
        """Whether the log's verdict on this very wish is still to come."""
        return (
            not isinstance(result, MatchdayError)
            and result.status is State.SUBMITTED
            and result.sale.key.sale_id == self.wish.sale_id
        )

    def fail(self, error: BaseException) -> None:
        """Hands an error over that nobody foresaw."""
        self.future.set_exception(error)
        if self.wake is not None:
            self.wake.set()

    def standing(self) -> Standing:
        """The reservation. Raises what `submit_all` says of this wish, or `DependencyUnavailable`."""
        try:
            result = self.future.result(SUBMIT_SECONDS_MAX)
        except FutureTimeoutError:
            # The wish may yet be done; a hold that nobody follows ends by itself.
            raise DependencyUnavailable("the submit took too long") from None
        if isinstance(result, MatchdayError):
            raise result
        return result


class Submitter:
    """Hands wishes to `submit_all` in batches; each ticket gets its own result."""

    def __init__(
        self,
        submit_all: Callable[[Sequence[Submit]], list[Result]],
        *,
        batch_max: int,
        gather_seconds: float,
        threads: int,
        queue_max: int,
    ) -> None:
        self._submit_all = submit_all
        self._batch_max = batch_max
        self._gather_seconds = gather_seconds
        self._queue: queue.Queue[Ticket | None] = queue.Queue(queue_max)
        self._waited = (float("-inf"), 0.0)
        self._threads = [
            threading.Thread(target=self._run, name=f"submit-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, wish: Submit, wake: threading.Event | None = None) -> Ticket:
        """Puts a wish into the queue. Raises `DependencyUnavailable` when too many wait."""
        ticket = Ticket(wish, wake)
        try:
            self._queue.put_nowait(ticket)
        except queue.Full:
            raise DependencyUnavailable("too many buyers are waiting") from None
        return ticket

    def waited_seconds(self) -> float:
        """How long the first of the last batch had to wait for its turn."""
        at, waited = self._waited
        return waited if time.monotonic() - at < WAITED_SECONDS_KNOWN else 0.0

    def close(self) -> None:
        """Finishes what waits."""
        for _ in self._threads:
            self._queue.put(STOP)
        for thread in self._threads:
            thread.join(SUBMIT_SECONDS_MAX)

    def _run(self) -> None:
        rush = False  # whether the last batch was shared: a buyer who is alone never waits for others
        while (first := self._queue.get()) is not STOP:
            if rush:
                time.sleep(self._gather_seconds)
            batch, stop = self._take([first])
            rush = len(batch) > 1
            self._serve(batch)
            if stop:
                return

    def _take(self, batch: list[Ticket]) -> tuple[list[Ticket], bool]:
        while len(batch) < self._batch_max:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
            if item is STOP:
                return batch, True
            batch.append(item)
        return batch, False

    def _serve(self, batch: list[Ticket]) -> None:
        now = time.monotonic()
        self._waited = (now, now - batch[0].begun)
        try:
            results = self._submit_all([ticket.wish for ticket in batch])
        except BaseException as error:
            for ticket in batch:
                ticket.fail(error)
            if not isinstance(error, Exception):
                raise
            return
        for ticket, result in zip(batch, results, strict=True):
            ticket.settle(result)
