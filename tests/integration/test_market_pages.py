"""The pages of the gate, of resale and of waiting rooms, in front of services that exist in memory only."""

import html
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.fake_api import Browser, FakeApi, Json, answer, open_pages, problem

TICKET = "11111111-1111-4111-8111-111111111111"
LISTING = "22222222-2222-4222-8222-222222222222"
RESERVATION = "33333333-3333-4333-8333-333333333333"
PLACE = "44444444-4444-4444-8444-444444444444"
TOKEN = f"3.{PLACE}.1700000000000000.visitor.signature"
CODE = "eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiJ0In0.c2ln"
NOW = "2022-11-20T12:00:00+00:00"


@pytest.fixture
def fake() -> FakeApi:
    return FakeApi()


@pytest.fixture
def browser(fake: FakeApi) -> Iterator[Browser]:
    with open_pages(fake, TRUSTED_PROXIES="127.0.0.0/8") as opened:
        yield opened


def sign_in(browser: Browser, *roles: str) -> None:
    browser.keep("matchday_access", browser.signer.sign(browser.signer.claims(*roles)))


def sent(fake: FakeApi, method: str, path: str) -> Json:
    body: Json = json.loads(fake.sent(method, path).content)
    return body


# What a match tells


@pytest.mark.parametrize(
    ("language", "one", "two"),
    [
        ("en", "1 ticket from others, from $70.50", "2 tickets from others, from $70.50"),
        ("fr", "1 billet d’autres personnes, à partir de 70,50", "2 billets d’autres personnes, à partir de 70,50"),
        ("ar", "تذكرة واحدة من آخرين", "تذكرتان من آخرين"),
    ],
)
def test_a_match_leads_to_the_tickets_that_others_sell(
    browser: Browser, fake: FakeApi, language: str, one: str, two: str
) -> None:
    for count, words in ((1, one), (2, two)):
        fake.matches[3]["resale"] = {"open": count, "lowestPrice": 70.5}
        page = html.unescape(browser.get("/matches/3", language=language).text)
        assert f'<a href="/resale?matchNumber=3">{words}' in page
    fake.matches[3]["resale"] = {"open": 0, "lowestPrice": None}
    assert '<a href="/resale?matchNumber=3">Tickets from others</a>' in browser.get("/matches/3").text


# The gate


def staff(browser: Browser) -> None:
    sign_in(browser, "gate")
    assert browser.get("/gate").status_code == 200


def test_the_scanner_is_for_who_works_at_the_gate(browser: Browser, fake: FakeApi) -> None:
    assert browser.get("/gate").headers["Location"] == "/sign-in?next=%2Fgate"
    assert browser.get("/matches").text.count('href="/gate"') == 0
    sign_in(browser, "buyer")
    assert browser.get("/gate").status_code == 403
    refused = browser.post("/gate", {"code": CODE})
    assert refused.status_code == 403
    assert CODE not in refused.text
    assert not [each for each in fake.seen if each.url.path == "/api/tickets/verify"]
    sign_in(browser, "admin")
    assert browser.get("/gate").status_code == 200
    assert 'href="/gate"' in browser.get("/matches").text


def test_who_is_let_in_is_told_large_and_the_next_code_is_waited_for(browser: Browser, fake: FakeApi) -> None:
    fake.answers["POST", "/api/tickets/verify"] = answer(
        {"admitted": True, "ticketId": TICKET, "matchNumber": 3, "category": 2, "number": 1, "admittedAt": NOW,
         "scanner": "North 1"}
    )  # fmt: skip
    staff(browser)
    page = browser.post("/gate", {"code": f" {CODE} ", "key": "k-1", "scanner": "North 1", "matchNumber": "3"})
    assert page.status_code == 200
    assert "<h2>Let in</h2>" in page.text
    assert "Category 2" in page.text
    assert "Qatar 3" in page.text
    assert CODE not in page.text
    assert 'value="North 1"' in page.text
    assert 'value="k-1"' not in page.text
    assert sent(fake, "POST", "/api/tickets/verify") == {"code": CODE, "scanner": "North 1", "matchNumber": 3}
    assert fake.sent("POST", "/api/tickets/verify").headers["Idempotency-Key"] == "k-1"


@pytest.mark.parametrize(
    ("status", "code", "members", "words"),
    [
        (409, "already_admitted", {"admittedAt": NOW, "scanner": "South 2"}, ("Already in", "gate South 2", "12:00")),
        (409, "wrong_match", {"matchNumber": 24}, ("Another match", "It is for match 24.")),
        (409, "ticket_void", {}, ("Not valid any more",)),
        (422, "invalid_ticket", {}, ("Not a ticket",)),
    ],
)
def test_a_refusal_says_why(
    browser: Browser, fake: FakeApi, status: int, code: str, members: Json, words: tuple[str, ...]
) -> None:
    fake.answers["POST", "/api/tickets/verify"] = problem(status, code, **members)
    staff(browser)
    page = browser.post("/gate", {"code": CODE})
    assert page.status_code == status
    assert 'class="verdict refused"' in page.text
    for each in words:
        assert each in page.text


def test_a_scan_without_an_answer_is_asked_again_as_the_same_scan(browser: Browser, fake: FakeApi) -> None:
    fake.answers["POST", "/api/tickets/verify"] = problem(503, "dependency_unavailable", 2)
    staff(browser)
    page = browser.post("/gate", {"code": CODE, "key": "k-2"})
    assert page.status_code == 503
    assert 'class="verdict unknown"' in page.text
    assert f'value="{CODE}"' in page.text
    assert 'value="k-2"' in page.text


@pytest.mark.parametrize("form", [{"code": ""}, {"code": "x", "scanner": "North\u20281"}, {"code": "x" * 1001},
                                  {"code": "x", "matchNumber": "three"}])  # fmt: skip
def test_what_cannot_be_a_scan_is_not_asked_about(browser: Browser, fake: FakeApi, form: dict[str, str]) -> None:
    staff(browser)
    assert browser.post("/gate", form).status_code == 422
    assert not [each for each in fake.seen if each.url.path == "/api/tickets/verify"]


# Resale


def listing(**more: object) -> Json:
    return {
        "id": LISTING, "matchNumber": 3, "category": 1, "price": 82.5, "amount": 8250, "faceAmount": 7500,
        "currency": "USD", "bySite": False, "listedAt": NOW, "changedAt": NOW, **more,
    }  # fmt: skip


def own_listing(**more: object) -> Json:
    return listing(ticketId=TICKET, status="open", reason=None, createdAt=NOW, version=1, **more)


def offer(fake: FakeApi) -> None:
    fake.answers["GET", "/api/listings"] = answer({"items": [listing()], "nextCursor": "abc="})
    fake.answers["GET", f"/api/listings/{LISTING}"] = answer(listing())


def test_offers_are_shown_with_price_and_face_value(browser: Browser, fake: FakeApi) -> None:
    offer(fake)
    page = browser.get("/resale?matchNumber=3&sort=-price&colour=red")
    assert page.status_code == 200
    assert "$82.50" in page.text
    assert "Face value $75" in page.text
    assert "cursor=abc%3D" in page.text
    query = dict(fake.sent("GET", "/api/listings").url.params)
    assert query == {"matchNumber": "3", "sort": "-price", "limit": "24"}
    assert browser.get("/matches/3/resale").headers["Location"] == "/resale?matchNumber=3"


def test_a_filter_that_the_shop_refuses_is_told_in_the_page(browser: Browser, fake: FakeApi) -> None:
    fake.answers["GET", "/api/listings"] = problem(422, "validation_failed", errors=[])
    page = browser.get("/resale?matchNumber=-1")
    assert page.status_code == 422
    assert "Something in the filter is not right." in page.text


def test_a_guest_holds_an_offer_and_pays_as_always(browser: Browser, fake: FakeApi) -> None:
    offer(fake)
    held = {"id": RESERVATION, "accessToken": f"{RESERVATION}.signature-of-some-length"}
    fake.answers["POST", f"/api/resale/listings/{LISTING}/hold"] = answer(held, 201)
    assert browser.get(f"/resale/{LISTING}").status_code == 200
    assert browser.post(f"/resale/{LISTING}/hold", {"email": "", "key": "k"}).status_code == 422
    done = browser.post(f"/resale/{LISTING}/hold", {"email": "ada@example.org", "key": "k"})
    assert done.headers["Location"] == f"/reservations/{RESERVATION}"
    assert sent(fake, "POST", f"/api/resale/listings/{LISTING}/hold") == {"email": "ada@example.org", "language": "en"}
    assert held["accessToken"] in (browser.cookie("matchday_holds") or "")


@pytest.mark.parametrize("code", ["listing_held", "own_listing"])
def test_an_offer_that_cannot_be_had_says_why(browser: Browser, fake: FakeApi, code: str) -> None:
    offer(fake)
    fake.answers["POST", f"/api/resale/listings/{LISTING}/hold"] = problem(409, code)
    browser.get(f"/resale/{LISTING}")
    page = browser.post(f"/resale/{LISTING}/hold", {"email": "ada@example.org", "key": "k"})
    assert page.status_code == 409
    assert 'role="alert"' in page.text
    fake.answers["GET", f"/api/listings/{LISTING}"] = problem(404, "not_found")
    page = browser.post(f"/resale/{LISTING}/hold", {"email": "ada@example.org", "key": "k"})
    assert page.status_code == 409
    assert "<h1>We could not find this page</h1>" not in page.text


def own_ticket(fake: FakeApi, **more: object) -> None:
    fake.answers["GET", f"/api/tickets/{TICKET}"] = answer(
        {"id": TICKET, "reservationId": RESERVATION, "number": 1, "matchNumber": 3, "category": 1, "code": CODE,
         "status": "valid", "issuedAt": NOW, "faceAmount": 6000, "amountMax": 6600, "currency": "USD", **more}
    )  # fmt: skip


def test_the_owner_sees_the_highest_price_before_offering(browser: Browser, fake: FakeApi) -> None:
    own_ticket(fake)
    assert browser.get(f"/tickets/{TICKET}/sell").headers["Location"].startswith("/sign-in")
    sign_in(browser)
    assert "up to $66." in browser.get(f"/tickets/{TICKET}/sell").text
    own_ticket(fake, faceAmount=5000, amountMax=5250)
    assert "up to $52.50." in browser.get(f"/tickets/{TICKET}/sell").text, "as the service says, whatever it costs now"


@pytest.mark.parametrize("price", ["", "cheap", "-3", "0", "1.234", "NaN", "1e9"])
def test_what_is_no_price_is_not_offered(browser: Browser, fake: FakeApi, price: str) -> None:
    own_ticket(fake)
    sign_in(browser)
    browser.get(f"/tickets/{TICKET}/sell")
    assert browser.post(f"/tickets/{TICKET}/sell", {"price": price, "key": "k"}).status_code == 422
    assert not [each for each in fake.seen if each.method == "POST"]


def test_a_ticket_is_offered_with_a_comma_in_its_price(browser: Browser, fake: FakeApi) -> None:
    own_ticket(fake)
    fake.answers["POST", "/api/resale/listings"] = answer(own_listing(), 201)
    sign_in(browser)
    browser.get(f"/tickets/{TICKET}/sell")
    done = browser.post(f"/tickets/{TICKET}/sell", {"price": "62,50", "key": "k-3"})
    assert done.headers["Location"] == "/resale/mine"
    assert sent(fake, "POST", "/api/resale/listings") == {"ticketId": TICKET, "price": 62.5}
    fake.answers["POST", "/api/resale/listings"] = problem(422, "price_above_cap", cap=6600)
    page = browser.post(f"/tickets/{TICKET}/sell", {"price": "70", "key": "k-4"})
    assert page.status_code == 422
    assert "At most 66.00 for this ticket." in page.text
    fake.answers["POST", "/api/resale/listings"] = problem(409, "ticket_not_resellable", reason="admitted")
    page = browser.post(f"/tickets/{TICKET}/sell", {"price": "60", "key": "k-5"})
    assert "Somebody has gone in with this ticket." in page.text


def test_ones_own_offers_can_be_changed_and_withdrawn(browser: Browser, fake: FakeApi) -> None:
    sold = own_listing() | {"id": TICKET, "status": "sold"}
    payout = {"listingId": TICKET, "status": "due", "amount": 6837, "fee": 413, "withheld": 1000}
    payout |= {"price": 8250, "currency": "USD"}
    fake.answers["GET", "/api/resale/listings/mine"] = answer({"items": [own_listing(), sold], "nextCursor": None})
    fake.answers["GET", "/api/payouts"] = lambda asked: answer(
        {"items": [payout], "nextCursor": None}
        if "cursor" in asked.url.params
        else {"items": [payout | {"listingId": RESERVATION}], "nextCursor": "older"}
    )
    fake.answers["PATCH", f"/api/resale/listings/{LISTING}"] = answer(own_listing())
    fake.answers["DELETE", f"/api/resale/listings/{LISTING}"] = answer(own_listing())
    sign_in(browser)
    page = browser.get("/resale/mine")
    assert "You get $68.37 ($4.13 is our fee). $10 of the price is kept back" in page.text
    assert browser.post(f"/resale/{LISTING}/price", {"price": "80"}).headers["Location"] == "/resale/mine"
    assert sent(fake, "PATCH", f"/api/resale/listings/{LISTING}") == {"price": 80.0}
    assert "The price is changed." in browser.get("/resale/mine").text
    assert browser.post(f"/resale/{LISTING}/withdraw", {}).headers["Location"] == "/resale/mine"
    fake.answers["PATCH", f"/api/resale/listings/{LISTING}"] = problem(409, "listing_held")
    assert "Somebody was faster" in browser.post(f"/resale/{LISTING}/price", {"price": "81"}).text
    fake.answers["GET", "/api/payouts"] = problem(503, "dependency_unavailable")
    assert "stands here in a moment" in browser.get("/resale/mine").text


# The waiting room


def placed(state: str, **more: object) -> Json:
    return {
        "id": PLACE, "matchNumber": 3, "state": state, "position": 812, "estimateSeconds": 75, "pollSeconds": 7,
        "admittedSeconds": None, "waitedSeconds": 3, "token": None, "visitor": None, **more,
    }  # fmt: skip


def rush(fake: FakeApi) -> None:
    fake.answers["POST", "/api/reservations"] = problem(409, "waiting_room", 2, placeState="none")
    fake.answers["POST", "/api/waiting-rooms/3/places"] = answer(placed("waiting", token=TOKEN, visitor="v.s"), 201)
    fake.answers["GET", f"/api/waiting-rooms/3/places/{PLACE}"] = answer(placed("waiting"))


def hold(browser: Browser) -> httpx.Headers:
    form = {"category": "1", "quantity": "1", "email": "ada@example.org", "key": "k-6"}
    return browser.post("/matches/3/hold", form).headers  # type: ignore[return-value]


def test_in_a_rush_a_hold_leads_into_the_line(browser: Browser, fake: FakeApi) -> None:
    rush(fake)
    browser.get("/matches/3")
    assert hold(browser)["Location"] == "/matches/3/wait"
    for _again in range(2):  # a page that is loaded again finds the same place
        page = browser.get("/matches/3/wait")
        assert ">812<" in page.text
        assert "2 minutes" in page.text
        assert '<noscript><meta http-equiv="refresh" content="7"></noscript>' in page.text
        assert page.headers["Cache-Control"] == "no-store"
    assert fake.sent("GET", f"/api/waiting-rooms/3/places/{PLACE}").headers["X-Waiting-Place"] == TOKEN
    line = browser.get("/matches/3/wait/status").json
    assert line == {"state": "waiting", "position": 812, "pollSeconds": 7, "estimate": "2 minutes"}
    hold(browser)  # a second tab shows the place that there is
    again = fake.sent("POST", "/api/waiting-rooms/3/places").headers
    assert (again["X-Waiting-Place"], again["X-Waiting-Visitor"]) == (TOKEN, "v.s")
    assert fake.sent("POST", "/api/reservations").headers["X-Waiting-Place"] == TOKEN


def test_who_is_let_in_is_told_and_goes_on(browser: Browser, fake: FakeApi) -> None:
    rush(fake)
    browser.get("/matches/3")
    hold(browser)
    let_in = placed("admitted", position=0, admittedSeconds=290)
    fake.answers["GET", f"/api/waiting-rooms/3/places/{PLACE}"] = answer(let_in)
    page = browser.get("/matches/3/wait")
    assert "<h1>It is your turn</h1>" in page.text
    assert "4 minutes to choose" in page.text
    assert "refresh" not in page.text


@pytest.mark.parametrize(("status", "room", "words"), [(404, False, "Take a place"), (403, True, "Nobody has to wait")])
def test_a_place_that_is_lost_can_be_taken_anew(
    browser: Browser, fake: FakeApi, status: int, room: bool, words: str
) -> None:
    rush(fake)
    browser.get("/matches/3")
    hold(browser)
    fake.answers["GET", f"/api/waiting-rooms/3/places/{PLACE}"] = problem(status, "not_found")
    fake.answers["GET", "/api/waiting-rooms/3"] = answer({"matchNumber": 3, "open": room})
    assert words in browser.get("/matches/3/wait").text
    assert browser.cookie("matchday_places") is None
    assert browser.get("/matches/3/wait/status").get_json()["state"] == "none"
    assert browser.post("/matches/3/wait", {"key": "k-7"}).headers["Location"] == "/matches/3/wait"
    assert browser.cookie("matchday_places") == TOKEN


def test_a_line_that_is_full_says_when_to_come_back(browser: Browser, fake: FakeApi) -> None:
    rush(fake)
    fake.answers["POST", "/api/waiting-rooms/3/places"] = problem(503, "waiting_room_full", 30)
    browser.get("/matches/3")
    page = browser.post("/matches/3/wait", {"key": "k-8"})
    assert page.status_code == 503
    assert page.headers["Retry-After"] == "30"
    assert "The line is full" in page.text


def test_what_a_service_gives_one_visitor_as_a_cookie_is_never_sent_for_another(
    browser: Browser, fake: FakeApi
) -> None:
    set_cookie = {"Set-Cookie": "matchday_access=of-ada; Path=/"}
    fake.answers["GET", "/api/matches/3"] = answer(fake.matches[3], headers=set_cookie)
    browser.get("/matches/3")
    browser.get("/matches/4")
    assert "Cookie" not in fake.sent("GET", "/api/matches/4").headers
