"""The buyer's pages in front of services that answer in each of their ways."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from icalendar import Calendar

from tests.fake_api import Browser, FakeApi, answer, open_pages, problem

RESERVATION = "3b0b6b0e-6a39-4d6c-9c0a-3c0c4f6a7c01"
TICKET = "9d1f6d2c-0000-4000-8000-000000000001"
TOKEN = f"{RESERVATION}.{'s' * 43}"
PATH = f"/reservations/{RESERVATION}"


def reservation(status: str, **more: Any) -> dict[str, Any]:
    ends = (datetime.now(UTC) + timedelta(minutes=9)).isoformat()
    return {
        "id": RESERVATION, "status": status, "matchNumber": 3, "category": 1, "quantity": 2, "price": 75,
        "amount": 15000, "currency": "USD", "email": "ada@example.org", "expiresAt": ends, "refunded": False, **more,
    }  # fmt: skip


@pytest.fixture
def fake() -> FakeApi:
    made = FakeApi()
    made.answers["GET", "/api/tickets"] = answer({"items": [], "nextCursor": None})
    return made


@pytest.fixture
def browser(fake: FakeApi) -> Iterator[Browser]:
    with open_pages(fake) as opened:
        opened.get("/matches")
        yield opened


def wish(**more: str) -> dict[str, str]:
    return {"category": "1", "quantity": "2", "email": "ada@example.org", "key": "a-key", **more}


def is_held(fake: FakeApi, browser: Browser, status: str = "held", **more: Any) -> None:
    browser.keep("matchday_holds", TOKEN)
    fake.answers["GET", f"/api/reservations/{RESERVATION}"] = answer(reservation(status, **more))


def test_a_guests_hold_is_kept_in_a_cookie_that_scripts_cannot_read(fake: FakeApi, browser: Browser) -> None:
    fake.answers["POST", "/api/reservations"] = answer(reservation("held", accessToken=TOKEN), 201)
    made = browser.post("/matches/3/hold", wish())
    assert (made.status_code, made.headers["Location"]) == (303, PATH)
    assert browser.cookie("matchday_holds") == TOKEN
    sent = fake.sent("POST", "/api/reservations")
    assert sent.headers["Idempotency-Key"] == "a-key"
    assert sent.url.params["wait"]
    fake.answers["GET", f"/api/reservations/{RESERVATION}"] = answer(reservation("held"))
    assert "These tickets are yours to pay for" in browser.get(PATH).text
    assert fake.sent("GET", f"/api/reservations/{RESERVATION}").headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (409, "sold_out", "Ticket is sold out"),
        (409, "temporarily_unavailable", "Ticket is temporarily unavailable"),
        (409, "purchase_limit", "as many tickets of this match"),
    ],
)
def test_what_cannot_be_held_is_told_in_the_form(
    fake: FakeApi, browser: Browser, status: int, code: str, told: str
) -> None:
    fake.answers["POST", "/api/reservations"] = problem(status, code)
    page = browser.post("/matches/3/hold", wish())
    assert page.status_code == status
    assert told in page.text
    assert 'value="ada@example.org"' in page.text
    assert 'value="a-key"' not in page.text, "asked anew, it is asked with another key"


def test_a_wrong_address_is_told_at_its_field(fake: FakeApi, browser: Browser) -> None:
    errors = [{"pointer": "/email", "code": "wrong_format", "detail": "…"}]
    fake.answers["POST", "/api/reservations"] = problem(422, "validation_failed", errors=errors)
    page = browser.post("/matches/3/hold", wish(email="ada"))
    assert 'aria-invalid="true" aria-describedby="email-error email-hint"' in page.text
    assert 'id="email-error">This is not an e-mail address.' in page.text
    assert "Please fill this in." in browser.post("/matches/3/hold", wish(email="")).text


def test_when_nothing_can_be_asked_nothing_is_taken_and_that_is_said(fake: FakeApi, browser: Browser) -> None:
    fake.answers["POST", "/api/reservations"] = problem(503, "broker_unavailable", retry_after=2)
    page = browser.post("/matches/3/hold", wish())
    assert page.status_code == 503
    assert "Nothing was taken and nothing was charged" in page.text
    assert "Try again in 2 seconds." in page.text


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("submitted", "We are asking for your tickets"),
        ("held", "Pay $150"),
        ("lost", "Somebody was faster"),
        ("expired", "The time to pay is over"),
        ("cancelled", "The tickets have gone back"),
        ("reserved", "The tickets come to ada@example.org"),
    ],
)
def test_each_state_of_a_reservation_is_told(fake: FakeApi, browser: Browser, status: str, told: str) -> None:
    is_held(fake, browser, status)
    page = browser.get(PATH).text
    assert told in page
    assert ("data-follow" in page) == (status in ("submitted", "held"))
    assert ("http-equiv" in page) == (status == "submitted"), "without scripts the page is loaded again"


def test_an_unpaid_hold_cannot_be_paid_after_its_time(fake: FakeApi, browser: Browser) -> None:
    is_held(fake, browser)
    fake.answers["POST", "/api/payments"] = problem(409, "hold_expired")
    assert browser.get(f"{PATH}/pay").headers["Location"] == PATH


def test_the_card_goes_to_stripe_alone(fake: FakeApi, browser: Browser) -> None:
    is_held(fake, browser)
    fake.answers["POST", "/api/payments"] = answer({"clientSecret": "pi_1_secret_2"}, 201)
    page = browser.get(f"{PATH}/pay")
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self' http://127.0.0.1:12111;" in policy
    assert "form-action 'self';" in policy
    assert "client_secret=pi_1_secret_2" in page.text
    assert " name=" not in page.text.partition('id="payment"')[2].partition("</form>")[0]


def test_with_stripe_itself_its_own_script_is_let_in_and_nothing_stands_in(fake: FakeApi) -> None:
    with open_pages(fake, STRIPE_API_BASE="https://api.stripe.com") as browser:
        is_held(fake, browser)
        fake.answers["POST", "/api/payments"] = answer({"clientSecret": "pi_1_secret_2"}, 201)
        page = browser.get(f"{PATH}/pay")
        assert 'src="https://js.stripe.com/v3/"' in page.text
        assert "frame-src https://js.stripe.com" in page.headers["Content-Security-Policy"]
        assert "/standin" not in page.text
        assert "The payment service needs JavaScript" in page.text
        assert "stripe" not in browser.get("/matches").headers["Content-Security-Policy"]


@pytest.mark.parametrize("language", ["en", "ar", "es", "fr"])
def test_letters_shall_be_in_the_language_of_the_page(fake: FakeApi, browser: Browser, language: str) -> None:
    fake.answers["POST", "/api/reservations"] = answer(reservation("held", accessToken=TOKEN), 201)
    browser.post("/matches/3/hold", wish(), language=language)
    assert json.loads(fake.sent("POST", "/api/reservations").content)["language"] == language


NAMED = {
    "en": ("Belgium", "Canada", "Al Bayt Stadium, Al Khor"),
    "ar": ("بلجيكا", "كندا", "استاد البيت، الخور"),
    "es": ("Bélgica", "Canadá", "Al Bayt Stadium, Al Khor"),
    "fr": ("Belgique", "Canada", "Al Bayt Stadium, Al Khor"),
}


@pytest.mark.parametrize("language", NAMED)
def test_teams_and_places_are_named_in_the_visitors_language(fake: FakeApi, browser: Browser, language: str) -> None:
    home, away, place = NAMED[language]
    fake.matches[3] |= {"homeTeam": "Belgium", "awayTeam": "Canada"}
    fake.answers["POST", "/api/reservations"] = answer(reservation("held", accessToken=TOKEN), 201)
    browser.post("/matches/3/hold", wish())
    fake.answers["GET", f"/api/reservations/{RESERVATION}"] = answer(reservation("held"))
    match, held = (browser.get(path, language=language).text for path in ("/matches/3", PATH))
    assert f"<title>{home} – {away} · Matchday</title>" in match
    assert f"<bdi>{home}</bdi> – <bdi>{away}</bdi>" in held
    for page in (match, held, browser.get("/matches", language=language).text):
        assert all(f"<bdi>{name}</bdi>" in page for name in NAMED[language])
        assert language in ("en", "fr") or "Canada<" not in page
        assert language != "ar" or re.search("نوفمبر( 2022)?، ", page)
    (event,) = Calendar.from_ical(browser.get("/matches/3/calendar.ics", language=language).data).walk("VEVENT")
    assert (str(event["SUMMARY"]), str(event["LOCATION"])) == (f"{home} – {away}", place)
    assert event["LOCATION"].params.get("LANGUAGE") == language


def test_a_place_of_the_knock_out_says_what_decides_it(fake: FakeApi, browser: Browser) -> None:
    fake.matches[3] |= {"homeTeam": "1A", "awayTeam": "W49"}
    assert (
        "<title>متصدر المجموعة A – الفائز من المباراة 49 · Matchday</title>"
        in browser.get("/matches/3", language="ar").text
    )


@pytest.mark.parametrize(("language", "said"), [("en", "Group"), ("ar", "المجموعة"), ("es", "Grupo"), ("fr", "Groupe")])
def test_the_calendar_file_is_in_the_language_of_the_page(browser: Browser, language: str, said: str) -> None:
    file = browser.get("/matches/3/calendar.ics", language=language)
    (event,) = Calendar.from_ical(file.data).walk("VEVENT")
    assert event["DESCRIPTION"].params.get("LANGUAGE") == language
    assert event["SUMMARY"].params.get("LANGUAGE") == language
    assert said in str(event["DESCRIPTION"])


def test_tickets_and_their_files_are_opened_with_the_guests_token(fake: FakeApi, browser: Browser) -> None:
    ticket = {
        "id": TICKET, "reservationId": RESERVATION, "number": 1, "matchNumber": 3, "category": 1, "status": "valid",
        "code": "a.b.c", "issuedAt": "2022-11-01T00:00:00Z",
    }  # fmt: skip
    is_held(fake, browser, "reserved")
    fake.answers["GET", "/api/tickets"] = answer({"items": [ticket], "nextCursor": None})
    fake.answers["GET", "/api/reservations"] = answer({"items": [reservation("reserved")], "nextCursor": None})
    fake.answers["GET", f"/api/tickets/{TICKET}.png"] = httpx.Response(200, content=b"png")
    page = browser.get("/tickets").text
    assert f'src="/tickets/{RESERVATION}/{TICKET}.png"' in page
    assert "a.b.c" not in page
    picture = browser.get(f"/tickets/{RESERVATION}/{TICKET}.png")
    assert (picture.get_data(), picture.content_type, picture.headers["Cache-Control"]) == (
        b"png",
        "image/png",
        "no-store",
    )
    assert fake.sent("GET", f"/api/tickets/{TICKET}.png").headers["Authorization"] == f"Bearer {TOKEN}"


def paged(*pages: list[dict[str, Any]]) -> Callable[[httpx.Request], httpx.Response]:
    """Answers with one page after another; their cursors are their numbers."""

    def tell(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("cursor", "0"))
        after = str(number + 1) if number + 1 < len(pages) else None
        return answer({"items": pages[number], "nextCursor": after})

    return tell


def ticket_of(match: int, reservation_id: str = RESERVATION) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()), "reservationId": reservation_id, "number": 1, "matchNumber": match, "category": 1,
        "status": "valid", "code": "a.b.c", "issuedAt": "2022-11-01T00:00:00Z",
    }  # fmt: skip


def test_an_account_sees_its_tickets_and_holds_of_all_pages(fake: FakeApi, browser: Browser) -> None:
    browser.keep("matchday_access", browser.signer.sign(browser.signer.claims()))
    fake.answers["GET", "/api/tickets"] = paged([ticket_of(3)], [ticket_of(4)], [ticket_of(5)])
    fake.answers["GET", "/api/reservations"] = paged([reservation("cancelled")], [reservation("held", matchNumber=9)])
    page = browser.get("/tickets").text
    for number in (3, 4, 5):
        assert f'id="match-{number}"' in page
    assert "Qatar 9" in page, "what is not paid yet stands on the second page"
    assert "/tickets?cursor=" not in page


def test_what_one_page_cannot_show_is_behind_a_link(fake: FakeApi, browser: Browser) -> None:
    browser.keep("matchday_access", browser.signer.sign(browser.signer.claims()))
    fake.answers["GET", "/api/tickets"] = paged(*[[ticket_of(3)] for _ in range(20)], [ticket_of(4)])
    fake.answers["GET", "/api/reservations"] = paged([])
    page = browser.get("/tickets").text
    assert 'href="/tickets?cursor=20"' in page
    assert 'id="match-4"' not in page
    assert 'id="match-4"' in browser.get("/tickets?cursor=20").text


def test_the_export_has_all_that_the_services_know_of_an_account(fake: FakeApi, browser: Browser) -> None:
    browser.keep("matchday_access", browser.signer.sign(browser.signer.claims()))
    fake.answers["GET", "/api/users/me/export"] = answer({"user": {"country": "AR"}})
    kinds = {"reservations": "/api/reservations", "tickets": "/api/tickets", "payouts": "/api/payouts",
             "listings": "/api/resale/listings/mine"}  # fmt: skip
    for kind, path in kinds.items():
        fake.answers["GET", path] = paged([{"first": kind}], [{"second": kind}])
    exported = json.loads(browser.get("/account/export").text)
    assert exported == {"account": {"user": {"country": "AR"}}} | {
        kind: [{"first": kind}, {"second": kind}] for kind in kinds
    }


def test_a_reservation_finds_its_tickets_among_many(fake: FakeApi, browser: Browser) -> None:
    is_held(fake, browser, "reserved")
    others = [ticket_of(4, str(uuid.uuid4())) for _ in range(3)]
    mine = ticket_of(3)
    fake.answers["GET", "/api/tickets"] = paged(others, [mine])
    assert f"{mine['id']}.png" in browser.get(PATH).text


def test_who_is_not_signed_in_is_asked_to_and_comes_back(fake: FakeApi, browser: Browser) -> None:
    assert browser.get("/account").headers["Location"] == "/sign-in?next=%2Faccount"
    user = {"id": RESERVATION, "email": "ada@example.org", "language": "fr"}
    token = browser.signer.sign(browser.signer.claims())
    tokens = {"accessToken": token, "refreshToken": "r-1", "expiresIn": 600, "user": user}
    fake.answers["POST", "/api/users/signin"] = answer(tokens)
    form = {"email": "ada@example.org", "password": " with blanks ", "next": "/account"}
    before = browser.cookie("matchday_form")
    assert browser.post("/sign-in", form).headers["Location"] == "/account"
    assert b'" with blanks "' in fake.sent("POST", "/api/users/signin").content
    assert browser.cookie("matchday_language") == "fr", "the account's language counts"
    assert browser.cookie("matchday_form") != before, "older forms are void"
    fake.answers["GET", "/api/users/me"] = problem(401, "unauthenticated")
    fake.answers["POST", "/api/users/refresh"] = problem(401, "refresh_token_reused")
    assert browser.get("/account").headers["Location"].startswith("/sign-in")
    assert browser.get("/account").headers["Location"].startswith("/sign-in")
    assert browser.cookie("matchday_refresh") is None, "a session that has ended is forgotten"


def test_an_access_token_that_is_over_is_renewed_on_the_way(fake: FakeApi, browser: Browser) -> None:
    browser.keep("matchday_refresh", "r-1")
    token = browser.signer.sign(browser.signer.claims())
    fake.answers["POST", "/api/users/refresh"] = answer({"accessToken": token, "refreshToken": "r-2", "expiresIn": 600})
    assert "Account" in browser.get("/matches").text
    assert (browser.cookie("matchday_access"), browser.cookie("matchday_refresh")) == (token, "r-2")


@pytest.mark.parametrize("code", ["wrong_credentials", "rate_limited"])
def test_a_sign_in_that_fails_tells_why_and_keeps_no_password(fake: FakeApi, browser: Browser, code: str) -> None:
    fake.answers["POST", "/api/users/signin"] = problem(401 if code == "wrong_credentials" else 429, code)
    page = browser.post("/sign-in", {"email": "ada@example.org", "password": "secret-word", "next": "//evil.example"})
    assert 'role="alert"' in page.text
    assert "secret-word" not in page.text
    assert "evil.example" not in page.text
