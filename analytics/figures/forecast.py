"""When a pool sells out: a rate of orders that is not known for sure, and what follows from it. Pure.

Orders come as a Poisson process whose rate has a Gamma distribution. What was seen long ago says less: each order, and
each second without one, counts by half for every half-life that has passed since (discounting as in West and Harrison,
"Bayesian Forecasting and Dynamic Models"). The time until n more orders is then `exposure * X / (1 - X)` with X of a
Beta(n, shape) distribution, so that its quantiles need no simulation.

All of it is reckoned in operational time (`hours`), in which a day's orders come evenly, and so is the forgetting: an
hour in which next to nothing is bought teaches nothing and makes nothing old. By the clock, the same sale would be
foretold more surely in the evening than in the morning. What was seen a day ago counts half in either.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from scipy.special import betainc, betaincinv

from analytics.figures.hours import OperationalTime

HALF_LIFE_SECONDS = 86_400.0
ORDERS_MIN = 5.0  # discounted; below it nothing is foretold
EXPOSURE_SECONDS_MIN = 60.0
PRIOR_ORDERS = 0.5  # Jeffreys' prior of a Poisson rate
QUANTILES = (0.1, 0.5, 0.9)


class Outlook(StrEnum):
    """What can be said of a pool."""

    FORECAST = "forecast"
    SOLD_OUT = "sold_out"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Observed:
    """What the log has shown of one pool, seen from one moment. Seconds are of operational time.

    `orders` counts each sale by `weight` of its age, `exposure_seconds` all seconds likewise (`exposure`);
    `tickets_per_order` is weighted in the same way. `kick_off_seconds` is how far ahead the kick-off is, None when it
    is not known or over.
    """

    remaining: int
    orders: float
    tickets_per_order: float
    exposure_seconds: float
    kick_off_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds until the pool is sold out, by the quantiles 10, 50 and 90 %; None for one beyond the kick-off.

    `before_kick_off` is the probability that it is sold out by then.
    """

    outlook: Outlook
    seconds: tuple[float | None, float | None, float | None] = (None, None, None)
    before_kick_off: float | None = None


def weight(age_seconds: float, half_life_seconds: float = HALF_LIFE_SECONDS) -> float:
    """What something seen so long ago still counts, from 1 down to 0."""
    return float(0.5 ** (age_seconds / half_life_seconds))


def exposure(seconds: float, half_life_seconds: float = HALF_LIFE_SECONDS) -> float:
    """The weighted length of the last `seconds`: the integral of `weight`."""
    return half_life_seconds / math.log(2) * (1 - weight(seconds, half_life_seconds))


def forecast(seen: Observed) -> Forecast:
    """When the pool sells out, in operational time as `seen` is. Unknown while too little was seen."""
    if seen.remaining <= 0:
        return Forecast(Outlook.SOLD_OUT)
    if seen.orders < ORDERS_MIN or seen.exposure_seconds < EXPOSURE_SECONDS_MIN or seen.tickets_per_order <= 0:
        return Forecast(Outlook.UNKNOWN)
    needed = math.ceil(seen.remaining / seen.tickets_per_order)
    shape = PRIOR_ORDERS + seen.orders
    low, middle, high = (_within(_quantile(share, needed, shape, seen), seen) for share in QUANTILES)
    return Forecast(Outlook.FORECAST, (low, middle, high), _before_kick_off(needed, shape, seen))


def by_the_clock(found: Forecast, time: OperationalTime, now: float) -> Forecast:
    """The same in seconds of the clock from `now` (since 1970). Shares stay: time that runs unevenly runs in order."""
    begin = time.of(now)
    low, middle, high = (None if each is None else time.moment(begin + each) - now for each in found.seconds)
    return replace(found, seconds=(low, middle, high))


def _quantile(share: float, needed: int, shape: float, seen: Observed) -> float:
    # By the other side of the distribution, since 1 - X has no digits left when X is almost 1.
    rest = float(betaincinv(shape, needed, 1 - share))
    return math.inf if rest == 0 else seen.exposure_seconds * (1 - rest) / rest


def _within(seconds: float, seen: Observed) -> float | None:
    beyond = seen.kick_off_seconds is not None and seconds > seen.kick_off_seconds
    return None if beyond or math.isinf(seconds) else seconds


def _before_kick_off(needed: int, shape: float, seen: Observed) -> float | None:
    if seen.kick_off_seconds is None:
        return None
    reached = seen.kick_off_seconds / (seen.exposure_seconds + seen.kick_off_seconds)
    return float(betainc(needed, shape, reached))
