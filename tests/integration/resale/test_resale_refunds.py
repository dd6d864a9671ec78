"""Tickets that are refunded and sold again, in every order: each share of the money goes to one person."""

import uuid
from typing import Any

import pytest
from structlog.testing import capture_logs

from payments.domain import RefundStatus, RefundTooLarge
from payments.payouts import handlers as payouts
from shared.errors import DependencyUnavailable
from tests.integration.resale.sales import FACE, FEE, PRICE, letter_of, payment_of, sold, state, statuses
from tests.market import Market, Person


def test_a_refunded_ticket_comes_back_as_the_site_s_own_listing(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    mine = market.offer(ada, ticket)
    market.refund(payment_of(market, ada))
    market.settle()
    assert (statuses(market, ada), state(market, mine)) == (["void"], ("ended", "ticket_void"))
    (listing,) = market.shown()
    assert (listing["bySite"], listing["amount"]) == (True, FACE)
    market.pay(market.hold(bob, listing["id"]).get_json())
    market.settle()
    assert statuses(market, bob) == ["valid"]
    assert market.books() == {"stripe": FACE, "sales": -FACE}
    assert market.rows("SELECT * FROM payments.payouts") == []


def test_a_refunded_resale_is_the_site_s_own_loss_and_its_own_listing(market: Market, ada: Person, bob: Person) -> None:
    _, payment = sold(market, ada, bob)
    market.refund(payment)
    market.settle()
    assert (statuses(market, ada), statuses(market, bob)) == (["void"], ["void"])
    (listing,) = market.shown()
    assert (listing["bySite"], listing["amount"]) == (True, FACE)
    assert market.books() == {
        "stripe": FACE, "sales": PRICE - FACE, f"seller:{ada.id}": FEE - PRICE, "fees": -FEE
    }  # fmt: skip


def test_who_has_sold_a_ticket_is_not_refunded_for_it(market: Market, ada: Person, bob: Person) -> None:
    tickets = market.ticket(ada, 2)
    first = payment_of(market, ada)
    market.pay(market.hold(bob, market.offer(ada, tickets[0])["id"]).get_json())
    market.settle()
    market.refund(first)
    market.settle()
    assert [row["amount"] for row in market.rows("SELECT amount FROM payments.refunds")] == [FACE]
    assert (statuses(market, ada), statuses(market, bob)) == (["void", "void"], ["valid"])
    with pytest.raises(RefundTooLarge):
        market.refund(first)
    assert len(market.shown()) == 1, "the other ticket is the site's again"


def test_nobody_is_refunded_for_a_ticket_that_is_sold_while_the_credit_is_on_its_way(
    market: Market, ada: Person, bob: Person
) -> None:
    (ticket,) = market.ticket(ada)
    first = payment_of(market, ada)
    market.pay(market.hold(bob, market.offer(ada, ticket)["id"]).get_json())
    market.deliver("payments")
    assert (statuses(market, ada), market.payouts(ada)) == (["void"], []), "sold, and payments has not heard of it"
    with pytest.raises(RefundTooLarge) as refused:
        market.refund(first)
    assert refused.value.extra == {"left": 0}
    market.settle()
    assert (len(market.payouts(ada)), market.rows("SELECT * FROM payments.refunds")) == (1, [])


def test_what_is_left_of_a_sale_is_refunded_as_soon_as_the_credit_has_come(
    market: Market, ada: Person, bob: Person
) -> None:
    tickets = market.ticket(ada, 2)
    first = payment_of(market, ada)
    market.pay(market.hold(bob, market.offer(ada, tickets[0])["id"]).get_json())
    market.deliver("payments")
    with pytest.raises(DependencyUnavailable):
        market.refund(first)
    market.settle()
    market.refund(first)
    market.settle()
    assert [row["amount"] for row in market.rows("SELECT amount FROM payments.refunds")] == [FACE]
    assert statuses(market, ada) == ["void", "void"]


def sold_under_a_refund(market: Market, seller: Person, buyer: Person, places: int = 1) -> str:
    """A ticket that is sold while the refund of its first sale is on its way to Stripe; the refund."""
    ticket, *_ = market.ticket(seller, places)
    market.refund(payment_of(market, seller))
    market.pay(market.hold(buyer, market.offer(seller, ticket)["id"]).get_json())
    market.deliver("payments")
    market.deliver("reservations")
    (refund,) = market.rows("SELECT id::text FROM payments.refunds")
    return str(refund["id"])


def shares(payout: dict[str, Any]) -> tuple[int, int, int, str]:
    return payout["fee"], payout["withheld"], payout["amount"], payout["status"]


def test_who_sells_a_ticket_whose_refund_is_on_its_way_has_the_money_once(
    market: Market, ada: Person, bob: Person
) -> None:
    sold_under_a_refund(market, ada, bob)
    market.settle()
    (payout,) = market.payouts(ada)
    assert shares(payout) == (FEE, FACE, PRICE - FEE - FACE, "due")
    assert (statuses(market, ada), statuses(market, bob)) == (["void"], ["valid"])
    assert market.books()[f"seller:{ada.id}"] == -(PRICE - FEE - FACE)
    assert sum(market.books().values()) == 0
    assert "75.00\xa0USD of the price is kept back" in letter_of(market, "sold").get_content()


def test_what_was_kept_back_is_the_seller_s_again_when_the_refund_fails(
    market: Market, ada: Person, bob: Person
) -> None:
    refund = sold_under_a_refund(market, ada, bob)
    for _ in range(2):
        market.stripe_says_of(refund, RefundStatus.FAILED)
    market.settle()
    (payout,) = market.payouts(ada)
    assert shares(payout) == (FEE, 0, PRICE - FEE, "due")
    assert market.books()[f"seller:{ada.id}"] == -(PRICE - FEE)
    assert sum(market.books().values()) == 0


def test_of_two_tickets_one_is_sold_and_one_is_refunded(market: Market, ada: Person, bob: Person) -> None:
    sold_under_a_refund(market, ada, bob, places=2)
    market.settle()
    (payout,) = market.payouts(ada)
    assert (payout["withheld"], payout["amount"]) == (FACE, PRICE - FEE - FACE)
    assert (statuses(market, ada), statuses(market, bob)) == (["void", "void"], ["valid"])
    assert len(market.shown()) == 1, "the other ticket is the site's"


def test_a_credit_of_which_nothing_is_left_is_not_to_be_paid_out(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    market.refund(payment_of(market, ada))
    market.pay(market.hold(bob, market.offer(ada, ticket, 50)["id"]).get_json())
    market.deliver("payments")
    market.deliver("reservations")
    (payout,) = market.payouts(ada)
    assert shares(payout) == (250, 4750, 0, "paid")
    (refund,) = market.rows("SELECT id::text FROM payments.refunds")
    market.stripe_says_of(refund["id"], RefundStatus.FAILED)
    (payout,) = market.payouts(ada)
    assert shares(payout) == (250, 0, 4750, "due")


def test_what_the_bank_has_paid_stays_as_it_is_when_the_refund_fails_later(
    market: Market, ada: Person, bob: Person
) -> None:
    refund = sold_under_a_refund(market, ada, bob)
    market.settle()
    (payout,) = market.payouts(ada)
    payouts.pay_out(market.payments_site, payout["id"], str(uuid.uuid4()), None)
    with capture_logs() as logs:
        market.stripe_says_of(refund, RefundStatus.FAILED)
    (payout,) = market.payouts(ada)
    assert shares(payout) == (FEE, FACE, PRICE - FEE - FACE, "paid")
    assert [line["amount"] for line in logs if line["event"] == "withheld_after_payout"] == [FACE]
    assert sum(market.books().values()) == 0


def test_a_ticket_that_the_site_sold_again_holds_no_refund_back(market: Market, ada: Person, bob: Person) -> None:
    market.ticket(ada)
    market.refund(payment_of(market, ada))
    market.settle()
    market.pay(market.hold(bob, market.shown()[0]["id"]).get_json())
    market.settle()
    (reservation,) = market.rows("SELECT id::text FROM reservations.reservations WHERE account_id = %s", ada.id)
    seen = market.reservations.call(
        "GET", f"/internal/reservations/{reservation['id']}", token=market.reservations.service_token
    )
    assert seen.get_json()["resold"] == 0


def test_a_refund_that_fails_gives_back_what_nobody_has_bought(market: Market, ada: Person, bob: Person) -> None:
    market.ticket(ada, 2)
    market.refund(payment_of(market, ada))
    market.settle()
    first, second = market.shown()
    market.pay(market.hold(bob, first["id"]).get_json())
    market.settle()
    held = market.hold(bob, second["id"]).get_json()
    (refund,) = market.rows("SELECT id::text FROM payments.refunds")
    market.stripe_says_of(refund["id"], RefundStatus.FAILED)
    market.settle()
    assert (statuses(market, ada), statuses(market, bob)) == (["valid", "void"], ["valid"])
    assert state(market, second) == ("ended", "refund_failed")
    market.pay(held)
    market.settle()
    assert statuses(market, bob) == ["valid"]
    assert sum(market.books().values()) == 0
