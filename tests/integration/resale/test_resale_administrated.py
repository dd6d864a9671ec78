"""What admins see of resale, and end: on real PostgreSQL, with buyers and money beside them."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.counter import is_problem
from tests.market import Market, Person

ROUNDS = 4


@pytest.fixture
def admin(market: Market) -> Person:
    return market.person("admin")


def statuses(market: Market, person: Person) -> list[str]:
    return sorted(ticket["status"] for ticket in market.tickets(person))


def state(market: Market, listing: dict[str, Any]) -> tuple[str, str | None]:
    (row,) = market.rows("SELECT state, reason FROM reservations.listings WHERE id = %s", listing["id"])
    return row["state"], row["reason"]


def found(market: Market, admin: Person, query: str = "") -> list[dict[str, Any]]:
    answer = market.call(admin, "GET", f"/api/resale/listings{query}")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.get_json()["items"]
    return items


def test_an_admin_finds_listings_by_state_match_and_seller(
    market: Market, ada: Person, bob: Person, admin: Person
) -> None:
    first, second = market.ticket(ada, 2)
    (third,) = market.ticket(bob, category=2)
    opened, held, withdrawn = market.offer(ada, first), market.offer(ada, second), market.offer(bob, third, 40)
    reservation = market.hold(bob, held["id"]).get_json()
    market.withdraw(bob, withdrawn["id"])
    assert [each["id"] for each in found(market, admin)] == [withdrawn["id"], held["id"], opened["id"]]
    assert [each["id"] for each in found(market, admin, "?status=open")] == [opened["id"]]
    assert [each["id"] for each in found(market, admin, f"?sellerId={bob.id}")] == [withdrawn["id"]]
    assert [each["id"] for each in found(market, admin, f"?id={held['id']}&matchNumber=1&bySite=false")] == [held["id"]]
    assert found(market, admin, "?matchNumber=2") == found(market, admin, "?bySite=true") == []
    (seen,) = found(market, admin, "?status=held")
    assert seen.items() > {"sellerId": ada.id, "sellerEmail": ada.email, "heldBy": reservation["id"]}.items()
    assert (seen["bySite"], seen["endedBy"], seen["note"]) == (False, None, None)
    assert {"sellerId", "sellerEmail", "heldBy", "note"}.isdisjoint(
        market.call(ada, "GET", "/api/resale/listings/mine").get_json()["items"][0]
    )


def test_an_admin_turns_the_pages_of_all_listings(market: Market, ada: Person, admin: Person) -> None:
    for ticket in [*market.ticket(ada, 2), *market.ticket(ada, 2), *market.ticket(ada)]:
        market.offer(ada, ticket)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"?limit=2&matchNumber=1{f'&cursor={cursor}' if cursor else ''}"
        page = market.call(admin, "GET", f"/api/resale/listings{query}").get_json()
        assert len(page["items"]) <= 2
        seen += [each["id"] for each in page["items"]]
        cursor = page["nextCursor"]
    assert (len(seen), seen) == (5, [each["id"] for each in found(market, admin)])
    is_problem(market.call(admin, "GET", "/api/resale/listings?cursor=x"), 422, "validation_failed")


def test_whose_account_is_gone_is_not_told_to_admins(market: Market, ada: Person, admin: Person) -> None:
    market.offer(ada, market.ticket(ada)[0])
    gone = {"accountId": ada.id, "email": ada.email}
    market.reservations.call("POST", "/internal/accounts/deleted", json=gone, token=market.reservations.service_token)
    (seen,) = found(market, admin)
    assert (seen["status"], seen["reason"]) == ("withdrawn", "account_deleted")
    assert (seen["sellerId"], seen["sellerEmail"]) == (None, None)


def test_an_admin_ends_a_listing_once_and_its_owner_keeps_the_ticket(
    market: Market, ada: Person, bob: Person, admin: Person
) -> None:
    (ticket,) = market.ticket(ada)
    listing = market.offer(ada, ticket)
    market.settle()
    is_problem(market.end(bob, listing["id"]), 403, "forbidden")
    is_problem(market.end(admin, str(uuid.uuid4())), 404, "not_found")
    is_problem(market.end(admin, listing["id"], ""), 422, "validation_failed")
    ended = market.end(admin, listing["id"], "reported as stolen").get_json()
    assert (ended["status"], ended["reason"], ended["note"]) == ("ended", "by_admin", "reported as stolen")
    assert (ended["endedBy"], ended["version"]) == (admin.id, 2)
    again = market.end(market.person("admin"), listing["id"], "once more")
    assert (again.status_code, again.get_json()) == (200, ended), "the first one's word stays"
    market.settle()
    assert market.shown() == []
    is_problem(market.hold(bob, listing["id"]), 409, "listing_ended")
    is_problem(market.reprice(ada, listing["id"], 60), 409, "listing_ended")
    is_problem(market.withdraw(ada, listing["id"]), 409, "listing_ended")
    assert statuses(market, ada) == ["valid"]
    (own,) = market.call(ada, "GET", "/api/resale/listings/mine").get_json()["items"]
    assert (own["status"], own["reason"]) == ("ended", "by_admin")
    assert market.put_up(ada, ticket, 80).status_code == 201, "who should not is blocked"


def test_an_admin_who_gave_the_password_long_ago_ends_nothing(market: Market, ada: Person, admin: Person) -> None:
    listing = market.offer(ada, market.ticket(ada)[0])
    claims = market.signer.claims("admin", account_id=admin.id, password_ago=3600)
    stale = Person(admin.id, admin.email, market.signer.sign(claims))
    assert found(market, stale)
    is_problem(market.end(stale, listing["id"]), 403, "reauthentication_required")
    assert state(market, listing) == ("open", None)


def test_an_admin_s_ending_is_written_down_before_it_is_done(market: Market, ada: Person, admin: Person) -> None:
    listing = market.offer(ada, market.ticket(ada)[0])
    market.end(admin, listing["id"], "reported as stolen")
    begun, ended = market.rows("SELECT body FROM reservations.deliveries WHERE target = 'security' ORDER BY number")
    assert (begun["body"]["operation"], begun["body"]["accountId"]) == ("endListing", admin.id)
    assert "reported as stolen" in begun["body"]["request"]
    assert ended["body"]["status"] == 200


def test_what_somebody_holds_is_not_ended_until_the_hold_is_over_and_late_money_goes_back(
    market: Market, ada: Person, bob: Person, admin: Person
) -> None:
    listing = market.offer(ada, market.ticket(ada)[0])
    held = market.hold(bob, listing["id"]).get_json()
    is_problem(market.end(admin, listing["id"]), 409, "listing_held")
    assert market.call(bob, "GET", f"/api/reservations/{held['id']}").get_json()["status"] == "held"
    market.let_holds_end()
    market.work()
    assert market.end(admin, listing["id"]).status_code == 200
    market.pay(held)
    market.settle()
    assert state(market, listing) == ("ended", "by_admin")
    assert (statuses(market, ada), statuses(market, bob)) == (["valid"], [])
    (back,) = market.rows("SELECT status, amount FROM payments.refunds")
    assert (back["status"], back["amount"]) == ("succeeded", 8000)


def test_what_was_bought_is_not_ended_any_more(market: Market, ada: Person, bob: Person, admin: Person) -> None:
    listing = market.offer(ada, market.ticket(ada)[0])
    market.pay(market.hold(bob, listing["id"]).get_json())
    market.settle()
    is_problem(market.end(admin, listing["id"]), 409, "listing_ended")
    (seen,) = found(market, admin, "?status=sold")
    assert seen["sellerEmail"] == ada.email, "also when the ticket is another's"


def test_of_an_admin_and_a_buyer_at_the_same_moment_one_wins(
    market: Market, ada: Person, bob: Person, admin: Person
) -> None:
    for _ in range(ROUNDS):
        (ticket,) = market.ticket(ada)
        listing, start = market.offer(ada, ticket), Barrier(2)

        def end(listing: dict[str, Any] = listing, start: Barrier = start) -> int:
            start.wait(30)
            return market.end(admin, listing["id"]).status_code

        def hold(listing: dict[str, Any] = listing, start: Barrier = start) -> int:
            start.wait(30)
            return market.hold(bob, listing["id"]).status_code

        with ThreadPoolExecutor(2) as pool:
            ended, held = pool.submit(end), pool.submit(hold)
            outcome = (ended.result(), held.result())
        assert outcome in ((200, 409), (409, 201))
        assert state(market, listing) == (("ended", "by_admin") if outcome[0] == 200 else ("held", None))


def test_what_an_admin_has_ended_of_the_site_s_own_is_not_offered_again(
    market: Market, ada: Person, admin: Person
) -> None:
    made = market.reservations.buy(1, 1, 1, token=ada.token).get_json()
    market.reservations.judge(made["id"])
    payment = market.pay(made)
    market.settle()
    market.show_in_log(made["id"])
    market.refund(payment)
    market.settle()
    (offered,) = found(market, admin, "?bySite=true")
    assert (offered["sellerId"], offered["sellerEmail"]) == (None, None), "whoever had it before"
    assert market.end(admin, offered["id"]).status_code == 200
    market.settle()
    assert market.shown() == []
    assert len(found(market, admin)) == 1
