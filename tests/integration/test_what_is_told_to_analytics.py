"""Each thing that happens is told to analytics once, in the transaction that makes it true, and nothing else is."""

import uuid
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from flask.testing import FlaskClient

from payments import hearing
from payments.domain import DECLINED, Event, Intent, Status
from reservations import analytics, store
from reservations.resale.domain import Change
from shared.event_outbox import Happening
from shared.site_events import EventKind
from tests.market import Market, Person, open_market

BROWSER = {"User-Agent": "Mozilla/5.0 Firefox/130.0", "Accept": "*/*", "Accept-Language": "es-CR,es;q=0.9"}
COLUMNS = "kind, account_id::text, country, language, match_number, category, quantity, amount, reservation_id::text"


class Buffer:
    """What the shop would send."""

    def __init__(self, *_: Any) -> None:
        self.offered: list[Happening] = []

    def offer(self, happening: Happening) -> bool:
        self.offered.append(happening)
        return True

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def join(self, _seconds: float) -> None: ...


@pytest.fixture
def buffer() -> Iterator[Buffer]:
    made = Buffer()
    with mock.patch("shop.app.EventBuffer", return_value=made):
        yield made


@pytest.fixture
def market(database_url: str, buffer: Buffer) -> Iterator[Market]:
    assert buffer.offered == []
    with open_market(database_url) as market:
        yield market


@pytest.fixture
def shop(market: Market) -> FlaskClient:
    return market.shop.test_client()


def told(market: Market, schema: str = "reservations") -> list[dict[str, Any]]:
    """What was told since the last look."""
    rows = market.rows(f"SELECT {COLUMNS} FROM {schema}.site_events ORDER BY number")
    market.reservations.sql.execute(f"TRUNCATE {schema}.site_events".encode())
    return rows


def kinds(market: Market, schema: str = "reservations") -> list[str]:
    return [row["kind"] for row in told(market, schema)]


def hold(market: Market, person: Person | None, **more: Any) -> dict[str, Any]:
    token = person.token if person else None
    headers = {"Accept-Language": "es-CR,es;q=0.9"}
    body = {
        "matchNumber": 1,
        "category": 1,
        "quantity": 2,
        **({} if person else {"email": "guest@example.org"}),
        **more,
    }
    answer = market.reservations.call("POST", "/api/reservations", token=token, json=body, headers=headers)
    made: dict[str, Any] = answer.get_json()
    assert answer.status_code == 201, answer.text
    return made


def test_a_reservation_is_told_with_what_is_known_of_who_made_it(market: Market) -> None:
    maria = market.person()
    made = hold(market, maria)
    common = {"country": "CR", "language": "es", "match_number": 1, "category": 1, "quantity": 2, "amount": 15_000}
    about = {"account_id": maria.id, "reservation_id": made["id"], **common}
    assert told(market) == [{"kind": "reservation_submitted", **about}]
    market.reservations.judge(made["id"])
    market.pay(made)
    market.settle()
    assert told(market) == [{"kind": "reservation_reserved", **about}]
    market.settle()
    assert told(market) == []


def test_a_guest_has_no_name(market: Market) -> None:
    hold(market, None)
    (row,) = told(market)
    assert (row["account_id"], row["country"]) == (None, "CR")


def test_a_hold_that_is_given_back_twice_is_told_once(market: Market) -> None:
    maria = market.person()
    made = hold(market, maria)
    for _ in range(2):
        assert market.call(maria, "DELETE", f"/api/reservations/{made['id']}").status_code == 200
    assert kinds(market) == ["reservation_submitted", "reservation_cancelled"]


def test_holds_that_end_by_time_are_told_by_the_worker(market: Market) -> None:
    ids = {hold(market, None, email=f"guest-{number}@example.org")["id"] for number in range(3)}
    market.reservations.sql.execute("UPDATE shop.sales SET expires_at = now() - interval '1 second'")
    told(market)
    market.work()
    rows = told(market)
    assert {row["kind"] for row in rows} == {"reservation_expired"}
    assert {row["reservation_id"] for row in rows} == ids
    market.work()
    assert told(market) == []


def test_what_is_refused_or_fails_is_not_told(market: Market) -> None:
    answer = market.reservations.buy(99)
    assert answer.status_code == 404
    with mock.patch.object(store, "insert_reservations", side_effect=ZeroDivisionError):
        assert market.reservations.buy().status_code == 500
    assert told(market) == []


def test_a_resale_is_told_by_its_changes_and_by_its_buyers_reservation(market: Market) -> None:
    seller, buyer = market.person(), market.person()
    (ticket,) = market.ticket(seller)
    told(market)
    listing = market.offer(seller, ticket, 80)["id"]
    market.reprice(seller, listing, 75)
    held = market.hold(buyer, listing).get_json()
    market.call(buyer, "DELETE", f"/api/reservations/{held['id']}")
    bought = market.hold(buyer, listing).get_json()
    market.pay(bought)
    market.settle()
    rows = told(market)
    assert [(row["kind"], row["account_id"]) for row in rows] == [
        ("listing_opened", seller.id),
        ("listing_repriced", seller.id),
        ("listing_held", seller.id),
        ("reservation_submitted", buyer.id),
        ("reservation_cancelled", buyer.id),
        ("listing_released", seller.id),
        ("listing_held", seller.id),
        ("reservation_submitted", buyer.id),
        ("reservation_reserved", buyer.id),
        ("listing_sold", seller.id),
    ]
    assert [row["amount"] for row in rows] == [8000, *[7500] * 9]
    assert [row["reservation_id"] for row in rows] == [None, None, *[held["id"]] * 4, *[bought["id"]] * 4]


def test_a_listing_that_is_withdrawn_is_told(market: Market) -> None:
    seller = market.person()
    (ticket,) = market.ticket(seller)
    told(market)
    listing = market.offer(seller, ticket)["id"]
    market.withdraw(seller, listing)
    assert kinds(market) == ["listing_opened", "listing_withdrawn"]


def test_a_hold_on_a_listing_that_ends_by_time_is_told_once(market: Market) -> None:
    seller, buyer = market.person(), market.person()
    held = market.hold(buyer, market.offer(seller, market.ticket(seller)[0])["id"]).get_json()
    told(market)
    market.let_holds_end()
    for _ in range(2):
        market.settle()
    rows = [(row["kind"], row["account_id"], row["reservation_id"]) for row in told(market)]
    assert rows == [("reservation_expired", buyer.id, held["id"]), ("listing_released", seller.id, held["id"])]


def test_a_listing_that_an_admin_ends_is_told_once(market: Market) -> None:
    seller, admin = market.person(), market.person("admin")
    listing = market.offer(seller, market.ticket(seller)[0])["id"]
    told(market)
    for _ in range(2):
        assert market.end(admin, listing).status_code == 200
    (row,) = told(market)
    assert (row["kind"], row["account_id"], row["amount"]) == ("listing_ended", seller.id, 8000)
    assert row["reservation_id"] is None


def test_a_listing_that_ends_while_it_is_held_is_told_with_the_hold(market: Market) -> None:
    seller, buyer = market.person(), market.person()
    market.ticket(seller)
    (ticket,) = market.tickets(seller)
    held = market.hold(buyer, market.offer(seller, ticket["id"])["id"]).get_json()
    told(market)
    assert market.admit(ticket["code"]).status_code == 200
    market.settle()
    rows = [(row["kind"], row["account_id"], row["reservation_id"]) for row in told(market)]
    assert rows == [("listing_ended", seller.id, held["id"]), ("reservation_cancelled", buyer.id, held["id"])]


def test_a_change_of_a_listing_that_fails_is_not_told(market: Market) -> None:
    seller, buyer = market.person(), market.person()
    listing = market.offer(seller, market.ticket(seller)[0])["id"]
    told(market)
    with mock.patch.object(analytics, "tell", side_effect=ZeroDivisionError):
        assert market.hold(buyer, listing).status_code == 500
    assert told(market) == []


def test_every_kind_of_change_has_a_kind_of_event() -> None:
    assert set(analytics.CHANGES) == set(Change)
    assert {kind for kind in EventKind if kind.startswith("listing_")} == set(analytics.CHANGES.values())


def test_money_is_told_when_it_has_moved(market: Market) -> None:
    maria = market.person()
    made = hold(market, maria)
    market.reservations.judge(made["id"])
    payment = market.pay(made)
    (row,) = told(market, "payments")
    assert (row["kind"], row["account_id"], row["amount"]) == ("payment_succeeded", maria.id, 15_000)
    assert row["reservation_id"] == made["id"]
    market.settle()
    market.refund(payment)
    assert told(market, "payments") == []
    market.settle()
    (row,) = told(market, "payments")
    assert (row["kind"], row["amount"], row["reservation_id"]) == ("refund_made", 15_000, made["id"])


def test_a_card_that_is_declined_is_told_once_for_each_event_of_stripe(market: Market) -> None:
    made = hold(market, market.person())
    market.reservations.judge(made["id"])
    payment_id = market.pay(made)
    told(market, "payments")
    intent = Intent(
        f"pi_{payment_id}", Status.REQUIRES_PAYMENT_METHOD, 15_000, 0, "USD", "secret", None, "card_declined", None,
        payment_id, None, 0,
    )  # fmt: skip
    event = Event(f"evt_{uuid.uuid4().hex}", DECLINED, 1, intent=intent)
    hearing.hear(market.payments_site, event)
    hearing.hear(market.payments_site, event)
    assert kinds(market, "payments") == ["payment_failed"]


def test_an_account_that_is_deleted_leaves_no_name_in_what_waits(market: Market) -> None:
    maria = market.person()
    hold(market, maria)
    body = {"accountId": maria.id, "email": maria.email}
    service = market.reservations
    assert service.call("POST", "/internal/accounts/deleted", token=service.service_token, json=body).status_code == 204
    assert [row["account_id"] for row in told(market)] == [None]


def test_the_shop_tells_what_is_looked_at_and_searched_for(market: Market, shop: FlaskClient, buffer: Buffer) -> None:
    maria = market.person()
    first = shop.get("/api/matches/1", headers=BROWSER)
    again = shop.get("/api/matches/1", headers={**BROWSER, "If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    shop.get("/api/matches?q=%20Ecuador", headers={**BROWSER, "Authorization": f"Bearer {maria.token}"})
    assert [(each.kind, each.match_number, each.text, each.account_id) for each in buffer.offered] == [
        (EventKind.MATCH_VIEWED, 1, None, None),
        (EventKind.MATCH_VIEWED, 1, None, None),
        (EventKind.SEARCHED, None, "ecuador", maria.id),
    ]
    assert {(each.country, each.language) for each in buffer.offered} == {("CR", "es")}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/matches/1", {"X-View": "no"}),
        ("/api/matches/1", {"User-Agent": "curl/8.5"}),
        ("/api/matches/99", {}),
        ("/api/matches", {}),
        ("/api/matches?q=maria@example.com", {}),
        ("/api/search/suggestions?q=ecu", {}),
        ("/api/matches/1/availability", {}),
    ],
)
def test_the_shop_tells_nothing_of_what_nobody_looks_at(
    shop: FlaskClient, buffer: Buffer, path: str, headers: dict[str, str]
) -> None:
    assert shop.get(path, headers={**BROWSER, **headers}).status_code in (200, 404)
    assert buffer.offered == []


def test_a_token_that_is_not_good_makes_a_visitor_a_guest(shop: FlaskClient, buffer: Buffer) -> None:
    assert shop.get("/api/matches/1", headers={**BROWSER, "Authorization": "Bearer a.b.c"}).status_code == 200
    assert [each.account_id for each in buffer.offered] == [None]
