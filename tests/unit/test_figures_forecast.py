"""When pools sell out: the model against its own assumptions, and against sales that do not keep to them."""

import math
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from analytics.figures import handlers
from analytics.figures.forecast import HALF_LIFE_SECONDS, Forecast, Observed, Outlook, exposure, forecast, weight
from analytics.figures.looks import Looks, Site
from tests.lines_of_a_lake import NOON, LakeOfLines

HOUR = 3600.0
DAY = 24 * HOUR
TRIALS = 400


def seen(now: float, orders: list[tuple[float, int]], remaining: int, kick_off: float | None = None) -> Observed:
    """What the log shows at `now` (seconds since it began) of orders at their moments."""
    weights = [weight(now - at) for at, _ in orders]
    total = sum(weights)
    tickets = sum(part * quantity for part, (_, quantity) in zip(weights, orders, strict=True))
    return Observed(remaining, total, tickets / total if total else 0, exposure(now), kick_off)


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


def poisson(
    rng: random.Random, rate: Callable[[float], float], highest: float, since: float, until: float
) -> Iterator[float]:
    """Moments of a process whose rate varies, by thinning of one at the highest rate."""
    at = since
    while (at := at + rng.expovariate(highest)) < until:
        if rng.random() * highest < rate(at):
            yield at


def coverage(rng: random.Random, rate_of: Callable[[random.Random], tuple[Callable[[float], float], float]]) -> float:
    """How often the moment at which a made-up pool sells out lies between the 10 % and the 90 % quantile."""
    inside = 0
    for _ in range(TRIALS):
        rate, highest = rate_of(rng)
        now = rng.uniform(0.5, 4) * DAY
        orders = [(at, rng.choice((1, 2, 2))) for at in poisson(rng, rate, highest, 0, now)]
        remaining = rng.randint(10, 60)
        low, _, high = forecast(seen(now, orders, remaining)).seconds
        left, sold_out = remaining, math.inf
        for at in poisson(rng, rate, highest, now, now + 60 * DAY):
            left -= rng.choice((1, 2, 2))
            if left <= 0:
                sold_out = at - now
                break
        if low is None:
            raise AssertionError("the made-up pools sell enough for a forecast")
        inside += low <= sold_out <= (math.inf if high is None else high)
    return inside / TRIALS


def steady(rng: random.Random) -> tuple[Callable[[float], float], float]:
    rate = rng.uniform(2, 10) / HOUR
    return lambda _: rate, rate


def drifting(rng: random.Random) -> tuple[Callable[[float], float], float]:
    """Doubles or halves within a week or more."""
    rate, pace = rng.uniform(4, 8) / HOUR, rng.uniform(-1, 1) / (7 * DAY)
    return lambda at: rate * 2 ** max(-2.0, min(2.0, at * pace)), rate * 4


@pytest.mark.parametrize(
    ("rate_of", "least", "most"),
    [(steady, 0.73, 0.88), (drifting, 0.73, 0.88)],
)
def test_four_of_five_pools_sell_out_between_the_outer_quantiles(
    rate_of: Callable[[random.Random], tuple[Callable[[float], float], float]], least: float, most: float
) -> None:
    found = coverage(random.Random(2022), rate_of)
    assert least <= found <= most


def test_the_lake_sums_up_what_the_model_expects(tmp_path: Path) -> None:
    rng, lines = random.Random(7), LakeOfLines()
    lines.match(1, (300,), kick_off=NOON + timedelta(days=9))
    orders = [(at, rng.choice((1, 2))) for at in poisson(rng, lambda _: 2 / HOUR, 2 / HOUR, 0, 3 * DAY)]
    lines.message("atlas", "PENDING", 1, sale="first")
    for number, (at, quantity) in enumerate(orders):
        lines.message("atlas", "RESERVED", quantity, sale=str(number), minutes=at / 60)
    now = NOON + timedelta(days=3)
    found, _ = handlers.forecasts(Looks(lines.write(tmp_path), Site("us", 3600), 0, 30), None, now)
    ((pool, told),) = found
    remaining = 300 - sum(quantity for _, quantity in orders)
    expected = seen(3 * DAY, orders, remaining, 6 * DAY)
    assert handlers.observed(pool, now).orders == pytest.approx(expected.orders)
    assert handlers.observed(pool, now).tickets_per_order == pytest.approx(expected.tickets_per_order)
    assert handlers.observed(pool, now).exposure_seconds == pytest.approx(expected.exposure_seconds)
    assert told.seconds == pytest.approx(forecast(expected).seconds, rel=1e-6)
    assert told.before_kick_off == pytest.approx(forecast(expected).before_kick_off)


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
