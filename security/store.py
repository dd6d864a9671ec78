"""SQL of the schema `security`: connection first, domain objects in and out, never a commit."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not

from security.domain import ActionSearch, AdminAction, Count, ListEntry, Record, Search
from security.tables import admin_actions, audit, audit_positions, list_entries

ENTRIES_LOCK = 20_221_150  # the advisory lock of who adds an entry
BEGINNING = "0-0"
_ENTRY = list(list_entries.c)
_ACTION = [admin_actions.c[name] for name in AdminAction.__dataclass_fields__]
_RECORD = [audit.c[name] for name in Record.__dataclass_fields__]


def insert_entry(connection: Connection, entry: ListEntry) -> None:
    """Writes a new entry."""
    connection.execute(insert(list_entries).values(asdict(entry)))


def count_entries(connection: Connection) -> int:
    """How many entries there are; whoever else counts before adding waits until this transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock(ENTRIES_LOCK)))
    return connection.execute(select(func.count()).select_from(list_entries)).scalar_one()


def find_entry(connection: Connection, entry_id: str) -> ListEntry | None:
    """An entry by its id."""
    row = connection.execute(select(*_ENTRY).where(list_entries.c.id == entry_id)).one_or_none()
    return None if row is None else ListEntry(*row)


def delete_entry(connection: Connection, entry_id: str) -> bool:
    """Removes an entry; whether it was there."""
    return connection.execute(delete(list_entries).where(list_entries.c.id == entry_id)).rowcount > 0


def list_page(connection: Connection, kind: str | None, after: str | None, limit: int) -> list[ListEntry]:
    """Entries in the order of their ids."""
    query = select(*_ENTRY).order_by(list_entries.c.id).limit(limit)
    if kind is not None:
        query = query.where(list_entries.c.kind == kind)
    if after is not None:
        query = query.where(list_entries.c.id > after)
    return [ListEntry(*row) for row in connection.execute(query)]


def valid_entries(connection: Connection, now: datetime) -> list[ListEntry]:
    """All entries that are not over."""
    valid = or_(list_entries.c.expires_at.is_(None), list_entries.c.expires_at > now)
    return [ListEntry(*row) for row in connection.execute(select(*_ENTRY).where(valid).order_by(list_entries.c.id))]


def expire_entries(connection: Connection, before: datetime) -> int:
    """Removes entries that were over before a moment."""
    return connection.execute(delete(list_entries).where(list_entries.c.expires_at < before)).rowcount


def lock_position(connection: Connection, stream: str) -> str | None:
    """Up to where the stream was read; None while another process reads it."""
    connection.execute(insert_or_not(audit_positions).values(stream=stream, last_id=BEGINNING).on_conflict_do_nothing())
    query = select(audit_positions.c.last_id).where(audit_positions.c.stream == stream)
    return connection.execute(query.with_for_update(skip_locked=True)).scalar_one_or_none()


def move_position(connection: Connection, stream: str, last_id: str) -> None:
    """Everything up to this id is in the audit log."""
    connection.execute(update(audit_positions).where(audit_positions.c.stream == stream).values(last_id=last_id))


def insert_records(connection: Connection, records: Sequence[Record]) -> None:
    """Writes decisions."""
    rows = [asdict(record) | {"signals": list(record.signals)} for record in records]
    for row in rows:
        del row["id"]
    if rows:
        connection.execute(insert(audit), rows)


def find_records(connection: Connection, search: Search, before: int | None, limit: int) -> list[Record]:
    """Decisions that fit, the latest first."""
    query = select(*_RECORD).order_by(audit.c.id.desc()).limit(limit)
    for name in ("account_id", "verdict", "reason", "rate_class"):
        if getattr(search, name) is not None:
            query = query.where(audit.c[name] == getattr(search, name))
    if search.address is not None:
        query = query.where(or_(audit.c.address == search.address, audit.c.holder == search.address))
    if search.since is not None:
        query = query.where(audit.c.at >= search.since)
    if search.until is not None:
        query = query.where(audit.c.at < search.until)
    if before is not None:
        query = query.where(audit.c.id < before)
    return [_record(row) for row in connection.execute(query).mappings()]


def _record(row: object) -> Record:
    values = dict(row)  # type: ignore[call-overload]
    return Record(**values | {"signals": tuple(values["signals"])})


def count_by_hour(connection: Connection, since: datetime, limit: int) -> list[Count]:
    """How often what was decided, by hour."""
    hour = func.date_trunc("hour", audit.c.at)
    columns = (hour, audit.c.rate_class, audit.c.verdict, audit.c.reason)
    query = select(*columns, func.sum(audit.c.count)).where(audit.c.at >= since).group_by(*columns).order_by(*columns)
    return [Count(*row[:4], int(row[4])) for row in connection.execute(query.limit(limit))]


def insert_action(connection: Connection, action: AdminAction) -> None:
    """Writes an action; one that is told again stays as it is."""
    row = asdict(action)
    del row["number"]
    connection.execute(insert_or_not(admin_actions).values(row).on_conflict_do_nothing())


def end_action(connection: Connection, action_id: str, status: int, at: datetime) -> bool:
    """Writes how an action ended, once; whether there is such an action."""
    mine = admin_actions.c.id == action_id
    ended = update(admin_actions).where(mine, admin_actions.c.status.is_(None)).values(status=status, ended_at=at)
    if connection.execute(ended).rowcount:
        return True
    return connection.execute(select(admin_actions.c.number).where(mine)).first() is not None


def find_actions(connection: Connection, search: ActionSearch, before: int | None, limit: int) -> list[AdminAction]:
    """Actions that fit, the latest first."""
    query = select(*_ACTION).order_by(admin_actions.c.number.desc()).limit(limit)
    for name in ("account_id", "email", "service", "operation"):
        if getattr(search, name) is not None:
            query = query.where(admin_actions.c[name] == getattr(search, name))
    if search.path is not None:
        query = query.where(admin_actions.c.path.startswith(search.path, autoescape=True))
    if search.since is not None:
        query = query.where(admin_actions.c.at >= search.since)
    if search.until is not None:
        query = query.where(admin_actions.c.at < search.until)
    if before is not None:
        query = query.where(admin_actions.c.number < before)
    return [AdminAction(*row) for row in connection.execute(query)]


def prune_actions(connection: Connection, before: datetime, limit: int) -> int:
    """Deletes at most `limit` actions from before a moment."""
    old = select(admin_actions.c.number).where(admin_actions.c.at < before).order_by(admin_actions.c.at).limit(limit)
    return connection.execute(delete(admin_actions).where(admin_actions.c.number.in_(old))).rowcount


def prune_records(connection: Connection, before: datetime, limit: int) -> int:
    """Deletes at most `limit` decisions from before a moment."""
    old = select(audit.c.id).where(audit.c.at < before).order_by(audit.c.at).limit(limit)
    return connection.execute(delete(audit).where(audit.c.id.in_(old))).rowcount
