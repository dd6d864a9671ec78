"""SQL of the schema `analytics`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from analytics.tables import erased_subjects, writer

ONLY = 1
ERASED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Erasure:
    """A pseudonym that must not be in the lake; a later one has a higher number."""

    number: int
    subject: str


@dataclass(frozen=True, slots=True)
class WriterState:
    """What the lake's writer has said of itself, and when; `progress` is a list of partitions."""

    state: str
    seen_at: datetime
    progress: list[dict[str, Any]]
    left_out: dict[str, int]


def ask_erasure(connection: Connection, subject: str) -> None:
    """Writes down that a pseudonym is to be erased; once more changes nothing.

    One at a time, so that numbers become visible in their order: who looks for higher ones misses none.
    """
    connection.execute(sa.text("LOCK TABLE analytics.erased_subjects IN SHARE ROW EXCLUSIVE MODE"))
    connection.execute(insert(erased_subjects).values(subject=subject).on_conflict_do_nothing())


def erasures(connection: Connection, after: int = 0) -> list[Erasure]:
    """All with a number above `after`, in their order."""
    columns = erased_subjects.c.id, erased_subjects.c.subject
    query = sa.select(*columns).where(erased_subjects.c.id > after).order_by(erased_subjects.c.id)
    return [Erasure(row.id, row.subject) for row in connection.execute(query)]


def open_erasures(connection: Connection) -> list[Erasure]:
    """The first of those that the lake may still have rows of."""
    columns = erased_subjects.c.id, erased_subjects.c.subject
    query = sa.select(*columns).where(erased_subjects.c.erased_at.is_(None)).order_by(erased_subjects.c.id)
    return [Erasure(row.id, row.subject) for row in connection.execute(query.limit(ERASED_AT_ONCE))]


def close_erasures(connection: Connection, numbers: list[int], now: datetime) -> None:
    """Their rows are deleted."""
    connection.execute(erased_subjects.update().where(erased_subjects.c.id.in_(numbers)).values(erased_at=now))


def say(connection: Connection, state: WriterState) -> None:
    """Puts what the writer says in the place of what it has said before."""
    values = {
        "state": state.state,
        "seen_at": state.seen_at,
        "progress": state.progress,
        "left_out": state.left_out,
    }
    row = insert(writer).values(id=ONLY, **values)
    connection.execute(row.on_conflict_do_update(index_elements=[writer.c.id], set_=values))


def heard(connection: Connection) -> WriterState | None:
    """What the writer has last said; None when there never was one."""
    columns = writer.c.state, writer.c.seen_at, writer.c.progress, writer.c.left_out
    row = connection.execute(sa.select(*columns)).one_or_none()
    return None if row is None else WriterState(row.state, row.seen_at, row.progress, row.left_out)
