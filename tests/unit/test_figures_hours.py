"""The hours of the day: what is believed of them after so many orders, and the time that goes by it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.figures import handlers, store
from analytics.figures.hours import (
    DAY_SECONDS,
    DAYS_MAX,
    EVEN,
    HOURS,
    HourOfDay,
    OperationalTime,
    paces,
)
from analytics.figures.looks import Looks, Site
from tests.lines_of_a_lake import NOON, LakeOfLines

SITE = Site("us", 3600)
HOURS_SEEN = st.builds(HourOfDay, st.integers(0, 5), st.integers(0, HOURS - 1), st.integers(0, 10_000))
MOMENTS = st.floats(1_600_000_000, 1_800_000_000)
TIMES = st.lists(HOURS_SEEN, max_size=40).map(lambda found: OperationalTime(paces(found)))


def days(number: int, orders: Callable[[int], int]) -> list[HourOfDay]:
    """So many days alike, of which each hour has its number of orders."""
    return [HourOfDay(ago, hour, orders(hour)) for ago in range(number) for hour in range(HOURS)]


def more_by_day(hour: int) -> int:
    return 20 if hour < 12 else 10


def test_before_a_whole_day_is_seen_all_hours_are_alike() -> None:
    assert paces([]) == EVEN.paces


def test_few_orders_say_little_and_many_say_nearly_all() -> None:
    """Twice as much in the first half of the day: 4/3 of the mean."""
    assert paces(days(1, more_by_day))[0] == pytest.approx(25 / 20)
    assert paces(days(28, more_by_day))[0] == pytest.approx(565 / 425)
    assert paces(days(28, lambda hour: 100 * more_by_day(hour)))[0] == pytest.approx(4 / 3, rel=1e-3)


@given(st.lists(HOURS_SEEN, max_size=40))
def test_paces_are_positive_and_one_on_average(found: list[HourOfDay]) -> None:
    believed = paces(found)
    assert len(believed) == HOURS
    assert min(believed) > 0
    assert sum(believed) == pytest.approx(HOURS)


@pytest.mark.parametrize(("number", "most"), [(1, 3.2), (2, 2.1), (7, 1.4)])
def test_the_rush_of_one_day_is_no_habit(number: int, most: float) -> None:
    rush = HourOfDay(number - 1, 12, 1_000_000)
    assert 1 < paces([*days(number, lambda _: 40), rush])[12] < most


def test_the_rush_of_every_day_is_one_from_the_second_on() -> None:
    def rush(hour: int) -> int:
        return 10_000 if hour == 12 else 40

    assert paces(days(1, rush))[12] < 3.2
    assert paces(days(2, rush))[12] > 20


@given(TIMES, MOMENTS)
def test_a_day_is_a_day(time: OperationalTime, moment: float) -> None:
    assert time.of(moment + DAY_SECONDS) - time.of(moment) == pytest.approx(DAY_SECONDS, abs=1e-5)


@given(TIMES, MOMENTS, st.floats(0.01, 1e7))
def test_later_is_later_in_both(time: OperationalTime, moment: float, more: float) -> None:
    assert time.of(moment + more) > time.of(moment)
    assert time.moment(moment + more) > time.moment(moment)


@given(TIMES, MOMENTS)
def test_the_way_there_and_back(time: OperationalTime, moment: float) -> None:
    assert time.moment(time.of(moment)) == pytest.approx(moment, rel=0, abs=1e-4)


@given(MOMENTS)
def test_where_all_hours_are_alike_nothing_changes(moment: float) -> None:
    assert EVEN.of(moment) == pytest.approx(moment, rel=0, abs=1e-6)
    assert EVEN.moment(moment) == pytest.approx(moment, rel=0, abs=1e-6)


def test_an_hour_of_twice_the_pace_is_two_hours_long() -> None:
    time = OperationalTime([2.0] + [1.0] * 22 + [0.0 + 1e-9])
    assert time.of(1800) == pytest.approx(3600)
    assert time.of(3600) == pytest.approx(7200)
    assert time.moment(7200 + 60) == pytest.approx(3660)


def hours_of_day(lines: LakeOfLines, folder: Path, days: float) -> set[tuple[int, int, int]]:
    """What the lake says so many days after noon: days ago, hour, orders."""
    now = (NOON + timedelta(days=days)).replace(tzinfo=None)
    looks = Looks(lines.write(folder), SITE, 0, 30)

    def look(lake: store.Connection) -> list[HourOfDay]:
        store.show_orders(lake)
        return store.hours_of_day(lake, now)

    return {(each.days_ago, each.hour, each.orders) for each in looks.ask("hours", look)}


def sold(lines: LakeOfLines, *hours: float, pool: tuple[int, int] = (1, 1), quantity: int = 1) -> None:
    """A sale so many hours after noon, each."""
    for hour in hours:
        sale = str(len(lines.messages))
        lines.message("atlas", "RESERVED", quantity, sale=sale, pool=pool, minutes=hour * 60)


def test_orders_of_all_pools_are_counted_by_day_and_hour_in_utc(tmp_path: Path) -> None:
    lines = LakeOfLines()
    lines.match(1, (300, 300))
    lines.message("atlas", "PENDING", 1, sale="held")
    sold(lines, 0.5, 1.5, 1.9, 13)
    sold(lines, 1.6, pool=(1, 2), quantity=4)
    sold(lines, 24 + 11.5)
    assert hours_of_day(lines, tmp_path, 2) == {(1, 12, 1), (1, 13, 3), (1, 1, 1), (0, 23, 1)}


def test_a_day_that_the_log_has_seen_in_part_is_left_out(tmp_path: Path) -> None:
    lines = LakeOfLines()
    lines.match(1, (300,))
    sold(lines, 0, 10, 20, 25, 40)
    assert hours_of_day(lines, tmp_path / "young", 0.9) == set()
    assert hours_of_day(lines, tmp_path / "older", 1.75) == {(0, 8, 1), (0, 13, 1), (0, 4, 1)}


def test_days_of_long_ago_are_not_asked_for(tmp_path: Path) -> None:
    lines = LakeOfLines()
    lines.match(1, (300,))
    sold(lines, 0, 24 * 10 + 1, 24 * 11 + 1)
    assert hours_of_day(lines, tmp_path, DAYS_MAX + 11) == {(DAYS_MAX - 1, 13, 1)}


def test_the_day_on_which_a_pool_is_sold_out_says_nothing_of_its_later_hours(tmp_path: Path) -> None:
    lines = LakeOfLines()
    lines.match(1, (3, 300))
    lines.message("atlas", "PENDING", 1, sale="held")
    sold(lines, 0.5, 1)
    sold(lines, 2, 25, pool=(1, 2))
    sold(lines, 26)
    assert hours_of_day(lines, tmp_path, 2) == {(1, 12, 1), (1, 13, 1), (1, 14, 1), (0, 13, 1)}


def test_a_pool_forecast_before_anybody_has_bought(tmp_path: Path) -> None:
    lines = LakeOfLines()
    lines.match(1, (3,))
    ((_, told),), _ = handlers.forecasts(Looks(lines.write(tmp_path), SITE, 0, 30), None, NOON)
    assert told.outlook.value == "unknown"
