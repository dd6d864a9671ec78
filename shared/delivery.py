"""What one service tells another: written in the sender's transaction, posted afterwards, with effect once.

`send` writes a delivery in the transaction that makes it true. A `Courier` in the sender's worker posts it to the
receiver, as often as it takes, with the delivery's id as `Idempotency-Key`; the receiver's `shared.inbox` lets it have
its effect once. Of deliveries to one target about one subject a later one waits for the earlier ones. As with the
outbox, a writer sends while it holds the lock of what the subject names, so that the order of `number` is the order in
which things became true.

Answered 2xx: delivered. Answered by an error that would come again however often one asks: refused, that is kept and
put aside for an operator. Everything else is tried again with growing pauses, for ever.
"""

import enum
import random
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import orjson
import sqlalchemy as sa
import structlog
from pydantic import SecretStr
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import JSONB

from shared import metrics, tracing
from shared.database import Database, ask, tell
from shared.errors import DependencyUnavailable

log = structlog.get_logger(__name__)

CHANNEL = "deliveries"
BATCH = 16
AT_ONCE = 4  # requests to one target
POST_SECONDS_MAX = 10.0
# A courier that took a delivery and died is followed by another after so long.
LEASE_SECONDS = 30.0
POLL_SECONDS = 1.0
RETRY_SECONDS_MIN = 0.5
RETRY_SECONDS_MAX = 60.0
KEEP_DELIVERED_DAYS = 7
ERROR_LONGEST = 500
# Answers that may be other ones later: our token is being changed, or the receiver is busy.
_AGAIN = frozenset({401, 403, 408, 425, 429})


class Verdict(enum.Enum):
    """What an answer means for a delivery."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something to be told to `target`; `subject` is what it is about, and keeps the order."""

    target: str
    path: str
    body: Mapping[str, Any]
    subject: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that a courier is about to post; `attempts` counts this one."""

    id: str
    target: str
    path: str
    body: Mapping[str, Any]
    subject: str
    traceparent: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of posting a delivery; `status` is None when no answer came."""

    verdict: Verdict
    status: int | None
    answer: Any
    error: str | None
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A delivery as an operator sees it."""

    id: str
    target: str
    path: str
    subject: str
    created_at: datetime
    attempts: int
    next_attempt_at: datetime
    delivered_at: datetime | None
    refused_at: datetime | None
    last_error: str | None


OnDelivered = Callable[[Connection, Taken, Any], None]


def deliveries_table(metadata: sa.MetaData, schema: str) -> sa.Table:
    """The deliveries of one service. Open rows are those with neither `delivered_at` nor `refused_at`."""
    table = sa.Table(
        "deliveries",
        metadata,
        sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("traceparent", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("delivered_at", sa.DateTime(timezone=True)),
        sa.Column("refused_at", sa.DateTime(timezone=True)),
        sa.Column("last_error", sa.Text),
        schema=schema,
    )
    opened = sa.and_(table.c.delivered_at.is_(None), table.c.refused_at.is_(None))
    sa.Index("deliveries_open", table.c.target, table.c.subject, table.c.number, postgresql_where=opened)
    sa.Index("deliveries_refused", table.c.number, postgresql_where=table.c.refused_at.is_not(None))
    sa.Index("deliveries_delivered_at", table.c.delivered_at, postgresql_where=table.c.delivered_at.is_not(None))
    return table


def send(connection: Connection, table: sa.Table, deliveries: Sequence[Delivery]) -> None:
    """Writes deliveries in order; the couriers are woken when the transaction commits."""
    if not deliveries:
        return
    tell(
        connection,
        f"INSERT INTO {table.fullname} (id, target, path, body, subject, traceparent)"
        " SELECT * FROM unnest(%(ids)s::uuid[], %(targets)s::text[], %(paths)s::text[], %(bodies)s::jsonb[],"
        " %(subjects)s::text[], %(traceparents)s::text[])",
        {
            "ids": [delivery.id for delivery in deliveries],
            "targets": [delivery.target for delivery in deliveries],
            "paths": [delivery.path for delivery in deliveries],
            "bodies": [orjson.dumps(delivery.body, default=str).decode() for delivery in deliveries],
            "subjects": [delivery.subject for delivery in deliveries],
            "traceparents": [tracing.traceparent()] * len(deliveries),
        },
    )
    tell(connection, "SELECT pg_notify(%(channel)s, '')", {"channel": CHANNEL})


def take(connection: Connection, table: sa.Table, target: str, limit: int = BATCH) -> list[Taken]:
    """Takes what is due and first of its subject; nobody else takes it until the lease ends."""
    statement = f"""
        WITH due AS (
            SELECT d.id FROM {table.fullname} d
             WHERE d.target = %(target)s AND d.delivered_at IS NULL AND d.refused_at IS NULL
               AND d.next_attempt_at <= clock_timestamp()
               AND NOT EXISTS (SELECT 1 FROM {table.fullname} e
                                WHERE e.target = d.target AND e.subject = d.subject AND e.number < d.number
                                  AND e.delivered_at IS NULL AND e.refused_at IS NULL)
             ORDER BY d.number LIMIT %(limit)s FOR UPDATE OF d SKIP LOCKED)
        UPDATE {table.fullname} t
           SET attempts = t.attempts + 1, next_attempt_at = clock_timestamp() + make_interval(secs => %(lease)s)
          FROM due WHERE t.id = due.id
     RETURNING t.id::text, t.target, t.path, t.body, t.subject, t.traceparent, t.attempts"""
    values = {"target": target, "limit": limit, "lease": LEASE_SECONDS}
    return ask(connection, statement, values, lambda rows: [Taken(*row) for row in rows])()


def mark(connection: Connection, table: sa.Table, taken: Taken, reply: Reply) -> bool:
    """Writes down what came of posting it; False when another courier has settled it meanwhile."""
    changes: dict[str, Any] = {"last_error": reply.error}
    if reply.verdict is Verdict.DELIVERED:
        changes["delivered_at"] = sa.func.now()
    elif reply.verdict is Verdict.REFUSED:
        changes["refused_at"] = sa.func.now()
    else:
        seconds = max(pause_seconds(taken.attempts), min(reply.retry_after, RETRY_SECONDS_MAX))
        changes["next_attempt_at"] = sa.func.clock_timestamp() + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    still_open = sa.and_(table.c.delivered_at.is_(None), table.c.refused_at.is_(None))
    return connection.execute(table.update().where(table.c.id == taken.id, still_open).values(changes)).rowcount == 1


def pause_seconds(attempts: int) -> float:
    """The pause after so many attempts: doubled each time up to a minute, and never the same for two."""
    longest: float = min(RETRY_SECONDS_MIN * 2 ** min(attempts - 1, 20), RETRY_SECONDS_MAX)
    return longest * random.uniform(0.5, 1.0)


def read_answer(response: httpx.Response) -> Reply:
    """What the receiver's answer means."""
    status = response.status_code
    if response.is_success:
        return Reply(Verdict.DELIVERED, status, _json(response), None)
    error = f"{status}: {response.text[:ERROR_LONGEST]}"
    retry_after = response.headers.get("Retry-After", "")
    # A conflict that names a time is one that passes.
    again = status in _AGAIN or not response.is_client_error or (status == 409 and retry_after != "")
    seconds = float(retry_after) if retry_after.isdecimal() else 0.0
    return Reply(Verdict.AGAIN if again else Verdict.REFUSED, status, None, error, seconds)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json() if response.content else None
    except ValueError:
        return None


def listed(connection: Connection, table: sa.Table, *, refused: bool, limit: int) -> list[Kept]:
    """For an operator: what was refused, or what is still on its way; oldest first."""
    columns = [table.c[name] for name in Kept.__dataclass_fields__]
    which = table.c.refused_at.is_not(None) if refused else sa.and_(table.c.delivered_at.is_(None), _open(table))
    rows = connection.execute(sa.select(*columns).where(which).order_by(table.c.number).limit(limit))
    return [Kept(*row) for row in rows]


def _open(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.refused_at.is_(None)


def try_again(connection: Connection, table: sa.Table, delivery_id: str) -> bool:
    """Lets the couriers try a refused delivery once more, or one that waits at once; False when there is none."""
    again = {"refused_at": None, "next_attempt_at": sa.func.now(), "attempts": 0}
    where = (table.c.id == delivery_id, table.c.delivered_at.is_(None))
    found = connection.execute(table.update().where(*where).values(again)).rowcount == 1
    tell(connection, "SELECT pg_notify(%(channel)s, '')", {"channel": CHANNEL})
    return found


def prune(connection: Connection, table: sa.Table, limit: int = 10_000) -> int:
    """Deletes at most `limit` deliveries that arrived long ago; returns how many."""
    old = sa.select(table.c.id).where(
        table.c.delivered_at < sa.func.now() - sa.text(f"interval '{KEEP_DELIVERED_DAYS} days'")
    )
    return connection.execute(table.delete().where(table.c.id.in_(old.limit(limit)))).rowcount


class Courier(threading.Thread):
    """Posts what one service has to tell one target. Any number of processes may have one."""

    def __init__(
        self,
        database: Database,
        table: sa.Table,
        target: str,
        url: str,
        token: SecretStr,
        on_delivered: OnDelivered | None = None,
    ) -> None:
        """`on_delivered` gets the receiver's answer in the transaction that marks the delivery."""
        super().__init__(name=f"courier-{target}", daemon=True)
        self._database = database
        self._table = table
        self._target = target
        self._on_delivered = on_delivered
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token.get_secret_value()}"},
            timeout=POST_SECONDS_MAX,
            trust_env=False,
        )
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"courier-{target}")
        self._wake = threading.Event()
        self._stopping = threading.Event()

    def wake(self, _payload: str = "") -> None:
        """There may be something to deliver."""
        self._wake.set()

    def stop(self) -> None:
        """Ends after what is being posted."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                pause = 0.0 if self.run_once() else POLL_SECONDS
            except DependencyUnavailable as error:
                log.warning("courier_waits", target=self._target, error=str(error))
                pause = POLL_SECONDS
            except Exception:
                # A delivery that cannot be handled comes again when its lease ends; the others must not wait for it.
                log.exception("courier_failed", target=self._target)
                pause = POLL_SECONDS
            self._wake.wait(pause)
        self.close()

    def run_once(self) -> int:
        """Posts what is due now, a bounded share of it; returns how many."""
        with self._database.transaction() as connection:
            taken = take(connection, self._table, self._target)
        for outcome in [self._pool.submit(self._deliver, delivery) for delivery in taken]:
            outcome.result()
        return len(taken)

    def close(self) -> None:
        """Ends the connections."""
        self._pool.shutdown()
        self._http.close()

    def _deliver(self, delivery: Taken) -> None:
        with tracing.working(delivery.id, delivery.traceparent):
            reply = self._post(delivery)
            metrics.DELIVERIES.labels(self._target, reply.verdict.value).inc()
            with self._database.transaction() as connection:
                settled = mark(connection, self._table, delivery, reply)
                if settled and reply.verdict is Verdict.DELIVERED and self._on_delivered is not None:
                    self._on_delivered(connection, delivery, reply.answer)
            if reply.verdict is Verdict.REFUSED:
                log.error("delivery_refused", target=delivery.target, path=delivery.path, error=reply.error)
            elif reply.verdict is Verdict.AGAIN:
                log.warning("delivery_waits", target=delivery.target, path=delivery.path, error=reply.error)

    def _post(self, delivery: Taken) -> Reply:
        headers = {"Idempotency-Key": delivery.id, "X-Request-Id": delivery.id}
        traceparent = tracing.traceparent()
        if traceparent is not None:
            headers["traceparent"] = traceparent
        try:
            return read_answer(self._http.post(delivery.path, json=delivery.body, headers=headers))
        except httpx.HTTPError as error:
            return Reply(Verdict.AGAIN, None, None, f"{type(error).__name__}: {error}"[:ERROR_LONGEST])


class Couriers:
    """The couriers of one process, one a target, and the listener that wakes them."""

    def __init__(
        self,
        database: Database,
        table: sa.Table,
        urls: Mapping[str, str],
        token: SecretStr,
        on_delivered: OnDelivered | None = None,
    ) -> None:
        """`urls` gives each target's address, such as {"reservations": "http://127.0.0.1:3020"}."""
        self._couriers = [Courier(database, table, target, url, token, on_delivered) for target, url in urls.items()]
        self._listener = database.listener(CHANNEL, self._wake, self._wake)

    def _wake(self, _payload: str = "") -> None:
        for courier in self._couriers:
            courier.wake()

    def start(self) -> None:
        for thread in (*self._couriers, self._listener):
            thread.start()

    def stop(self) -> None:
        """Ends all; waits for what is being posted."""
        self._listener.stop()
        for courier in self._couriers:
            courier.stop()
        for courier in self._couriers:
            courier.join(POST_SECONDS_MAX)
