"""The inbox: messages from elsewhere that had their effect here, so that none has it twice.

A receiver claims a message's id in the transaction of the effect: both are committed, or neither. Whoever comes with
the same id at the same time waits for that transaction's end. A message that was claimed before is answered from how
things stand, without a second effect.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

ID_LONGEST = 255
PRUNE_ROWS_MAX = 10_000


def inbox_table(metadata: sa.MetaData, schema: str, *more: "sa.Column[Any]") -> sa.Table:
    """The inbox of one service, for its `tables.py`; `more` are columns of its own."""
    table = sa.Table(
        "inbox",
        metadata,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        *more,
        schema=schema,
    )
    sa.Index("inbox_received_at", table.c.received_at)
    return table


def claim(connection: Connection, table: sa.Table, message_id: str | None, source: str, **more: Any) -> bool:
    """Whether this message has its effect now; False when it had it before. `more` goes into the inbox's own columns.

    A message without an id (a call by hand) is new each time: its effect must be harmless to repeat.
    """
    if message_id is None:
        return True
    row = insert(table).values(id=message_id, source=source, **more).on_conflict_do_nothing()
    return connection.execute(row.returning(table.c.id)).first() is not None


def prune(connection: Connection, table: sa.Table, before: datetime, limit: int = PRUNE_ROWS_MAX) -> int:
    """Forgets at most `limit` messages received before a moment; returns how many.

    Nobody may send one of them again: keep them longer than any sender tries.
    """
    old = sa.select(table.c.id).where(table.c.received_at < before).limit(limit)
    return connection.execute(table.delete().where(table.c.id.in_(old))).rowcount
