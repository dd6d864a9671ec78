"""The hours of the day: how orders are spread over them, and the time that goes by it. Pure.

Orders that come thick by day and thin by night come evenly in a time that runs fast by day and slowly by night: the
operational time of a Poisson process, which is its rate integrated (Daley and Vere-Jones, "An Introduction to the
Theory of Point Processes", 7.4). A day is as long in it as on any clock, so that whatever is said per day stays true.

Moments are seconds since 1970 in UTC. Buyers are on many clocks, and UTC has no summer time.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median_low

HOURS = 24
HOUR_SECONDS = 3600.0
DAY_SECONDS = HOURS * HOUR_SECONDS
DAYS_MAX = 28  # what was done longer ago is no habit
PRIOR_ORDERS = 5.0  # in each hour, before any is seen
RUSH = 3.0  # times as many as usual
EVENLY = (1.0,) * HOURS


@dataclass(frozen=True, slots=True)
class HourOfDay:
    """Orders of all pools in an hour, 0 to 23, of a whole day; the last 24 hours are 0 `days_ago`."""

    days_ago: int
    hour: int
    orders: int


def paces(found: Iterable[HourOfDay]) -> tuple[float, ...]:
    """How many times as much as on average is bought in each of the 24 hours: their mean is 1, and each is above 0.

    The mean of a Dirichlet distribution after orders of whole days, which have seen each hour for as long as any other.
    """
    days: dict[int, list[int]] = {}
    for each in found:
        days.setdefault(each.days_ago, [0] * HOURS)[each.hour] += each.orders
    if not days:
        return EVENLY
    hours = list(zip(*days.values(), strict=True))
    beside = [hours[hour - 1] + hours[(hour + 1) % HOURS] for hour in range(HOURS)]
    believed = [PRIOR_ORDERS + _habit(orders, near) for orders, near in zip(hours, beside, strict=True)]
    mean = sum(believed) / HOURS
    return tuple(each / mean for each in believed)


def _habit(orders: Sequence[int], beside: Sequence[int]) -> float:
    """An hour's orders of all days. A rush of one day, as when a sale opens, is cut to what is usual.

    Usual is the median of the days; the hours beside count as one day more, so that the first day has something to be
    compared with, while a rush that comes every day is soon believed.
    """
    usual = median_low([*orders, median_low(beside)])
    return sum(min(each, RUSH * (PRIOR_ORDERS + usual)) for each in orders)


class OperationalTime:
    """A time in which orders come evenly. `paces`: how fast it runs in each hour; `before`: how much of it that is."""

    def __init__(self, paces: Sequence[float]) -> None:
        self.paces = tuple(paces)
        self.before = tuple(accumulate((HOUR_SECONDS * pace for pace in self.paces[:-1]), initial=0.0))

    def of(self, moment: float) -> float:
        """The operational time at a moment; both grow by a day a day."""
        days, rest = divmod(moment, DAY_SECONDS)
        hour = int(rest // HOUR_SECONDS)
        return days * DAY_SECONDS + self.before[hour] + self.paces[hour] * (rest - hour * HOUR_SECONDS)

    def moment(self, operational: float) -> float:
        """The moment at an operational time: the inverse of `of`."""
        days, rest = divmod(operational, DAY_SECONDS)
        hour = bisect_right(self.before, rest) - 1
        return days * DAY_SECONDS + hour * HOUR_SECONDS + (rest - self.before[hour]) / self.paces[hour]


EVEN = OperationalTime(EVENLY)
