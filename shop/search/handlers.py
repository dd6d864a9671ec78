"""Use cases of the search: what a query means, asked of PostgreSQL once for all who ask the same."""

import threading
import time
from collections.abc import Callable

from shared.database import Database
from shared.errors import Overloaded
from shop.domain import Match
from shop.search import store
from shop.search.domain import Spelled, Unit, pieces_of, units_of, words_of
from shop.search.spellings import spelled

KEPT_MAX = 2048
KEPT_SECONDS = 60.0
AT_ONCE = 2  # of a process's connections; the others are for what everybody reads
WAIT_SECONDS_MAX = 1.0
Matches = tuple[Match, ...]


class Finder:
    """Knows what queries mean, and keeps the names to find in step with the catalogue.

    What a query means depends on names alone, never on what is sold, so an answer is kept for a minute; numbers are
    the snapshot's. However many different things are asked, two are looked up at once.
    """

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now = monotonic
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, ...], tuple[float, list[Unit]]] = {}
        self._read: tuple[Matches, frozenset[Spelled]] = ((), frozenset())
        self._told: frozenset[Spelled] | None = None

    def units(self, matches: Matches, query: str) -> list[Unit]:
        """What the query means among these matches; nothing when it has no word.

        Raises `DependencyUnavailable`, or `Overloaded` when too many different things are asked at once.
        """
        words = words_of(query)
        if not words:
            return []
        names = self._names(matches)
        kept = self._kept.get(words)
        if names == self._told and kept is not None and self._now() - kept[0] < KEPT_SECONDS:
            return kept[1]
        units = self._look(names, words)
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[words] = (self._now(), units)
        return units

    def _names(self, matches: Matches) -> frozenset[Spelled]:
        seen, names = self._read
        if seen is not matches:
            names = names if _described(seen) == _described(matches) else spelled(matches)
            self._read = (matches, names)
        return names

    def _look(self, names: frozenset[Spelled], words: tuple[str, ...]) -> list[Unit]:
        if not self._places.acquire(timeout=WAIT_SECONDS_MAX):
            raise Overloaded("too many searches at once")
        try:
            self._tell(names)
            with self._database.transaction() as connection:
                hits = store.find(connection, pieces_of(words))
        finally:
            self._places.release()
        return units_of(len(words), hits)

    def _tell(self, names: frozenset[Spelled]) -> None:
        with self._lock:
            if names == self._told:
                return
            with self._database.transaction() as connection:
                store.write_names(connection, names)
            self._told = names
            self._kept.clear()


def _described(matches: Matches) -> list[tuple[object, ...]]:
    """What of matches has to do with names: all but what is left of them."""
    return [match[:-1] for match in matches]
