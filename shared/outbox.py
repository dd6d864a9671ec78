"""The outbox: messages written in the transaction that makes them true, and sent to Kafka by a relay afterwards.

The order of `id` is the order of sending. A writer appends while it holds the lock of what the message is about (the
pool's row), so that messages about one thing leave in the order in which they became true.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import ask, tell

CHANNEL = "outbox"
KEEP_PUBLISHED_HOURS = 24


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One record to be sent. `not_after`: a relay that comes later drops it instead, and says so."""

    topic: str
    key: bytes
    value: bytes
    headers: dict[str, str]
    not_after: datetime | None = None
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, slots=True)
class Published:
    """Where a message stands in the log."""

    id: int
    partition: int
    offset: int


def outbox_table(metadata: sa.MetaData, schema: str) -> sa.Table:
    """The outbox of one schema. Unsent rows are those with neither `published_at` nor `dropped_at`."""
    table = sa.Table(
        "outbox",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("message_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("published_at", sa.DateTime(timezone=True)),
        sa.Column("partition", sa.Integer),
        sa.Column("offset", sa.BigInteger),
        sa.Column("dropped_at", sa.DateTime(timezone=True)),
        schema=schema,
    )
    unsent = sa.and_(table.c.published_at.is_(None), table.c.dropped_at.is_(None))
    sa.Index("outbox_unsent", table.c.id, postgresql_where=unsent)
    sa.Index("outbox_published_at", table.c.published_at, postgresql_where=table.c.published_at.is_not(None))
    sa.Index("outbox_dropped", table.c.id, postgresql_where=table.c.dropped_at.is_not(None))
    return table


def append(connection: Connection, table: sa.Table, messages: Sequence[OutboxMessage]) -> None:
    """Writes messages in order and wakes the relay when the transaction commits."""
    if not messages:
        return
    tell(
        connection,
        f"INSERT INTO {table.fullname} (message_id, topic, key, value, headers, not_after)"
        " SELECT * FROM unnest(%(ids)s::uuid[], %(topics)s::text[], %(keys)s::bytea[], %(values)s::bytea[],"
        " %(headers)s::jsonb[], %(not_after)s::timestamptz[])",
        {
            "ids": [message.message_id for message in messages],
            "topics": [message.topic for message in messages],
            "keys": [message.key for message in messages],
            "values": [message.value for message in messages],
            "headers": [orjson.dumps(message.headers).decode() for message in messages],
            "not_after": [message.not_after for message in messages],
        },
    )
    tell(connection, "SELECT pg_notify(%(channel)s, '')", {"channel": CHANNEL})


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits to be sent; `too_late` when its time to be sent is over."""

    id: int
    message_id: str
    topic: str
    key: bytes
    value: bytes
    headers: dict[str, str]
    too_late: bool


def unsent(connection: Connection, table: sa.Table, limit: int) -> Callable[[], list[Waiting]]:
    """The oldest messages that are neither sent nor dropped, in order of sending."""
    statement = (
        "SELECT id, message_id::text, topic, key, value, headers, coalesce(not_after < clock_timestamp(), false)"
        f" FROM {table.fullname} WHERE published_at IS NULL AND dropped_at IS NULL ORDER BY id LIMIT %(limit)s"
    )
    return ask(connection, statement, {"limit": limit}, lambda rows: [Waiting(*row) for row in rows])


def mark_published(connection: Connection, table: sa.Table, published: Sequence[Published]) -> None:
    """Stores where in the log each message stands."""
    if published:
        tell(
            connection,
            f'UPDATE {table.fullname} AS o SET published_at = now(), partition = p.partition, "offset" = p.position'
            " FROM unnest(%(ids)s::bigint[], %(partitions)s::int[], %(offsets)s::bigint[])"
            " AS p (id, partition, position) WHERE o.id = p.id",
            {
                "ids": [place.id for place in published],
                "partitions": [place.partition for place in published],
                "offsets": [place.offset for place in published],
            },
        )


def mark_dropped(connection: Connection, table: sa.Table, ids: Sequence[int]) -> None:
    """Puts messages aside that came too late to be sent."""
    if ids:
        statement = (
            f"UPDATE {table.fullname} SET dropped_at = now() WHERE id = ANY(%(ids)s::bigint[]) AND published_at IS NULL"
        )
        tell(connection, statement, {"ids": list(ids)})


def dropped(connection: Connection, table: sa.Table, limit: int) -> Sequence[Any]:
    """Messages that were put aside, oldest first."""
    query = sa.select(table.c.id, table.c.headers).where(table.c.dropped_at.is_not(None))
    return connection.execute(query.order_by(table.c.id).limit(limit)).all()


def forget(connection: Connection, table: sa.Table, message_id: int) -> bool:
    """Deletes a message that was put aside; False when somebody else has."""
    return connection.execute(table.delete().where(table.c.id == message_id)).rowcount == 1


def prune(connection: Connection, table: sa.Table, limit: int = 10_000) -> int:
    """Deletes at most `limit` messages that were published long ago; returns how many."""
    old = sa.select(table.c.id).where(
        table.c.published_at < sa.func.now() - sa.text(f"interval '{KEEP_PUBLISHED_HOURS} hours'")
    )
    return connection.execute(table.delete().where(table.c.id.in_(old.limit(limit)))).rowcount
