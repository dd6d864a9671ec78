"""The protocol without sockets: sites, a log and a plain partner, made of the product's own pure parts.

What the database would keep is a `LogState` here, what Kafka would keep a list. A transaction is a method that either
runs or does not; a crash is a method that does not finish.
"""

import copy
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from shared.errors import MatchdayError
from shared.wire import Action, Line, TicketMessage
from shop.inventory.domain import Changes, Counters, Pool, Sale, SaleKey, State, confirm, hold, release
from shop.inventory.fold import LogRecord, LogState, Rules, fold

HOLD_MS = 60_000
MARGIN_MS = 6_000
PARTITION = 0
PRICE = Decimal(75)
FAR = datetime(2099, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Record:
    """What Kafka keeps."""

    timestamp_ms: int
    message: TicketMessage
    message_id: int


@dataclass
class Log:
    """One partition, dated by the broker."""

    now_ms: int = 1_000_000
    records: list[Record] = field(default_factory=list)

    def append(self, message: TicketMessage, message_id: int) -> None:
        self.records.append(Record(self.now_ms, message, message_id))


@dataclass
class Outgoing:
    """A row of the outbox."""

    id: int
    message: TicketMessage
    not_after_ms: int | None = None


class Site:
    """One site of ours: its database, its outbox and what is in its processes' heads (nothing)."""

    def __init__(self, name: str, log: Log, capacities: dict[Pool, int]) -> None:
        self.rules = Rules(name, HOLD_MS)
        self.log = log
        self.capacities = capacities
        self.serial = 0
        self.paid: set[str] = set()
        self.refunds: list[str] = []
        self.drop_database()

    def drop_database(self) -> None:
        """What the log holds by now is from before this database's birth."""
        pools = {pool: Counters(pool, PRICE, [(0, capacity)]) for pool, capacity in self.capacities.items()}
        self.state = LogState(pools, {pool.match_number for pool in pools})
        self.state.birth_offset = {PARTITION: len(self.log.records)}
        self.position = 0
        self.outbox: deque[Outgoing] = deque()
        self.paid = set()

    # -- what a buyer does ---------------------------------------------------------------------------------------

    def submit(self, pool: Pool, quantity: int) -> Sale | None:
        self.serial += 1
        key = SaleKey(self.rules.client_id, f"{self.rules.client_id}-{self.serial}-{len(self.log.records)}", pool)
        try:
            sale = hold(self.state.pools[pool], key, quantity, self._releasable(pool), FAR)
        except MatchdayError:
            return None
        self.state.sales[key] = sale
        self._send(Action.PENDING, sale)
        return sale

    def _releasable(self, pool: Pool) -> int:
        """Holds that a record written now would release, while the log stands idle."""
        clock = self.state.clock_ms.get(PARTITION)
        if clock is None:
            return 0
        then = max(clock, min(self.log.now_ms, clock + 3_600_000))
        total = 0
        for item in self.state.expiring[PARTITION]:
            if item.born_ms + HOLD_MS > then:
                continue
            if isinstance(item, Sale):
                own_closed = item.follows == "site" and item.state not in (State.SUBMITTED, State.HELD)
                total += item.log_held if item.key.pool == pool and not own_closed else 0
            elif item.pool == pool:
                total += item.quantity
        return total

    def own(self, *states: State) -> list[Sale]:
        mine = self.rules.client_id
        return [
            sale
            for sale in self.state.sales.values()
            if sale.key.client_id == mine and sale.follows == "site" and sale.state in states
        ]

    def confirm(self, sale: Sale) -> bool:
        not_after = sale.born_ms + HOLD_MS - MARGIN_MS
        if self.log.now_ms > not_after:
            return False
        confirm(self.state.pools[sale.key.pool], sale)
        self._send(Action.RESERVED, sale, not_after)
        return True

    def release(self, sale: Sale, into: State) -> None:
        if release(self.state.pools[sale.key.pool], sale, into):
            self._send(Action.CANCELLED, sale)

    def _send(self, action: Action, sale: Sale, not_after_ms: int | None = None) -> None:
        self.serial += 1
        line = Line(sale.key.pool.category, sale.quantity, float(PRICE))
        message = TicketMessage(action, sale.key.pool.match_number, (line,), self.rules.client_id, sale.key.sale_id)
        self.outbox.append(Outgoing(self.serial, message, not_after_ms))

    # -- the relay -----------------------------------------------------------------------------------------------

    def relay(self, *, crash_before_mark: bool = False) -> None:
        """Sends the oldest message. A crash after the acknowledgement leaves it unmarked."""
        if not self.outbox:
            return
        first = self.outbox[0]
        if first.not_after_ms is not None and self.log.now_ms > first.not_after_ms:
            self.outbox.popleft()
            self._ask_again(first.message)
            return
        self.log.append(first.message, first.id)
        if not crash_before_mark:
            self.outbox.popleft()

    def relay_restarts(self) -> None:
        """The successor reads the log to its end and marks what it finds there."""
        sent = {record.message_id for record in self.log.records if record.message.client_id == self.rules.client_id}
        self.outbox = deque(row for row in self.outbox if row.id not in sent)

    def _ask_again(self, message: TicketMessage) -> None:
        """A TICKET_RESERVED that came too late to be sent: the paid sale asks again, or is refunded."""
        line = message.lines[0]
        pool = Pool(message.match_number, line.category)
        old = self.state.sales[SaleKey(self.rules.client_id, message.sale_id or "", pool)]
        self.state.pools[pool].sold -= old.quantity
        old.state = State.EXPIRED
        self._send(Action.CANCELLED, old)
        again = self.submit(pool, old.quantity)
        if again is None:
            self.refunds.append(old.key.sale_id)
        else:
            self.paid.add(again.key.sale_id)

    def settle_paid(self) -> None:
        """The worker: a paid sale that the log admitted the second time is sold, one that lost is refunded."""
        for sale in self.own(State.HELD, State.LOST, State.EXPIRED):
            if sale.key.sale_id in self.paid and sale.state is State.HELD and not self.confirm(sale):
                self.release(sale, State.EXPIRED)
            if sale.key.sale_id in self.paid and sale.state in (State.LOST, State.EXPIRED):
                self.paid.discard(sale.key.sale_id)
                self.refunds.append(sale.key.sale_id)

    # -- the consumer --------------------------------------------------------------------------------------------

    def consume(self, count: int, *, crash: bool = False) -> None:
        """Applies a batch; a crash before the commit undoes all of it."""
        kept = copy.deepcopy(self.state) if crash else None
        batch = self.log.records[self.position : self.position + count]
        records = [
            LogRecord(PARTITION, self.position + index, record.timestamp_ms, record.message)
            for index, record in enumerate(batch)
        ]
        changes = Changes()
        fold(self.state, records, self.rules, changes)
        if kept is not None:
            self.state = kept
            return
        self.position += len(batch)
        for sale in changes.to_cancel:
            self._send(Action.CANCELLED, sale)

    def behind(self) -> int:
        return len(self.log.records) - self.position


def drain(sites: list[Site]) -> None:
    """Everything that is on its way arrives. Bounded: each round either sends or reads something."""
    for _ in range(10_000):
        for site in sites:
            site.settle_paid()
            site.relay_restarts()
            while site.outbox:
                site.relay()
            site.consume(site.behind())
        if not any(site.outbox or site.behind() for site in sites):
            return
    raise AssertionError("the protocol does not come to rest")
