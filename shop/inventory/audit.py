"""Reads for operators and for the recount: positions, refused records, side records, evidence."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, text

from shared.wire import Headers
from shop.inventory import store
from shop.inventory.domain import Counters, Pool, Sale, SaleKey, State
from shop.inventory.positions import Position
from shop.inventory.records import load_headers
from shop.inventory.tables import evidence, log_positions, refused, sales, sold_by_minute
from shop.inventory.tables import side_records as side_records_table


@dataclass(frozen=True, slots=True)
class SideRecord:
    """A message that was applied beside the log, right before the record at `before_offset`."""

    partition: int
    before_offset: int
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that no counter moved for, as it came, with the reason."""

    id: int
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str
    detail: str
    refused_at: datetime
    replayed_at: datetime | None


def positions(connection: Connection, topic: str) -> dict[int, Position]:
    """The consumer's place in each partition of a topic."""
    columns = log_positions.c
    rows = connection.execute(
        select(columns.partition, columns.next_offset, columns.clock_ms, columns.birth_offset).where(
            columns.topic == topic
        )
    )
    return {row[0]: Position(row[1], row[2], row[3]) for row in rows}


def pools(connection: Connection) -> dict[Pool, Counters]:
    """Every pool with its counters."""
    return store.read_pools(connection)


def own_sales(connection: Connection) -> list[Sale]:
    """All sales of this site's own buyers."""
    return store.read_own_sales(connection)


def verdicts(connection: Connection) -> dict[SaleKey, State | None]:
    """Of every sale of every site what the log has made of it; None when the log has not shown it."""
    columns = sales.c
    rows = connection.execute(
        select(columns.client_id, columns.sale_id, columns.match_number, columns.category, columns.log_state)
    )
    return {SaleKey(row[0], row[1], Pool(row[2], row[3])): None if row[4] is None else State(row[4]) for row in rows}


def refused_offsets(connection: Connection, topic: str) -> dict[int, set[int]]:
    """Of each partition the offsets that were refused."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    rows = connection.execute(select(refused.c.partition, refused.c.offset).where(refused.c.topic == topic))
    for partition, offset in rows:
        found[partition].add(offset)
    return found


def side_records(connection: Connection) -> dict[int, list[SideRecord]]:
    """Of each partition what was applied beside the log, in the order of its application."""
    columns = side_records_table.c
    rows = connection.execute(
        select(columns.partition, columns.before_offset, columns.value, columns.headers).order_by(columns.id)
    )
    found: defaultdict[int, list[SideRecord]] = defaultdict(list)
    for row in rows:
        found[row.partition].append(SideRecord(row[0], row[1], row[2], load_headers(row[3])))
    return found


def _refused(row: Any) -> RefusedRecord:
    fields = dict(row._mapping)
    fields["headers"] = load_headers(fields["headers"])
    return RefusedRecord(**fields)


def list_refused(
    connection: Connection, after: int, limit: int, *, reason: str | None = None, replayed: bool | None = None
) -> list[RefusedRecord]:
    """Refused records with an id above `after`, oldest first."""
    query = select(refused).where(refused.c.id > after).order_by(refused.c.id).limit(limit)
    if reason is not None:
        query = query.where(refused.c.reason == reason)
    if replayed is not None:
        query = query.where(refused.c.replayed_at.is_not(None) if replayed else refused.c.replayed_at.is_(None))
    return [_refused(row) for row in connection.execute(query)]


def lock_refused(connection: Connection, refused_id: int) -> RefusedRecord | None:
    """One refused record, locked."""
    row = connection.execute(select(refused).where(refused.c.id == refused_id).with_for_update()).one_or_none()
    return None if row is None else _refused(row)


def mark_replayed(connection: Connection, refused_id: int) -> None:
    """Says that a refused record has counted after all."""
    connection.execute(refused.update().where(refused.c.id == refused_id).values(replayed_at=func.now()))


def list_evidence(connection: Connection, after: int, limit: int, kind: str | None) -> Sequence[Any]:
    """What was flagged, with an id above `after`, oldest first."""
    query = select(evidence).where(evidence.c.id > after).order_by(evidence.c.id).limit(limit)
    if kind is not None:
        query = query.where(evidence.c.kind == kind)
    return connection.execute(query).all()


def count_refused(connection: Connection) -> int:
    """How many refused records wait for an operator."""
    return int(connection.execute(text("SELECT count(*) FROM shop.refused WHERE replayed_at IS NULL")).scalar_one())


@dataclass(frozen=True, slots=True)
class SoldInBucket:
    """Tickets that the log shows as sold within some minutes; `minute` is the first, since the epoch."""

    minute: int
    own: int
    partners: int


def sold_over_time(connection: Connection, client_id: str, since: int, until: int, width: int) -> list[SoldInBucket]:
    """What was sold from minute `since` on, before `until`, in buckets of `width` minutes; empty ones are left out."""
    first = sold_by_minute.c.minute // width * width
    is_own = sold_by_minute.c.client_id == client_id
    own = func.coalesce(func.sum(sold_by_minute.c.tickets).filter(is_own), 0)
    others = func.coalesce(func.sum(sold_by_minute.c.tickets).filter(~is_own), 0)
    within = (sold_by_minute.c.minute >= since, sold_by_minute.c.minute < until)
    query = select(first.label("first"), own, others).where(*within).group_by("first").order_by("first")
    return [SoldInBucket(int(row[0]), int(row[1]), int(row[2])) for row in connection.execute(query)]


def sold_by_site(connection: Connection, since: int, until: int, limit: int) -> list[tuple[str, int]]:
    """Who sold how many tickets in these minutes, those with most first."""
    tickets = func.sum(sold_by_minute.c.tickets)
    query = select(sold_by_minute.c.client_id, tickets).where(
        sold_by_minute.c.minute >= since, sold_by_minute.c.minute < until
    )
    ranked = query.group_by(sold_by_minute.c.client_id).order_by(tickets.desc(), sold_by_minute.c.client_id)
    return [(client_id, int(total)) for client_id, total in connection.execute(ranked.limit(limit))]
