"""Figures of a small lake, worked out by hand."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from analytics.figures import handlers, watch
from analytics.figures.domain import Basis, Bookings, Country, Group, MoneyGroup, Position, Revenue, Span
from analytics.figures.hours import EVEN
from analytics.figures.looks import Looks, Site
from analytics.figures.routes import statistics
from analytics.generator.records import LISTING_KINDS
from analytics.lake.lake import Lake
from analytics.lake.tables import TICKET_MESSAGES
from shared import metrics
from shared.clock import FixedClock
from shared.errors import DependencyUnavailable
from tests.lines_of_a_lake import NOON, LakeOfLines

ALL = Span()
SITE = Site("us", 3600)
KICK_OFF = NOON + timedelta(days=2)


def a_small_lake() -> LakeOfLines:
    """Two matches with two categories of 4; three sites; 7 tickets sold, 2 of them by nobody in particular."""
    lake = LakeOfLines()
    lake.match(1, (4, 4), round_number=1, home_team="Qatar", away_team="Ecuador", kick_off=KICK_OFF)
    lake.match(2, (4, 4), round_number=1, home_team="Qatar", away_team="Senegal", kick_off=KICK_OFF)
    lake.message("us", "PENDING", 2, sale="a")
    lake.message("us", "RESERVED", 2, sale="a", minutes=1)
    lake.message("us", "PENDING", 1, sale="b", minutes=2)
    lake.message("us", "CANCELLED", 1, sale="b", minutes=12)
    lake.message("atlas", "PENDING", 2, sale="a", pool=(2, 1), minutes=70)
    lake.message("atlas", "RESERVED", 2, sale="a", pool=(2, 1), minutes=71)
    lake.message("atlas", "PENDING", 1, sale="c", pool=(2, 2), minutes=72)
    lake.message("atlas", "RESERVED", 1, sale="c", pool=(2, 2), minutes=73, price=None)
    lake.message(None, "PENDING", 2, pool=(2, 1), minutes=80)
    lake.message(None, "RESERVED", 2, pool=(2, 1), minutes=81)
    lake.message("atlas", "PENDING", 9, refused="quantity", minutes=82)
    return lake


@pytest.fixture
def open_looks(tmp_path: Path) -> Callable[[LakeOfLines], Looks]:
    return lambda lines: Looks(lines.write(tmp_path / "lake"), SITE, 0, 30)


@pytest.fixture
def looks(open_looks: Callable[[LakeOfLines], Looks]) -> Looks:
    return open_looks(a_small_lake())


def booked(looks: Looks, group: Group, span: Span = ALL, limit: int = 100) -> list[Bookings]:
    return handlers.bookings(looks, group, span, limit)[0]


def test_the_total(looks: Looks) -> None:
    found, basis = handlers.bookings(looks, Group.TOTAL, ALL, 10)
    assert found == [
        Bookings("total", 16, messages=10, holds=8, sold=7, cancelled=1, holds_tied=6, holds_sold=5),
    ]
    assert basis == Basis(log=(Position(0, 11),), events=(), synthetic=False)


@pytest.mark.parametrize(
    ("group", "sold"),
    [
        (Group.MATCH, {"2": (5, 8), "1": (2, 8)}),
        (Group.CATEGORY, {"1": (6, 8), "2": (1, 8)}),
        (Group.POOL, {"2-1": (4, 4), "1-1": (2, 4), "2-2": (1, 4), "1-2": (0, 4)}),
        (Group.ROUND, {"1": (7, 16)}),
        (Group.TEAM, {"Qatar": (7, 16), "Senegal": (5, 8), "Ecuador": (2, 8)}),
        (Group.SITE, {"atlas": (3, 16), "": (2, 16), "us": (2, 16)}),
        (Group.DAY, {"2022-11-20": (7, 16)}),
        (Group.HOUR, {"2022-11-20T13:00:00Z": (5, 16), "2022-11-20T12:00:00Z": (2, 16)}),
        (Group.HOUR_OF_DAY, {"13": (5, 16), "12": (2, 16)}),
    ],
)
def test_sold_and_capacity_by_group(looks: Looks, group: Group, sold: dict[str, tuple[int, int]]) -> None:
    assert {each.key: (each.sold, each.capacity) for each in booked(looks, group)} == sold
    assert [each.key for each in booked(looks, group)] == list(sold)


def test_a_span_of_time_bounds_what_is_counted_and_not_how_it_is_judged(looks: Looks) -> None:
    after_the_hold = Span(NOON + timedelta(seconds=30), NOON + timedelta(minutes=71))
    (total,) = booked(looks, Group.TOTAL, after_the_hold)
    assert (total.holds, total.sold, total.cancelled) == (1 + 2, 2, 1)
    assert (total.holds_tied, total.holds_sold) == (3, 2)


def test_more_than_the_limit_is_told_by_one_more(looks: Looks) -> None:
    assert [each.key for each in booked(looks, Group.POOL, limit=1)] == ["2-1", "1-1"]


def test_a_pool_that_the_catalogue_does_not_have_yet_counts(open_looks: Callable[[LakeOfLines], Looks]) -> None:
    lines = LakeOfLines()
    lines.message("atlas", "RESERVED", 2, pool=(7, 3))
    (total,) = booked(open_looks(lines), Group.TOTAL)
    assert (total.sold, total.capacity) == (2, 0)


def test_money_is_of_payments_here_and_by_the_log_elsewhere(open_looks: Callable[[LakeOfLines], Looks]) -> None:
    lines = a_small_lake()
    lines.event("reservation_submitted", reservation_id="r", country="BR", match_number=1, category=1, quantity=2)
    lines.event("payment_succeeded", reservation_id="r", amount=15_000, currency="USD", minutes=1)
    lines.event("refund_made", reservation_id="r", amount=5_000, currency="USD", minutes=30)
    looks = open_looks(lines)

    def money(group: MoneyGroup) -> list[Revenue]:
        return handlers.revenue(looks, group, ALL, 10)[0]

    elsewhere = 5 * 7_500
    assert money(MoneyGroup.TOTAL) == [Revenue("total", "USD", 15_000, 5_000, elsewhere)]
    assert money(MoneyGroup.MATCH) == [
        Revenue("2", "USD", 0, 0, elsewhere),
        Revenue("1", "USD", 15_000, 5_000, 0),
    ]
    assert money(MoneyGroup.SITE) == [
        Revenue("atlas", "USD", 0, 0, 3 * 7_500),
        Revenue("", "USD", 0, 0, 2 * 7_500),
        Revenue("us", "USD", 15_000, 5_000, 0),
    ]
    assert money(MoneyGroup.COUNTRY) == [Revenue("BR", "USD", 15_000, 5_000, 0)]
    assert [each.key for each in money(MoneyGroup.HOUR)] == ["2022-11-20T13:00:00Z", "2022-11-20T12:00:00Z"]


@pytest.mark.parametrize("price", [1e308, 1e17, -75.0])
def test_a_price_that_nobody_pays_is_not_estimated_by(open_looks: Callable[[LakeOfLines], Looks], price: float) -> None:
    """Partners write what they want, and what stands in the log stays there."""
    lines = LakeOfLines()
    lines.match(1, [10], price=75)
    lines.message("atlas", "PENDING", 2, sale="a", price=price)
    lines.message("atlas", "RESERVED", 2, sale="a", price=price)
    looks = open_looks(lines)
    assert handlers.revenue(looks, MoneyGroup.TOTAL, ALL, 10)[0] == [Revenue("total", "USD", 0, 0, 15_000)]
    assert [each.kind for each in handlers.drifts(looks, 10, 1)[0]] == ["price_mismatch"]


def test_countries_are_of_this_sites_visitors(open_looks: Callable[[LakeOfLines], Looks]) -> None:
    lines = LakeOfLines()
    lines.event("match_viewed", country="BR", match_number=1)
    lines.event("match_viewed", match_number=1)
    for number, ends in enumerate(("reserved", "reserved", "expired")):
        story: dict[str, Any] = {"reservation_id": f"r{number}", "match_number": 1, "category": 1, "quantity": 2}
        lines.event("reservation_submitted", country="BR", **story)
        lines.event(f"reservation_{ends}", minutes=5, synthetic=True, **story)
    found, basis = handlers.countries(open_looks(lines), ALL, 10)
    assert found == [
        Country("BR", views=1, holds=6, sold=4, cancelled=2, reservations=3, reservations_sold=2),
        Country("", views=1, holds=0, sold=0, cancelled=0, reservations=0, reservations_sold=0),
    ]
    assert basis.synthetic
    (_, brazil) = handlers.countries(open_looks(lines), Span(until=NOON + timedelta(minutes=1)), 10)[0]
    assert (brazil.sold, brazil.reservations_sold) == (0, 2)


def test_what_becomes_of_offers_is_neither_booking_nor_money(open_looks: Callable[[LakeOfLines], Looks]) -> None:
    lines = LakeOfLines()
    story: dict[str, Any] = {"reservation_id": "r", "match_number": 1, "category": 1, "quantity": 1}
    lines.event("reservation_submitted", country="BR", **story)
    lines.event("payment_succeeded", reservation_id="r", amount=8_000, currency="USD", minutes=1)
    lines.event("reservation_reserved", country="BR", minutes=1, **story)
    for kind in LISTING_KINDS:
        lines.event(kind, subject="seller", amount=8_000, currency="USD", minutes=2, **story)
    looks = open_looks(lines)
    assert handlers.countries(looks, ALL, 10)[0] == [
        Country("BR", views=0, holds=1, sold=1, cancelled=0, reservations=1, reservations_sold=1)
    ]
    assert handlers.revenue(looks, MoneyGroup.COUNTRY, ALL, 10)[0] == [Revenue("BR", "USD", 8_000, 0, 0)]


def test_a_synthetic_site_makes_answers_synthetic_where_it_takes_part(
    open_looks: Callable[[LakeOfLines], Looks],
) -> None:
    lines = a_small_lake()
    lines.message("synthetic-1", "PENDING", 1, sale="s", minutes=90)
    looks = open_looks(lines)
    assert handlers.bookings(looks, Group.TOTAL, ALL, 10)[1].synthetic
    assert not handlers.bookings(looks, Group.TOTAL, Span(until=NOON + timedelta(minutes=85)), 10)[1].synthetic


def test_moments_at_the_ends_of_the_calendar_are_bounds_like_others(looks: Looks) -> None:
    span = Span(NOON.replace(year=1, month=1, day=1), NOON.replace(year=9999, month=12, day=31))
    assert booked(looks, Group.TOTAL, span)[0].sold == 7


def test_forecasts_see_what_is_left_and_the_kick_off(looks: Looks) -> None:
    now = NOON + timedelta(hours=2)
    found, _ = handlers.forecasts(looks, 2, now)
    assert [(pool.category, pool.sold, forecast.outlook.value) for pool, forecast in found] == [
        (1, 4, "sold_out"),
        (2, 1, "unknown"),
    ]
    seen = handlers.observed(found[1][0], EVEN, now)
    assert seen.kick_off_seconds == 46 * 3600
    assert seen.remaining == 3
    assert seen.tickets_per_order == pytest.approx(1)


def test_answers_are_kept_while_the_lake_stands_still(tmp_path: Path) -> None:
    lines = a_small_lake()
    lake = lines.write(tmp_path)
    numbers = itertools.count(1)
    looks = Looks(lake, SITE, 0, 30)

    def look() -> int:
        return looks.ask("n", lambda _: next(numbers))

    assert (look(), look()) == (1, 1)
    rows = lake.open(TICKET_MESSAGES).to_pyarrow_table()
    lake.append(TICKET_MESSAGES, rows.slice(0, 1), {"sales-0": 99})
    assert look() == 2


def test_an_answer_is_given_again_for_some_seconds_without_looking(tmp_path: Path) -> None:
    lake = a_small_lake().write(tmp_path)
    looks = Looks(lake, SITE, 3600, 30)
    first = booked(looks, Group.TOTAL)
    rows = lake.open(TICKET_MESSAGES).to_pyarrow_table()
    lake.append(TICKET_MESSAGES, rows, {"sales-0": 99})
    assert booked(looks, Group.TOTAL) is first


def test_a_question_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    looks = Looks(a_small_lake().write(tmp_path), SITE, 0, 0.2)
    with pytest.raises(DependencyUnavailable, match="not answered within"):
        looks.ask("long", lambda lake: lake.execute("SELECT sum(hash(a.range)) FROM range(1000000000000) a").fetchall())


def test_a_lake_without_tables_has_figures_of_nothing(tmp_path: Path) -> None:
    looks = Looks(Lake(str(tmp_path)), SITE, 0, 30)
    assert booked(looks, Group.TOTAL) == []
    assert handlers.drifts(looks, 10, 5)[:2] == ([], [])
    summary, drifts = handlers.summary(looks, 10)
    assert (summary.pools, summary.newest, drifts) == (0, None, [])


def test_metrics_tell_the_main_figures(open_looks: Callable[[LakeOfLines], Looks]) -> None:
    lines = a_small_lake()
    lines.message("atlas", "RESERVED", 1, sale="over", pool=(2, 1), minutes=90)
    watch.Watch(open_looks(lines), FixedClock(NOON + timedelta(minutes=91)), 60).look()
    tickets = {what: metrics.LAKE_TICKETS.labels(what)._value.get() for what in ("sold_here", "sold_elsewhere", "held")}
    assert tickets == {"sold_here": 2, "sold_elsewhere": 6, "held": 8}
    pools = {state: metrics.LAKE_POOLS.labels(state)._value.get() for state in ("all", "sold_out", "oversold")}
    assert pools == {"all": 4, "sold_out": 1, "oversold": 1}
    assert metrics.LAKE_DRIFT.labels("oversold")._value.get() == 1
    assert metrics.LAKE_DRIFT.labels("orphan_reserved")._value.get() == 1
    assert metrics.LAKE_AGE._value.get() == 60


def test_a_lake_that_is_out_of_reach_does_not_end_the_watch(tmp_path: Path) -> None:
    class Away(Looks):
        def ask(self, name: Any, question: Any) -> Any:
            raise DependencyUnavailable("away")

    before = metrics.LAKE_AGE._value.get()
    watch.Watch(Away(Lake(str(tmp_path)), SITE, 0, 1), FixedClock(NOON), 60).look()
    assert metrics.LAKE_AGE._value.get() == before


def test_partners_see_what_the_log_shows_them_anyway_and_admins_also_what_is_this_sites_own() -> None:
    seen_by = {
        route.path.rpartition("/")[2]: (route.access.roles, route.access.services) for route in statistics.routes
    }
    both, admins = frozenset({"partner", "admin"}), frozenset({"admin"})
    assert seen_by == {
        "bookings": (both, True),
        "forecasts": (both, True),
        "drift": (both, True),
        "revenue": (admins, True),
        "countries": (admins, True),
    }
