"""One look at the database, shared by all readers of a fifth of a second.

A sales rush asks the same questions thousands of times a second. The answers are made once: whoever comes when
the last look is too old takes a new one while the others wait for it; bodies and entity tags are kept with it. A
look is never older than `fresh_seconds` when its answer begins, and when the database is out of reach there is no
answer at all rather than an old number.
"""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field

from shared import metrics
from shared.errors import DependencyUnavailable
from shared.http.conditional import Tagged, tagged
from shop.domain import Match, Shelf

WAIT_SECONDS_MAX = 2.0
FAILURE_SECONDS = 0.2  # how long a failed look stands for all, so that an outage costs no storm of attempts
ANSWERS_MAX = 512


@dataclass(slots=True)
class Content:
    """A shelf with the answers made from it. A new one exists only when something has changed."""

    shelf: Shelf
    matches: dict[int, Match]
    _answers: dict[Hashable, Tagged] = field(default_factory=dict)

    def answer(self, key: Hashable, make: Callable[[], bytes]) -> Tagged:
        """The answer kept under this key, made when it is asked for first."""
        kept = self._answers.get(key)
        if kept is None:
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.clear()
            kept = self._answers[key] = tagged(make())
        return kept


class Snapshots:
    """Gives the present content; `load` reads the shelf and may raise `DependencyUnavailable`."""

    def __init__(
        self, load: Callable[[], Shelf], fresh_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._load = load
        self._fresh_seconds = fresh_seconds
        self._now = monotonic
        self._lock = threading.Lock()
        self._flight: Future[Content] | None = None
        self._begun = float("-inf")
        self._content: Content | None = None
        self._taken = float("-inf")
        self._failed = float("-inf")

    def get(self, wait_seconds: float | None = None) -> Content:
        """Content that is at most `fresh_seconds` old, waited for at most 2 s or `wait_seconds`.

        Raises `DependencyUnavailable`.
        """
        wait_seconds = WAIT_SECONDS_MAX if wait_seconds is None else wait_seconds
        content = self._content
        if content is not None and self._now() - self._taken < self._fresh_seconds:
            return content
        flight, is_mine = self._board(wait_seconds)
        if is_mine:
            self._fly(flight)
        try:
            return flight.result(wait_seconds)
        except TimeoutError:
            raise DependencyUnavailable("the database answers too slowly") from None

    def _board(self, wait_seconds: float) -> tuple[Future[Content], bool]:
        with self._lock:
            if self._flight is not None:
                if self._now() - self._begun > wait_seconds:
                    raise DependencyUnavailable("the database answers too slowly")
                return self._flight, False
            flight: Future[Content] = Future()
            if self._content is not None and self._now() - self._taken < self._fresh_seconds:
                flight.set_result(self._content)
                return flight, False
            if self._now() - self._failed < FAILURE_SECONDS:
                raise DependencyUnavailable("the database is out of reach or busy")
            self._flight, self._begun = flight, self._now()
            return flight, True

    def _fly(self, flight: Future[Content]) -> None:
        begun = self._now()
        try:
            shelf = self._load()
        except BaseException as error:
            self._failed = self._now()
            self._flight = None
            flight.set_exception(error)
            return
        metrics.SNAPSHOT_SECONDS.observe(self._now() - begun)
        content = self._content
        if content is None or content.shelf != shelf:
            content = Content(shelf, {match.match_number: match for match in shelf.matches})
        # The age counts from before the look: what was committed later may be missing in it.
        self._content, self._taken, self._flight = content, begun, None
        flight.set_result(content)
