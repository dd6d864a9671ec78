"""What each record does to the counters, one rule a test. The pool has 20 tickets; numbers are (held, sold)."""

from decimal import Decimal

import pytest

from shared.wire import Action, Line, Refused, TicketMessage
from shop.inventory.domain import Changes, Counters, Follows, Pool, Sale, SaleKey, State
from shop.inventory.fold import LogRecord, LogState, Rules, Unreadable, advance, fold

POOL = Pool(1, 2)
OTHER = Pool(1, 3)
HOLD_MS = 60_000
NOW = 1_000_000
HOUR = 3_600_000


class Ledger:
    """A log and what one site, `us`, makes of it."""

    def __init__(self, capacity: int = 20, birth: int = 0) -> None:
        pools = {pool: Counters(pool, Decimal(125), [(0, capacity)]) for pool in (POOL, OTHER)}
        self.state = LogState(pools, {1}, birth_offset={0: birth})
        self.changes = Changes()
        self.offset = -1
        self.now = NOW

    def send(
        self,
        action: Action,
        quantity: int = 1,
        sale: str | None = None,
        *,
        client: str | None = "them",
        price: float = 125,
    ) -> list[tuple[LogRecord | Unreadable, Refused]]:
        return self.send_lines(action, (Line(POOL.category, quantity, price),), sale, client=client)

    def send_lines(
        self,
        action: Action,
        lines: tuple[Line, ...],
        sale: str | None = None,
        *,
        match: int = 1,
        client: str | None = "them",
    ) -> list[tuple[LogRecord | Unreadable, Refused]]:
        self.offset += 1
        record = LogRecord(0, self.offset, self.now, TicketMessage(action, match, lines, client, sale))
        return fold(self.state, [record], Rules("us", HOLD_MS), self.changes)

    def own(self, sale_id: str, quantity: int = 1, state: State = State.SUBMITTED) -> Sale:
        """A hold of our own buyer that the log has not shown yet."""
        sale = Sale(SaleKey("us", sale_id, POOL), quantity, Follows.SITE, state)
        self.state.sales[sale.key] = sale
        self.counters.held += quantity
        return sale

    @property
    def counters(self) -> Counters:
        return self.state.pools[POOL]

    @property
    def numbers(self) -> tuple[int, int]:
        return self.counters.held, self.counters.sold

    @property
    def log_numbers(self) -> tuple[int, int]:
        return self.counters.log_held, self.counters.log_sold

    @property
    def flags(self) -> list[str]:
        return [item.kind for item in self.changes.evidence]


PENDING, RESERVED, CANCELLED = Action.PENDING, Action.RESERVED, Action.CANCELLED


@pytest.mark.parametrize("sale", [None, "s"])
def test_pending_holds_reserved_sells_what_was_held_and_both_start_equal(sale: str | None) -> None:
    log = Ledger()
    assert log.counters.pending == log.counters.reserved == 20
    log.send(PENDING, 2, sale)
    assert (log.numbers, log.counters.pending, log.counters.reserved) == ((2, 0), 18, 20)
    log.send(RESERVED, 2, sale)
    assert (log.numbers, log.counters.pending, log.counters.reserved) == ((0, 2), 18, 18)
    assert log.log_numbers == log.numbers
    assert not log.flags


@pytest.mark.parametrize("sale", [None, "s"])
def test_cancelled_gives_back(sale: str | None) -> None:
    log = Ledger()
    log.send(PENDING, 2, sale)
    log.send(CANCELLED, 2, sale)
    assert (log.numbers, log.counters.pending) == ((0, 0), 20)
    assert not log.flags


def test_equal_messages_without_a_sale_id_count_each_time() -> None:
    log = Ledger()
    log.send(PENDING)
    log.send(PENDING)
    assert log.numbers == (2, 0)


@pytest.mark.parametrize("action", [PENDING, RESERVED, CANCELLED])
def test_equal_messages_of_one_sale_count_once(action: Action) -> None:
    log = Ledger()
    log.send(PENDING, 2, "s")
    log.send(action, 2, "s")
    before = log.numbers
    log.send(action, 2, "s")
    assert log.numbers == before
    assert log.flags.count("duplicate") == {PENDING: 2, RESERVED: 1, CANCELLED: 0}[action]


def test_two_sites_may_use_the_same_sale_id() -> None:
    log = Ledger()
    log.send(PENDING, 1, "s", client="atlas")
    log.send(PENDING, 2, "s", client="borealis")
    log.send(CANCELLED, 1, "s", client="atlas")
    assert log.numbers == (2, 0)


def test_reserved_without_a_hold_sells_and_is_flagged() -> None:
    log = Ledger()
    log.send(RESERVED, 2)
    log.send(RESERVED, 1, "s")
    assert log.numbers == (0, 3)
    assert log.flags == ["orphan_reserved", "orphan_reserved"]


def test_reserved_beyond_the_anonymous_balance_takes_what_there_is() -> None:
    log = Ledger()
    log.send(PENDING, 1)
    log.send(RESERVED, 2)
    assert log.numbers == (0, 2)
    assert log.flags == ["orphan_reserved"]


def test_cancelled_without_a_hold_gives_nothing_back() -> None:
    log = Ledger()
    log.send(CANCELLED, 2)
    log.send(CANCELLED, 1, "s")
    assert (log.numbers, log.flags) == ((0, 0), ["orphan_cancelled", "orphan_cancelled"])
    log.send(PENDING, 1, "s")
    assert log.numbers == (0, 0), "a sale that was cancelled before it was seen is over"


def test_cancelled_after_reserved_is_ignored_and_flagged() -> None:
    log = Ledger()
    for action in (PENDING, RESERVED, CANCELLED):
        log.send(action, 2, "s")
    assert (log.numbers, log.flags) == ((0, 2), ["cancelled_after_reserved"])


def test_reserved_after_cancelled_is_sold_since_a_buyer_was_charged() -> None:
    log = Ledger()
    for action in (PENDING, CANCELLED, RESERVED):
        log.send(action, 2, "s")
    assert (log.numbers, log.flags) == ((0, 2), ["reserved_after_release"])


def test_a_partner_without_sale_ids_over_commits_and_is_reported() -> None:
    log = Ledger(capacity=1)
    log.send(PENDING, 2)
    assert (log.numbers, log.counters.pending, log.flags) == ((2, 0), -1, ["over_committed"])


def test_a_sale_that_finds_no_room_counts_nothing_and_its_cancelled_is_ignored() -> None:
    log = Ledger(capacity=1)
    log.send(PENDING, 2, "s")
    log.send(CANCELLED, 2, "s")
    assert (log.numbers, log.flags) == ((0, 0), [])


def test_a_rejected_sale_that_is_sold_all_the_same_counts_and_is_a_violation() -> None:
    log = Ledger(capacity=1)
    log.send(PENDING, 2, "s")
    log.send(RESERVED, 2, "s")
    assert (log.numbers, log.flags) == ((0, 2), ["reserved_after_rejection"])


def test_the_last_ticket_goes_to_whom_the_log_shows_first() -> None:
    log = Ledger(capacity=1)
    log.send(PENDING, 1, "first", client="atlas")
    log.send(PENDING, 1, "second", client="borealis")
    states = {key.sale_id: sale.state for key, sale in log.state.sales.items()}
    assert states == {"first": State.HELD, "second": State.LOST}


def test_our_own_hold_is_admitted_without_counting_again() -> None:
    log = Ledger(capacity=1)
    sale = log.own("mine")
    log.send(PENDING, 1, "mine", client="us")
    assert (sale.state, log.numbers, log.log_numbers) == (State.HELD, (1, 0), (1, 0))
    assert [(verdict.sale, verdict.state) for verdict in log.changes.verdicts] == [(sale, State.HELD)]


def test_our_own_hold_that_another_was_before_is_lost_given_back_and_cancelled_for_the_partners() -> None:
    log = Ledger(capacity=1)
    sale = log.own("mine")
    log.send(PENDING, 1, "theirs")
    log.send(PENDING, 1, "mine", client="us")
    assert (sale.state, log.numbers, log.log_numbers) == (State.LOST, (1, 0), (1, 0))
    assert log.changes.to_cancel == [sale]


def test_own_holds_that_the_log_has_not_shown_do_not_count_against_others() -> None:
    log = Ledger(capacity=2)
    log.own("mine", 2)
    log.send(PENDING, 2, "theirs")
    assert log.state.sales[SaleKey("them", "theirs", POOL)].state is State.HELD


def test_a_hold_given_back_here_before_the_verdict_stays_given_back() -> None:
    log = Ledger()
    sale = log.own("mine")
    sale.state, log.counters.held = State.CANCELLED, 0
    log.send(PENDING, 1, "mine", client="us")
    assert (sale.state, log.numbers, log.log_numbers) == (State.CANCELLED, (0, 0), (1, 0))
    log.send(CANCELLED, 1, "mine", client="us")
    assert log.log_numbers == (0, 0)


@pytest.mark.parametrize("sale", [None, "unknown"])
def test_a_stranger_with_our_client_id_moves_no_counter_of_ours(sale: str | None) -> None:
    log = Ledger()
    for action in (PENDING, RESERVED):
        log.send(action, 1, sale, client="us")
    assert log.numbers == (0, 0)
    assert "own_client_id" in log.flags


@pytest.mark.parametrize("sale", [None, "before"])
def test_our_own_records_from_before_the_database_was_lost_count(sale: str | None) -> None:
    log = Ledger(birth=2)
    log.send(PENDING, 2, sale, client="us")
    log.send(RESERVED, 2, sale, client="us")
    assert (log.numbers, log.flags) == ((0, 2), [])


def test_a_list_counts_as_a_whole_or_not_at_all() -> None:
    log = Ledger(capacity=1)
    lines = (Line(POOL.category, 1, 125), Line(OTHER.category, 2, 125))
    log.send_lines(PENDING, lines, "s")
    assert log.state.pools[POOL].held == log.state.pools[OTHER].held == 0
    log.send_lines(PENDING, (Line(POOL.category, 1, 125), Line(OTHER.category, 1, 125)), "t")
    assert log.state.pools[POOL].held == log.state.pools[OTHER].held == 1


def test_a_list_with_one_unknown_category_is_refused_whole() -> None:
    log = Ledger()
    refused = log.send_lines(PENDING, (Line(POOL.category, 1, 125), Line(9, 1, 125)))
    assert [why.reason for _, why in refused] == ["unknown_category"]
    assert log.numbers == (0, 0)


def test_an_unknown_match_is_refused_and_moves_the_clock_all_the_same() -> None:
    log = Ledger()
    log.send(PENDING)
    log.now += HOLD_MS
    refused = log.send_lines(PENDING, (Line(1, 1, 75),), match=99)
    assert [why.reason for _, why in refused] == ["unknown_match"]
    assert log.numbers == (0, 0), "the hold's time was over"


@pytest.mark.parametrize("price", [75, 125.5, None])
def test_a_price_that_does_not_fit_is_applied_and_flagged(price: float | None) -> None:
    log = Ledger()
    log.send_lines(PENDING, (Line(POOL.category, 1, price),))
    assert (log.numbers, log.flags) == ((1, 0), ["price_mismatch"])


@pytest.mark.parametrize("sale", [None, "s"])
def test_a_hold_ends_when_the_clock_has_outlived_it_and_not_a_millisecond_before(sale: str | None) -> None:
    log = Ledger()
    log.send(PENDING, 1, sale)
    log.now += HOLD_MS - 1
    log.send(CANCELLED, 1, "nobody's")
    assert log.numbers == (1, 0)
    log.now += 1
    log.send(CANCELLED, 1, "nobody's")
    assert log.numbers == (0, 0)


def test_a_record_is_judged_after_the_holds_that_it_outlives_are_gone() -> None:
    log = Ledger(capacity=1)
    log.send(PENDING, 1, "old")
    log.now += HOLD_MS
    log.send(PENDING, 1, "new")
    assert log.state.sales[SaleKey("them", "new", POOL)].state is State.HELD


def test_our_own_hold_ends_with_the_logs_clock_too() -> None:
    log = Ledger()
    sale = log.own("mine")
    log.send(PENDING, 1, "mine", client="us")
    log.now += HOLD_MS
    log.send(CANCELLED, 1, "nobody's")
    assert (sale.state, log.numbers, log.log_numbers) == (State.EXPIRED, (0, 0), (0, 0))


def test_the_clock_is_the_highest_timestamp_and_moves_at_most_an_hour() -> None:
    assert advance(None, 5) == 5
    assert advance(NOW, NOW - 1) == NOW
    assert advance(NOW, NOW + 1) == NOW + 1
    assert advance(NOW, NOW + 10 * HOUR) == NOW + HOUR


def test_a_later_capacity_counts_from_its_own_moment_of_the_log() -> None:
    log = Ledger(capacity=1)
    log.counters.capacities.append((NOW + 500, 2))
    log.send(PENDING, 2, "too early")
    log.now = NOW + 500
    log.send(PENDING, 2, "in time")
    states = {key.sale_id: sale.state for key, sale in log.state.sales.items()}
    assert states == {"too early": State.LOST, "in time": State.HELD}
    assert log.counters.capacity == 2


def test_the_oldest_anonymous_hold_is_used_first() -> None:
    log = Ledger()
    log.send(PENDING, 1)
    log.now += HOLD_MS - 1
    log.send(PENDING, 1)
    log.send(RESERVED, 1)
    log.now += 1
    log.send(CANCELLED, 1, "nobody's")
    assert log.numbers == (1, 1), "the first was sold, so the second, which is young, still stands"
