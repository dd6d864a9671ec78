"""Resale as somebody meets it who wants tickets or money that are not his. What is tried must have no effect."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from matchday.servers import Postgres
from tests.counter import is_problem
from tests.market import Market, open_market
from tests.resources import Databases


@pytest.fixture(scope="module")
def market(_postgres: Postgres, _template: str) -> Iterator[Market]:
    databases = Databases(_postgres, _template)
    with open_market(databases.create()) as opened:
        yield opened
    databases.drop_all()


@pytest.mark.parametrize(
    "more", [{"price": 1}, {"amount": 1}, {"sellerId": str(uuid.uuid4())}, {"accountId": str(uuid.uuid4())}]
)
def test_a_hold_that_names_a_price_or_a_seller_is_refused(market: Market, more: dict[str, Any]) -> None:
    seller, buyer = market.person(), market.person()
    listing = market.offer(seller, market.ticket(seller)[0])
    before = market.reservations.facts()
    is_problem(market.hold(buyer, listing["id"], **more), 422, "validation_failed")
    assert market.reservations.facts() == before


@pytest.mark.parametrize("price", [0, -1, 0.001, 1e9, "80", None, True, [80]])
def test_a_price_that_is_none_lists_nothing(market: Market, price: Any) -> None:
    seller = market.person()
    (ticket,) = market.ticket(seller)
    before = market.reservations.facts()
    assert market.put_up(seller, ticket, price).status_code == 422
    assert market.reservations.facts() == before


def test_strangers_and_buyers_tell_no_service_of_listings_credits_or_payments(market: Market) -> None:
    buyer = market.person()
    listing, payment = str(uuid.uuid4()), str(uuid.uuid4())
    for token in (None, buyer.token):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for app, path in (
            (market.shop, "/internal/listings/events"),
            (market.payments, "/internal/payments/credits"),
        ):
            answer = app.test_client().post(path, json={"listingId": listing, "paymentId": payment}, headers=headers)
            is_problem(answer, 401, "unauthenticated")


def test_a_buyers_token_neither_lists_nor_changes_what_a_guest_sold_or_holds(market: Market) -> None:
    seller, thief = market.person(), market.person()
    listing = market.offer(seller, market.ticket(seller)[0])
    held = market.hold(None, listing["id"], email="guest@example.org").get_json()
    before = market.reservations.facts()
    is_problem(market.call(thief, "DELETE", f"/api/reservations/{held['id']}"), 403, "forbidden")
    is_problem(market.withdraw(thief, listing["id"]), 403, "forbidden")
    is_problem(market.reprice(thief, listing["id"], 1), 403, "forbidden")
    guest = market.reservations.call("DELETE", f"/api/resale/listings/{listing['id']}", token=held["accessToken"])
    is_problem(guest, 401, "unauthenticated")
    assert market.reservations.facts() == before
