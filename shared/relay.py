"""The relay: sends what stands in the outbox, in order, each message into the log once.

Partners count every record they see, so a message must not enter the log twice, whatever dies when. Only the holder of
a lease in PostgreSQL sends. Its producer refuses to write to a socket when the lease may have run out. Whoever takes
the lease over waits until the old holder can send no more, reads the log from the last place known to be marked to its
end, marks what it finds there, and only then sends. The same is done after every failed batch.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import sqlalchemy as sa
import structlog
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import JSONB

from shared import outbox
from shared.database import Database, ask, tell, together
from shared.errors import BrokerUnavailable, DependencyUnavailable
from shared.kafka.publisher import Outgoing, Place
from shared.outbox import Published
from shared.wire import RawRecord, header

log = structlog.get_logger(__name__)

LEASE_SECONDS = 4.0
LEASE_MARGIN_SECONDS = 1.0  # the guard stops sending this long before the lease ends
SETTLE_SECONDS = 1.0  # longest that a broker is given to write what a dead sender left in its socket
IDLE_SECONDS = 0.5
BATCH_MESSAGES = 500
RETRY_SECONDS_MAX = 5.0


class Publishes(Protocol):
    """What the relay needs of a producer."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def ping(self) -> None: ...

    def publish(self, messages: Sequence[Outgoing]) -> list[Place]: ...


class Reads(Protocol):
    """What the relay needs to look into the log."""

    def bounds(self) -> dict[int, tuple[int, int]]: ...

    def read(self, partition: int, start: int, end: int) -> Iterator[tuple[list[RawRecord], int]]: ...


class LeaseLost(Exception):
    """Another relay sends now."""


def lease_table(metadata: sa.MetaData, schema: str) -> sa.Table:
    """One row a topic. `marked`: of each partition, the offset behind the last record known to be marked."""
    return sa.Table(
        "relay_leases",
        metadata,
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("broker_seen_at", sa.DateTime(timezone=True)),
        sa.Column("marked", JSONB, nullable=False),
        schema=schema,
    )


def broker_unseen_seconds(connection: Connection, table: sa.Table, topic: str) -> float | None:
    """Since when no relay has seen the broker; None when none ever did."""
    seconds = connection.execute(
        sa.text(
            f"SELECT extract(epoch FROM clock_timestamp() - broker_seen_at) FROM {table.fullname} WHERE topic = :topic"
        ),
        {"topic": topic},
    ).scalar_one_or_none()
    return None if seconds is None else float(seconds)


@dataclass(frozen=True, slots=True)
class Tables:
    """The outbox and the lease of one topic's relay."""

    outbox: sa.Table
    leases: sa.Table


class Lease:
    """The right to send, for a few seconds at a time, by this process's own steady clock."""

    def __init__(self, database: Database, table: sa.Table, topic: str) -> None:
        self._database = database
        self._table = table
        self._topic = topic
        self.holder = str(uuid.uuid4())
        self._valid_until = 0.0

    def guard(self) -> None:
        """Raises `LeaseLost` unless the lease holds for a while yet; called right before a socket is written."""
        if time.monotonic() > self._valid_until - LEASE_MARGIN_SECONDS:
            raise LeaseLost("the lease may have run out")

    def acquire(self) -> dict[str, int] | None:
        """Takes the lease if nobody holds it: the marked offsets of each partition, else None."""
        asked = time.monotonic()
        with self._database.transaction() as connection:
            connection.execute(
                sa.text(
                    f"INSERT INTO {self._table.fullname} (topic, holder, expires_at, marked)"
                    " VALUES (:topic, '', '-infinity', '{}') ON CONFLICT DO NOTHING"
                ),
                {"topic": self._topic},
            )
            marked: dict[str, int] | None = connection.execute(
                sa.text(
                    f"UPDATE {self._table.fullname} SET holder = :holder,"
                    " expires_at = clock_timestamp() + make_interval(secs => :seconds)"
                    " WHERE topic = :topic AND (expires_at <= clock_timestamp() OR holder = :holder)"
                    " RETURNING marked"
                ),
                {"topic": self._topic, "holder": self.holder, "seconds": LEASE_SECONDS},
            ).scalar_one_or_none()
        if marked is not None:
            self._valid_until = asked + LEASE_SECONDS
        return marked

    def renew(self, connection: Connection, marked: dict[str, int]) -> Callable[[], bool]:
        """Prolongs the lease in the caller's transaction; whether it was ours still. To be `confirmed` after commit."""
        statement = (
            f"UPDATE {self._table.fullname} SET marked = marked || %(marked)s::jsonb,"
            " broker_seen_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)"
            " WHERE topic = %(topic)s AND holder = %(holder)s AND expires_at > clock_timestamp() RETURNING true"
        )
        values = {
            "topic": self._topic,
            "holder": self.holder,
            "seconds": LEASE_SECONDS,
            "marked": orjson.dumps(marked).decode(),
        }
        return ask(connection, statement, values, lambda rows: bool(list(rows)))

    def confirmed(self, asked: float) -> None:
        """The renewal asked for at that moment is committed."""
        self._valid_until = asked + LEASE_SECONDS

    def release(self) -> None:
        """Lets a successor in at once; nothing may be in flight."""
        self._valid_until = 0.0
        with self._database.transaction() as connection:
            connection.execute(
                sa.text(
                    f"UPDATE {self._table.fullname} SET expires_at = clock_timestamp()"
                    " WHERE topic = :topic AND holder = :holder"
                ),
                {"topic": self._topic, "holder": self.holder},
            )


class Relay:
    """Runs until stopped. `open_reader` opens a reader of the topic as a context manager."""

    def __init__(
        self,
        database: Database,
        tables: Tables,
        topic: str,
        publisher: Callable[[Callable[[], None]], Publishes],
        open_reader: Callable[[], Any],
    ) -> None:
        self._database = database
        self._tables = tables
        self._topic = topic
        self._lease = Lease(database, tables.leases, topic)
        self._publisher = publisher(self._lease.guard)
        self._open_reader = open_reader
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._in_doubt = True
        self._pinged_at = 0.0

    def stop(self) -> None:
        """Ends `run` after the batch at hand."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        """Sends until stopped; waits out a broker or database that is away, with growing pauses."""
        listener = self._database.listener(outbox.CHANNEL, lambda _: self._wake.set(), self._wake.set)
        listener.start()
        pause = 0.1
        while not self._stopping.is_set():
            try:
                self._hold_lease_and_send()
                pause = 0.1
            except (BrokerUnavailable, DependencyUnavailable, LeaseLost) as error:
                log.warning("relay_waits", error=str(error), seconds=pause)
                self._in_doubt = True
                self._publisher.stop()  # what it still holds must not go out under a later lease
                self._stopping.wait(pause)
                pause = min(pause * 2, RETRY_SECONDS_MAX)
        listener.stop()
        self._end()

    def _end(self) -> None:
        self._publisher.stop()
        if not self._in_doubt:
            try:
                self._lease.release()
            except DependencyUnavailable as error:
                log.warning("lease_not_released", error=str(error))

    def _hold_lease_and_send(self) -> None:
        marked = self._lease.acquire()
        if marked is None:
            self._stopping.wait(IDLE_SECONDS)
            return
        self._publisher.start()
        self._settle(marked)
        log.info("relay_sends", topic=self._topic)
        self._send()

    # -- taking over ---------------------------------------------------------------------------------------------

    def _settle(self, marked: dict[str, int]) -> None:
        """Marks what an earlier sender wrote and did not mark; nothing is sent before."""
        with self._database.transaction() as connection:
            waiting = outbox.unsent(connection, self._tables.outbox, limit=1)()
        if waiting and self._stopping.wait(SETTLE_SECONDS):
            return
        with self._open_reader() as reader:
            for partition, (begin, end) in reader.bounds().items():
                start = max(begin, marked.get(str(partition), end if not waiting else begin))
                self._mark_found(reader, partition, start, end)
        self._in_doubt = False

    def _mark_found(self, reader: Reads, partition: int, start: int, end: int) -> None:
        for records, behind in reader.read(partition, start, end):
            places = {
                message_id: Place(partition, record.offset)
                for record in records
                if (message_id := header(record.headers, "messageId")) is not None
            }
            self._mark(places, {str(partition): behind})
        self._mark({}, {str(partition): max(start, end)})

    def _own(self, connection: Connection, places: dict[str, Place]) -> list[Published]:
        if not places:
            return []
        table = self._tables.outbox
        rows = connection.execute(
            sa.select(table.c.id, table.c.message_id).where(
                table.c.published_at.is_(None), table.c.dropped_at.is_(None)
            )
        )
        return [
            Published(row.id, places[row.message_id].partition, places[row.message_id].offset)
            for row in rows
            if row.message_id in places
        ]

    def _mark(self, places: dict[str, Place], marked: dict[str, int]) -> None:
        with self._database.transaction() as connection:
            asked = time.monotonic()
            if not self._lease.renew(connection, marked)():
                raise LeaseLost("another relay holds the lease")
            outbox.mark_published(connection, self._tables.outbox, self._own(connection, places))
        self._lease.confirmed(asked)

    # -- sending -------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Sends batch after batch until stopped; what comes after an error is in doubt."""
        rows = self._turn([], [])
        while not self._stopping.is_set():
            if rows:
                rows = self._send_batch(rows)
                continue
            self._wake.wait(IDLE_SECONDS)
            self._wake.clear()
            if time.monotonic() - self._pinged_at > IDLE_SECONDS:
                self._publisher.ping()
                self._pinged_at = time.monotonic()
            rows = self._turn([], [])

    def _send_batch(self, rows: Sequence[Any]) -> Sequence[Any]:
        late = [row.id for row in rows if row.too_late]
        ready = [row for row in rows if not row.too_late]
        self._in_doubt = True
        places = self._publisher.publish([_outgoing(row) for row in ready]) if ready else []
        published = [Published(row.id, place.partition, place.offset) for row, place in zip(ready, places, strict=True)]
        following = self._turn(published, late)
        self._in_doubt = False
        return following

    def _turn(self, published: Sequence[Published], late: Sequence[int]) -> Sequence[Any]:
        """Marks what was sent and reads what comes next, in one round trip that also prolongs the lease.

        Raises `LeaseLost` when another relay sends by now; what was marked is true all the same.
        """
        marked: dict[str, int] = {}
        for place in published:
            marked[str(place.partition)] = max(marked.get(str(place.partition), 0), place.offset + 1)
        with self._database.transaction() as connection:
            asked = time.monotonic()
            with together(connection, commit=True):
                # A mark lost with the database's memory is found again in the log: the relay settles after any error.
                tell(connection, "SET LOCAL synchronous_commit = off", {})
                renewed = self._lease.renew(connection, marked)
                outbox.mark_published(connection, self._tables.outbox, published)
                outbox.mark_dropped(connection, self._tables.outbox, late)
                rows = outbox.unsent(connection, self._tables.outbox, BATCH_MESSAGES)
        if not renewed():
            raise LeaseLost("another relay holds the lease")
        self._lease.confirmed(asked)
        return rows()


def _outgoing(row: Any) -> Outgoing:
    headers = {**row.headers, "messageId": row.message_id}
    return Outgoing(row.topic, row.key, row.value, [(name, value.encode()) for name, value in headers.items()])
