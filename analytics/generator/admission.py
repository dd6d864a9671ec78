"""The log's verdicts, as any partner may reckon them from docs/federation.md: who holds what at each place of the log.

It is a second hand beside the counters of the shop, on purpose: what both come to alike is right. Simulated sites obey
it, and the demo's audit recounts with it.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from shared.wire import Action, TicketMessage

CLOCK_STEP_MS_MAX = 3_600_000
LOG_HOLD_MS = 3_600_000


class Pool(NamedTuple):
    """The tickets of one match in one price category."""

    match_number: int
    category: int


class SalePart(NamedTuple):
    """One sale's part in one pool."""

    client_id: str
    sale_id: str
    pool: Pool


class Outcome(StrEnum):
    """What a record did."""

    ADMITTED = "admitted"
    REJECTED = "rejected"
    APPLIED = "applied"
    REFUSED = "refused"


@dataclass(slots=True)
class Hold:
    """Tickets of a sale. `sale` is None for senders without sale ids, whose holds are one balance a pool."""

    pool: Pool
    held: int
    born_ms: int
    sale: SalePart | None = None
    sold: int = 0


@dataclass(slots=True)
class Stock:
    """What the log has shown of a pool, in tickets."""

    capacity: int
    held: int = 0
    sold: int = 0
    anonymous: deque[Hold] = field(default_factory=deque)

    @property
    def free(self) -> int:
        return self.capacity - self.held - self.sold


class Admission:
    """Reads a log's messages in order; times are milliseconds of the log."""

    def __init__(self, capacities: Mapping[Pool, int], hold_ms: int = LOG_HOLD_MS) -> None:
        self.stocks = {Pool(*pool): Stock(capacity) for pool, capacity in capacities.items()}
        self.sales: dict[SalePart, Hold] = {}
        self.clock_ms: int | None = None
        self._hold_ms = hold_ms
        self._expiring: deque[Hold] = deque()

    def tick(self, at_ms: int) -> None:
        """Moves the log's clock, and with it releases the holds that it has outlived."""
        before = self.clock_ms
        self.clock_ms = at_ms if before is None else max(before, min(at_ms, before + CLOCK_STEP_MS_MAX))
        while self._expiring and self._expiring[0].born_ms + self._hold_ms <= self.clock_ms:
            outlived = self._expiring.popleft()
            self._give_back(outlived, outlived.held)

    def apply(self, at_ms: int, message: TicketMessage) -> Outcome:
        """One understood record; it counts whole or not at all."""
        self.tick(at_ms)
        parts = [(Pool(message.match_number, line.category), line.quantity) for line in message.lines]
        if any(pool not in self.stocks for pool, _ in parts):
            return Outcome.REFUSED
        if message.sale_id is None:
            for pool, quantity in parts:
                self._anonymous(message.action, pool, quantity)
            return Outcome.APPLIED
        sale = [(SalePart(message.client_id or "", message.sale_id, pool), pool, quantity) for pool, quantity in parts]
        if message.action is Action.PENDING:
            return self._judge(sale)
        for key, pool, quantity in sale:
            if message.action is Action.RESERVED:
                self._sell(key, pool, quantity)
            elif key in self.sales:
                self._give_back(self.sales[key], quantity)
            else:
                self._open(key, pool, 0)  # a hold that comes after its end is none
        return Outcome.APPLIED

    def _judge(self, sale: list[tuple[SalePart, Pool, int]]) -> Outcome:
        if any(key in self.sales for key, _, _ in sale):
            return Outcome.APPLIED  # the same sale once more counts nothing
        admitted = all(self.stocks[pool].free >= quantity for _, pool, quantity in sale)
        for key, pool, quantity in sale:
            self._open(key, pool, quantity if admitted else 0)
        return Outcome.ADMITTED if admitted else Outcome.REJECTED

    def _open(self, key: SalePart, pool: Pool, quantity: int) -> Hold:
        hold = self.sales[key] = Hold(pool, quantity, self.clock_ms or 0, key)
        self.stocks[pool].held += quantity
        if quantity:
            self._expiring.append(hold)
        return hold

    def _sell(self, key: SalePart, pool: Pool, quantity: int) -> None:
        hold = self.sales.get(key) or self._open(key, pool, 0)
        if hold.held == 0 and hold.sold > 0:
            return  # the same sale once more
        self._give_back(hold, quantity)
        hold.sold += quantity
        self.stocks[pool].sold += quantity  # a buyer was charged, whatever the verdict was

    def _anonymous(self, action: Action, pool: Pool, quantity: int) -> None:
        stock = self.stocks[pool]
        if action is Action.PENDING:
            hold = Hold(pool, quantity, self.clock_ms or 0)
            stock.held += quantity
            stock.anonymous.append(hold)
            self._expiring.append(hold)
            return
        left = quantity
        while left and stock.anonymous:
            left -= self._give_back(stock.anonymous[0], left)
            if stock.anonymous[0].held == 0:
                stock.anonymous.popleft()
        if action is Action.RESERVED:
            stock.sold += quantity

    def _give_back(self, hold: Hold, quantity: int) -> int:
        given = min(quantity, hold.held)
        hold.held -= given
        self.stocks[hold.pool].held -= given
        return given
