"""One function a use case, one transaction each."""

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog

from security import store
from security.domain import ActionSearch, AdminAction, Count, ListEntry, ListFull, Record, Search, fold
from security.engine.store import STREAM
from security.published import Published
from security.tables import idempotency_keys
from shared import idempotency
from shared.clock import Clock
from shared.database import Database
from shared.errors import DependencyUnavailable, NotFound
from shared.http.actions import Action
from shared.idempotency import Claim, Verdict

log = structlog.get_logger(__name__)

BATCH = 1000
PRUNE_MAX = 1000
COUNTS_MAX = 10_000
KEEP_ENDED = timedelta(days=30)
KEEP_KEYS = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Desk:
    """What operators work with."""

    database: Database
    published: Published
    clock: Clock
    entries_max: int
    audit_kept: timedelta
    actions_kept: timedelta


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What is to be listed, by whom."""

    kind: str
    network: str | None
    account_id: str | None
    reason: str
    expires_at: datetime | None
    created_by: str
    key: str | None = None
    body_hash: bytes = b""


def add_entry(desk: Desk, wanted: NewEntry) -> ListEntry:
    """Lists a network or an account; the same key again answers with what it made."""
    now = desk.clock.now()
    entry = ListEntry(
        str(uuid.uuid4()), wanted.kind, wanted.network, wanted.account_id, wanted.reason, wanted.created_by, now,
        wanted.expires_at,
    )  # fmt: skip
    with desk.database.transaction() as connection:
        if wanted.key is not None:
            claim = Claim(f"lists:{wanted.created_by}", wanted.key, wanted.body_hash, entry.id)
            outcome = idempotency.claim(connection, idempotency_keys, claim, now)
            if outcome.verdict is Verdict.REPLAY:
                made = store.find_entry(connection, outcome.resource_id)
                if made is None:
                    raise NotFound("what this key made was removed")
                return made
        if store.count_entries(connection) >= desk.entries_max:
            raise ListFull(f"at most {desk.entries_max} entries are kept")
        store.insert_entry(connection, entry)
    log.info("listed", id=entry.id, kind=entry.kind, network=entry.network, account=entry.account_id)
    _publish_soon(desk)
    return entry


def remove_entry(desk: Desk, entry_id: str) -> None:
    """Takes an entry off the lists. Raises `NotFound`."""
    with desk.database.transaction() as connection:
        if not store.delete_entry(connection, entry_id):
            raise NotFound(f"there is no entry {entry_id}")
    log.info("unlisted", id=entry_id)
    _publish_soon(desk)


def get_entry(desk: Desk, entry_id: str) -> ListEntry:
    """One entry. Raises `NotFound`."""
    with desk.database.transaction() as connection:
        entry = store.find_entry(connection, entry_id)
    if entry is None:
        raise NotFound(f"there is no entry {entry_id}")
    return entry


def list_entries(desk: Desk, kind: str | None, after: str | None, limit: int) -> list[ListEntry]:
    """A page of the lists."""
    with desk.database.transaction() as connection:
        return store.list_page(connection, kind, after, limit)


def publish(desk: Desk) -> bool:
    """Writes the lists to Redis, where the processes look for them, unless they are there; whether it did."""
    with desk.database.transaction() as connection:
        entries = store.valid_entries(connection, desk.clock.now())
    return desk.published.lists(entries)


def _publish_soon(desk: Desk) -> None:
    try:
        publish(desk)
    except DependencyUnavailable as error:
        # The keeper does it as soon as Redis is back.
        log.warning("lists_wait", error=str(error))


def drain(desk: Desk) -> int:
    """Moves decisions from Redis to the audit log, each once, whatever dies when; returns how many were there."""
    with desk.database.transaction() as connection:
        position = store.lock_position(connection, STREAM)
        if position is None:
            return 0
        records, last = desk.published.decisions(position, BATCH)
        if last == position:
            return 0
        store.insert_records(connection, fold(records))
        store.move_position(connection, STREAM, last)
    desk.published.forget(last)
    return len(records)


def prune(desk: Desk) -> int:
    """Deletes what is old."""
    now = desk.clock.now()
    with desk.database.transaction() as connection:
        return (
            store.prune_records(connection, now - desk.audit_kept, PRUNE_MAX)
            + store.prune_actions(connection, now - desk.actions_kept, PRUNE_MAX)
            + store.expire_entries(connection, now - KEEP_ENDED)
            + idempotency.expire(connection, idempotency_keys, now - KEEP_KEYS)
        )


def find_decisions(desk: Desk, search: Search, before: int | None, limit: int) -> list[Record]:
    """A page of the audit log, the latest first."""
    with desk.database.transaction() as connection:
        return store.find_records(connection, search, before, limit)


def count_decisions(desk: Desk, hours: int) -> list[Count]:
    """How often what was decided in the last hours."""
    with desk.database.transaction() as connection:
        return store.count_by_hour(connection, desk.clock.now() - timedelta(hours=hours), COUNTS_MAX)


# What admins change


def keep_action(desk: Desk, action: AdminAction) -> None:
    """An action has begun, here or at another service."""
    with desk.database.transaction() as connection:
        store.insert_action(connection, action)


def end_action(desk: Desk, action_id: str, status: int, at: datetime) -> None:
    """An action has ended. Raises `NotFound`."""
    with desk.database.transaction() as connection:
        if not store.end_action(connection, action_id, status, at):
            raise NotFound("there is no such action")


def find_actions(desk: Desk, search: ActionSearch, before: int | None, limit: int) -> list[AdminAction]:
    """A page of the log of actions, the latest first."""
    with desk.database.transaction() as connection:
        return store.find_actions(connection, search, before, limit)


class OwnAudit:
    """`shared.http.actions.Auditor` of this service, which has the log in its own tables."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def begin(self, action: Action) -> None:
        keep_action(self._desk, AdminAction(**asdict(action)))

    def end(self, action_id: str, status: int, at: datetime) -> None:
        try:
            end_action(self._desk, action_id, status, at)
        except (DependencyUnavailable, NotFound) as error:
            # What was done is done; its entry stands without an outcome.
            log.error("audit_without_outcome", action=action_id, status=status, error=str(error))
