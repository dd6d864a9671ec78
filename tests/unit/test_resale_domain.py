"""The rules of resale: prices, the life of a listing, and what may be listed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.domain import sums_to_zero
from payments.payouts.domain import credit_entries, fee_of
from reservations.resale import domain
from reservations.resale.domain import EndReason, Listing, ListingEnded, ListingHeld, ListingState, NotResellable
from reservations.tickets.domain import Ticket, TicketState
from shop.inventory.domain import Pool

NOON = datetime(2026, 6, 11, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
TICKET = Ticket("t", "r", 1, 1, 1, TicketState.VALID, NOON)
OPEN = Listing("l", "t", "ada", False, Pool(1, 1), 8000, 7500, "USD", NOON, NOON)
BY_SITE = replace(OPEN, seller_id=None, by_site=True)
HELD = domain.hold(OPEN, "r1", NOON)


@given(st.integers(1, 10**9), st.integers(1, 1000))
def test_no_price_above_the_cap_is_taken_and_every_one_up_to_it(face: int, percent: int) -> None:
    cap = domain.price_cap(face, percent)
    assert cap * 100 <= face * percent < (cap + 1) * 100
    if cap:
        domain.check_price(cap, face, percent)
    with pytest.raises(domain.PriceAboveCap) as raised:
        domain.check_price(cap + 1, face, percent)
    assert raised.value.extra == {"cap": cap}


@given(st.integers(1, 10**9), st.integers(0, 100))
def test_a_credit_sums_to_zero_and_the_fee_never_exceeds_the_price(price: int, percent: int) -> None:
    fee = fee_of(price, percent)
    assert 0 <= fee <= price
    assert abs(fee * 100 - price * percent) <= 50
    entries = credit_entries(price, fee, "USD", "ada")
    assert sums_to_zero(entries)
    assert sum(entry.amount for entry in entries if entry.account == "seller:ada") == fee - price


def test_a_hold_locks_the_listing_for_one() -> None:
    assert (HELD.state, HELD.held_by, HELD.version) == (ListingState.HELD, "r1", 2)
    with pytest.raises(ListingHeld):
        domain.hold(HELD, "r2", NOON)
    with pytest.raises(ListingHeld):
        domain.reprice(HELD, 7000, 110, NOON)
    with pytest.raises(ListingHeld):
        domain.withdraw(HELD, NOON)


def test_only_the_holder_s_end_of_the_hold_opens_it_again() -> None:
    assert domain.release(HELD, "r2", NOON) is HELD
    opened = domain.release(HELD, "r1", LATER)
    assert (opened.state, opened.held_by, opened.version, opened.changed_at) == (ListingState.OPEN, None, 3, LATER)
    assert domain.release(opened, "r1", LATER) is opened


def test_it_is_sold_to_its_holder_or_late_to_who_paid_what_it_costs() -> None:
    assert domain.sell(HELD, "r1", 8000, LATER).held_by == "r1"
    with pytest.raises(ListingHeld):
        domain.sell(HELD, "r2", 8000, LATER)
    assert domain.sell(OPEN, "r2", 8000, LATER).state is ListingState.SOLD
    with pytest.raises(ListingEnded):
        domain.sell(domain.reprice(OPEN, 8100, 110, NOON), "r2", 8000, LATER)


@pytest.mark.parametrize(
    "over",
    [
        domain.sell(HELD, "r1", 8000, NOON),
        domain.withdraw(OPEN, NOON),
        domain.end(HELD, EndReason.TICKET_VOID, NOON),
        domain.end(OPEN, EndReason.ACCOUNT_DELETED, NOON),
        domain.end_by_admin(OPEN, "grace", "stolen", NOON),
    ],
    ids=lambda listing: listing.state.value,
)
def test_what_is_over_stays_so(over: Listing) -> None:
    actions: list[Callable[[], Listing]] = [
        lambda: domain.hold(over, "r2", NOON),
        lambda: domain.reprice(over, 7000, 110, NOON),
        lambda: domain.sell(over, "r2", 8000, NOON),
    ]
    for act in actions:
        with pytest.raises(ListingEnded):
            act()
    assert domain.end(over, EndReason.MATCH_BEGAN, LATER) is over
    assert domain.release(over, "r1", LATER) is over
    assert not over.is_live


def test_an_admin_ends_what_nobody_holds_and_the_first_one_s_word_stays() -> None:
    ended = domain.end_by_admin(OPEN, "grace", "stolen", LATER)
    assert (ended.state, ended.reason) == (ListingState.ENDED, EndReason.BY_ADMIN)
    assert (ended.ended_by, ended.note, ended.version, ended.changed_at) == ("grace", "stolen", 2, LATER)
    assert domain.end_by_admin(ended, "alan", "twice", LATER) is ended
    with pytest.raises(ListingHeld):
        domain.end_by_admin(HELD, "grace", "stolen", LATER)
    for over in (domain.withdraw(OPEN, NOON), domain.end(OPEN, EndReason.ADMITTED, NOON)):
        with pytest.raises(ListingEnded):
            domain.end_by_admin(over, "grace", "stolen", LATER)


@pytest.mark.parametrize(
    ("ticket", "is_settled", "begins_at", "reason"),
    [
        (replace(TICKET, admitted_at=NOON), True, LATER, "admitted"),
        (replace(TICKET, state=TicketState.VOID), True, LATER, "void"),
        (replace(TICKET, state=TicketState.SUSPENDED), True, LATER, "suspended"),
        (TICKET, True, NOON, "match_began"),
        (TICKET, False, LATER, "not_settled"),
    ],
)
def test_what_may_not_be_listed(ticket: Ticket, is_settled: bool, begins_at: datetime, reason: str) -> None:
    with pytest.raises(NotResellable) as raised:
        domain.check_resellable(ticket, is_settled, begins_at, NOON)
    assert raised.value.extra == {"reason": reason}


def test_a_valid_ticket_of_a_match_to_come_may_be_listed() -> None:
    domain.check_resellable(TICKET, True, LATER, NOON)
    domain.check_resellable(TICKET, True, None, NOON)


VOID = replace(TICKET, state=TicketState.VOID)


@pytest.mark.parametrize(
    ("listing", "ticket", "owner", "begins_at", "over"),
    [
        (OPEN, TICKET, "ada", LATER, None),
        (OPEN, TICKET, "ada", NOON, EndReason.MATCH_BEGAN),
        (OPEN, replace(TICKET, admitted_at=NOON), "ada", LATER, EndReason.ADMITTED),
        (OPEN, VOID, "ada", LATER, EndReason.TICKET_VOID),
        (OPEN, TICKET, None, LATER, EndReason.ACCOUNT_DELETED),
        (OPEN, TICKET, "bob", LATER, EndReason.ACCOUNT_DELETED),
        (BY_SITE, VOID, "ada", LATER, None),
        (BY_SITE, TICKET, "ada", LATER, EndReason.REFUND_FAILED),
        (BY_SITE, replace(VOID, replaced_by="t2"), "ada", LATER, EndReason.REFUND_FAILED),
        (BY_SITE, replace(VOID, admitted_at=NOON), "ada", LATER, EndReason.ADMITTED),
    ],
)
def test_why_nobody_can_get_a_ticket_any_more(
    listing: Listing, ticket: Ticket, owner: str | None, begins_at: datetime, over: EndReason | None
) -> None:
    assert domain.why_over(listing, ticket, owner, begins_at, NOON) is over
