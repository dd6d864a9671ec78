"""The fold: what a run of log records does to the counters. Pure: the same state and records give the same result.

The order of work at each record is the protocol: first the record moves the log's clock, then the holds that the clock
has outlived are released, then the record itself is judged.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from shared.wire import Action, Line, Refused, TicketMessage
from shop.inventory.domain import (
    HOUR_MS,
    MINUTE_MS,
    AnonymousHold,
    Changes,
    Counters,
    Evidence,
    Follows,
    Pool,
    Sale,
    SaleKey,
    State,
    Verdict,
    release,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a fold must know of the site and the federation. `hold_ms` is the federation-wide time to live."""

    client_id: str
    hold_ms: int


class LogRecord(NamedTuple):
    """An understood record at its place in the log.

    A side record (handed in by HTTP, or replayed) has no timestamp of the log and leaves the log's clock alone.
    """

    partition: int
    offset: int
    timestamp_ms: int | None
    message: TicketMessage


class Unreadable(NamedTuple):
    """A record refused for its form: it moves the log's clock and nothing else."""

    partition: int
    offset: int
    timestamp_ms: int | None
    reason: Refused


@dataclass(slots=True)
class LogState:
    """Everything that the coming records can touch. Mutated by the fold.

    `sales` and `anonymous` may hold only a part of what exists, as long as it has all that the records name and all
    that the clock can outlive. `expiring` are the open holds of each partition, oldest first. `birth_offset`: our own
    sales before it are from a database that was lost, and count as the log shows them.
    """

    pools: dict[Pool, Counters]
    matches: set[int]
    clock_ms: dict[int, int | None] = field(default_factory=dict)
    birth_offset: dict[int, int] = field(default_factory=dict)
    sales: dict[SaleKey, Sale] = field(default_factory=dict)
    anonymous: dict[Pool, deque[AnonymousHold]] = field(default_factory=lambda: defaultdict(deque))
    expiring: dict[int, deque[Sale | AnonymousHold]] = field(default_factory=lambda: defaultdict(deque))


def advance(clock_ms: int | None, timestamp_ms: int) -> int:
    """The log's clock after a record: the highest timestamp so far, moved by at most an hour at a time."""
    if clock_ms is None:
        return timestamp_ms
    return max(clock_ms, min(timestamp_ms, clock_ms + HOUR_MS))


def fold(
    state: LogState, records: Iterable[LogRecord | Unreadable], rules: Rules, changes: Changes
) -> list[tuple[LogRecord | Unreadable, Refused]]:
    """Applies the records in order; returns those that are refused, by their form or by the catalogue."""
    work = _Fold(state, rules, changes)
    refused: list[tuple[LogRecord | Unreadable, Refused]] = []
    for record in records:
        if record.timestamp_ms is not None:
            work.move_clock(record.partition, record.timestamp_ms)
        try:
            work.apply(record)
        except Refused as reason:
            refused.append((record, reason))
    return refused


class _Fold:
    def __init__(self, state: LogState, rules: Rules, changes: Changes) -> None:
        self.state = state
        self.rules = rules
        self.changes = changes

    def apply(self, record: LogRecord | Unreadable) -> None:
        if isinstance(record, Unreadable):
            raise record.reason
        message = record.message
        # A plain tuple finds what stands under a Pool, and is made in half the time.
        pools: Mapping[Any, Counters] = self.state.pools
        number = message.match_number
        lines = [(pools.get((number, line.category)) or self._unknown(number, line), line) for line in message.lines]
        for counters, line in lines:
            if line.price != counters.price_number:
                self._flag("price_mismatch", record, [(counters, line)], f"price {line.price}")
        if message.client_id == self.rules.client_id and not self._is_own(record, lines):
            self._flag("own_client_id", record, lines)
            if message.sale_id is None:
                return
        if message.sale_id is None:
            self._apply_anonymous(record, lines)
        else:
            self._apply_sale(record, lines)

    def move_clock(self, partition: int, timestamp_ms: int) -> None:
        before = self.state.clock_ms.get(partition)
        if before is not None and timestamp_ms <= before:
            return  # what it outlives was released when it got there
        clock = self.state.clock_ms[partition] = advance(before, timestamp_ms)
        expiring = self.state.expiring[partition]
        while expiring and expiring[0].born_ms + self.rules.hold_ms <= clock:
            self._expire(expiring.popleft())

    def _unknown(self, match_number: int, line: Line) -> NoReturn:
        if match_number in self.state.matches:
            raise Refused("unknown_category", f"match {match_number} has no category {str(line.category)[:40]}")
        raise Refused("unknown_match", f"match {match_number} is not in the master list")

    # -- who counts ----------------------------------------------------------------------------------------------

    def _is_own(self, record: LogRecord, lines: list[tuple[Counters, Line]]) -> bool:
        """Whether a record with our client id is from us, now or before the database was lost."""
        if record.timestamp_ms is not None and record.offset < self.state.birth_offset.get(record.partition, 0):
            return True
        known = [self._sale(record.message, counters) for counters, _ in lines]
        return any(sale is not None and sale.follows is not Follows.NOTHING for sale in known)

    def _follows(self, record: LogRecord) -> Follows:
        if record.message.client_id != self.rules.client_id:
            return Follows.LOG
        born_before = record.offset < self.state.birth_offset.get(record.partition, 0)
        return Follows.LOG if born_before and record.timestamp_ms is not None else Follows.NOTHING

    def _sale(self, message: TicketMessage, counters: Counters) -> Sale | None:
        sales: Mapping[Any, Sale] = self.state.sales
        return sales.get((message.client_id or "", message.sale_id or "", counters.pool))

    # -- sales with an id ----------------------------------------------------------------------------------------

    def _apply_sale(self, record: LogRecord, lines: list[tuple[Counters, Line]]) -> None:
        action = record.message.action
        if action is Action.PENDING:
            self._judge(record, lines)
            return
        for counters, line in lines:
            sale = self._sale(record.message, counters)
            if action is Action.RESERVED:
                self._sell(record, counters, line, sale)
            else:
                self._give_back(record, counters, line, sale)

    def _judge(self, record: LogRecord, lines: list[tuple[Counters, Line]]) -> None:
        """Admission: the whole sale is held if the log's view has room for every line, else it counts nothing."""
        known = [self._sale(record.message, counters) for counters, _ in lines]
        if [sale for sale in known if sale is not None and sale.log_state is not None]:
            self._flag("duplicate", record, lines)
            return
        clock = self.state.clock_ms.get(record.partition) or 0
        admitted = not [line for counters, line in lines if counters.log_free(clock) < line.quantity]
        for (counters, line), sale in zip(lines, known, strict=True):
            if sale is None:
                sale = self._new_sale(record, counters, line.quantity)
            else:
                sale.partition, sale.offset, sale.born_ms = record.partition, record.offset, clock
            if admitted:
                self._admit(counters, sale)
            else:
                self._reject(counters, sale)

    def _admit(self, counters: Counters, sale: Sale) -> None:
        sale.log_state, sale.log_held = State.HELD, sale.quantity
        counters.log_held += sale.quantity
        self.state.expiring[sale.partition].append(sale)
        if sale.follows is Follows.LOG:
            counters.held += sale.quantity
            sale.state = State.HELD
        elif sale.follows is Follows.SITE and sale.state is State.SUBMITTED:
            sale.state = State.HELD
            self.changes.verdicts.append(Verdict(sale, State.HELD))

    def _reject(self, counters: Counters, sale: Sale) -> None:
        sale.log_state = State.LOST
        if sale.follows is Follows.SITE:
            if release(counters, sale, State.LOST):
                self.changes.verdicts.append(Verdict(sale, State.LOST))
                self.changes.to_cancel.append(sale)
        else:
            sale.state = State.LOST

    def _sell(self, record: LogRecord, counters: Counters, line: Line, sale: Sale | None) -> None:
        if sale is None:
            self._flag("orphan_reserved", record, [(counters, line)])
            sale = self._new_sale(record, counters, line.quantity)
        elif sale.log_held == 0:
            if sale.log_sold > 0:
                self._flag("duplicate", record, [(counters, line)])
                return
            rejected = sale.log_state is State.LOST
            self._flag(
                "reserved_after_rejection" if rejected else "reserved_after_release",
                record,
                [(counters, line)],
            )
        elif sale.log_held != line.quantity:
            self._flag("quantity_mismatch", record, [(counters, line)], f"held {sale.log_held}")
        confirmed = min(line.quantity, sale.log_held)
        self._count_sold(record, line.quantity)
        self._move(counters, sale, -confirmed, line.quantity)
        sale.log_state = State.RESERVED
        if sale.follows is not Follows.SITE:
            sale.state = State.RESERVED

    def _give_back(self, record: LogRecord, counters: Counters, line: Line, sale: Sale | None) -> None:
        if sale is None:
            self._flag("orphan_cancelled", record, [(counters, line)])
            sale = self._new_sale(record, counters, line.quantity)
            sale.log_state = sale.state = State.CANCELLED
            return
        if sale.log_held == 0:
            if sale.log_sold > 0:
                self._flag("cancelled_after_reserved", record, [(counters, line)])
            return
        if line.quantity > sale.log_held:
            self._flag("quantity_mismatch", record, [(counters, line)], f"held {sale.log_held}")
        self._move(counters, sale, -min(line.quantity, sale.log_held), 0)
        if sale.log_held == 0:
            self._close(counters, sale, State.CANCELLED)

    def _move(self, counters: Counters, sale: Sale, held: int, sold: int) -> None:
        sale.log_held += held
        sale.log_sold += sold
        counters.log_held += held
        counters.log_sold += sold
        if sale.follows is Follows.LOG:
            counters.held += held
            counters.sold += sold

    def _close(self, counters: Counters, sale: Sale, into: State) -> None:
        """The log has ended a hold. Should our own buyer still have it open, it ends here too: the log decides."""
        sale.log_state = State.RESERVED if sale.log_sold else into
        if sale.follows is not Follows.SITE:
            sale.state = sale.log_state
        elif release(counters, sale, into):
            self.changes.verdicts.append(Verdict(sale, into))

    def _new_sale(self, record: LogRecord, counters: Counters, quantity: int) -> Sale:
        message, partition, offset = record.message, record.partition, record.offset
        key = SaleKey(message.client_id or "", message.sale_id or "", counters.pool)
        born_ms = self.state.clock_ms.get(partition) or 0
        sale = Sale(
            key, quantity, self._follows(record), State.SUBMITTED, born_ms=born_ms, partition=partition, offset=offset
        )
        self.state.sales[key] = sale
        self.changes.new_sales.append(sale)
        return sale

    # -- sales without an id: one balance a pool -----------------------------------------------------------------

    def _apply_anonymous(self, record: LogRecord, lines: list[tuple[Counters, Line]]) -> None:
        for counters, line in lines:
            if record.message.action is Action.PENDING:
                self._hold_anonymous(record, counters, line)
                continue
            taken = self._take_anonymous(counters.pool, line.quantity)
            counters.held -= taken
            counters.log_held -= taken
            if record.message.action is Action.RESERVED:
                counters.sold += line.quantity
                counters.log_sold += line.quantity
                self._count_sold(record, line.quantity)
            if taken < line.quantity:
                kind = f"orphan_{record.message.action.name.lower()}"
                self._flag(kind, record, [(counters, line)], f"{taken} of {line.quantity} were held")

    def _hold_anonymous(self, record: LogRecord, counters: Counters, line: Line) -> None:
        clock = self.state.clock_ms.get(record.partition) or 0
        if counters.log_free(clock) < line.quantity:
            self._flag("over_committed", record, [(counters, line)], f"free {counters.log_free(clock)}")
        counters.held += line.quantity
        counters.log_held += line.quantity
        held = AnonymousHold(counters.pool, line.quantity, clock, record.partition, record.offset)
        self.state.anonymous[counters.pool].append(held)
        self.state.expiring[record.partition].append(held)
        self.changes.new_holds.append(held)

    def _take_anonymous(self, pool: Pool, quantity: int) -> int:
        balance, taken = self.state.anonymous[pool], 0
        while balance and taken < quantity:
            oldest = balance[0]
            part = min(oldest.quantity, quantity - taken)
            oldest.quantity -= part
            taken += part
            if oldest.quantity == 0:
                balance.popleft()
        return taken

    # -- time ----------------------------------------------------------------------------------------------------

    def _expire(self, held: Sale | AnonymousHold) -> None:
        if isinstance(held, AnonymousHold):
            counters = self.state.pools[held.pool]
            counters.held -= held.quantity
            counters.log_held -= held.quantity
            held.quantity = 0
            balance = self.state.anonymous[held.pool]
            while balance and balance[0].quantity == 0:
                balance.popleft()
        elif held.log_held > 0:
            counters = self.state.pools[held.key.pool]
            self._move(counters, held, -held.log_held, 0)
            self._close(counters, held, State.EXPIRED)

    def _count_sold(self, record: LogRecord, quantity: int) -> None:
        minute = (self.state.clock_ms.get(record.partition) or 0) // MINUTE_MS
        key = minute, record.message.client_id or ""
        self.changes.sold[key] = self.changes.sold.get(key, 0) + quantity

    def _flag(self, kind: str, record: LogRecord, lines: list[tuple[Counters, Line]], detail: str = "") -> None:
        message = record.message
        for counters, line in lines:
            self.changes.evidence.append(
                Evidence(
                    kind,
                    record.partition,
                    record.offset,
                    message.client_id,
                    message.sale_id,
                    counters.pool,
                    line.quantity,
                    detail,
                )
            )
