"""The HTTP models of the statistics."""

from datetime import UTC, date, datetime
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator

from analytics.figures import domain, handlers
from analytics.figures.domain import Group, MoneyGroup, Span
from analytics.figures.forecast import Forecast, Outlook
from shared.http import AnswerModel, QueryModel
from shared.http.models import Moment, not_below

LIMIT_MAX = 1000
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0)]


class SpanQuery(QueryModel):
    """A span of time."""

    since: Moment | None = Field(None, alias="from", description="From this moment on.")
    until: Moment | None = Field(None, description="Before this moment.")
    limit: int = Field(200, ge=1, le=LIMIT_MAX, description="How many groups at most.")

    @field_validator("until")
    @classmethod
    def _not_below(cls, value: object, info: ValidationInfo) -> object:
        return not_below(value, info, "since")

    def span(self) -> Span:
        return Span(self.since, self.until)


class BookingsQuery(SpanQuery):
    """What to count bookings by."""

    group_by: Group = Field(Group.TOTAL, description="`team` counts a match for both of its teams.")


class RevenueQuery(SpanQuery):
    """What to count money by."""

    group_by: MoneyGroup = Field(MoneyGroup.TOTAL)


class ForecastQuery(QueryModel):
    """Of which pools."""

    match_number: int | None = Field(None, ge=1, le=2_147_483_647, description="Of this match only.")


class DriftQuery(QueryModel):
    """How much of it."""

    limit: int = Field(100, ge=1, le=LIMIT_MAX, description="How many kinds of drift and pools at most.")
    evidence: int = Field(5, ge=1, le=50, description="How many records of each at most.")


class Position(AnswerModel):
    """How far a partition is in the lake."""

    partition: int
    next_offset: int = Field(description="All records before it are in the lake.")


class AsOf(AnswerModel):
    """Where the lake stood."""

    log: list[Position] = Field(description="The sales log of all sites.")
    events: list[Position] = Field(description="This site's own events.")


class Answer(AnswerModel):
    """What every answer says of itself."""

    as_of: AsOf
    synthetic: bool = Field(description="Whether something that a simulation made up takes part.")


def about(basis: domain.Basis) -> dict[str, AsOf | bool]:
    """The members that every answer has."""
    log, events = (
        [Position(partition=each.partition, next_offset=each.next_offset) for each in positions]
        for positions in (basis.log, basis.events)
    )
    return {"as_of": AsOf(log=log, events=events), "synthetic": basis.synthetic}


class Bookings(AnswerModel):
    """What happened to the tickets of one group; all counts are tickets unless they say otherwise."""

    key: str = Field(
        description="The match's number, the category, `match-category` of a pool, the round, the team, the site's"
        " client id (empty: did not say), the day, the hour's beginning, or the hour of the day; UTC."
    )
    capacity: Count = Field(description="Of the group's pools; of all pools for sites and times.")
    messages: Count = Field(description="Lines of messages in the log.")
    holds: Count = Field(description="Asked for; some may have been refused by the log.")
    sold: Count
    cancelled: Count = Field(description="Given back.")
    sell_through: Share | None = Field(description="Sold, as a share of the capacity; above 1: oversold.")
    holds_tied: Count = Field(description="Holds whose end is known, since their messages bear a sale id.")
    conversion: Share | None = Field(description="The share of those that was sold, by now.")

    @classmethod
    def of(cls, found: domain.Bookings) -> Self:
        return cls(
            key=found.key,
            capacity=found.capacity,
            messages=found.messages,
            holds=found.holds,
            sold=found.sold,
            cancelled=found.cancelled,
            sell_through=share(found.sold, found.capacity),
            holds_tied=found.holds_tied,
            conversion=share(found.holds_sold, found.holds_tied),
        )


class BookingsAnswer(Answer):
    """Bookings of all sites, from the log."""

    group_by: Group
    items: list[Bookings] = Field(description="Times: the newest first. Others: the most sold first.")
    more: bool = Field(description="Whether there are groups beyond the limit.")


class Revenue(AnswerModel):
    """Money of one group in one currency, in its minor units."""

    key: str = Field(description="As of bookings, or a country (ISO 3166-1 alpha-2); empty: not known.")
    currency: str = Field(description="Empty: the catalogue does not say.")
    paid: Count = Field(description="Paid at this site, by its payments.")
    refunded: Count = Field(description="Given back at this site.")
    partners: Count = Field(description="An estimate: other sites' tickets by the price in their messages.")

    @classmethod
    def of(cls, found: domain.Revenue) -> Self:
        return cls(
            key=found.key,
            currency=found.currency,
            paid=found.paid,
            refunded=found.refunded,
            partners=found.partners,
        )


class RevenueAnswer(Answer):
    """Money: what was paid here, and what partners' sales come to by the log."""

    group_by: MoneyGroup
    items: list[Revenue] = Field(description="Times: the newest first. Others: the most first.")
    more: bool = Field(description="Whether there are groups beyond the limit.")


class Country(AnswerModel):
    """What visitors of this site from one country did; tickets, unless it says otherwise."""

    key: str = Field(description="ISO 3166-1 alpha-2; empty: not known.")
    views: Count = Field(description="Of pages of matches.")
    holds: Count = Field(description="Asked for; some may have been refused by the log.")
    sold: Count
    cancelled: Count = Field(description="Given back, or expired.")
    reservations: Count = Field(description="Reservations that were asked for.")
    conversion: Share | None = Field(description="The share of those that was sold, by now.")

    @classmethod
    def of(cls, found: domain.Country) -> Self:
        return cls(
            key=found.key,
            views=found.views,
            holds=found.holds,
            sold=found.sold,
            cancelled=found.cancelled,
            reservations=found.reservations,
            conversion=share(found.reservations_sold, found.reservations),
        )


class CountriesAnswer(Answer):
    """Visitors of this site by country, from its own events; the log knows no countries."""

    items: list[Country] = Field(description="The most sold first.")
    more: bool


class PoolForecast(AnswerModel):
    """When a pool sells out. Moments are by the clock: where a night lies between, it is reckoned with."""

    match_number: int
    category: int
    capacity: Count
    sold: Count
    outlook: Outlook = Field(description="`unknown`: too few sales in the last days.")
    earliest: datetime | None = Field(description="Sold out before it with a probability of 10 %.")
    likely: datetime | None = Field(description="Of 50 %; null: later than the kick-off.")
    latest: datetime | None = Field(description="Of 90 %; null: later than the kick-off.")
    kick_off: datetime | None
    before_kick_off: float | None = Field(
        ge=0, le=1, description="Probability that it is sold out by the kick-off; null: the kick-off is not ahead."
    )

    @classmethod
    def of(cls, pool: domain.Seen, found: Forecast, now: datetime) -> Self:
        earliest, likely, latest = (handlers.moment_after(now, seconds) for seconds in found.seconds)
        return cls(
            match_number=pool.match_number,
            category=pool.category,
            capacity=pool.capacity,
            sold=pool.sold,
            outlook=found.outlook,
            earliest=earliest,
            likely=likely,
            latest=latest,
            kick_off=_utc(pool.kick_off),
            before_kick_off=found.before_kick_off,
        )


class ForecastAnswer(Answer):
    """When pools sell out, if buyers go on as they did, and buy at the hours of the day at which they did."""

    made_at: datetime
    items: list[PoolForecast]


class Trace(AnswerModel):
    """A record of the log that shows it."""

    partition: int
    offset: int
    logged_at: datetime
    sale_id: str | None
    match_number: int
    category: int
    quantity: int
    beyond: int = Field(description="Tickets of it that are concerned.")


class Drift(AnswerModel):
    """One kind of drift of one site."""

    kind: str = Field(
        description="`oversold`, `orphan_reserved`, `orphan_cancelled`, `reserved_after_release`,"
        " `cancelled_after_reserved`, `held_too_long`, `never_finished`, `quantity_mismatch`, `duplicate`,"
        " `price_mismatch` or `own_client_id`."
    )
    site: str = Field(description="Client id; empty: did not say.")
    records: Count
    tickets: Count
    first_at: datetime
    last_at: datetime
    evidence: list[Trace] = Field(description="The first records, in the log's order.")

    @classmethod
    def of(cls, found: domain.Drift) -> Self:
        return cls(
            kind=found.kind,
            site=found.site,
            records=found.records,
            tickets=found.tickets,
            first_at=found.first_at.replace(tzinfo=UTC),
            last_at=found.last_at.replace(tzinfo=UTC),
            evidence=[_trace(each) for each in found.evidence],
        )


def _trace(found: domain.Trace) -> Trace:
    return Trace(
        partition=found.partition,
        offset=found.offset,
        logged_at=found.logged_at.replace(tzinfo=UTC),
        sale_id=found.sale_id,
        match_number=found.match_number,
        category=found.category,
        quantity=found.quantity,
        beyond=found.beyond,
    )


class OversoldPool(AnswerModel):
    """A pool of which more is sold than there is."""

    match_number: int
    category: int
    capacity: Count
    sold: Count
    beyond: Count

    @classmethod
    def of(cls, found: domain.Oversold) -> Self:
        return cls(
            match_number=found.match_number,
            category=found.category,
            capacity=found.capacity,
            sold=found.sold,
            beyond=found.sold - found.capacity,
        )


class DriftAnswer(Answer):
    """What the log shows that sites did and should not have."""

    items: list[Drift] = Field(description="Who oversold first; then by tickets.")
    oversold: list[OversoldPool] = Field(description="The worst first.")
    more: bool


def share(part: int, whole: int) -> float | None:
    """A part of a whole; None of nothing."""
    return part / whole if whole > 0 else None


def _utc(moment: datetime | date | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if isinstance(moment, datetime) else None
