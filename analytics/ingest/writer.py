"""The loop of the lake's writer: erase, read the topics, keep up; one process at a time.

A lock in PostgreSQL lets one write and the others stand by. It spares work and is not what keeps rows from being
there twice: a writer that hung while another took over finds the lake elsewhere and writes nothing.
"""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import structlog

from analytics import store
from analytics.erasure.handlers import Erased, erase_due
from analytics.ingest.catalogue import CatalogueWriter
from analytics.ingest.health import said
from analytics.ingest.topics import Build, Progress, Topic, TopicWriter
from analytics.lake.erase import ERASURES
from analytics.lake.lake import Lake, StalePosition
from analytics.lake.rows import Rows, event_rows, message_rows
from analytics.lake.tables import SITE_EVENTS, TICKET_MESSAGES
from analytics.lake.upkeep import keep_up
from analytics.settings import WriterSettings
from shared.clock import Clock
from shared.database import Busy, Database, Lease
from shared.errors import BrokerUnavailable, DependencyUnavailable
from shared.wire import RawRecord

log = structlog.get_logger(__name__)

STAND_BY_SECONDS = 2.0
RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 0.2, 10.0


class Follower(Protocol):
    """What brings a topic into the lake."""

    progress: list[Progress]
    left_out: dict[str, int]

    def catch_up(self) -> int: ...

    def close(self) -> None: ...


def followers(database: Database, lake: Lake, settings: WriterSettings) -> list[Follower]:
    """One for each topic. The catalogue first: figures need it for whatever else there is."""
    erased = Erased(database)
    messages: Build = partial(_messages, settings.quantity_max)
    events: Build = partial(_events, erased)
    topics = [
        Topic(settings.sales_topic, TICKET_MESSAGES, messages),
        Topic(settings.site_events_topic, SITE_EVENTS, events, (ERASURES,), lambda: {ERASURES: erased.refresh()}),
    ]
    writers = [TopicWriter(lake, topic, settings, settings.lake_commit_rows) for topic in topics]
    return [CatalogueWriter(lake, settings, settings.currency), *writers]


class LakeWriter:
    """Writes until it is stopped."""

    def __init__(self, database: Database, lake: Lake, clock: Clock, settings: WriterSettings) -> None:
        self._database = database
        self._lake = lake
        self._clock = clock
        self._settings = settings
        self._followers: Sequence[Follower] = followers(database, lake, settings)
        self._stopping = threading.Event()
        self._kept_up_at = float("-inf")

    def stop(self) -> None:
        """Asks for an end after the round at hand."""
        self._stopping.set()

    def run(self) -> None:
        """Stands by until it may write, and writes."""
        pause = RETRY_SECONDS_MIN
        while not self._stopping.is_set():
            try:
                with self._database.alone(f"lake {self._lake.uri}", STAND_BY_SECONDS) as lease:
                    self._write_while(lease)
                pause = RETRY_SECONDS_MIN
            except Busy:
                continue
            except DependencyUnavailable as error:
                log.warning("writer_waits", error=str(error), seconds=pause)
                self._stopping.wait(pause)
                pause = min(pause * 2, RETRY_SECONDS_MAX)
        self.close()

    def close(self) -> None:
        """Ends the connections to the broker."""
        for follower in self._followers:
            follower.close()

    def _write_while(self, lease: Lease) -> None:
        self._lake.create(self._settings.lake_keep_seconds)
        while lease.is_held() and not self._stopping.is_set():
            self.round()
            self._stopping.wait(self._settings.lake_commit_seconds)

    def fill(self) -> None:
        """Writes a lake of its own until it has all that the topics hold, and then joins its files.

        Raises what keeps it from that. Nothing is said of it: the site has another lake.
        """
        self._lake.create(self._settings.lake_keep_seconds)
        while sum(follower.catch_up() for follower in self._followers):
            continue
        self._keep_up()

    def round(self) -> int:
        """Erases who is due, brings each topic as far as it goes now, and keeps the lake up; returns rows written.

        A topic that cannot be read does not keep the others waiting.
        """
        problems: list[str] = []
        self._attempt(problems, partial(erase_due, self._database, self._lake, self._clock))
        written = sum(self._attempt(problems, follower.catch_up) for follower in self._followers)
        if time.monotonic() - self._kept_up_at >= self._settings.lake_upkeep_seconds:
            self._attempt(problems, self._keep_up)
        self._say(problems)
        return written

    def _attempt(self, problems: list[str], work: Callable[[], int]) -> int:
        try:
            return work()
        except StalePosition as error:
            log.warning("lake_written_by_another", error=str(error))  # what is true is read at the next round
        except (BrokerUnavailable, DependencyUnavailable) as error:
            log.warning("writer_cannot", error=str(error))
            problems.append(str(error))
        return 0

    def _keep_up(self) -> int:
        done = keep_up(self._lake, self._settings.lake_small_files_max)
        self._kept_up_at = time.monotonic()
        return len(done)

    def _say(self, problems: list[str]) -> None:
        state = "writing" if not problems else f"waiting: {'; '.join(problems)}"
        progress = [one for follower in self._followers for one in follower.progress]
        left_out: dict[str, int] = {}
        for follower in self._followers:
            left_out |= {reason: left_out.get(reason, 0) + count for reason, count in follower.left_out.items()}
        with self._database.transaction() as connection:
            store.say(connection, said(state, self._clock.now(), progress, left_out))


def _messages(quantity_max: int, partition: int, records: Sequence[RawRecord]) -> Rows:
    return message_rows(partition, records, quantity_max)


def _events(erased: Erased, partition: int, records: Sequence[RawRecord]) -> Rows:
    return event_rows(partition, records, erased.subjects)
