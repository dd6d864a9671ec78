"""What figures are: their groups, their rows, and the moments they are of. Standard library only."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Group(StrEnum):
    """What bookings are counted by; `team` counts a match for both of its teams."""

    TOTAL = "total"
    MATCH = "match"
    CATEGORY = "category"
    POOL = "pool"
    ROUND = "round"
    TEAM = "team"
    SITE = "site"
    DAY = "day"
    HOUR = "hour"
    HOUR_OF_DAY = "hourOfDay"


class MoneyGroup(StrEnum):
    """What revenue is counted by."""

    TOTAL = "total"
    MATCH = "match"
    CATEGORY = "category"
    SITE = "site"
    COUNTRY = "country"
    DAY = "day"
    HOUR = "hour"


@dataclass(frozen=True, slots=True)
class Span:
    """From a moment on, until before another; None for no bound."""

    since: datetime | None = None
    until: datetime | None = None

    def parameters(self) -> dict[str, datetime]:
        """The bounds as moments in UTC without a zone, as the lake's SQL has them."""
        first, last = datetime.min, datetime.max
        return {
            "since": first if self.since is None else _plain(self.since),
            "until": last if self.until is None else _plain(self.until),
        }


def _plain(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # within a day of the first or last year
        return moment.replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Bookings:
    """What happened to tickets, in tickets.

    `capacity` is what there is of the group's pools, or of all pools for groups that are not of the catalogue.
    `holds_tied` are holds whose sale is told by a sale id, `holds_sold` those of them that were sold.
    """

    key: str
    capacity: int
    messages: int
    holds: int
    sold: int
    cancelled: int
    holds_tied: int
    holds_sold: int


@dataclass(frozen=True, slots=True)
class Revenue:
    """Money in minor units: what was paid here and given back, and what partners' tickets cost by the log."""

    key: str
    currency: str
    paid: int
    refunded: int
    partners: int


@dataclass(frozen=True, slots=True)
class Country:
    """What visitors from one country did here; tickets, and views of matches."""

    key: str
    views: int
    holds: int
    sold: int
    cancelled: int
    reservations: int
    reservations_sold: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What the log has shown of a pool's sales, discounted by age in operational time; see `forecast.Observed`."""

    match_number: int
    category: int
    capacity: int
    sold: int
    kick_off: datetime | None
    orders: float
    tickets: float
    begun_at: datetime | None


@dataclass(frozen=True, slots=True)
class Oversold:
    """A pool of which more is sold than there is."""

    match_number: int
    category: int
    capacity: int
    sold: int


@dataclass(frozen=True, slots=True)
class Trace:
    """A record that shows something; `beyond` are the tickets that it shows it of."""

    partition: int
    offset: int
    logged_at: datetime
    sale_id: str | None
    match_number: int
    category: int
    quantity: int
    beyond: int


@dataclass(frozen=True, slots=True)
class Drift:
    """One kind of drift of one site, with its first records."""

    kind: str
    site: str
    records: int
    tickets: int
    first_at: datetime
    last_at: datetime
    evidence: tuple[Trace, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """The offset before which a partition is in the lake."""

    partition: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class Basis:
    """What an answer was made from."""

    log: tuple[Position, ...]
    events: tuple[Position, ...]
    synthetic: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """The few numbers that are watched."""

    sold_own: int
    sold_partners: int
    holds: int
    cancelled: int
    pools: int
    pools_sold_out: int
    pools_oversold: int
    newest: datetime | None
