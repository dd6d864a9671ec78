"""Tickets that are sold again, on real PostgreSQL: listing, holding, paying, handing over, and what comes between."""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.counter import is_problem
from tests.integration.resale.sales import FACE, FEE, PRICE, letter_of, sold, state, statuses
from tests.market import Market, Person

ROUNDS = 6


# -- the whole way ----------------------------------------------------------------------------------------------------


def test_a_ticket_changes_hands_when_it_is_paid(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    old_code = market.tickets(ada)[0]["code"]
    before = market.rows("SELECT held, sold FROM shop.pools WHERE (match_number, category) = (1, 1)")
    listing = market.offer(ada, ticket)
    market.settle()
    (shown,) = market.shown("?matchNumber=1")
    assert (shown["id"], shown["price"], shown["amount"], shown["faceAmount"]) == (listing["id"], 80, PRICE, FACE)
    held = market.hold(bob, listing["id"]).get_json()
    assert (held["status"], held["kind"], held["listingId"]) == ("held", "resale", listing["id"])
    assert (held["amount"], held["price"], held["quantity"], held["logPosition"]) == (PRICE, 80, 1, None)
    market.settle()
    assert market.shown() == []
    assert statuses(market, ada) == ["valid"], "nobody has paid yet"
    market.pay(held)
    market.settle()
    assert (statuses(market, ada), statuses(market, bob)) == (["void"], ["valid"])
    assert state(market, listing) == ("sold", None)
    is_problem(market.admit(old_code), 409, "ticket_void")
    assert market.admit(market.tickets(bob)[0]["code"]).status_code == 200
    assert market.rows("SELECT held, sold FROM shop.pools WHERE (match_number, category) = (1, 1)") == before
    (payout,) = market.payouts(ada)
    assert (payout["price"], payout["fee"], payout["amount"], payout["status"]) == (PRICE, FEE, PRICE - FEE, "due")
    assert market.books() == {
        "stripe": FACE + PRICE, "sales": -FACE, f"seller:{ada.id}": FEE - PRICE, "fees": -FEE
    }  # fmt: skip


def test_the_log_and_the_outbox_hear_nothing_of_a_resale(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    before = market.reservations.told()
    market.pay(market.hold(bob, market.offer(ada, ticket)["id"]).get_json())
    market.settle()
    assert market.reservations.told() == before


def test_a_ticket_that_was_bought_from_somebody_is_sold_again_within_the_same_cap(
    market: Market, ada: Person, bob: Person
) -> None:
    sold(market, ada, bob)
    carol = market.person()
    (ticket,) = [each["id"] for each in market.tickets(bob)]
    told = market.call(bob, "GET", f"/api/tickets/{ticket}").get_json()
    assert (told["faceAmount"], told["amountMax"], told["currency"]) == (FACE, 8250, "USD")
    problem = is_problem(market.put_up(bob, ticket, 82.51), 422, "price_above_cap")
    assert problem["cap"] == 8250
    listing = market.offer(bob, ticket, 82.5)
    market.pay(market.hold(carol, listing["id"]).get_json())
    market.settle()
    assert [statuses(market, each) for each in (ada, bob, carol)] == [["void"], ["void"], ["valid"]]
    assert sum(market.books().values()) == 0


def test_a_guest_buys_with_the_access_token_alone(market: Market, ada: Person) -> None:
    (ticket,) = market.ticket(ada)
    listing = market.offer(ada, ticket)
    is_problem(market.hold(None, listing["id"]), 422, "validation_failed")
    held = market.hold(None, listing["id"], email="guest@example.org").get_json()
    market.pay(held)
    market.settle()
    answer = market.reservations.call("GET", "/api/tickets", token=held["accessToken"])
    assert [each["status"] for each in answer.get_json()["items"]] == ["valid"]
    is_problem(market.put_up(ada, answer.get_json()["items"][0]["id"], 80), 403, "forbidden")


def test_buyer_and_seller_are_written(market: Market, ada: Person, bob: Person) -> None:
    sold(market, ada, bob)
    mails = market.rows("SELECT kind, recipient FROM reservations.mails")
    assert sorted((mail["kind"], mail["recipient"]) for mail in mails) == [
        ("sold", ada.email), ("tickets", ada.email), ("tickets", bob.email)
    ]  # fmt: skip


def test_the_seller_is_told_in_the_language_of_the_own_ticket_what_is_credited(
    market: Market, ada: Person, bob: Person
) -> None:
    (ticket,) = market.ticket(ada, language="fr")
    listing = market.offer(ada, ticket)
    market.pay(market.hold(bob, listing["id"], language="es").get_json())
    market.settle()
    letter = letter_of(market, "sold")
    text = letter.get_content()
    assert (letter["To"], letter["Content-Language"]) == (ada.email, "fr")
    assert letter["Subject"].startswith("Votre billet est vendu")
    assert "Vous recevez 76,00\xa0USD : le prix de 80,00\xa0USD moins nos frais de 4,00\xa0USD." in text
    assert listing["id"] in text
    (payout,) = market.payouts(ada)
    assert payout["amount"] == 7600
    (written,) = market.rows("SELECT subject FROM reservations.mails WHERE recipient = %s", bob.email)
    assert written["subject"].startswith("Su entrada:")


def test_the_seller_is_written_once_however_often_the_credit_is_told(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    market.pay(market.hold(bob, market.offer(ada, ticket)["id"]).get_json())
    market.deliver("payments")
    market.deliver("reservations", answer_is_heard=False)
    assert market.rows("SELECT 1 AS one FROM reservations.mails WHERE kind = 'sold'") == []
    market.settle()
    market.settle()
    assert letter_of(market, "sold")["To"] == ada.email


def test_who_has_deleted_the_account_is_not_written_about_the_sale(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    market.pay(market.hold(bob, market.offer(ada, ticket)["id"]).get_json())
    market.deliver("payments")
    token = market.reservations.service_token
    gone = {"accountId": ada.id, "email": ada.email}
    answer = market.reservations.call("POST", "/internal/accounts/deleted", json=gone, token=token)
    assert answer.status_code == 204
    market.settle()
    assert market.rows("SELECT kind FROM reservations.mails") == [{"kind": "tickets"}], "the buyer's"


def test_nobody_is_written_when_the_site_sells_what_came_back(market: Market, ada: Person, bob: Person) -> None:
    made = market.reservations.buy(1, 1, 1, token=ada.token).get_json()
    market.reservations.judge(made["id"])
    payment = market.pay(made)
    market.settle()
    market.show_in_log(made["id"])
    market.refund(payment)
    market.settle()
    (offered,) = market.shown()
    market.pay(market.hold(bob, offered["id"]).get_json())
    market.settle()
    assert statuses(market, bob) == ["valid"]
    assert market.rows("SELECT 1 AS one FROM reservations.mails WHERE kind = 'sold'") == []


# -- selling ----------------------------------------------------------------------------------------------------------


def test_what_cannot_be_listed(market: Market, ada: Person, bob: Person) -> None:
    first, second, third = (market.ticket(ada)[0] for _ in range(3))
    is_problem(market.put_up(bob, first, 80), 403, "forbidden")
    is_problem(market.put_up(ada, str(uuid.uuid4()), 80), 404, "not_found")
    is_problem(market.put_up(ada, first, 82.51), 422, "price_above_cap")
    is_problem(market.put_up(ada, first, 80.001), 422, "validation_failed")
    is_problem(market.put_up(ada, first, 0), 422, "validation_failed")
    is_problem(
        market.call(None, "POST", "/api/resale/listings", json={"ticketId": first, "price": 1}), 401, "unauthenticated"
    )
    market.offer(ada, first, 82.5)
    is_problem(market.put_up(ada, first, 80), 409, "already_listed")
    code = next(each["code"] for each in market.tickets(ada) if each["id"] == second)
    market.admit(code)
    assert is_problem(market.put_up(ada, second, 80), 409, "ticket_not_resellable")["reason"] == "admitted"
    market.reservations.sql.execute("UPDATE shop.sales SET log_state = 'held'")
    assert is_problem(market.put_up(ada, third, 80), 409, "ticket_not_resellable")["reason"] == "not_settled"


def test_the_same_key_lists_once(market: Market, ada: Person) -> None:
    (ticket,) = market.ticket(ada)
    first, second = market.put_up(ada, ticket, 80, "k"), market.put_up(ada, ticket, 80, "k")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.get_json() == second.get_json()
    is_problem(market.put_up(ada, ticket, 81, "k"), 409, "idempotency_key_reused")


def test_of_many_who_list_a_ticket_at_once_one_does(market: Market, ada: Person) -> None:
    (ticket,) = market.ticket(ada)
    start = Barrier(5)

    def go(_: int) -> int:
        start.wait(30)
        return market.put_up(ada, ticket, 80).status_code

    with ThreadPoolExecutor(5) as pool:
        assert Counter(pool.map(go, range(5))) == {201: 1, 409: 4}


def test_the_price_is_changed_and_the_listing_withdrawn_by_its_seller_only(
    market: Market, ada: Person, bob: Person
) -> None:
    (ticket,) = market.ticket(ada)
    listing = market.offer(ada, ticket)
    for answer in (market.reprice(bob, listing["id"], 60), market.withdraw(bob, listing["id"])):
        is_problem(answer, 403, "forbidden")
    is_problem(market.reprice(ada, listing["id"], 99), 422, "price_above_cap")
    assert market.reprice(ada, listing["id"], 60.25).get_json()["amount"] == 6025
    market.settle()
    assert [each["amount"] for each in market.shown()] == [6025]
    assert market.withdraw(ada, listing["id"]).get_json()["status"] == "withdrawn"
    assert market.withdraw(ada, listing["id"]).get_json()["version"] == 3
    market.settle()
    assert market.shown() == []
    is_problem(market.hold(bob, listing["id"]), 409, "listing_ended")
    again = market.offer(ada, ticket)
    assert [each["id"] for each in market.call(ada, "GET", "/api/resale/listings/mine").get_json()["items"]] == [
        again["id"], listing["id"]
    ]  # fmt: skip
    assert market.call(bob, "GET", "/api/resale/listings/mine").get_json()["items"] == []


def test_nothing_is_changed_while_somebody_holds_it(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    listing = market.offer(ada, ticket)
    held = market.hold(bob, listing["id"]).get_json()
    for answer in (market.reprice(ada, listing["id"], 60), market.withdraw(ada, listing["id"])):
        is_problem(answer, 409, "listing_held")
    market.call(bob, "DELETE", f"/api/reservations/{held['id']}")
    assert market.withdraw(ada, listing["id"]).status_code == 200


# -- buying -----------------------------------------------------------------------------------------------------------


def test_of_many_buyers_at_once_one_wins(market: Market, ada: Person) -> None:
    (ticket,) = market.ticket(ada)
    listing, start = market.offer(ada, ticket), Barrier(6)
    people = [market.person() for _ in range(6)]

    def go(person: Person) -> str:
        start.wait(30)
        answer = market.hold(person, listing["id"])
        return str(answer.get_json().get("code", answer.status_code))

    with ThreadPoolExecutor(6) as pool:
        assert Counter(pool.map(go, people)) == {"201": 1, "listing_held": 5}


def test_the_seller_cannot_buy_the_own_ticket(market: Market, ada: Person) -> None:
    (ticket,) = market.ticket(ada)
    is_problem(market.hold(ada, market.offer(ada, ticket)["id"]), 409, "own_listing")


def test_the_same_key_holds_once(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    listing = market.offer(ada, ticket)
    first, second = market.hold(bob, listing["id"], "k"), market.hold(bob, listing["id"], "k")
    assert first.get_json()["id"] == second.get_json()["id"]
    is_problem(market.hold(bob, str(uuid.uuid4()), "k"), 409, "idempotency_key_reused")
    is_problem(market.hold(bob, str(uuid.uuid4())), 404, "not_found")


def test_the_purchase_limit_counts_what_was_bought_from_others(
    market: Market, ada: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ticket,) = market.ticket(ada)
    market.ticket(bob, 2)
    listing = market.offer(ada, ticket)
    monkeypatch.setitem(market.reservations.settings.__dict__, "purchase_limit", 2)
    is_problem(market.hold(bob, listing["id"]), 409, "purchase_limit")
    monkeypatch.setitem(market.reservations.settings.__dict__, "purchase_limit", 3)
    assert market.hold(bob, listing["id"]).status_code == 201
    is_problem(market.reservations.buy(token=bob.token), 409, "purchase_limit")


def test_a_hold_that_ends_opens_the_listing_again(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    listing = market.offer(ada, ticket)
    first = market.hold(bob, listing["id"]).get_json()
    assert market.call(bob, "DELETE", f"/api/reservations/{first['id']}").get_json()["status"] == "cancelled"
    second = market.hold(bob, listing["id"]).get_json()
    market.let_holds_end()
    market.settle()
    found = market.call(bob, "GET", f"/api/reservations/{second['id']}").get_json()
    assert (found["status"], state(market, listing)) == ("expired", ("open", None))
    assert [each["id"] for each in market.shown()] == [listing["id"]]


def test_a_late_payment_is_kept_while_nobody_else_came(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    listing = market.offer(ada, ticket)
    held = market.hold(bob, listing["id"]).get_json()
    market.let_holds_end()
    market.settle()
    market.pay(held)
    market.settle()
    assert (state(market, listing), statuses(market, bob)) == (("sold", None), ["valid"])
    assert len(market.payouts(ada)) == 1


@pytest.mark.parametrize("meanwhile", ["held", "repriced", "withdrawn", "sold"])
def test_a_late_payment_goes_back_when_the_listing_is_another_s_or_another_one(
    market: Market, ada: Person, bob: Person, meanwhile: str
) -> None:
    (ticket,) = market.ticket(ada)
    listing, carol = market.offer(ada, ticket), market.person()
    held = market.hold(bob, listing["id"]).get_json()
    market.let_holds_end()
    market.settle()
    if meanwhile in ("held", "sold"):
        others = market.hold(carol, listing["id"]).get_json()
        if meanwhile == "sold":
            market.pay(others)
    elif meanwhile == "repriced":
        market.reprice(ada, listing["id"], 81)
    else:
        market.withdraw(ada, listing["id"])
    market.settle()
    payment = market.pay(held)
    market.settle()
    assert statuses(market, bob) == []
    assert [row["amount"] for row in market.rows("SELECT * FROM payments.refunds WHERE payment_id = %s", payment)] == [
        PRICE
    ]
    assert "refund" in {row["kind"] for row in market.rows("SELECT kind FROM reservations.mails")}
    assert market.books()["stripe"] == FACE + (PRICE if meanwhile == "sold" else 0)


def test_a_wrong_amount_buys_nothing(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    held = market.hold(bob, market.offer(ada, ticket)["id"]).get_json()
    market.pay(held, PRICE - 1)
    market.settle()
    assert (statuses(market, ada), statuses(market, bob)) == (["valid"], [])
    assert market.books() == {"stripe": FACE, "sales": -FACE}


def test_a_resale_is_not_confirmed_by_hand(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    held = market.hold(bob, market.offer(ada, ticket)["id"]).get_json()
    path = f"/internal/reservations/{held['id']}/confirm"
    is_problem(market.reservations.call("POST", path, token=market.reservations.service_token), 409, "not_held")
    market.pay(held)
    market.settle()
    assert market.reservations.call("POST", path, token=market.reservations.service_token).status_code == 200


def test_confirming_the_first_sale_again_makes_no_second_ticket(market: Market, ada: Person, bob: Person) -> None:
    sold(market, ada, bob)
    (row,) = market.rows("SELECT id FROM reservations.reservations WHERE listing_id IS NULL")
    path = f"/internal/reservations/{row['id']}/confirm"
    assert market.reservations.call("POST", path, token=market.reservations.service_token).status_code == 200
    assert (statuses(market, ada), statuses(market, bob)) == (["void"], ["valid"])


# -- what comes between -----------------------------------------------------------------------------------------------


def test_the_gate_and_a_sale_at_the_same_moment_let_one_person_in(market: Market, ada: Person, bob: Person) -> None:
    found: Counter[tuple[int, tuple[str, ...]]] = Counter()
    for _ in range(ROUNDS):
        market.clear()
        (ticket,) = market.ticket(ada)
        code, start = market.tickets(ada)[0]["code"], Barrier(2)
        market.pay(market.hold(bob, market.offer(ada, ticket)["id"]).get_json())

        def scan(code: str = code, start: Barrier = start) -> int:
            start.wait(30)
            return market.admit(code).status_code

        def hand_over(start: Barrier = start) -> None:
            start.wait(30)
            market.deliver("payments")

        with ThreadPoolExecutor(2) as pool:
            scanned, _ = pool.submit(scan), pool.submit(hand_over)
        market.settle()
        found[scanned.result(), tuple(statuses(market, bob))] += 1
        assert market.books()["stripe"] == (FACE if scanned.result() == 200 else FACE + PRICE)
    assert set(found) <= {(200, ()), (409, ("valid",))}, found


def test_who_went_in_ends_the_own_listing(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    listing = market.offer(ada, ticket)
    held = market.hold(bob, listing["id"]).get_json()
    market.admit(market.tickets(ada)[0]["code"])
    market.settle()
    assert state(market, listing) == ("ended", "admitted")
    assert market.call(bob, "GET", f"/api/reservations/{held['id']}").get_json()["status"] == "cancelled"


def test_a_seller_who_deletes_the_account_takes_the_listing_away(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    listing = market.offer(ada, ticket)
    held = market.hold(bob, listing["id"]).get_json()
    answer = market.reservations.call(
        "POST", "/internal/accounts/deleted", token=market.reservations.service_token, json={"accountId": ada.id}
    )
    assert answer.status_code == 204
    assert state(market, listing) == ("withdrawn", "account_deleted")
    market.pay(held)
    market.settle()
    assert statuses(market, bob) == []
    assert market.books() == {"stripe": FACE, "sales": -FACE}
    assert market.rows("SELECT seller_id FROM reservations.listings") == [{"seller_id": None}]


def test_listings_end_when_their_match_begins(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    listing = market.offer(ada, ticket)
    held = market.hold(bob, listing["id"]).get_json()
    settings = market.reservations.settings.__dict__
    settings["resale_ends_at_kick_off"] = "on"
    try:
        market.pay(held)
        market.settle()
        assert state(market, listing) == ("ended", "match_began")
        assert (statuses(market, ada), statuses(market, bob)) == (["valid"], [])
        refused = is_problem(market.put_up(ada, ticket, 80), 409, "ticket_not_resellable")
        assert refused["reason"] == "match_began"
    finally:
        settings["resale_ends_at_kick_off"] = "off"


# -- telling ----------------------------------------------------------------------------------------------------------


def test_events_that_come_twice_and_out_of_order_show_the_newest(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    listing = market.offer(ada, ticket)
    market.reprice(ada, listing["id"], 60)
    market.hold(bob, listing["id"])
    told = market.rows("SELECT body FROM reservations.deliveries WHERE target = 'shop' ORDER BY number")
    events = [row["body"] for row in told]
    assert [(event["kind"], event["version"]) for event in events] == [("listed", 1), ("repriced", 2), ("held", 3)]
    assert all(str(ada.id) not in str(event) and ada.email not in str(event) for event in events)
    headers = {"Authorization": f"Bearer {market.reservations.service_token}"}
    for event in (events[2], events[0], events[1], events[2]):
        assert (
            market.shop.test_client().post("/internal/listings/events", json=event, headers=headers).status_code == 200
        )
        assert market.shown() == []


def test_the_seller_is_credited_once_however_often_it_is_told(market: Market, ada: Person, bob: Person) -> None:
    (ticket,) = market.ticket(ada)
    market.pay(market.hold(bob, market.offer(ada, ticket)["id"]).get_json())
    for sender in ("payments", "reservations", "payments", "reservations"):
        market.deliver(sender, answer_is_heard=False)
    market.settle()
    assert len(market.payouts(ada)) == 1
    assert market.books()[f"seller:{ada.id}"] == FEE - PRICE


def test_an_admin_pays_out_once_and_nobody_else_does(market: Market, ada: Person, bob: Person) -> None:
    sold(market, ada, bob)
    (payout,) = market.payouts(ada)
    assert market.payouts(bob) == []
    client, path = market.payments.test_client(), f"/api/payments/payouts/{payout['id']}/paid"
    admin = {"Authorization": f"Bearer {market.person('admin').token}"}
    for headers in ({"Authorization": f"Bearer {ada.token}"}, {}):
        assert client.post(path, json={}, headers=headers).status_code in (401, 403)
        assert client.get("/api/payments/payouts", headers=headers).status_code in (401, 403)
    listed = client.get("/api/payments/payouts?status=due", headers=admin).get_json()["items"]
    assert [(each["id"], each["accountId"]) for each in listed] == [(payout["id"], ada.id)]
    first = client.post(path, json={"note": "bank 1"}, headers=admin).get_json()
    assert client.post(path, json={"note": "bank 2"}, headers=admin).get_json() == first
    assert (first["status"], first["note"]) == ("paid", "bank 1")
    assert market.books() == {"stripe": FACE + PRICE, "sales": -FACE, "fees": -FEE, "bank": FEE - PRICE}
    assert client.get("/api/payments/payouts?status=due", headers=admin).get_json()["items"] == []


def test_the_shop_finds_sorts_and_pages(market: Market, ada: Person) -> None:
    prices = (80, 60, 70.5)
    for price, ticket in zip(prices, market.ticket(ada, 2) + market.ticket(ada, 1), strict=True):
        market.offer(ada, ticket, price)
    market.settle()
    assert [each["price"] for each in market.shown()] == [60, 70.5, 80]
    assert [each["price"] for each in market.shown("?sort=-listedAt")] == [70.5, 60, 80]
    assert [each["price"] for each in market.shown("?priceMin=60.01&priceMax=70.5")] == [70.5]
    assert market.shown("?category=2") == []
    assert market.shown("?matchNumber=2") == []
    for sort in ("price", "-price", "listedAt", "-listedAt"):
        found, cursor = [], ""
        for _ in prices:
            page = market.shop.test_client().get(f"/api/listings?limit=1&sort={sort}{cursor}").get_json()
            found += page["items"]
            cursor = f"&cursor={page['nextCursor']}"
        assert found == market.shown(f"?sort={sort}")
        assert page["nextCursor"] is None
    one = market.shown()[0]
    assert market.shop.test_client().get(f"/api/listings/{one['id']}").get_json() == one
    is_problem(market.shop.test_client().get(f"/api/listings/{uuid.uuid4()}"), 404, "not_found")
    is_problem(market.shop.test_client().get("/api/listings?cursor=abc"), 422, "validation_failed")
