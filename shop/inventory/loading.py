"""What a fold needs to know: the pools, sales and holds that a batch can touch, read in one round trip."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from shared.wire import Action, TicketMessage
from shop.inventory import store
from shop.inventory.domain import AnonymousHold, Counters, Pool, Sale
from shop.inventory.fold import LogRecord, LogState, Unreadable, advance
from shop.inventory.positions import Position

INTEGER_MAX = 2**31 - 1  # of PostgreSQL; a category beyond it is in no master list

Records = Sequence[LogRecord | Unreadable]


@dataclass(slots=True)
class Asked:
    """The questions of one batch, sent and not read yet. `clock_ms` is what they were asked for."""

    clock_ms: int | None
    named: set[Pool]
    pools: Callable[[], dict[Pool, Counters]]
    sales: Callable[[], list[Sale]]
    holds: Callable[[], list[AnonymousHold]]


def ask_state(connection: Connection, partition: int, clock_ms: int | None, hold_ms: int, records: Records) -> Asked:
    """Locks and asks for everything that these records, and the clock they move, can touch."""
    messages = [record.message for record in records if isinstance(record, LogRecord)]
    outlived_ms = _last_clock(clock_ms, records) - hold_ms
    pairs = {(message.match_number, line.category) for message in messages for line in message.lines}
    named = {Pool(*pair) for pair in pairs}
    names = {(message.client_id or "", message.sale_id) for message in messages if message.sale_id is not None}
    return Asked(
        clock_ms,
        named,
        store.lock_touched_pools(connection, filter(_is_sane, named), partition, outlived_ms),
        store.batch_sales(connection, names, partition, outlived_ms),
        store.batch_anonymous_holds(connection, _needs(messages), partition, outlived_ms),
    )


def read_state(connection: Connection, partition: int, position: Position, asked: Asked) -> LogState:
    """The answers, as the fold takes them."""
    pools = asked.pools()
    missing = {pool.match_number for pool in asked.named if pool not in pools}
    state = LogState(
        pools,
        store.known_matches(connection, missing) if missing else set(),
        {partition: position.clock_ms},
        {partition: position.birth_offset},
    )
    sales, holds = asked.sales(), asked.holds()
    state.sales = {sale.key: sale for sale in sales}
    for held in holds:
        state.anonymous[held.pool].append(held)
    items: list[Sale | AnonymousHold] = [*sales, *holds]
    still_open = [item for item in items if item.partition == partition and _is_open(item)]
    state.expiring = defaultdict(deque, {partition: deque(sorted(still_open, key=lambda item: item.born_ms))})
    return state


def _last_clock(clock_ms: int | None, records: Records) -> int:
    for record in records:
        if record.timestamp_ms is not None:
            clock_ms = advance(clock_ms, record.timestamp_ms)
    return clock_ms or 0


def _is_open(item: Sale | AnonymousHold) -> bool:
    return item.quantity > 0 if isinstance(item, AnonymousHold) else item.log_held > 0


def _is_sane(pool: Pool) -> bool:
    return -INTEGER_MAX <= pool.category <= INTEGER_MAX


def _needs(messages: Iterable[TicketMessage]) -> dict[Pool, int]:
    """How many anonymous tickets of each pool these messages could end."""
    needs: defaultdict[tuple[int, int], int] = defaultdict(int)
    for message in messages:
        if message.sale_id is None and message.action is not Action.PENDING:
            for line in message.lines:
                needs[message.match_number, line.category] += line.quantity
    return {pool: need for name, need in needs.items() if _is_sane(pool := Pool(*name))}
