"""How records get into the counters: one batch, one transaction, fenced by the partition's position.

Every way in - the consumer's batches, an operator's replay, a message handed in by HTTP - ends in the same fold.
"""

import base64
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text

from shared import outbox
from shared.wire import Action, Headers, RawRecord, Refused, TicketMessage, decode
from shop.inventory import store
from shop.inventory.domain import AnonymousHold, Changes, Counters, Pool, Sale, SaleKey
from shop.inventory.fold import LogRecord, LogState, Rules, Unreadable, advance, fold
from shop.inventory.outgoing import Sender, cancelled
from shop.inventory.tables import outbox as outbox_table

CHANGES_CHANNEL = "sales"
NOTICE_SALES_MAX = 100  # a notice holds 8,000 bytes; a sale id at most 64


@dataclass(frozen=True, slots=True)
class Position:
    """The consumer's place in a partition: `next_offset` is the first record not applied yet."""

    next_offset: int
    clock_ms: int | None
    birth_offset: int


class StalePosition(Exception):
    """Another consumer has moved this partition on: what was read must not be applied."""


@dataclass(frozen=True, slots=True)
class Federation:
    """What applying records needs to know. `quantity_max` and `hold_ms` are the same at every site."""

    client_id: str
    topic: str
    hold_ms: int
    quantity_max: int
    sender: Sender

    @property
    def rules(self) -> Rules:
        return Rules(self.client_id, self.hold_ms)


def create_position(connection: Connection, topic: str, partition: int, begin: int, end: int) -> None:
    """A new database begins at the start of the log; what the log holds by now is from before its birth."""
    connection.execute(
        text(
            "INSERT INTO shop.log_positions (topic, partition, next_offset, birth_offset)"
            " VALUES (:topic, :partition, :begin, :end) ON CONFLICT DO NOTHING"
        ),
        {"topic": topic, "partition": partition, "begin": begin, "end": end},
    )


def read_position(connection: Connection, topic: str, partition: int, *, lock: bool = False) -> Position | None:
    """Where the consumer stands in a partition; None when it never stood there."""
    row = connection.execute(
        text(
            "SELECT next_offset, clock_ms, birth_offset FROM shop.log_positions"
            f" WHERE topic = :topic AND partition = :partition{' FOR UPDATE' if lock else ''}"
        ),
        {"topic": topic, "partition": partition},
    ).one_or_none()
    return None if row is None else Position(*row)


def lock_position(connection: Connection, topic: str, partition: int, start: int) -> Position:
    """The partition's position, locked; raises `StalePosition` unless it is where the batch begins."""
    position = read_position(connection, topic, partition, lock=True)
    if position is None or position.next_offset != start:
        raise StalePosition(f"{topic}-{partition}: batch begins at {start}, position is {position}")
    return position


def move_position(connection: Connection, topic: str, partition: int, end: int, clock_ms: int | None) -> None:
    """Says that everything before `end` is applied."""
    connection.execute(
        text(
            "UPDATE shop.log_positions SET next_offset = :end, clock_ms = :clock_ms"
            " WHERE topic = :topic AND partition = :partition"
        ),
        {"topic": topic, "partition": partition, "end": end, "clock_ms": clock_ms},
    )


def read_record(partition: int, raw: RawRecord, quantity_max: int) -> LogRecord | Unreadable:
    """The record, understood or with the reason why not."""
    try:
        return LogRecord(partition, raw.offset, raw.timestamp_ms, decode(raw.value, raw.headers, quantity_max))
    except Refused as reason:
        return Unreadable(partition, raw.offset, raw.timestamp_ms, reason)


@dataclass(slots=True)
class Applied:
    """What a batch did, for metrics and logs."""

    changes: Changes
    refused: list[tuple[LogRecord | Unreadable, Refused]]


def apply_batch(
    connection: Connection,
    federation: Federation,
    partition: int,
    start: int,
    end: int,
    raw_records: Sequence[RawRecord],
) -> Applied:
    """Applies the records from `start` up to `end` (exclusive) of one partition, exactly once.

    Offsets may have gaps (a broker's own control records). Raises `StalePosition` and changes nothing when the
    position is not `start`.
    """
    records = [read_record(partition, raw, federation.quantity_max) for raw in raw_records]
    position = lock_position(connection, federation.topic, partition, start)
    state = _load(connection, federation, partition, position, records)
    applied = _fold_and_write(connection, federation, state, records)
    _keep_refused(connection, federation.topic, partition, raw_records, applied)
    move_position(connection, federation.topic, partition, end, state.clock_ms.get(partition))
    return applied


def apply_side_record(
    connection: Connection, federation: Federation, message_id: str, value: bytes | None, headers: Headers
) -> bool:
    """Applies a message that does not stand in the log (any more) at the place where the consumer is now.

    False when a message with this id was applied before. Raises `Refused` and changes nothing when no site would
    apply it.
    """
    message = decode(value, headers, federation.quantity_max)
    partition, position = _lock_first_position(connection, federation.topic)
    side_id = _insert_side_record(connection, message_id, partition, position.next_offset, value, headers)
    if side_id is None:
        return False
    records = [LogRecord(partition, position.next_offset, None, message)]
    state = _load(connection, federation, partition, position, records)
    applied = _fold_and_write(connection, federation, state, records)
    if applied.refused:
        raise applied.refused[0][1]
    return True


def _lock_first_position(connection: Connection, topic: str) -> tuple[int, Position]:
    row = connection.execute(
        text(
            "SELECT partition, next_offset, clock_ms, birth_offset FROM shop.log_positions"
            " WHERE topic = :topic ORDER BY partition LIMIT 1 FOR UPDATE"
        ),
        {"topic": topic},
    ).one_or_none()
    if row is None:
        raise Refused("no_log", "this site has not read the log yet")
    return row[0], Position(row[1], row[2], row[3])


def _insert_side_record(
    connection: Connection,
    message_id: str,
    partition: int,
    before: int,
    value: bytes | None,
    headers: Headers,
) -> int | None:
    return connection.execute(
        text(
            "INSERT INTO shop.side_records (message_id, partition, before_offset, value, headers) VALUES"
            " (:message_id, :partition, :before, :value, CAST(:headers AS jsonb))"
            " ON CONFLICT (message_id) DO NOTHING RETURNING id"
        ),
        {
            "message_id": message_id,
            "partition": partition,
            "before": before,
            "value": value,
            "headers": dump_headers(headers),
        },
    ).scalar_one_or_none()


# -- loading what the records can touch ------------------------------------------------------------------------------


def _load(
    connection: Connection,
    federation: Federation,
    partition: int,
    position: Position,
    records: Sequence[LogRecord | Unreadable],
) -> LogState:
    messages = [record.message for record in records if isinstance(record, LogRecord)]
    outlived_ms = _last_clock(position.clock_ms, records) - federation.hold_ms
    named = {Pool(message.match_number, line.category) for message in messages for line in message.lines}
    sane = {pool for pool in named if abs(pool.category) < 2**31}
    pools = store.lock_touched_pools(connection, sane, partition, outlived_ms)
    missing = {pool.match_number for pool in named if pool not in pools}
    state = LogState(
        pools,
        store.known_matches(connection, missing) if missing else set(),
        {partition: position.clock_ms},
        {partition: position.birth_offset},
    )
    _load_holds(connection, state, messages, partition, outlived_ms)
    return state


def _last_clock(clock_ms: int | None, records: Iterable[LogRecord | Unreadable]) -> int:
    for record in records:
        if record.timestamp_ms is not None:
            clock_ms = advance(clock_ms, record.timestamp_ms)
    return clock_ms or 0


def _load_holds(
    connection: Connection, state: LogState, messages: list[TicketMessage], partition: int, outlived_ms: int
) -> None:
    names = {(message.client_id or "", message.sale_id) for message in messages if message.sale_id is not None}
    sales = store.batch_sales(connection, names, partition, outlived_ms) if names or outlived_ms > 0 else []
    state.sales = {sale.key: sale for sale in sales}
    holds = store.batch_anonymous_holds(connection, _needs(messages), partition, outlived_ms)
    state.anonymous = store.group_by_pool(holds)
    items: list[Sale | AnonymousHold] = [*sales, *holds]
    old = [item for item in items if item.partition == partition and _is_open(item)]
    state.expiring = defaultdict(deque, {partition: deque(sorted(old, key=lambda item: item.born_ms))})


def _is_open(item: Sale | AnonymousHold) -> bool:
    return item.quantity > 0 if isinstance(item, AnonymousHold) else item.log_held > 0


def _needs(messages: list[TicketMessage]) -> dict[Pool, int]:
    needs: Counter[Pool] = Counter()
    for message in messages:
        if message.sale_id is None and message.action is not Action.PENDING:
            for line in message.lines:
                needs[Pool(message.match_number, line.category)] += line.quantity
    return {pool: need for pool, need in needs.items() if abs(pool.category) < 2**31}


# -- writing what the fold did ---------------------------------------------------------------------------------------


def _fold_and_write(
    connection: Connection, federation: Federation, state: LogState, records: Sequence[LogRecord | Unreadable]
) -> Applied:
    pools_before = {pool: _numbers(counters) for pool, counters in state.pools.items()}
    sales_before = {key: _marks(sale) for key, sale in state.sales.items()}
    holds_before = {held.id: (held, held.quantity) for queue in state.anonymous.values() for held in queue}
    changes = Changes()
    refused = fold(state, records, federation.rules, changes)
    store.write_pools(
        connection,
        [counters for pool, counters in state.pools.items() if _numbers(counters) != pools_before[pool]],
    )
    store.insert_sales(connection, changes.new_sales)
    store.update_sales(connection, _changed(state.sales, sales_before))
    store.insert_anonymous_holds(connection, changes.new_holds)
    store.update_anonymous_holds(
        connection, [held for held, quantity in holds_before.values() if held.quantity != quantity]
    )
    store.insert_evidence(connection, changes.evidence)
    _send_cancelled(connection, federation, state, changes)
    tell_changes(connection, (verdict.sale.key.sale_id for verdict in changes.verdicts))
    return Applied(changes, refused)


def _numbers(counters: Counters) -> tuple[int, ...]:
    return counters.held, counters.sold, counters.log_held, counters.log_sold


def _marks(sale: Sale) -> tuple[Any, ...]:
    return sale.state, sale.log_state, sale.log_held, sale.log_sold, sale.born_ms, sale.offset


def _changed(sales: dict[SaleKey, Sale], before: dict[SaleKey, tuple[Any, ...]]) -> list[Sale]:
    return [sale for key, sale in sales.items() if key in before and _marks(sale) != before[key]]


def _send_cancelled(connection: Connection, federation: Federation, state: LogState, changes: Changes) -> None:
    """For partners who cannot judge: they counted the hold that the log refused."""
    messages = [
        cancelled(federation.sender, sale.key.sale_id, state.pools[sale.key.pool], sale.quantity)
        for sale in changes.to_cancel
    ]
    outbox.append(connection, outbox_table, messages)


def tell_changes(connection: Connection, sale_ids: Iterable[str]) -> None:
    """Wakes those who wait for these sales of this site, when the transaction commits."""
    ids = list(dict.fromkeys(sale_ids))
    for first in range(0, len(ids), NOTICE_SALES_MAX):
        connection.execute(
            text("SELECT pg_notify(:channel, :ids)"),
            {"channel": CHANGES_CHANNEL, "ids": ",".join(ids[first : first + NOTICE_SALES_MAX])},
        )


def _keep_refused(
    connection: Connection, topic: str, partition: int, raw_records: Sequence[RawRecord], applied: Applied
) -> None:
    if applied.refused:
        by_offset = {raw.offset: raw for raw in raw_records}
        keep_refused(connection, topic, partition, [(by_offset[record.offset], why) for record, why in applied.refused])


def keep_refused(
    connection: Connection, topic: str, partition: int, refused: Sequence[tuple[RawRecord, Refused]]
) -> None:
    """Keeps the raw records that were refused, with the reason, for an operator to look at and replay."""
    connection.execute(
        text(
            'INSERT INTO shop.refused (topic, partition, "offset", timestamp_ms, key, value, headers, reason, detail)'
            " VALUES (:topic, :partition, :offset, :timestamp_ms, :key, :value, CAST(:headers AS jsonb), :reason,"
            " :detail) ON CONFLICT ON CONSTRAINT refused_place DO NOTHING"
        ),
        [
            {
                "topic": topic,
                "partition": partition,
                "offset": raw.offset,
                "timestamp_ms": raw.timestamp_ms,
                "key": raw.key,
                "value": raw.value,
                "headers": dump_headers(raw.headers),
                "reason": why.reason,
                "detail": why.detail.replace("\x00", "\\0"),
            }
            for raw, why in refused
        ],
    )


def dump_headers(headers: Headers) -> str:
    """Record headers as JSON: [[name, base64 value or null], …]; a header may hold any bytes."""
    return orjson.dumps(
        [
            [name.replace("\x00", ""), None if value is None else base64.b64encode(value).decode()]
            for name, value in headers
        ]
    ).decode()


def load_headers(stored: list[list[str | None]]) -> list[tuple[str, bytes | None]]:
    """The headers that `dump_headers` wrote."""
    return [(name or "", None if value is None else base64.b64decode(value)) for name, value in stored]
