"""Events for this site's analytics: written in the transaction that makes them true, sent by a thread of the worker.

At least once is enough, since the lake counts an `event_id` once: the sender deletes a batch, sends it, and commits, so
that a batch stands in the table until the broker has it. The table has the account, and the sender makes the pseudonym:
who writes needs no secret. Nothing here may hold the sale up: while the broker is away the table grows to a limit.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
import structlog
from pydantic import SecretStr
from sqlalchemy import Connection

from shared import metrics
from shared.database import Database, ask, tell
from shared.errors import BrokerUnavailable, DependencyUnavailable
from shared.kafka.publisher import Outgoing, Publisher
from shared.settings import SiteEventsSettings
from shared.site_events import EventKind, SiteEvent, encode_event, key_of, pseudonym

log = structlog.get_logger(__name__)

CHANNEL = "site_events"
BATCH = 500
TRIM_BATCH = 10_000
# Nobody waits for an event; in a rush one batch is to have many.
GATHER_SECONDS = 0.25
POLL_SECONDS = 5.0
RETRY_SECONDS_MIN = 0.5
RETRY_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that has happened, as it is known where it happens. `amount` is the total in minor units."""

    kind: EventKind
    happened_at: datetime
    account_id: str | None = None
    country: str | None = None
    language: str | None = None
    match_number: int | None = None
    category: int | None = None
    quantity: int | None = None
    amount: int | None = None
    currency: str | None = None
    reservation_id: str | None = None
    text: str | None = None

    def event(self, secret: SecretStr, event_id: str) -> SiteEvent:
        """The same for analytics: of the account a pseudonym is left."""
        subject = None if self.account_id is None else pseudonym(secret, self.account_id)
        return SiteEvent(
            self.kind, self.happened_at, event_id, subject, self.country, self.language, self.match_number,
            self.category, self.quantity, self.amount, self.currency, self.reservation_id, self.text,
        )  # fmt: skip


COLUMNS: dict[str, tuple[str, sa.types.TypeEngine[Any]]] = {
    "kind": ("text", sa.Text()),
    "happened_at": ("timestamptz", sa.DateTime(timezone=True)),
    "account_id": ("uuid", sa.Uuid(as_uuid=False)),
    "country": ("text", sa.Text()),
    "language": ("text", sa.Text()),
    "match_number": ("int", sa.Integer()),
    "category": ("int", sa.Integer()),
    "quantity": ("int", sa.Integer()),
    "amount": ("bigint", sa.BigInteger()),
    "currency": ("text", sa.Text()),
    "reservation_id": ("uuid", sa.Uuid(as_uuid=False)),
}
NAMES = ", ".join(COLUMNS)
ARRAYS = ", ".join(f"%({name})s::{type_}[]" for name, (type_, _) in COLUMNS.items())


def site_events_table(metadata: sa.MetaData, schema: str) -> sa.Table:
    """The events of one service that are not sent yet; those that are sent are gone."""
    required = ("kind", "happened_at")
    return sa.Table(
        "site_events",
        metadata,
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("event_id", sa.Uuid(as_uuid=False), nullable=False, server_default=sa.text("gen_random_uuid()")),
        *(sa.Column(name, type_, nullable=name not in required) for name, (_, type_) in COLUMNS.items()),
        schema=schema,
    )


def write(connection: Connection, table: sa.Table, happenings: Sequence[Happening]) -> None:
    """Writes events, in one statement; the sender is woken when the transaction commits."""
    if not happenings:
        return
    statement = (
        f"WITH written AS (INSERT INTO {table.fullname} ({NAMES}) SELECT * FROM unnest({ARRAYS}))"
        f" SELECT pg_notify('{CHANNEL}', '')"
    )
    tell(connection, statement, {name: [getattr(each, name) for each in happenings] for name in COLUMNS})


def take(connection: Connection, table: sa.Table, limit: int = BATCH) -> Callable[[], list[tuple[str, Happening]]]:
    """Deletes the oldest events that nobody else is sending; each with its id, in the order in which they were written.

    To be called in a transaction that ends after they are sent.
    """
    statement = f"""
        WITH due AS MATERIALIZED (
            SELECT number FROM {table.fullname} ORDER BY number LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        DELETE FROM {table.fullname} t USING due WHERE t.number = due.number
     RETURNING t.number, t.event_id::text, {", ".join(_column(name) for name in COLUMNS)}"""
    return ask(connection, statement, {"limit": limit}, _events)


def _column(name: str) -> str:
    return f"t.{name}::text" if COLUMNS[name][0] == "uuid" else f"t.{name}"


def _events(rows: Any) -> list[tuple[str, Happening]]:
    return [(row[1], Happening(EventKind(row[2]), *row[3:])) for row in sorted(rows, key=lambda row: row[0])]


def trim(connection: Connection, table: sa.Table, keep: int, limit: int = TRIM_BATCH) -> int:
    """Deletes what is older than the newest `keep` events, at most `limit`; returns how many."""
    statement = f"""
        WITH old AS MATERIALIZED (
            SELECT number FROM {table.fullname} WHERE number <= (SELECT max(number) FROM {table.fullname}) - %(keep)s
             ORDER BY number LIMIT %(limit)s FOR UPDATE SKIP LOCKED),
        gone AS (DELETE FROM {table.fullname} t USING old WHERE t.number = old.number RETURNING 1)
        SELECT count(*) FROM gone"""
    return ask(connection, statement, {"keep": keep, "limit": limit}, lambda rows: int(next(iter(rows))[0]))()


def forget_account(connection: Connection, table: sa.Table, account_id: str) -> None:
    """Takes an account out of what is not sent yet."""
    connection.execute(table.update().where(table.c.account_id == account_id).values(account_id=None))


class Publishes(Protocol):
    """What a sender needs of a producer."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...

    def publish(self, messages: Sequence[Outgoing]) -> object: ...


def producer(settings: SiteEventsSettings) -> Publisher:
    """A producer for events; sent twice does no harm, so it asks for no lease."""
    return Publisher(settings, lambda: None)


def outgoing(topic: str, event: SiteEvent) -> Outgoing:
    """The record of an event."""
    return Outgoing(topic, key_of(event), encode_event(event), [])


class EventSender(threading.Thread):
    """Sends what one service has written. Any number of processes may have one."""

    def __init__(
        self, database: Database, table: sa.Table, settings: SiteEventsSettings, publisher: Publishes | None = None
    ) -> None:
        super().__init__(name="site-events", daemon=True)
        self._database = database
        self._table = table
        self._settings = settings
        self._publisher = publisher or producer(settings)
        self._connected = False
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._listener = database.listener(CHANNEL, lambda _: self._wake.set(), self._wake.set)

    def stop(self) -> None:
        """Ends after the batch at hand."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        self._listener.start()
        pause = RETRY_SECONDS_MIN
        while not self._stopping.is_set():
            self._wake.clear()
            if self._sends():
                pause = RETRY_SECONDS_MIN
                self._wake.wait(POLL_SECONDS)
                self._stopping.wait(GATHER_SECONDS)
            else:
                self._stopping.wait(pause)
                pause = min(pause * 2, RETRY_SECONDS_MAX)
        self._listener.stop()
        self._publisher.close()

    def _sends(self) -> bool:
        """Sends all there is; False when somebody it needs is away, or something is wrong."""
        try:
            while self.run_once() == BATCH and not self._stopping.is_set():
                pass
        except (BrokerUnavailable, DependencyUnavailable) as error:
            log.warning("site_events_wait", table=self._table.fullname, error=str(error))
        except Exception:
            # The worker that this thread lives in has more important things to do than to die of it.
            log.exception("site_events_failed", table=self._table.fullname)
        else:
            return True
        self._let_go()
        return False

    def run_once(self) -> int:
        """Sends one batch; returns how many. Raises `BrokerUnavailable`, `DependencyUnavailable`."""
        if not self._connected:
            self._publisher.start()
            self._connected = True
        with self._database.transaction() as connection:
            found = take(connection, self._table)()
            if found:
                secret, topic = self._settings.analytics_secret, self._settings.site_events_topic
                self._publisher.publish([outgoing(topic, each.event(secret, event_id)) for event_id, each in found])
        metrics.SITE_EVENTS.labels("sent").inc(len(found))
        return len(found)

    def _let_go(self) -> None:
        self._connected = False
        try:
            self._publisher.stop()
            self.trim()
        except DependencyUnavailable as error:
            log.warning("site_events_wait", table=self._table.fullname, error=str(error))

    def trim(self) -> int:
        """Drops the oldest events beyond the limit; returns how many."""
        dropped = 0
        while not self._stopping.is_set():
            with self._database.transaction() as connection:
                gone = trim(connection, self._table, self._settings.site_events_waiting_max)
            dropped += gone
            if gone < TRIM_BATCH:
                break
        if dropped:
            metrics.SITE_EVENTS.labels("dropped").inc(dropped)
            log.error("site_events_dropped", table=self._table.fullname, events=dropped)
        return dropped
