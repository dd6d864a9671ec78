"""Idempotency keys: a repeated POST gets what the first one made, and never a second one.

A key is claimed in the transaction that makes the resource, with the resource's id: either both are
committed or neither. PostgreSQL's unique index lets the second of two concurrent claims wait for the
first one's end, so that it sees either the finished resource or a free key.
"""

import dataclasses
import enum
import hashlib
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import Column, Connection, DateTime, Index, LargeBinary, MetaData, Table, Text, delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from shared.errors import DependencyUnavailable, IdempotencyKeyReused

EXPIRE_ROWS_MAX = 1000
CLAIM_TRIES = 5


class Verdict(enum.Enum):
    """What a claim found."""

    NEW = "new"  # go on and make the resource
    REPLAY = "replay"  # answer with the resource that is there
    REUSED = "reused"  # the key belongs to a different request


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """One request's wish for a key.

    `scope` keeps callers and routes apart, e.g. "reservations:guest@example.org"; `resource_id` is what the
    request will make if the key is new.
    """

    scope: str
    key: str
    body_hash: bytes
    resource_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on a claim; `resource_id` is the claim's own when new, the stored one otherwise."""

    verdict: Verdict
    resource_id: str


def idempotency_table(metadata: MetaData, schema: str) -> Table:
    """The table of a service's keys, for its `tables.py`."""
    return Table(
        "idempotency_keys",
        metadata,
        Column("scope", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("body_hash", LargeBinary, nullable=False),
        Column("resource_id", Text, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Index("idempotency_keys_created_at", "created_at"),
        schema=schema,
    )


def body_hash(body: BaseModel, without: frozenset[str] = frozenset()) -> bytes:
    """SHA-256 over what the body means: spaces and the order of members make no difference.

    Fields named in `without` are left out: a hash of a card's number could be turned back into it.
    """
    return hashlib.sha256(body.model_dump_json(by_alias=True, exclude=set(without)).encode()).digest()


def claim(connection: Connection, table: Table, wanted: Claim, now: datetime) -> Outcome:
    """Claims one key: NEW or REPLAY. Raises `IdempotencyKeyReused`."""
    (outcome,) = claim_many(connection, table, [wanted], now)
    if outcome.verdict is Verdict.REUSED:
        raise IdempotencyKeyReused
    return outcome


def claim_many(connection: Connection, table: Table, claims: Sequence[Claim], now: datetime) -> list[Outcome]:
    """Claims many keys in one transaction and answers in the same order.

    Of claims with the same key in one call the first is the one that can be new. A claim whose request is
    refused afterwards is given back with `forget_many`, so that the caller may try again.
    """
    if not claims:
        return []
    # Keys are inserted in one order everywhere, so that two batches cannot wait for each other in a circle.
    first = {(wanted.scope, wanted.key): wanted for wanted in reversed(claims)}
    new: set[tuple[str, str]] = set()
    stored: dict[tuple[str, str], tuple[bytes, str]] = {}
    for _ in range(CLAIM_TRIES):
        # Usually once: a key that stood in the way may be given back before we can look whose it was.
        new |= _insert(connection, table, [first[name] for name in sorted(first) if name not in stored], now)
        stored |= {name: (first[name].body_hash, first[name].resource_id) for name in new}
        stored |= _stored(connection, table, [name for name in first if name not in stored])
        if len(stored) == len(first):
            return [_outcome(wanted, stored, first, new) for wanted in claims]
    raise DependencyUnavailable("an idempotency key is claimed and given back all the time")


def forget_many(connection: Connection, table: Table, names: Sequence[tuple[str, str]]) -> None:
    """Gives keys, as (scope, key), back: in the transaction that claimed them, or in one that undoes what it made."""
    if names:
        connection.execute(delete(table).where(tuple_(table.c.scope, table.c.key).in_(list(names))))


def expire(connection: Connection, table: Table, before: datetime, limit: int = EXPIRE_ROWS_MAX) -> int:
    """Deletes at most `limit` keys made before a moment and returns how many; others may expire at the same time."""
    old = (
        select(table.c.scope, table.c.key)
        .where(table.c.created_at < before)
        .order_by(table.c.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(delete(table).where(tuple_(table.c.scope, table.c.key).in_(old))).rowcount


def _insert(connection: Connection, table: Table, wanted: Sequence[Claim], now: datetime) -> set[tuple[str, str]]:
    rows = [{**_row(claim), "created_at": now} for claim in wanted]
    made = insert(table).values(rows).on_conflict_do_nothing().returning(table.c.scope, table.c.key)
    return {(scope, key) for scope, key in connection.execute(made)}


def _row(wanted: Claim) -> dict[str, object]:
    return {
        "scope": wanted.scope,
        "key": wanted.key,
        "body_hash": wanted.body_hash,
        "resource_id": wanted.resource_id,
    }


def _stored(
    connection: Connection, table: Table, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[bytes, str]]:
    if not names:
        return {}
    wanted = tuple_(table.c.scope, table.c.key).in_(list(names))
    rows = connection.execute(select(table.c.scope, table.c.key, table.c.body_hash, table.c.resource_id).where(wanted))
    return {(scope, key): (bytes(body_hash), resource_id) for scope, key, body_hash, resource_id in rows}


def _outcome(
    wanted: Claim,
    stored: dict[tuple[str, str], tuple[bytes, str]],
    first: dict[tuple[str, str], Claim],
    new: set[tuple[str, str]],
) -> Outcome:
    name = (wanted.scope, wanted.key)
    if name in new and first[name] is wanted:
        return Outcome(Verdict.NEW, wanted.resource_id)
    body_hash, resource_id = stored[name]
    return Outcome(Verdict.REPLAY if body_hash == wanted.body_hash else Verdict.REUSED, resource_id)
