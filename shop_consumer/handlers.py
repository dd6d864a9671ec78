"""Use cases of the operator's side: refused records, replay, evidence, the recount."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import Connection

from shared.database import Database
from shared.errors import DependencyUnavailable, MatchdayError, NotFound, ValidationFailed
from shared.masterlist import parse_masterlist
from shared.wire import Refused
from shop.inventory import audit, catalogue
from shop.inventory.apply import Federation, apply_side_record
from shop.inventory.audit import RefusedRecord, SoldInBucket
from shop_consumer.recount import Difference, OpenReader, OtherVerdict, Recount, recount

BUCKETS_MAX = 1500
SITES_MAX = 20
VERDICTS_SHOWN_MAX = 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class CountersDiffer(MatchdayError):
    """The counters are not what the log says"""

    code: ClassVar[str] = "counters_differ"
    status: ClassVar[int] = 409
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "differences": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Each number that differs: matchNumber, category, counter, stored, recounted.",
        },
        "verdicts": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Each sale of which the log makes something else, the first thousand: clientId, saleId,"
            " matchNumber, category, stored, recounted (held, lost, reserved, cancelled, expired, or null).",
        },
    }


class AlreadyReplayed(MatchdayError):
    """The record has counted already"""

    code: ClassVar[str] = "already_replayed"
    status: ClassVar[int] = 409


class StillRefused(MatchdayError):
    """The record is refused again"""

    code: ClassVar[str] = "still_refused"
    status: ClassVar[int] = 409
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "reason": {"type": "string", "description": "As it would be refused now, such as `unknown_match`."}
    }


@dataclass(frozen=True, slots=True)
class Operations:
    """What the use cases need; `one_recount` lets one recount run at a time, for it reads the whole log."""

    database: Database
    federation: Federation
    open_reader: OpenReader
    one_recount: threading.Lock
    state: Callable[[], str]
    lag: Callable[[], list[dict[str, int]]]


def list_refused(
    operations: Operations, after: int, limit: int, reason: str | None, replayed: bool | None
) -> list[RefusedRecord]:
    """Refused records, oldest first."""
    with operations.database.transaction() as connection:
        return audit.list_refused(connection, after, limit, reason=reason, replayed=replayed)


def list_evidence(operations: Operations, after: int, limit: int, kind: str | None) -> Sequence[Any]:
    """What was flagged in the log, oldest first."""
    with operations.database.transaction() as connection:
        return audit.list_evidence(connection, after, limit, kind)


def replay(operations: Operations, refused_id: int) -> RefusedRecord:
    """Applies a refused record now, once. Raises `NotFound`, `AlreadyReplayed`, `StillRefused`."""
    with operations.database.transaction() as connection:
        record = audit.lock_refused(connection, refused_id)
        if record is None:
            raise NotFound("there is no such refused record")
        if record.replayed_at is not None:
            raise AlreadyReplayed
        try:
            _apply(connection, operations.federation, record)
        except Refused as why:
            raise StillRefused(why.detail, reason=why.reason) from None
        audit.mark_replayed(connection, refused_id)
        replayed = audit.lock_refused(connection, refused_id)
        assert replayed is not None
        return replayed


def _apply(connection: Connection, federation: Federation, record: RefusedRecord) -> None:
    if record.topic == federation.topic:
        apply_side_record(connection, federation, f"replay-{record.id}", record.value, record.headers)
    else:
        for entry in parse_masterlist(record.value):
            catalogue.apply_match(connection, entry, record.timestamp_ms)


def verify(operations: Operations) -> Recount:
    """The recount. Raises `CountersDiffer` with every difference, `DependencyUnavailable` while another one runs."""
    if not operations.one_recount.acquire(blocking=False):
        raise DependencyUnavailable("a recount is running already", retry_after=5)
    try:
        result = recount(operations.database, operations.federation, operations.open_reader)
    finally:
        operations.one_recount.release()
    if result.differences or result.verdicts:
        raise CountersDiffer(
            f"{len(result.differences)} numbers and {len(result.verdicts)} verdicts differ",
            differences=[_difference(item) for item in result.differences],
            verdicts=[_other_verdict(item) for item in result.verdicts[:VERDICTS_SHOWN_MAX]],
        )
    return result


def _difference(difference: Difference) -> dict[str, Any]:
    return {
        "matchNumber": difference.pool.match_number,
        "category": difference.pool.category,
        "counter": difference.counter,
        "stored": difference.stored,
        "recounted": difference.recounted,
    }


def _other_verdict(other: OtherVerdict) -> dict[str, Any]:
    return {
        "clientId": other.key.client_id,
        "saleId": other.key.sale_id,
        "matchNumber": other.key.pool.match_number,
        "category": other.key.pool.category,
        "stored": other.stored,
        "recounted": other.recounted,
    }


@dataclass(frozen=True, slots=True)
class Window:
    """From when until when, in minutes since the epoch, in buckets of `width` minutes."""

    since: int
    until: int
    width: int


@dataclass(frozen=True, slots=True)
class Sold:
    """What the log shows as sold in a window: over time, and by who sold most."""

    window: Window
    buckets: list[SoldInBucket]
    sites: list[tuple[str, int]]


def window(since: datetime | None, until: datetime | None, width: int, buckets: int, now: datetime) -> Window:
    """The window in whole buckets; without a beginning the last `buckets`. Raises `ValidationFailed`."""
    end = -(-((until or now) - EPOCH) // (MINUTE * width)) * width
    begin = end - buckets * width if since is None else (since - EPOCH) // (MINUTE * width) * width
    if not begin < end or (end - begin) // width > BUCKETS_MAX:
        detail = f"must be before `until`, by {BUCKETS_MAX} buckets at most"
        raise ValidationFailed(
            "there is no such window", errors=[{"parameter": "since", "code": "out_of_range", "detail": detail}]
        )
    return Window(begin, end, width)


def sold(operations: Operations, wanted: Window) -> Sold:
    """What was sold in a window, by this site and by others."""
    own = operations.federation.client_id
    with operations.database.transaction() as connection:
        buckets = audit.sold_over_time(connection, own, wanted.since, wanted.until, wanted.width)
        sites = audit.sold_by_site(connection, wanted.since, wanted.until, SITES_MAX)
    return Sold(wanted, buckets, sites)
