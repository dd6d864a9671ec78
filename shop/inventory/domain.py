"""Pools, sales and the rules that move the counters. No I/O; times are milliseconds of a partition's log clock.

Two views of one pool are kept side by side. The log's view (`log_held`, `log_sold`) is what the log alone has shown so
far: it is the same at every site and decides admission. The site's counters (`held`, `sold`) run ahead of it by what
this site has done and not yet seen in the log. When the log is drained the two are equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from shared.errors import MatchdayError

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


class Pool(NamedTuple):
    """What is counted and locked: the tickets of one match in one price category."""

    match_number: int
    category: int


class SaleKey(NamedTuple):
    """One sale's part in one pool; the client id is in it, so that sites cannot touch each other's sales."""

    client_id: str
    sale_id: str
    pool: Pool


class Follows(StrEnum):
    """What moves the site's counters for a sale."""

    LOG = "log"  # another site's sale, or our own from before the database was lost
    SITE = "site"  # our own: counted when the buyer acted, the log only confirms
    NOTHING = "nothing"  # carries our client id but is not ours


class State(StrEnum):
    """The life of a sale: submitted → held → reserved | cancelled | expired; submitted → lost."""

    SUBMITTED = "submitted"
    HELD = "held"
    RESERVED = "reserved"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LOST = "lost"


OPEN = (State.SUBMITTED, State.HELD)


class SoldOut(MatchdayError):
    """Ticket is sold out"""

    code: ClassVar[str] = "sold_out"
    status: ClassVar[int] = 409


class TemporarilyUnavailable(MatchdayError):
    """Ticket is temporarily unavailable"""

    code: ClassVar[str] = "temporarily_unavailable"
    status: ClassVar[int] = 409
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "pending": {"type": "integer", "description": "How many tickets are free now; fewer than were wanted."}
    }


class HoldExpired(MatchdayError):
    """The hold has ended"""

    code: ClassVar[str] = "hold_expired"
    status: ClassVar[int] = 409


class NotHeld(MatchdayError):
    """The log has not decided yet"""

    code: ClassVar[str] = "not_held"
    status: ClassVar[int] = 409


class AlreadyReserved(MatchdayError):
    """The tickets are sold"""

    code: ClassVar[str] = "already_reserved"
    status: ClassVar[int] = 409


@dataclass(slots=True)
class Counters:
    """One pool's numbers, in tickets. `capacities` are (log clock from which it counts, capacity), oldest first."""

    pool: Pool
    price: Decimal
    capacities: list[tuple[int, int]]
    held: int = 0
    sold: int = 0
    log_held: int = 0
    log_sold: int = 0
    price_number: float = field(init=False)

    def __post_init__(self) -> None:
        self.price_number = float(self.price)

    @property
    def capacity(self) -> int:
        """The newest capacity: what buyers see."""
        return self.capacities[-1][1]

    @property
    def pending(self) -> int:
        """How many may still be put on hold; negative when partners over-committed the pool."""
        return self.capacity - self.held - self.sold

    @property
    def reserved(self) -> int:
        """How many are not sold for good."""
        return self.capacity - self.sold

    def log_free(self, clock_ms: int) -> int:
        """What the log's own view says is free at this moment of the log's clock."""
        capacities = self.capacities
        capacity = capacities[0][1] if len(capacities) == 1 else self._capacity_at(clock_ms)
        return capacity - self.log_held - self.log_sold

    def _capacity_at(self, clock_ms: int) -> int:
        counting = [capacity for since, capacity in self.capacities if since <= clock_ms]
        return counting[-1] if counting else self.capacities[0][1]


@dataclass(slots=True)
class Sale:
    """One sale's part in one pool. `state` is the site's truth, the `log_` fields are what the log has shown.

    `log_state` is None until the log has shown the sale; `born_ms` is the log clock right after its TICKET_PENDING.
    `expires_at` is when this site's own hold ends, None for other sites' sales.
    """

    key: SaleKey
    quantity: int
    follows: Follows
    state: State
    log_state: State | None = None
    log_held: int = 0
    log_sold: int = 0
    born_ms: int = 0
    partition: int = -1
    offset: int = -1
    expires_at: datetime | None = None


@dataclass(slots=True)
class AnonymousHold:
    """A TICKET_PENDING without sale id: part of its pool's first-in-first-out balance."""

    pool: Pool
    quantity: int
    born_ms: int
    partition: int
    offset: int
    id: int | None = None


def hold(counters: Counters, key: SaleKey, quantity: int, releasable: int, expires_at: datetime) -> Sale:
    """Puts tickets on hold for a buyer of this site; the log decides later whether the hold stands.

    `releasable` are tickets whose hold a record written now would release (an idle log's clock stands still).
    Raises `SoldOut` or `TemporarilyUnavailable`.
    """
    if counters.reserved <= 0:
        raise SoldOut()
    if counters.pending + releasable < quantity:
        raise TemporarilyUnavailable(pending=max(0, counters.pending + releasable))
    counters.held += quantity
    return Sale(key, quantity, Follows.SITE, State.SUBMITTED, expires_at=expires_at)


def confirm(counters: Counters, sale: Sale) -> None:
    """held → sold, for good. Raises `NotHeld` before the log has admitted the hold, `HoldExpired` once it ended."""
    if sale.state is State.SUBMITTED:
        raise NotHeld()
    if sale.state is not State.HELD:
        raise HoldExpired(f"the reservation is {sale.state.value}")
    counters.held -= sale.quantity
    counters.sold += sale.quantity
    sale.state = State.RESERVED


def release(counters: Counters, sale: Sale, into: State) -> bool:
    """Gives an open hold back, `into` cancelled, expired or lost; False when it was no longer open."""
    if sale.state not in OPEN:
        return False
    counters.held -= sale.quantity
    sale.state = into
    return True


@dataclass(slots=True)
class Verdict:
    """The log's word on one of this site's own sales, for those who wait for it."""

    sale: Sale
    state: State


@dataclass(slots=True)
class Evidence:
    """Something an operator should know, with the record that shows it."""

    kind: str
    partition: int
    offset: int
    client_id: str | None
    sale_id: str | None
    pool: Pool
    quantity: int
    detail: str = ""


@dataclass(slots=True)
class Changes:
    """What a fold did, beyond moving the state it was given."""

    verdicts: list[Verdict] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    to_cancel: list[Sale] = field(default_factory=list)
    new_sales: list[Sale] = field(default_factory=list)
    new_holds: list[AnonymousHold] = field(default_factory=list)
    # Tickets sold in the log, by the minute of its clock (since the epoch) and by who sold them.
    sold: dict[tuple[int, str], int] = field(default_factory=dict)
