"""The loop that keeps the counters: poll, fold, one transaction; back-off when a server is away.

The position stands in PostgreSQL and moves in the batch's own transaction. After any error the consumer goes back to
it, so that nothing is lost and nothing counts twice.
"""

import dataclasses
import os
import threading
import time
from collections.abc import Callable

import structlog

from shared import metrics
from shared.database import Database
from shared.errors import BrokerUnavailable, DependencyUnavailable
from shared.kafka.consumer import GroupConsumer
from shared.kafka.reader import LogReader
from shop.inventory.apply import Applied, Batch, Federation, UnknownCatalogue, apply_batch
from shop.inventory.positions import StalePosition, create_position, read_position
from shop_consumer.masterlist import MasterlistFollower
from shop_consumer.read_ahead import ReadAhead
from shop_consumer.settings import ConsumerSettings

log = structlog.get_logger(__name__)

POLL_MS = 500
RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 0.1, 5.0
TELL_GROUP_SECONDS = 5.0
BUG_EXIT_CODE = 70


class Consumer(threading.Thread):
    """Reads both topics until the process ends. A bug ends the process loudly; whoever supervises it starts it anew."""

    def __init__(self, database: Database, federation: Federation, settings: ConsumerSettings) -> None:
        super().__init__(name="consumer", daemon=True)
        self._database = database
        self._federation = federation
        self._settings = settings
        self._masterlist = MasterlistFollower(database, settings)
        self._source = GroupConsumer(
            settings,
            federation.topic,
            # One broker may serve more than one federation, as dev and prod; a group knows one topic.
            f"matchday-{settings.client_id}-{federation.topic}",
            f"{settings.client_id}-{settings.consumer_member}",
            self._positions,
        )
        self._read_ahead = ReadAhead(self._source, federation, settings.consumer_batch_max, POLL_MS)
        self._stopping = threading.Event()
        self._clocks: dict[int, int | None] = {}
        self._told_at = 0.0
        self.state = "starting"

    def stop(self) -> None:
        """Asks for an end after the batch at hand."""
        self._stopping.set()

    def run(self) -> None:
        try:
            self._retrying(self._consume)
            self._read_ahead.close()
            self._source.close()
        except BaseException:
            log.critical("consumer_failed", exc_info=True)
            os._exit(BUG_EXIT_CODE)

    def _retrying(self, work: Callable[[], None]) -> None:
        pause = RETRY_SECONDS_MIN
        while not self._stopping.is_set():
            try:
                work()
                pause = RETRY_SECONDS_MIN
            except StalePosition as error:
                log.warning("position_moved_by_another", error=str(error))
                self._leave()
            except (BrokerUnavailable, DependencyUnavailable) as error:
                self.state = f"waiting: {error}"
                log.warning("consumer_waits", error=str(error), seconds=pause)
                self._leave()
                self._stopping.wait(pause)
                pause = min(pause * 2, RETRY_SECONDS_MAX)

    def _leave(self) -> None:
        self._read_ahead.forget()
        self._source.stop()

    def _consume(self) -> None:
        self._masterlist.catch_up()
        while not self._masterlist.is_known() and not self._stopping.is_set():
            self.state = "waiting: no master list has been published yet"
            self._stopping.wait(self._settings.masterlist_poll_seconds)
            self._masterlist.catch_up()
        self._open_positions()
        self._source.start()
        self.state = "waiting: joining the consumer group"
        while not self._stopping.is_set():
            for batch in self._read_ahead.next():
                self._apply(batch)
            if self._source.has_joined:
                self.state = "consuming"
            self._masterlist.catch_up_now_and_then()

    def _open_positions(self) -> None:
        """Begins at the start of a log that this database has never seen, and remembers where its birth is."""
        with LogReader(self._settings, self._federation.topic) as reader:
            bounds = reader.bounds()
        with self._database.transaction() as connection:
            for partition, (begin, end) in bounds.items():
                create_position(connection, self._federation.topic, partition, begin, end)
                position = read_position(connection, self._federation.topic, partition)
                assert position is not None
                if not begin <= position.next_offset <= end:
                    raise LogDoesNotFit(
                        f"{self._federation.topic}-{partition} holds {begin} to {end}, this site stands at"
                        f" {position.next_offset}: the log was cut or replaced, or the database belongs to another"
                    )

    def _positions(self, partitions: list[int]) -> dict[int, int]:
        with self._database.transaction() as connection:
            found = {
                partition: read_position(connection, self._federation.topic, partition) for partition in partitions
            }
        return {partition: position.next_offset for partition, position in found.items() if position is not None}

    def _apply(self, batch: Batch) -> None:
        began = time.perf_counter()
        applied = self._apply_with_catalogue(batch)
        self._count(batch, applied, time.perf_counter() - began)
        if time.monotonic() - self._told_at > TELL_GROUP_SECONDS:
            self._told_at = time.monotonic()
            self._tell_group(batch)

    def _tell_group(self, batch: Batch) -> None:
        try:
            self._source.tell_group({batch.partition: batch.end})
        except BrokerUnavailable as error:
            log.info("group_not_told", error=str(error))  # for those who watch the group; the position is ours

    def _apply_with_catalogue(self, batch: Batch) -> Applied:
        """An unknown match is refused only when the master list has been read to its end after the record came."""
        try:
            return self._apply_once(batch, catalogue_is_fresh=False)
        except UnknownCatalogue:
            self._masterlist.catch_up()
            return self._apply_once(batch, catalogue_is_fresh=True)

    def _apply_once(self, batch: Batch, *, catalogue_is_fresh: bool) -> Applied:
        work = dataclasses.replace(batch, clock_ms=self._clocks.get(batch.partition))
        with self._database.transaction() as connection:
            applied = apply_batch(connection, self._federation, work, catalogue_is_fresh=catalogue_is_fresh)
        self._clocks[batch.partition] = applied.clock_ms
        return applied

    def _count(self, batch: Batch, applied: Applied, seconds: float) -> None:
        metrics.LOG_RECORDS.inc(len(batch.records))
        metrics.LOG_BATCH_SECONDS.observe(seconds)
        behind = self._source.ends().get(batch.partition, batch.end) - batch.end
        metrics.LOG_LAG.labels(batch.partition).set(max(0, behind))
        for _, why in applied.refused:
            metrics.LOG_REFUSED.labels(why.reason).inc()
        for item in applied.changes.evidence:
            metrics.LOG_EVIDENCE.labels(item.kind).inc()
        if applied.refused:
            reasons = sorted({why.reason for _, why in applied.refused})
            log.warning("records_refused", count=len(applied.refused), reasons=reasons, partition=batch.partition)

    def lag(self) -> list[dict[str, int]]:
        """Of each partition held: the next offset, the log's end and the difference, in records."""
        ends = self._source.ends()
        positions = self._positions(sorted(ends))
        return [
            {
                "partition": partition,
                "nextOffset": positions[partition],
                "endOffset": max(end, positions[partition]),
                "lag": max(0, end - positions[partition]),
            }
            for partition, end in sorted(ends.items())
            if partition in positions
        ]

    def check(self) -> None:
        """Readiness: raises `DependencyUnavailable` unless the log is being consumed."""
        if self.state != "consuming" or not self.is_alive():
            raise DependencyUnavailable(self.state)


class LogDoesNotFit(Exception):
    """The log is not the one that this database has read."""
