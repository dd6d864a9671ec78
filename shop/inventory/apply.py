"""How records get into the counters: one batch, one transaction, fenced by the partition's position.

Every way in - the consumer's batches, an operator's replay, a message handed in by HTTP - ends in the same fold.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from shared import outbox
from shared.database import tell, together
from shared.wire import Headers, RawRecord, Refused, decode
from shop.inventory import write
from shop.inventory.domain import Changes, Counters, Sale, SaleKey
from shop.inventory.fold import LogRecord, LogState, Rules, Unreadable, fold
from shop.inventory.loading import Records, ask_state, read_state
from shop.inventory.outgoing import Sender, cancelled
from shop.inventory.positions import lock_first_position, lock_position, move_position
from shop.inventory.records import keep_refused, keep_side_record
from shop.inventory.tables import outbox as outbox_table

CHANGES_CHANNEL = "sales"
NOTICE_SALES_MAX = 100  # a notice holds 8,000 bytes; a sale id at most 64


class UnknownCatalogue(Exception):
    """A record names a match or category that is not known here (yet)."""


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


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read of one partition: all from `start` up to `end` (exclusive); offsets between may have gaps.

    `clock_ms` is the log's clock before it, as far as the caller knows: a right guess saves a round trip. `understood`
    are the same records after `read_records`, for who reads ahead.
    """

    partition: int
    start: int
    end: int
    records: Sequence[RawRecord]
    clock_ms: int | None = None
    understood: Records | None = None


@dataclass(slots=True)
class Applied:
    """What a batch did, for metrics and logs, and the log's clock behind it."""

    changes: Changes
    refused: list[tuple[LogRecord | Unreadable, Refused]]
    clock_ms: int | None


def read_record(partition: int, raw: RawRecord, quantity_max: int) -> LogRecord | Unreadable:
    """The record, understood or with the reason why not."""
    try:
        return LogRecord(partition, raw.offset, raw.timestamp, decode(raw.value, raw.headers, quantity_max))
    except Refused as reason:
        return Unreadable(partition, raw.offset, raw.timestamp, reason)


def read_records(partition: int, raws: Iterable[RawRecord], quantity_max: int) -> Records:
    """Each record, understood or with the reason why not."""
    return [read_record(partition, raw, quantity_max) for raw in raws]


def apply_batch(
    connection: Connection, federation: Federation, batch: Batch, *, catalogue_is_fresh: bool = True
) -> Applied:
    """Applies a batch exactly once, and commits: the transaction ends here.

    Raises `StalePosition` when the position is not the batch's start, and `UnknownCatalogue` when a record would be
    refused for its match or category although the catalogue may be old; nothing is changed then.
    """
    partition, hold_ms = batch.partition, federation.hold_ms
    records = batch.understood
    if records is None:
        records = read_records(partition, batch.records, federation.quantity_max)
    with together(connection):
        locked = lock_position(connection, federation.topic, partition, batch.start)
        asked = ask_state(connection, partition, batch.clock_ms, hold_ms, records)
    position = locked()
    if position.clock_ms != batch.clock_ms:
        asked = ask_state(connection, partition, position.clock_ms, hold_ms, records)
    state = read_state(connection, partition, position, asked)
    write_all, applied = _fold(connection, federation, state, records)
    if not catalogue_is_fresh and any(why.reason.startswith("unknown_") for _, why in applied.refused):
        raise UnknownCatalogue
    applied.clock_ms = state.clock_ms.get(partition)
    with together(connection, commit=True):
        write_all()
        _keep_refused(connection, federation.topic, batch, applied)
        move_position(connection, federation.topic, partition, batch.end, applied.clock_ms)
    return applied


def apply_side_record(
    connection: Connection, federation: Federation, message_id: str, value: bytes | None, headers: Headers
) -> bool:
    """Applies a message that does not stand in the log (any more) at the place where the consumer is now.

    False when a message with this id was applied before. Raises `Refused` when no site would apply it; the caller's
    transaction must be undone then.
    """
    message = decode(value, headers, federation.quantity_max)
    found = lock_first_position(connection, federation.topic)
    if found is None:
        raise Refused("no_log", "this site has not read the log yet")
    partition, position = found
    if not keep_side_record(connection, message_id, partition, position.next_offset, value, headers):
        return False
    records = [LogRecord(partition, position.next_offset, None, message)]
    asked = ask_state(connection, partition, position.clock_ms, federation.hold_ms, records)
    state = read_state(connection, partition, position, asked)
    write_all, applied = _fold(connection, federation, state, records)
    if applied.refused:
        raise applied.refused[0][1]
    write_all()
    return True


def _fold(
    connection: Connection, federation: Federation, state: LogState, records: Records
) -> tuple[Callable[[], None], Applied]:
    """Folds, and returns what writes the result: each thing that has changed, once."""
    pools_before = {pool: _numbers(counters) for pool, counters in state.pools.items()}
    sales_before = {key: _marks(sale) for key, sale in state.sales.items()}
    holds_before = [(held, held.quantity) for queue in state.anonymous.values() for held in queue]
    changes = Changes()
    refused = fold(state, records, federation.rules, changes)

    def write_all() -> None:
        pools = [counters for pool, counters in state.pools.items() if _numbers(counters) != pools_before[pool]]
        write.write_pools(connection, pools)
        write.insert_sales(connection, changes.new_sales)
        write.update_sales(connection, _changed(state.sales, sales_before))
        write.insert_anonymous_holds(connection, changes.new_holds)
        write.update_anonymous_holds(connection, [held for held, before in holds_before if held.quantity != before])
        write.insert_evidence(connection, changes.evidence)
        write.count_sold(connection, changes.sold)
        _send_cancelled(connection, federation, state, changes)
        tell_changes(connection, (verdict.sale.key.sale_id for verdict in changes.verdicts))

    return write_all, Applied(changes, refused, None)


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
        notice = ",".join(ids[first : first + NOTICE_SALES_MAX])
        tell(connection, "SELECT pg_notify(%(channel)s, %(ids)s)", {"channel": CHANGES_CHANNEL, "ids": notice})


def _keep_refused(connection: Connection, topic: str, batch: Batch, applied: Applied) -> None:
    by_offset = {raw.offset: raw for raw in batch.records} if applied.refused else {}
    refused = [(by_offset[record.offset], why) for record, why in applied.refused]
    keep_refused(connection, topic, batch.partition, refused)
