"""The use cases: one question to the lake each, with what it was made from."""

import math
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from analytics.figures import drift, store
from analytics.figures.domain import (
    Basis,
    Bookings,
    Country,
    Drift,
    Group,
    MoneyGroup,
    Oversold,
    Revenue,
    Seen,
    Span,
    Summary,
)
from analytics.figures.forecast import Forecast, Observed, by_the_clock, exposure, forecast
from analytics.figures.hours import OperationalTime, paces
from analytics.figures.looks import Looks

T = TypeVar("T")
Found = tuple[list[T], Basis]
ALWAYS = Span()


def bookings(looks: Looks, group: Group, span: Span, limit: int) -> Found[Bookings]:
    """One more than `limit`, if there are more."""
    return looks.ask(
        ("bookings", group, span, limit),
        lambda lake: (store.bookings(lake, group, span, limit + 1), store.basis(lake, span)),
    )


def revenue(looks: Looks, group: MoneyGroup, span: Span, limit: int) -> Found[Revenue]:
    """One more than `limit`, if there are more."""
    own = looks.site.client_id
    return looks.ask(
        ("revenue", group, span, limit),
        lambda lake: (store.revenue(lake, group, span, own, limit + 1), store.basis(lake, span)),
    )


def countries(looks: Looks, span: Span, limit: int) -> Found[Country]:
    """One more than `limit`, if there are more."""
    return looks.ask(
        ("countries", span, limit),
        lambda lake: (store.countries(lake, span, limit + 1), store.basis(lake, span)),
    )


def forecasts(looks: Looks, match_number: int | None, now: datetime) -> tuple[list[tuple[Seen, Forecast]], Basis]:
    """The pools of all matches or of one, with when they sell out, in seconds from `now`."""
    moment = _plain(now)
    time, seen, basis = looks.ask(
        ("forecasts", match_number, now),
        lambda lake: (*_sales(lake, moment, match_number), store.basis(lake, ALWAYS)),
    )
    return [(pool, by_the_clock(forecast(observed(pool, time, now)), time, now.timestamp())) for pool in seen], basis


def _sales(lake: store.Connection, now: datetime, match_number: int | None) -> tuple[OperationalTime, list[Seen]]:
    store.show_orders(lake)
    time = OperationalTime(paces(store.hours_of_day(lake, now)))
    return time, store.seen(lake, time.of(_seconds(now)), time, match_number)


def observed(pool: Seen, time: OperationalTime, now: datetime) -> Observed:
    """What a forecast is made from. A kick-off that is over bounds nothing."""
    moment = time.of(now.timestamp())
    age = 0.0 if pool.begun_at is None else max(0.0, moment - time.of(_seconds(pool.begun_at)))
    ahead = 0.0 if pool.kick_off is None else time.of(_seconds(pool.kick_off)) - moment
    return Observed(
        remaining=pool.capacity - pool.sold,
        orders=pool.orders,
        tickets_per_order=pool.tickets / pool.orders if pool.orders > 0 else 0.0,
        exposure_seconds=exposure(age),
        kick_off_seconds=ahead if ahead > 0 else None,
    )


def moment_after(now: datetime, seconds: float | None) -> datetime | None:
    """The moment so many seconds after `now`; None beyond the calendar."""
    if seconds is None or not math.isfinite(seconds):
        return None
    try:
        return now + timedelta(seconds=round(seconds))
    except OverflowError:
        return None


def drifts(looks: Looks, limit: int, evidence: int) -> tuple[list[Drift], list[Oversold], Basis]:
    """One more of each than `limit`, if there are more."""
    return looks.ask(
        ("drift", limit, evidence),
        lambda lake: (
            drift.drifts(lake, limit + 1, evidence), drift.oversold_pools(lake, limit + 1), store.basis(lake, ALWAYS)
        ),
    )  # fmt: skip


def summary(looks: Looks, kinds_max: int) -> tuple[Summary, list[Drift]]:
    """The few numbers that are watched, and drift without its records."""
    own = looks.site.client_id
    return looks.ask(("summary", kinds_max), lambda lake: (store.summary(lake, own), drift.drifts(lake, kinds_max, 0)))


def _plain(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _seconds(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()
