"""When pools sell out: the model against its own assumptions, and against sales that do not keep to them."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from analytics.figures import handlers
from analytics.figures.forecast import (
    HALF_LIFE_SECONDS,
    Forecast,
    Observed,
    Outlook,
    by_the_clock,
    exposure,
    forecast,
    weight,
)
from analytics.figures.hours import EVEN, HOURS, HourOfDay, OperationalTime, paces
from analytics.figures.looks import Looks, Site
from tests.lines_of_a_lake import NOON, LakeOfLines

HOUR = 3600.0
DAY = 24 * HOUR
TRIALS = 400


Rate = Callable[[float], float]  # orders a second, by the seconds since the log began at a midnight


def seen(
    now: float,
    orders: list[tuple[float, int]],
    remaining: int,
    kick_off: float | None = None,
    time: OperationalTime = EVEN,
) -> Observed:
    """What the log shows at `now` (seconds since it began) of orders at their moments."""
    weights = [weight(time.of(now) - time.of(at)) for at, _ in orders]
    total = sum(weights)
    tickets = sum(part * quantity for part, (_, quantity) in zip(weights, orders, strict=True))
    return Observed(remaining, total, tickets / total if total else 0, exposure(time.of(now)), kick_off)


def test_an_order_counts_half_after_the_half_life_and_time_likewise() -> None:
    assert weight(0) == 1
    assert weight(HALF_LIFE_SECONDS) == pytest.approx(0.5)
    assert exposure(1) == pytest.approx(1, rel=1e-4)
    assert exposure(HALF_LIFE_SECONDS) == pytest.approx(exposure(1e12) / 2)


def test_an_even_sale_goes_on_evenly() -> None:
    now, every = 2 * DAY, 600.0
    orders = [(number * every, 2) for number in range(int(now / every))]
    found = forecast(seen(now, orders, 60))
    low, middle, high = found.seconds
    assert found.outlook is Outlook.FORECAST
    assert low is not None
    assert middle is not None
    assert high is not None
    assert middle == pytest.approx(30 * every, rel=0.05)
    assert 0.6 * middle < low < middle < high < 1.5 * middle


@pytest.mark.parametrize("orders", [0, 1, 4])
def test_few_sales_foretell_nothing(orders: int) -> None:
    assert forecast(seen(DAY, [(DAY - 60, 1)] * orders, 10)) == Forecast(Outlook.UNKNOWN)


def test_many_sales_in_a_moment_foretell_nothing() -> None:
    assert forecast(seen(30, [(10, 2)] * 50, 10)) == Forecast(Outlook.UNKNOWN)


def test_sales_of_long_ago_foretell_nothing() -> None:
    assert forecast(seen(30 * DAY, [(0, 2)] * 500, 10)) == Forecast(Outlook.UNKNOWN)


@pytest.mark.parametrize("remaining", [0, -3])
def test_what_is_sold_out_is_said_to_be(remaining: int) -> None:
    assert forecast(seen(DAY, [(DAY / 2, 2)] * 50, remaining)) == Forecast(Outlook.SOLD_OUT)


@given(
    st.integers(1, 2000), st.floats(5, 1e5), st.floats(1, 2), st.floats(60, 120_000), st.floats(1, 1e7),
)  # fmt: skip
def test_quantiles_are_in_order_and_agree_with_the_probability(
    remaining: int, orders: float, tickets: float, exposed: float, kick_off: float
) -> None:
    free = forecast(Observed(remaining, orders, tickets, exposed))
    low, middle, high = (math.inf if each is None else each for each in free.seconds)
    assert 0 <= low <= middle <= high
    assert free.before_kick_off is None
    bound = forecast(Observed(remaining, orders, tickets, exposed, kick_off))
    assert bound.before_kick_off is not None
    for share, seconds, told in zip((0.1, 0.5, 0.9), (low, middle, high), bound.seconds, strict=True):
        assume(abs(seconds - kick_off) > 1e-6 * kick_off)
        assert (told is not None) == (seconds <= kick_off) == (bound.before_kick_off > share)


HABITS = st.lists(
    st.builds(HourOfDay, st.integers(0, 5), st.integers(0, HOURS - 1), st.integers(0, 10_000)), max_size=40
)
MOMENTS = st.floats(1_600_000_000, 1_800_000_000)
AHEAD = st.tuples(st.floats(0, 1e7), st.floats(0, 1e7), st.floats(0, 1e7)).map(sorted)


@given(AHEAD, MOMENTS)
def test_where_all_hours_are_alike_the_clock_says_the_same(seconds: list[float], now: float) -> None:
    low, middle, high = seconds
    found = Forecast(Outlook.FORECAST, (low, middle, high), 0.5)
    told = by_the_clock(found, EVEN, now)
    assert told.seconds == pytest.approx(found.seconds, abs=1e-5)
    assert told.before_kick_off == 0.5


@given(HABITS, AHEAD, MOMENTS)
def test_on_the_clock_quantiles_are_in_order_and_within_a_day_of_operational_time(
    habits: list[HourOfDay], seconds: list[float], now: float
) -> None:
    low, middle, high = seconds
    told = by_the_clock(Forecast(Outlook.FORECAST, (low, middle, high)), OperationalTime(paces(habits)), now).seconds
    assert None not in told
    clock = [each for each in told if each is not None]
    assert clock == sorted(clock)
    assert all(abs(each - operational) < DAY for each, operational in zip(clock, seconds, strict=True))


@given(HABITS, MOMENTS)
def test_what_is_beyond_the_kick_off_stays_untold(habits: list[HourOfDay], now: float) -> None:
    told = by_the_clock(Forecast(Outlook.FORECAST, (60, None, None), 0.2), OperationalTime(paces(habits)), now)
    assert told.seconds[1:] == (None, None)
    assert told.before_kick_off == 0.2


def poisson(rng: random.Random, rate: Rate, highest: float, since: float, until: float) -> Iterator[float]:
    """Moments of a process whose rate varies, by thinning of one at the highest rate."""
    at = since
    while (at := at + rng.expovariate(highest)) < until:
        if rng.random() * highest < rate(at):
            yield at


def learnt(rng: random.Random, rate: Rate, now: float) -> OperationalTime:
    """What a lake of twenty pools like this one says of the hours of the whole days until now."""
    whole = int(now / DAY)
    middles = now + (np.arange(-HOURS * whole, 0) + 0.5) * HOUR
    orders = np.random.default_rng(rng.getrandbits(64)).poisson([20 * HOUR * rate(at) for at in middles])
    return OperationalTime(
        paces(
            HourOfDay(whole - 1 - number // HOURS, int(at % DAY // HOUR), int(count))
            for number, (at, count) in enumerate(zip(middles, orders, strict=True))
        )
    )


@dataclass(frozen=True)
class Sale:
    """A made-up pool: orders by a rate that is never above `highest`, looked at when `now` is and so much is left."""

    rate: Rate
    highest: float
    now: float
    remaining: int


def inside(rng: random.Random, sale: Sale, time: OperationalTime) -> bool:
    """Whether the moment at which it sells out lies between the 10 % and the 90 % quantile."""
    orders = [(at, rng.choice((1, 2, 2))) for at in poisson(rng, sale.rate, sale.highest, 0, sale.now)]
    found = forecast(seen(sale.now, orders, sale.remaining, time=time))
    low, _, high = by_the_clock(found, time, sale.now).seconds
    if low is None:
        raise AssertionError("the made-up pools sell enough for a forecast")
    left = sale.remaining
    for at in poisson(rng, sale.rate, sale.highest, sale.now, math.inf):
        left -= rng.choice((1, 2, 2))
        if left <= 0:
            return low <= at - sale.now <= (math.inf if high is None else high)
    raise AssertionError("all sell out")


def coverage(
    sale_of: Callable[[random.Random], Sale], learn: Callable[[random.Random, Rate, float], OperationalTime]
) -> float:
    """How many of many made-up pools sell out between the outer quantiles."""
    rng = random.Random(2022)
    sales = (sale_of(rng) for _ in range(TRIALS))
    return sum(inside(rng, sale, learn(rng, sale.rate, sale.now)) for sale in sales) / TRIALS


def steady(rng: random.Random) -> Sale:
    rate = rng.uniform(2, 10) / HOUR
    return Sale(lambda _: rate, rate, rng.uniform(0.5, 4) * DAY, rng.randint(10, 60))


def drifting(rng: random.Random) -> Sale:
    """Doubles or halves within a week or more."""
    rate, pace = rng.uniform(4, 8) / HOUR, rng.uniform(-1, 1) / (7 * DAY)
    return Sale(
        lambda at: rate * 2 ** max(-2.0, min(2.0, at * pace)),
        rate * 4,
        rng.uniform(0.5, 4) * DAY,
        rng.randint(10, 60),
    )


def swinging(rng: random.Random, shortest: float, longest: float) -> Sale:
    """Three times as much at the best hour as at the worst one; what is left lasts so many seconds."""
    mean, phase = rng.uniform(1, 10) / HOUR, rng.uniform(0, DAY)
    lasts = math.exp(rng.uniform(math.log(shortest), math.log(longest)))
    return Sale(
        lambda at: mean * (1 + 0.5 * math.sin(math.tau * (at + phase) / DAY)),
        mean * 1.5,
        rng.uniform(1, 14) * DAY,
        math.ceil(mean * lasts * 5 / 3),
    )


def swinging_for_hours(rng: random.Random) -> Sale:
    return swinging(rng, 2 * HOUR, DAY)


def swinging_for_weeks(rng: random.Random) -> Sale:
    return swinging(rng, DAY, 20 * DAY)


# Three standard errors of 400 trials around 80 % are 74 to 86 %. Below, one point is left for what is hidden: a rate
# that changes meanwhile, hours learnt from few orders.
LEAST, MOST = 0.73, 0.86
# Of a sale that lasts long, the rate is all the doubt. Forgetting doubles its variance, as though half the orders had
# been seen, and of a rate that stays the same up to 93 % lie within 1.28 times the root of 2 standard deviations.
LONG_LEAST, LONG_MOST = 0.80, 0.95


@pytest.mark.parametrize("sale_of", [steady, drifting])
@pytest.mark.parametrize("learn", [lambda *_: EVEN, learnt], ids=["all hours alike", "hours learnt"])
def test_four_of_five_pools_sell_out_between_the_outer_quantiles(
    sale_of: Callable[[random.Random], Sale], learn: Callable[[random.Random, Rate, float], OperationalTime]
) -> None:
    assert LEAST <= coverage(sale_of, learn) <= MOST


@pytest.mark.parametrize(
    ("sale_of", "least", "most"),
    [(swinging_for_hours, LEAST, MOST), (swinging_for_weeks, LONG_LEAST, LONG_MOST)],
)
def test_and_so_do_those_that_sell_more_by_day_than_by_night(
    sale_of: Callable[[random.Random], Sale], least: float, most: float
) -> None:
    assert least <= coverage(sale_of, learnt) <= most


def test_which_they_do_not_when_all_hours_are_taken_for_alike() -> None:
    assert coverage(swinging_for_hours, lambda *_: EVEN) < LEAST - 0.1


@pytest.mark.parametrize("swing", [0, 0.9])
def test_the_lake_sums_up_what_the_model_expects(tmp_path: Path, swing: float) -> None:
    rng, lines = random.Random(7), LakeOfLines()
    lines.match(1, (900,), kick_off=NOON + timedelta(days=9, hours=5))
    lines.message("atlas", "PENDING", 1, sale="first")
    orders = []
    for at in poisson(rng, lambda at: (1 + swing * math.sin(math.tau * at / DAY)) * 4 / HOUR, 8 / HOUR, 0, 3.3 * DAY):
        orders.append((at, rng.choice((1, 2))))
        lines.message("atlas", "RESERVED", orders[-1][1], sale=str(at), minutes=at / 60)
    now = NOON + timedelta(days=3.3)
    looks = Looks(lines.write(tmp_path), Site("us", 3600), 0, 30)
    ((pool, told),), _ = handlers.forecasts(looks, None, now)
    time = habits_of([NOON.timestamp() + at for at, _ in orders], now.timestamp())
    since = NOON.timestamp()
    weights = [weight(time.of(now.timestamp()) - time.of(since + at)) for at, _ in orders]
    found = handlers.observed(pool, time, now)
    assert found.remaining == 900 - sum(quantity for _, quantity in orders)
    assert found.orders == pytest.approx(sum(weights))
    assert found.tickets_per_order == pytest.approx(
        sum(part * quantity for part, (_, quantity) in zip(weights, orders, strict=True)) / sum(weights)
    )
    assert found.exposure_seconds == pytest.approx(exposure(time.of(now.timestamp()) - time.of(since)))
    ahead = time.of((NOON + timedelta(days=9, hours=5)).timestamp()) - time.of(now.timestamp())
    assert found.kick_off_seconds == pytest.approx(ahead)
    expected = by_the_clock(forecast(found), time, now.timestamp())
    assert told.seconds == pytest.approx(expected.seconds, rel=1e-6)
    assert told.before_kick_off == pytest.approx(expected.before_kick_off)


def habits_of(orders: list[float], now: float) -> OperationalTime:
    """The hours of orders at these moments, of the last three whole days, one by one."""
    return OperationalTime(
        paces(HourOfDay(int((now - at) // DAY), int(at % DAY // HOUR), 1) for at in orders if now - at < 3 * DAY)
    )


def test_a_kick_off_that_is_over_bounds_nothing(tmp_path: Path) -> None:
    lines = LakeOfLines()
    lines.match(1, (300,), kick_off=NOON)
    for minute in range(100):
        lines.message("atlas", "RESERVED", 2, sale=str(minute), minutes=minute)
    looks = Looks(lines.write(tmp_path), Site("us", 3600), 0, 30)
    ((_, told),) = handlers.forecasts(looks, None, NOON + timedelta(minutes=100))[0]
    assert told.before_kick_off is None
    assert None not in told.seconds


def test_moments_beyond_the_calendar_are_none() -> None:
    assert handlers.moment_after(datetime.max.replace(tzinfo=UTC), 10) is None
    assert handlers.moment_after(NOON, 1e300) is None
    assert handlers.moment_after(NOON, 60.4) == NOON + timedelta(minutes=1)
