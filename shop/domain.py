"""What the shop shows: matches with their pools, and how they are searched, sorted and paged. No I/O."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from shared.masterlist import PLACE_OF_LOSER, STAGES, THIRD_PLACE
from shop.inventory.domain import Counters, SoldOut, TemporarilyUnavailable


class Availability(StrEnum):
    """Whether a buyer can have tickets of a pool."""

    AVAILABLE = "available"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    SOLD_OUT = "sold_out"


MESSAGES = {
    Availability.AVAILABLE: None,
    Availability.TEMPORARILY_UNAVAILABLE: TemporarilyUnavailable.title(),
    Availability.SOLD_OUT: SoldOut.title(),
}


class ShownPool(NamedTuple):
    """One category's numbers as buyers see them: never below 0. `price` is in major units a ticket."""

    category: int
    capacity: int
    pending: int
    reserved: int
    price: Decimal
    status: Availability


class Offered(NamedTuple):
    """Tickets of a match that others sell again now: how many, and the lowest price in minor units."""

    open: int
    lowest_amount: int


class Match(NamedTuple):
    """One match of the catalogue with its pools, by category. `offered`: None when nobody sells a ticket again."""

    match_number: int
    round_number: int
    stage: str
    date_utc: datetime
    location: str
    city: str | None
    home_team: str
    away_team: str
    group: str | None
    pools: tuple[ShownPool, ...]
    offered: Offered | None = None


class LogPosition(NamedTuple):
    """The last record of the sales log that numbers include; offset -1: none yet."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """Everything the shop shows, as one moment of the database has it."""

    matches: tuple[Match, ...]
    as_of: LogPosition | None


def shown(counters: Counters, releasable: int) -> ShownPool:
    """A pool as buyers see it; `releasable` are held tickets that the next submit would find free."""
    pending = max(0, counters.pending + releasable)
    reserved = max(0, counters.reserved)
    return ShownPool(
        counters.pool.category,
        counters.capacity,
        min(pending, reserved),
        reserved,
        counters.price,
        _availability(pending, reserved),
    )


def _availability(pending: int, reserved: int) -> Availability:
    if reserved <= 0:
        return Availability.SOLD_OUT
    return Availability.TEMPORARILY_UNAVAILABLE if pending <= 0 else Availability.AVAILABLE


def stage_of(round_number: int, group: str | None, home_team: str) -> str:
    """What the match belongs to. Organisers write a knock-out stage into the group, or leave it to the round."""
    if group in (*STAGES.values(), THIRD_PLACE):
        return str(group)
    if round_number == 7 and PLACE_OF_LOSER.fullmatch(home_team):
        return THIRD_PLACE
    return STAGES.get(round_number, f"Round {round_number}")


class SortKey(StrEnum):
    """What matches are sorted by; a minus in front turns the order round. Relevance: what fits the words best first."""

    RELEVANCE = "relevance"
    MATCH_NUMBER = "matchNumber"
    MATCH_NUMBER_DOWN = "-matchNumber"
    DATE = "dateUtc"
    DATE_DOWN = "-dateUtc"
    PRICE = "price"
    PRICE_DOWN = "-price"


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for; None means anything. Of a match's pools, one must fit all that is said of pools.

    `scores`: the matches that fit the words that were typed, by number, with how well they do (`shop.search`).
    """

    scores: Mapping[int, float] | None = None
    team: str | None = None
    group: str | None = None
    round_number: int | None = None
    stadium: str | None = None
    city: str | None = None
    stage: str | None = None
    date_from: date | None = None
    date_to: date | None = None
    category: int | None = None
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    availability: Availability | None = None

    @property
    def names_pools(self) -> bool:
        """Whether anything is said of pools."""
        said = (self.category, self.price_min, self.price_max, self.availability)
        return any(wish is not None for wish in said)


class Place(NamedTuple):
    """Where a page ended: the sort value and number of its last match."""

    value: float
    match_number: int


@dataclass(frozen=True, slots=True)
class Page:
    """Part of what was found, and where the next part begins."""

    matches: Sequence[Match]
    next_place: Place | None


def find(matches: Iterable[Match], search: Search, sort: SortKey, after: Place | None, limit: int) -> Page:
    """The matches that fit, sorted, from behind `after` on, at most `limit`.

    A page begins behind a value and not at a count, so that none is left out when matches change in between.
    """
    sign = -1.0 if sort.startswith("-") else 1.0
    value = _SORT_VALUES[sort.removeprefix("-")]
    wanted = _names(search)
    found = [match for match in matches if _fits(match, search, wanted)]
    places = sorted((Place(sign * value(match, search), match.match_number), match) for match in found)
    rest = [(place, match) for place, match in places if after is None or place > after]
    page = rest[:limit]
    return Page([match for _, match in page], page[-1][0] if len(rest) > limit else None)


def _lowest_price(match: Match, search: Search) -> float:
    return float(min((pool.price for pool in match.pools if _pool_fits(pool, search)), default=Decimal(0)))


_SORT_VALUES: Mapping[str, Callable[[Match, Search], float]] = {
    "relevance": lambda match, search: -(search.scores or {}).get(match.match_number, 0.0),
    "matchNumber": lambda match, _: float(match.match_number),
    "dateUtc": lambda match, _: match.date_utc.timestamp(),
    "price": _lowest_price,
}


def plain(text: str) -> str:
    """Text without case and accents, for comparing."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character)).casefold().strip()


def _names(search: Search) -> dict[str, str]:
    wishes = ("team", "group", "stadium", "city", "stage")
    return {name: plain(wish) for name in wishes if (wish := getattr(search, name)) is not None}


def _fits(match: Match, search: Search, wanted: Mapping[str, str]) -> bool:
    if search.round_number not in (None, match.round_number):
        return False
    if search.scores is not None and match.match_number not in search.scores:
        return False
    if wanted and not _names_fit(match, wanted):
        return False
    day = match.date_utc.date()
    if (search.date_from and day < search.date_from) or (search.date_to and day > search.date_to):
        return False
    return not search.names_pools or any(_pool_fits(pool, search) for pool in match.pools)


def _names_fit(match: Match, wanted: Mapping[str, str]) -> bool:
    teams = {plain(match.home_team), plain(match.away_team)}
    has = {"team": teams, "group": {plain(match.group or "")}, "stadium": {plain(match.location)}}
    has |= {"city": {plain(match.city or "")}, "stage": {plain(match.stage)}}
    return all(wanted[name] in has[name] for name in has if name in wanted)


def _pool_fits(pool: ShownPool, search: Search) -> bool:
    return (
        search.category in (None, pool.category)
        and (search.price_min is None or pool.price >= search.price_min)
        and (search.price_max is None or pool.price <= search.price_max)
        and search.availability in (None, pool.status)
    )
