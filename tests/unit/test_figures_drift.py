"""What is judged of the log in SQL is what the counters' own fold makes of it, and drift is told with its records."""

import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analytics.figures import handlers, store
from analytics.figures.domain import Group, Span
from analytics.figures.judged import show_judged
from analytics.figures.looks import Looks, Site
from shared.wire import Action, Line, TicketMessage
from shop.inventory.domain import Changes, Counters, Pool
from shop.inventory.fold import LogRecord, LogState, Rules, fold
from tests.lines_of_a_lake import NOON, LakeOfLines

HOLD_SECONDS = 3600
SITES = ("us", "atlas", "borealis", None)
ACTIONS = ("PENDING", "RESERVED", "CANCELLED")
POOLS = ((1, 1), (1, 2))
Sent = tuple[str | None, str, int, str | None, tuple[int, int], int]  # site, action, quantity, sale, pool, minutes on


def sent(quantities: st.SearchStrategy[int], minutes: int) -> st.SearchStrategy[list[Sent]]:
    """Logs in which few sales meet often; a sale has one quantity where `quantities` gives no choice."""
    one = st.tuples(
        st.sampled_from(SITES),
        st.sampled_from(ACTIONS),
        quantities,
        st.sampled_from((None, "s", "t", "u")),
        st.sampled_from(POOLS),
        st.integers(0, minutes),
    )
    return st.lists(one, max_size=40)


def folded(log: list[Sent], capacity: int) -> dict[tuple[int, int], int]:
    """What the counters have sold in the log when it is drained."""
    state = LogState({Pool(*pool): Counters(Pool(*pool), Decimal(75), [(0, capacity)]) for pool in POOLS}, {1})
    records, clock = [], 0
    for offset, (site, action, quantity, sale, (match, category), minutes) in enumerate(log):
        clock += minutes * 60_000
        message = TicketMessage(Action(f"TICKET_{action}"), match, (Line(category, quantity, 75),), site, sale)
        records.append(LogRecord(0, offset, clock, message))
    fold(state, records, Rules("us", HOLD_SECONDS * 1000), Changes())
    return {(pool.match_number, pool.category): counters.log_sold for pool, counters in state.pools.items()}


def judged(log: list[Sent], capacity: int) -> dict[tuple[int, int], int]:
    """What the figures say is sold."""
    lines, clock = LakeOfLines(), 0
    lines.match(1, (capacity, capacity))
    for site, action, quantity, sale, pool, minutes in log:
        clock += minutes
        lines.message(site, action, quantity, sale=sale, pool=pool, minutes=clock)
    with tempfile.TemporaryDirectory() as folder, lines.write(Path(folder)).connect() as lake:
        show_judged(lake, "us", HOLD_SECONDS)
        found = store.bookings(lake, Group.POOL, Span(), 10)
    return {(int(each.key[0]), int(each.key[2])): each.sold for each in found}


SOME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(sent(st.just(2), minutes=45))
@SOME
def test_sold_is_what_the_fold_says_when_holds_are_refused_and_run_out(log: list[Sent]) -> None:
    assert judged(log, 5) == folded(log, 5)


@given(sent(st.integers(1, 2), minutes=0))
@example([(*them, quantity, "s", (1, 1), 0) for *them, quantity in (
    ("atlas", "PENDING", 2), ("atlas", "RESERVED", 1), ("atlas", "RESERVED", 1), ("atlas", "RESERVED", 1),
)])  # fmt: skip
@SOME
def test_sold_is_what_the_fold_says_when_sales_come_in_parts(log: list[Sent]) -> None:
    assert judged(log, 1000) == folded(log, 1000)


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(1, 2)), max_size=40))
@SOME
def test_the_balance_of_sales_without_an_id_is_that_of_the_fold(log: list[tuple[str, int]]) -> None:
    state = LogState({Pool(1, 1): Counters(Pool(1, 1), Decimal(75), [(0, 1000)])}, {1})
    changes, lines = Changes(), LakeOfLines()
    lines.match(1, (1000,))
    given_back = []
    for offset, (action, quantity) in enumerate(log):
        lines.message("atlas", action, quantity)
        message = TicketMessage(Action(f"TICKET_{action}"), 1, (Line(1, quantity, 75),), "atlas", None)
        before = state.pools[Pool(1, 1)].log_held
        fold(state, [LogRecord(0, offset, 0, message)], Rules("us", HOLD_SECONDS * 1000), changes)
        if action == "CANCELLED":
            given_back.append((offset, before - state.pools[Pool(1, 1)].log_held))
    with tempfile.TemporaryDirectory() as folder, lines.write(Path(folder)).connect() as lake:
        show_judged(lake, "us", HOLD_SECONDS)
        flags = lake.execute('SELECT "offset", flag FROM judged WHERE flag IS NOT NULL ORDER BY 1').fetchall()
        counted = lake.execute(
            """SELECT "offset", counted FROM judged WHERE action = 'TICKET_CANCELLED' ORDER BY 1"""
        ).fetchall()
    assert flags == [(each.offset, each.kind) for each in changes.evidence]
    assert counted == given_back


def drift_of(lines: LakeOfLines, folder: Path) -> dict[tuple[str, str], tuple[int, int, list[int]]]:
    """(kind, site) → records, tickets, offsets of the evidence."""
    found, _, _ = handlers.drifts(Looks(lines.write(folder), Site("us", HOLD_SECONDS), 0, 30), 100, 3)
    return {
        (each.kind, each.site): (each.records, each.tickets, [trace.offset for trace in each.evidence])
        for each in found
    }


def test_who_sold_after_the_last_ticket_is_named_with_the_records(tmp_path: Path) -> None:
    lines = LakeOfLines()
    lines.match(1, (3,))
    for number, site in enumerate(("atlas", "borealis", "atlas", "us")):
        lines.message(site, "PENDING", 2, sale=str(number))
    atlas, borealis, again, _ours = (
        lines.message(site, "RESERVED", quantity, sale=str(number))
        for number, (site, quantity) in enumerate((("atlas", 2), ("borealis", 2), ("atlas", 2), ("us", 2)))
    )
    assert drift_of(lines, tmp_path / "a") == {
        ("oversold", "atlas"): (1, 2, [again]),
        ("oversold", "us"): (1, 2, [again + 1]),
        ("oversold", "borealis"): (1, 1, [borealis]),
    }
    looks = Looks(lines.write(tmp_path / "b"), Site("us", HOLD_SECONDS), 0, 30)
    (drift, *_), (pool,), basis = handlers.drifts(looks, 100, 3)
    assert (pool.match_number, pool.category, pool.capacity, pool.sold) == (1, 1, 3, 8)
    assert (drift.evidence[0].partition, drift.evidence[0].sale_id, drift.evidence[0].quantity) == (0, "2", 2)
    assert basis.log[0].next_offset == again + 2
    assert atlas < borealis


@pytest.mark.parametrize(
    ("sent", "kind", "offsets"),
    [
        ([("RESERVED", 0)], "orphan_reserved", [0]),
        ([("CANCELLED", 0)], "orphan_cancelled", [0]),
        ([("PENDING", 0), ("CANCELLED", 1), ("RESERVED", 2)], "reserved_after_release", [2]),
        ([("PENDING", 0), ("RESERVED", 1), ("CANCELLED", 2)], "cancelled_after_reserved", [2]),
        ([("PENDING", 0), ("PENDING", 1), ("RESERVED", 2), ("RESERVED", 3)], "duplicate", [1, 3]),
        ([("PENDING", 0), ("RESERVED", 61)], "held_too_long", [1]),
        ([("PENDING", 0), ("CANCELLED", 61)], "held_too_long", [1]),
        ([("PENDING", 0), ("RESERVED", 59)], None, []),
        ([("PENDING", 0), ("CANCELLED", 59)], None, []),
    ],
)
def test_each_kind_of_drift(
    sent: list[tuple[str, float]], kind: str | None, offsets: list[int], tmp_path: Path
) -> None:
    lines = LakeOfLines()
    lines.match(1, (20,))
    for action, minutes in sent:
        lines.message("atlas", action, 1, sale="s", minutes=minutes)
    expected = {} if kind is None else {(kind, "atlas"): (len(offsets), len(offsets), offsets)}
    assert drift_of(lines, tmp_path) == expected


def test_a_hold_that_nobody_ends_is_told_when_its_time_is_over(tmp_path: Path) -> None:
    lines = LakeOfLines()
    lines.match(1, (20,))
    lines.message("atlas", "PENDING", 2, sale="s")
    lines.message("borealis", "PENDING", 1, sale="s", minutes=61)
    assert drift_of(lines, tmp_path) == {("never_finished", "atlas"): (1, 2, [0])}


def test_a_wrong_price_and_our_name_in_a_strange_message_are_told_and_the_latter_counts_nothing(tmp_path: Path) -> None:
    lines = LakeOfLines()
    lines.match(1, (20,))
    lines.message("atlas", "PENDING", 1, sale="s", price=70)
    lines.message("us", "RESERVED", 2)
    lines.message("us", "RESERVED", 2)
    assert drift_of(lines, tmp_path / "a") == {
        ("own_client_id", "us"): (2, 4, [1, 2]),
        ("price_mismatch", "atlas"): (1, 1, [0]),
    }
    looks = Looks(lines.write(tmp_path / "b"), Site("us", HOLD_SECONDS), 0, 30)
    ((total,), _) = handlers.bookings(looks, Group.TOTAL, Span(), 1)
    assert (total.sold, total.holds) == (0, 1)


def test_evidence_is_bounded_and_its_moments_are_the_logs(tmp_path: Path) -> None:
    lines = LakeOfLines()
    lines.match(1, (20,))
    for minute in range(5):
        lines.message("atlas", "RESERVED", 1, sale=str(minute), minutes=minute)
    looks = Looks(lines.write(tmp_path), Site("us", HOLD_SECONDS), 0, 30)
    (drift,) = handlers.drifts(looks, 10, 2)[0]
    assert [trace.offset for trace in drift.evidence] == [0, 1]
    assert drift.records == 5
    assert (drift.first_at, drift.last_at) == (
        NOON.replace(tzinfo=None),
        (NOON + timedelta(minutes=4)).replace(tzinfo=None),
    )
