"""The recount: the whole log folded anew in memory, beside what the database says.

The database is read in one snapshot that says how far the log was applied; the log is read up to there. What an
operator replayed, or what came by HTTP, counts where it was applied; what was refused stays refused.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy import Connection

from shared.database import Database
from shared.kafka.reader import LogReader
from shared.wire import RawRecord, Refused
from shop.inventory import audit
from shop.inventory.apply import Federation, read_record
from shop.inventory.audit import SideRecord
from shop.inventory.domain import Changes, Counters, Follows, Pool, Sale, SaleKey, State
from shop.inventory.fold import LogRecord, LogState, Unreadable, fold
from shop.inventory.positions import Position

OpenReader = Callable[[], AbstractContextManager[LogReader]]
SKIPPED = Refused("refused_then", "this site refused the record when it came")


@dataclass(frozen=True, slots=True)
class Difference:
    """One number that is not what the log says."""

    pool: Pool
    counter: str
    stored: int
    recounted: int


@dataclass(frozen=True, slots=True)
class OtherVerdict:
    """A sale of which the log makes something else than the database says; None: nothing."""

    key: SaleKey
    stored: State | None
    recounted: State | None


@dataclass(frozen=True, slots=True)
class Recount:
    """What was compared, and every difference."""

    records: int
    pools: int
    positions: dict[int, int]
    differences: list[Difference]
    verdicts: list[OtherVerdict]


@dataclass(slots=True)
class _Snapshot:
    positions: dict[int, Position]
    pools: dict[Pool, Counters]
    own: list[Sale]
    verdicts: dict[SaleKey, State | None]
    refused: dict[int, set[int]]
    side: dict[int, list[SideRecord]]


def recount(database: Database, federation: Federation, open_reader: OpenReader) -> Recount:
    """Compares the counters, and the verdict on every sale, with the log.

    Raises `BrokerUnavailable`, `DependencyUnavailable`.
    """
    with database.transaction("REPEATABLE READ") as connection:
        snapshot = _read(connection, federation)
    state = _empty_state(snapshot)
    records = 0
    with open_reader() as reader:
        for partition, position in sorted(snapshot.positions.items()):
            records += _fold_partition(reader, federation, snapshot, state, partition, position)
    differences = list(_compare(snapshot, state))
    ends = {partition: position.next_offset for partition, position in snapshot.positions.items()}
    return Recount(records, len(snapshot.pools), ends, differences, list(_compare_verdicts(snapshot, state)))


def _read(connection: Connection, federation: Federation) -> _Snapshot:
    return _Snapshot(
        audit.positions(connection, federation.topic),
        audit.pools(connection),
        audit.own_sales(connection),
        audit.verdicts(connection),
        audit.refused_offsets(connection, federation.topic),
        audit.side_records(connection),
    )


def _empty_state(snapshot: _Snapshot) -> LogState:
    pools = {pool: Counters(pool, counters.price, counters.capacities) for pool, counters in snapshot.pools.items()}
    state = LogState(pools, {pool.match_number for pool in pools})
    state.birth_offset = {partition: position.birth_offset for partition, position in snapshot.positions.items()}
    for sale in snapshot.own:
        # Closed on the site's side, so that the fold moves the log's view of it and nothing else.
        state.sales[sale.key] = Sale(sale.key, sale.quantity, Follows.SITE, State.CANCELLED)
    return state


def _fold_partition(
    reader: LogReader,
    federation: Federation,
    snapshot: _Snapshot,
    state: LogState,
    partition: int,
    position: Position,
) -> int:
    count = 0
    side = iter(snapshot.side.get(partition, []))
    waiting = next(side, None)
    begin = reader.bounds()[partition][0]
    for raw_records, _ in reader.read(partition, begin, position.next_offset):
        count += len(raw_records)
        for raw in raw_records:
            while waiting is not None and waiting.before_offset <= raw.offset:
                _fold_one(state, federation, _side_record(federation, waiting))
                waiting = next(side, None)
            _fold_one(state, federation, _record(federation, snapshot, partition, raw))
    while waiting is not None:
        _fold_one(state, federation, _side_record(federation, waiting))
        waiting = next(side, None)
    return count


def _fold_one(state: LogState, federation: Federation, record: LogRecord | Unreadable) -> None:
    fold(state, [record], federation.rules, Changes())


def _record(federation: Federation, snapshot: _Snapshot, partition: int, raw: RawRecord) -> LogRecord | Unreadable:
    if raw.offset in snapshot.refused.get(partition, ()):
        return Unreadable(partition, raw.offset, raw.timestamp, SKIPPED)
    return read_record(partition, raw, federation.quantity_max)


def _side_record(federation: Federation, side: SideRecord) -> LogRecord | Unreadable:
    raw = RawRecord(side.before_offset, 0, None, side.value, side.headers)
    record = read_record(side.partition, raw, federation.quantity_max)
    if isinstance(record, Unreadable):
        return Unreadable(side.partition, side.before_offset, None, record.reason)
    return LogRecord(side.partition, side.before_offset, None, record.message)


def _compare(snapshot: _Snapshot, state: LogState) -> Iterator[Difference]:
    held: defaultdict[Pool, int] = defaultdict(int)
    sold: defaultdict[Pool, int] = defaultdict(int)
    for sale in snapshot.own:
        if sale.state in (State.SUBMITTED, State.HELD):
            held[sale.key.pool] += sale.quantity
        elif sale.state is State.RESERVED:
            sold[sale.key.pool] += sale.quantity
    for pool, stored in sorted(snapshot.pools.items()):
        counted = state.pools[pool]
        numbers = (
            ("logHeld", stored.log_held, counted.log_held),
            ("logSold", stored.log_sold, counted.log_sold),
            ("held", stored.held, counted.held + held[pool]),
            ("sold", stored.sold, counted.sold + sold[pool]),
        )
        for counter, was, should_be in numbers:
            if was != should_be:
                yield Difference(pool, counter, was, should_be)


def _compare_verdicts(snapshot: _Snapshot, state: LogState) -> Iterator[OtherVerdict]:
    for key in sorted(snapshot.verdicts.keys() | state.sales.keys()):
        sale = state.sales.get(key)
        stored, recounted = snapshot.verdicts.get(key), None if sale is None else sale.log_state
        if stored is not recounted:
            yield OtherVerdict(key, stored, recounted)
