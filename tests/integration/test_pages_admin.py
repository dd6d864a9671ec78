"""The admins' pages: for admins alone, with numbers in words and tables, and with the password before money moves."""

import json
import re
from collections.abc import Iterator

import html5lib
import httpx
import pytest

from client.pages.admin.money import minor_units, search_of
from client.pages.admin.security import entry_of
from shared.http.callers import ACCESS_COOKIE
from tests.fake_admin import AT, BEN, ENDED, ENTRY, LISTS, NOW, OFFER, OFFERED, PAYMENT, PAYOUT, PERSON, busy
from tests.fake_api import Browser, FakeApi, answer, open_pages, problem

PATHS = (
    "/admin", "/admin/figures", "/admin?bucket=day", "/admin?bucket=century", "/admin/refused", "/admin/evidence",
    "/admin/security", "/admin/payments", f"/admin/payments/{PAYMENT}", "/admin/ledger", "/admin/payouts",
    "/admin/resale", "/admin/resale?status=held&matchNumber=3", f"/admin/resale?seller={PERSON}",
    f"/admin/resale/{OFFER}", "/admin/people", "/admin/waiting-rooms", "/admin/actions", "/admin/password",
)  # fmt: skip
FORMS = (
    "/admin/refused/7/replay", "/admin/security/lists", f"/admin/security/lists/{ENTRY}/remove",
    f"/admin/payments/{PAYMENT}/refunds", f"/admin/payouts/{PAYOUT}/paid",
    f"/admin/resale/{OFFER}/end", f"/admin/people/{PERSON}/roles",
    "/admin/waiting-rooms", "/admin/password",
)  # fmt: skip


@pytest.fixture
def fake() -> FakeApi:
    return busy()


@pytest.fixture
def browser(fake: FakeApi) -> Iterator[Browser]:
    with open_pages(fake) as opened:
        yield opened


@pytest.fixture
def admin(browser: Browser) -> Browser:
    """An admin who gave the password just now, and has a form's token."""
    return sign_in(browser, "admin")


def sign_in(browser: Browser, *roles: str, password_ago: int = 0) -> Browser:
    browser.keep(ACCESS_COOKIE, browser.signer.sign(browser.signer.claims(*roles, password_ago=password_ago)))
    browser.get("/sign-in")
    return browser


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("language", ["en", "ar"])
def test_each_page_is_drawn_whole_and_escapes_what_others_wrote(admin: Browser, path: str, language: str) -> None:
    page = admin.get(path, language)
    assert page.status_code == 200, page.text
    html5lib.HTMLParser(strict=True).parse(page.text)
    assert "<script>alert" not in page.text
    assert " style=" not in page.text


@pytest.mark.parametrize("path", PATHS)
def test_each_page_says_so_when_there_is_nothing(path: str) -> None:
    with open_pages(busy(empty=True)) as browser:
        page = sign_in(browser, "admin").get(path)
    assert page.status_code == (404 if path.endswith((PAYMENT, f"resale/{OFFER}")) else 200)
    html5lib.HTMLParser(strict=True).parse(page.text)


@pytest.mark.parametrize("path", PATHS)
def test_who_is_no_admin_sees_none_of_it_and_no_link_to_it(browser: Browser, fake: FakeApi, path: str) -> None:
    assert browser.get(path).headers["Location"].startswith("/sign-in?next=")
    fake.seen.clear()
    page = sign_in(browser, "gate", "partner").get(path)
    assert page.status_code == 403
    assert 'href="/admin"' not in page.text
    assert not [request for request in fake.seen if request.url.path in LISTS]


@pytest.mark.parametrize("path", FORMS)
def test_nobody_else_changes_anything_by_a_form(browser: Browser, fake: FakeApi, path: str) -> None:
    sign_in(browser, "gate")
    fake.seen.clear()
    assert browser.post(path, {"mode": "on", "matchNumber": "3"}).status_code == 403
    assert [request.method for request in fake.seen if request.method != "GET"] == []
    sign_in(browser, "admin")
    assert browser.post(path, {"csrf": "another"}).status_code == 403


def test_the_overview_draws_sales_and_pools_and_tells_the_same_in_tables(admin: Browser) -> None:
    text = admin.get("/admin").text
    assert text.count('class="series-0"') == 1 + 1, "one bucket of ours, and the legend"
    assert text.count('class="series-1"') == 2 + 1
    assert len(re.findall(r'class="heat-\d+"', text)) == 48 * 3
    assert '<td class="n">12</td>' in text
    assert "10%" in text
    assert "consuming" in text


def test_what_a_service_cannot_tell_is_left_out_and_said(admin: Browser, fake: FakeApi) -> None:
    fake.answers[("GET", "/api/sales")] = problem(503, "dependency_unavailable")
    page = admin.get("/admin")
    assert page.status_code == 200
    assert "A service does not answer" in page.text
    assert "How much of each pool is sold" in page.text


def test_the_figures_are_drawn_and_told_in_tables(admin: Browser) -> None:
    text = admin.get("/admin/figures").text
    assert len(re.findall(r'class="heat-\d+"', text)) == 2 * 2, "matches 3 and 10, categories 1 and 2"
    assert 'class="heat-10"' in text
    assert "105%" in text
    assert text.count('class="series-0"') == 1 + 1, "one hour, and the legend"
    assert "Made-up sales" in text
    assert "Brazil" in text
    assert "$3,333" in text
    assert "Sold more than there is" in text
    assert "0/99" in text
    assert "83%" in text
    assert text.count("Match 3, category") == 1, "what is not known is no forecast"
    assert "0/4711" in text
    assert "does not answer" not in text


def test_without_analytics_the_page_of_figures_says_so_and_asks_no_more(admin: Browser, fake: FakeApi) -> None:
    fake.answers[("GET", "/api/statistics/revenue")] = problem(503, "lake_unavailable")
    page = admin.get("/admin/figures")
    assert page.status_code == 200
    assert "Analytics does not answer" in page.text
    assert 'id="through"' in page.text, "what was told before it"
    assert 'id="drift"' not in page.text
    assert "/api/statistics/drift" not in [request.url.path for request in fake.seen]
    fake.answers[("GET", "/api/statistics/bookings")] = problem(502, "dependency_unavailable")
    assert 'id="through"' not in admin.get("/admin/figures").text


def body_of(fake: FakeApi, method: str, path: str) -> object:
    return json.loads(fake.sent(method, path).content)


def test_money_goes_back_in_minor_units_with_a_key_and_a_wrong_amount_does_not(admin: Browser, fake: FakeApi) -> None:
    path = f"/api/payments/{PAYMENT}/refunds"
    fake.answers[("POST", path)] = answer({}, 201)
    sent = {"amount": "12.50", "reason": "fraud", "key": "k-1"}
    assert admin.post(f"/admin/payments/{PAYMENT}/refunds", sent).status_code == 303
    assert body_of(fake, "POST", path) == {"amount": 1250, "reason": "fraud"}
    assert fake.sent("POST", path).headers["Idempotency-Key"] == "k-1"
    assert admin.post(f"/admin/payments/{PAYMENT}/refunds", {**sent, "amount": ""}).status_code == 303
    assert body_of(fake, "POST", path) == {"reason": "fraud"}, "all that is left"
    fake.seen.clear()
    assert admin.post(f"/admin/payments/{PAYMENT}/refunds", {**sent, "amount": "12.505"}).status_code == 422
    assert not [request for request in fake.seen if request.method == "POST"]
    fake.answers[("POST", path)] = problem(409, "refund_too_large", detail="100 is left of the payment")
    page = admin.post(f"/admin/payments/{PAYMENT}/refunds", sent)
    assert page.status_code == 409
    assert "more than is left" in page.text


def test_who_gave_the_password_long_ago_is_asked_for_it_and_comes_back(browser: Browser, fake: FakeApi) -> None:
    sign_in(browser, "admin", password_ago=3600)
    here = f"/admin/payments/{PAYMENT}"
    assert "Give it now" in browser.get(here).text
    fake.answers[("POST", f"/api/payments/{PAYMENT}/refunds")] = problem(403, "reauthentication_required", maxAge=300)
    asked = browser.post(f"{here}/refunds", {"amount": "1"})
    assert asked.headers["Location"] == f"/admin/password?next={here}"
    assert here in browser.get(asked.headers["Location"]).text
    fake.answers[("POST", "/api/users/me/reauthentication")] = problem(401, "wrong_credentials")
    assert browser.post("/admin/password", {"password": "wrong", "next": here}).status_code == 401
    proof = browser.signer.sign(browser.signer.claims("admin"))
    fake.answers[("POST", "/api/users/me/reauthentication")] = answer({"accessToken": proof, "expiresIn": 600})
    back = browser.post("/admin/password", {"password": "right", "next": here})
    assert (back.status_code, back.headers["Location"]) == (303, here)
    assert browser.cookie(ACCESS_COOKIE) == proof
    assert "Give it now" not in browser.get(here).text


def test_the_password_page_leads_nowhere_else(admin: Browser, fake: FakeApi) -> None:
    proof = {"accessToken": admin.signer.sign(admin.signer.claims("admin")), "expiresIn": 600}
    fake.answers[("POST", "/api/users/me/reauthentication")] = answer(proof)
    given = admin.post("/admin/password", {"password": "right", "next": "//evil.example/"})
    assert given.headers["Location"] == "/admin"


def test_the_other_forms_say_what_was_chosen(admin: Browser, fake: FakeApi) -> None:
    fake.answers |= {
        ("POST", "/api/refused/7/replay"): answer({}),
        ("POST", "/api/security/lists"): answer({}, 201),
        ("DELETE", f"/api/security/lists/{ENTRY}"): httpx.Response(204),
        ("PUT", f"/api/users/accounts/{PERSON}/roles"): answer({}),
        ("PUT", "/api/waiting-rooms/3"): answer({}),
        ("POST", f"/api/payments/payouts/{PAYOUT}/paid"): answer({}),
    }
    assert admin.post("/admin/refused/7/replay", {}).status_code == 303
    entry = {"kind": "block", "target": "203.0.113.0/24", "reason": "scalpers", "lasts": "", "key": "k-2"}
    assert admin.post("/admin/security/lists", entry).status_code == 303
    listed = {"kind": "block", "network": "203.0.113.0/24", "reason": "scalpers"}
    assert body_of(fake, "POST", "/api/security/lists") == listed
    assert admin.post(f"/admin/security/lists/{ENTRY}/remove", {}).status_code == 303
    assert fake.sent("DELETE", f"/api/security/lists/{ENTRY}")
    assert admin.post(f"/admin/people/{PERSON}/roles", {"gate": "1", "king": "1"}).status_code == 303
    assert body_of(fake, "PUT", f"/api/users/accounts/{PERSON}/roles") == {"roles": ["gate"]}
    assert (
        admin.post("/admin/waiting-rooms", {"matchNumber": "3", "mode": "on", "ratePerSecond": "5"}).status_code == 303
    )
    assert body_of(fake, "PUT", "/api/waiting-rooms/3") == {"mode": "on", "ratePerSecond": 5}
    assert admin.post(f"/admin/payouts/{PAYOUT}/paid", {"note": "SEPA 7"}).status_code == 303
    assert body_of(fake, "POST", f"/api/payments/payouts/{PAYOUT}/paid") == {"note": "SEPA 7"}


def test_listings_are_found_by_state_match_and_seller_and_pages_go_on(admin: Browser, fake: FakeApi) -> None:
    path = "/api/resale/listings"
    fake.answers[("GET", path)] = answer({"items": [OFFERED, {**OFFERED, **ENDED}], "nextCursor": "c-2"})
    fake.answers[("GET", "/api/users/accounts")] = answer({"items": [BEN, {**BEN, "id": OFFER, "emailVerified": True}]})
    text = admin.get("/admin/resale?status=open&matchNumber=3&seller=ben@example.org&cursor=c-1").text
    asked = {"status": "open", "matchNumber": "3", "cursor": "c-1", "sellerId": OFFER, "limit": "50"}
    assert dict(fake.sent("GET", path).url.params) == asked
    assert fake.sent("GET", "/api/users/accounts").url.params["email"] == "ben@example.org"
    assert "status=open&amp;matchNumber=3&amp;seller=ben%40example.org&amp;cursor=c-2" in text
    assert "$82.50" in text
    assert "The site has ended this offer." in text
    assert admin.get("/admin/resale?status=stolen").status_code == 200
    assert dict(fake.sent("GET", path).url.params) == {"limit": "50"}


def test_a_seller_whom_nobody_knows_has_no_listings_and_a_wrong_filter_says_so(admin: Browser, fake: FakeApi) -> None:
    fake.answers[("GET", "/api/users/accounts")] = answer({"items": []})
    fake.seen.clear()
    assert "There is nothing here" in admin.get("/admin/resale?seller=nobody@example.org").text
    assert not [request for request in fake.seen if request.url.path == "/api/resale/listings"]
    fake.answers[("GET", "/api/resale/listings")] = problem(422, "validation_failed")
    page = admin.get("/admin/resale?matchNumber=x")
    assert page.status_code == 422
    assert "Something in the filter is not right." in page.text


def test_an_offer_is_ended_with_a_reason_when_somebody_is_sure(admin: Browser, fake: FakeApi) -> None:
    here, path = f"/admin/resale/{OFFER}", f"/api/resale/listings/{OFFER}/end"
    fake.answers[("POST", path)] = answer({})
    assert admin.get(here).status_code == 200
    assert dict(fake.sent("GET", "/api/resale/listings").url.params) == {"id": OFFER, "limit": "50"}
    fake.seen.clear()
    for wrong in ({"note": "", "sure": "1"}, {"note": "reported as stolen"}):
        page = admin.post(f"{here}/end", wrong)
        assert (page.status_code, page.text.count("Please fill this in.")) == (422, 1)
    assert "reported as stolen" in page.text, "what was written stays"
    assert not [request for request in fake.seen if request.method == "POST"]
    done = admin.post(f"{here}/end", {"note": "reported as stolen", "sure": "1"})
    assert (done.status_code, done.headers["Location"]) == (303, here)
    assert body_of(fake, "POST", path) == {"note": "reported as stolen"}


def test_an_offer_that_somebody_holds_has_no_form_and_one_that_was_held_meanwhile_says_so(
    admin: Browser, fake: FakeApi
) -> None:
    here = f"/admin/resale/{OFFER}"
    held = answer({"items": [{**OFFERED, "status": "held", "heldBy": PAYMENT}], "nextCursor": None})
    fake.answers[("GET", "/api/resale/listings")] = held
    page = admin.get(here)
    assert 'name="note"' not in page.text
    assert "Look again in some minutes" in page.text
    assert f"/admin/payments?q={PAYMENT}" in page.text
    fake.answers[("POST", f"/api/resale/listings/{OFFER}/end")] = problem(409, "listing_held", detail="held by one")
    page = admin.post(f"{here}/end", {"note": "reported as stolen", "sure": "1"})
    assert page.status_code == 409
    assert "held by one" in page.text


def test_who_ends_an_offer_with_an_old_password_is_asked_for_it(browser: Browser, fake: FakeApi) -> None:
    sign_in(browser, "admin", password_ago=3600)
    here = f"/admin/resale/{OFFER}"
    assert "Give it now" in browser.get(here).text
    stale = problem(403, "reauthentication_required", maxAge=300)
    fake.answers[("POST", f"/api/resale/listings/{OFFER}/end")] = stale
    asked = browser.post(f"{here}/end", {"note": "stolen", "sure": "1"})
    assert asked.headers["Location"] == f"/admin/password?next={here}"


def test_a_record_that_is_refused_again_says_why(admin: Browser, fake: FakeApi) -> None:
    fake.answers[("POST", "/api/refused/7/replay")] = problem(409, "still_refused", detail="match 99 is not known")
    page = admin.post("/admin/refused/7/replay", {})
    assert page.status_code == 409
    assert "refused again" in page.text
    assert "match 99 is not known" in page.text


@pytest.mark.parametrize(
    ("text", "units"),
    [("12.50", 1250), ("12,5", 1250), ("7", 700), ("0", None), ("-1", None), ("1.005", None), ("NaN", None),
     ("1e3", 100_000), ("x", None), ("99999999999", None)],
)  # fmt: skip
def test_amounts_are_read_as_people_write_them(text: str, units: int | None) -> None:
    assert minor_units(text) == units


def test_a_search_is_understood_by_its_form() -> None:
    assert search_of("ada@example.org") == {"email": "ada@example.org"}
    assert search_of("pi_3") == {"intentId": "pi_3"}
    assert search_of(PAYMENT.upper()) == {"reservationId": PAYMENT}
    assert search_of("") == {}


def test_an_entry_of_the_lists_names_an_account_by_its_id_and_ends_in_time() -> None:
    assert entry_of({"target": PERSON, "reason": "r", "kind": "allow"}, NOW)["accountId"] == PERSON
    assert entry_of({"target": "192.0.2.1", "lasts": "day"}, NOW)["expiresAt"] == AT.replace("-20T", "-21T")
    assert "expiresAt" not in entry_of({"target": "192.0.2.1", "lasts": ""}, NOW)
