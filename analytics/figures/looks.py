"""Looks at the lake: one at a time, for a bounded time, and remembered while the lake stands still."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb
from deltalake.exceptions import TableNotFoundError

from analytics.figures.judged import show_judged
from analytics.lake.lake import Lake, LakeUnavailable, reaching
from analytics.lake.tables import TABLES
from shared.errors import DependencyUnavailable

T = TypeVar("T")
REMEMBERED_MAX = 256
Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """Whose figures they are: the site's client id, and the time to live of holds in the log."""

    client_id: str
    hold_seconds: int


@dataclass(slots=True)
class _Remembered:
    version: Version
    at: float
    answer: Any


class Looks:
    """Answers of questions to the lake.

    An answer is given again for `fresh_seconds` unasked, and after that as long as nothing was committed. Questions are
    put one after the other, so that many who ask cost no more memory than one; who waits longer than `seconds_max`, or
    whose question takes longer, gets `DependencyUnavailable`.
    """

    def __init__(self, lake: Lake, site: Site, fresh_seconds: float, seconds_max: float) -> None:
        self.site = site
        self._lake = lake
        self._fresh_seconds = fresh_seconds
        self._seconds_max = seconds_max
        self._turn = threading.Lock()
        self._remembered: OrderedDict[Hashable, _Remembered] = OrderedDict()
        self._memory = threading.Lock()

    def ask(self, name: Hashable, question: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """The question's answer; `name` stands for it and all that it depends on, beside the lake."""
        known = self._known(name)
        if known is not None:
            answer: T = known.answer
            return answer
        if not self._turn.acquire(timeout=self._seconds_max):
            raise DependencyUnavailable("too many questions to the lake at once")
        try:
            known = self._known(name)
            return known.answer if known is not None else self._look(name, question)
        finally:
            self._turn.release()

    def _known(self, name: Hashable) -> _Remembered | None:
        with self._memory:
            found = self._remembered.get(name)
            if found is not None and time.monotonic() - found.at <= self._fresh_seconds:
                self._remembered.move_to_end(name)
                return found
        return None

    def _look(self, name: Hashable, question: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        version = self._version()
        with self._memory:
            found = self._remembered.get(name)
            if found is not None and found.version == version:
                found.at = time.monotonic()
                answer: T = found.answer
                return answer
        answer = self._read(question)
        with self._memory:
            self._remembered[name] = _Remembered(version, time.monotonic(), answer)
            self._remembered.move_to_end(name)
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return answer

    def _version(self) -> Version:
        return tuple(self._version_of(number) for number in range(len(TABLES)))

    def _version_of(self, number: int) -> int:
        try:
            with reaching():
                return self._lake.open(TABLES[number]).version()
        except TableNotFoundError:
            return -1

    def _read(self, question: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        with reaching(), self._lake.connect() as connection:
            end = threading.Timer(self._seconds_max, connection.interrupt)
            end.daemon = True
            end.start()
            try:
                show_judged(connection, self.site.client_id, self.site.hold_seconds)
                return question(connection)
            except duckdb.InterruptException as error:
                raise DependencyUnavailable(f"not answered within {self._seconds_max:g} seconds") from error
            except duckdb.IOException as error:
                raise LakeUnavailable("a file of the lake cannot be read") from error
            finally:
                end.cancel()
