"""Which matches are recommended when only the shop's own catalogue is at hand, and what may be recommended at all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.regions import OWN, closeness, rank, region_of_country
from shop.domain import Availability, Match


class Source(StrEnum):
    """Where recommendations are from: the model, the rule of the visitor's country, or the calendar."""

    MODEL = "model"
    COUNTRY = "country"
    SOONEST = "soonest"


class ReasonCode(StrEnum):
    """Why a match is recommended."""

    FOLLOWS_TEAM = "follows_team"
    HOME_TEAM = "home_team"
    REGION = "region"
    POPULAR_IN_COUNTRY = "popular_in_country"
    LIKE_OTHERS = "like_others"
    POPULAR = "popular"
    SOONEST = "soonest"


@dataclass(frozen=True, slots=True)
class Reason:
    """A code and what it speaks of."""

    code: ReasonCode
    team: str | None = None
    country: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A match to recommend."""

    match: Match
    reason: Reason


@dataclass(frozen=True, slots=True)
class Recommendations:
    """Best first. `model_version` is None unless the model was asked; `synthetic` says what it has learnt from."""

    items: Sequence[Choice]
    source: Source
    country: str | None
    model_version: str | None = None
    synthetic: bool = False


def offered(matches: Iterable[Match], now: datetime | None) -> list[Match]:
    """Those with a ticket to be had, and that begin after `now` if it is given."""
    return [
        match
        for match in matches
        if any(pool.status is Availability.AVAILABLE for pool in match.pools) and (now is None or match.date_utc > now)
    ]


def by_rule(matches: Sequence[Match], country: str | None, limit: int) -> Recommendations:
    """The team of the visitor's country first, then those of its region, then what is played soonest."""

    def place(match: Match) -> tuple[int, int, datetime, int]:
        first, second = rank((match.home_team, match.away_team), country)
        return -first, -second, match.date_utc, match.match_number

    items = [Choice(match, _reason(match, country)) for match in sorted(matches, key=place)[:limit]]
    is_by_country = any(item.reason.code is not ReasonCode.SOONEST for item in items)
    return Recommendations(items, Source.COUNTRY if is_by_country else Source.SOONEST, country)


def _reason(match: Match, country: str | None) -> Reason:
    team = max((match.home_team, match.away_team), key=lambda team: closeness(team, country))
    closest = closeness(team, country)
    if not closest:
        return Reason(ReasonCode.SOONEST)
    if closest == OWN:
        return Reason(ReasonCode.HOME_TEAM, team=team)
    return Reason(ReasonCode.REGION, team=team, region=region_of_country(country))


def is_sensible(reason: Reason, match: Match, country: str | None) -> bool:
    """Whether a reason can be said of this match to a visitor from there."""
    playing = (match.home_team, match.away_team)
    if reason.code in (ReasonCode.FOLLOWS_TEAM, ReasonCode.HOME_TEAM):
        return reason.team in playing
    if reason.code is ReasonCode.REGION:
        return reason.team in playing and reason.region is not None and reason.region == region_of_country(country)
    if reason.code is ReasonCode.POPULAR_IN_COUNTRY:
        return country is not None and reason.country == country
    return reason.code is not ReasonCode.SOONEST
