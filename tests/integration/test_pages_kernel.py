"""The pages' kernel: who visits, forms, languages, refusals, what goes on to the services."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from client.kernel.visits import own_path
from shared.http.callers import Access
from tests.fake_api import Browser, FakeApi, answer, open_pages, problem


@pytest.fixture
def fake() -> FakeApi:
    return FakeApi()


@pytest.fixture
def browser(fake: FakeApi) -> Iterator[Browser]:
    with open_pages(fake, TRUSTED_PROXIES="127.0.0.0/8") as opened:
        yield opened


def test_the_first_page_is_the_list_of_matches(browser: Browser) -> None:
    assert browser.get("/").headers["Location"] == "/matches"
    page = browser.get("/matches")
    assert page.status_code == 200
    assert page.text.count('class="card"') == 24
    assert "cursor=24" in page.text


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "[::1]"])
def test_another_name_of_this_machine_leads_to_the_one_that_payments_and_mails_come_back_to(name: str) -> None:
    with open_pages(FakeApi(), PUBLIC_URL="http://127.0.0.1:9500") as browser:
        page = browser.get("/matches?q=a%20b&group=A", Host=f"{name}:9500")
        assert (page.status_code, page.headers["Location"]) == (307, "http://127.0.0.1:9500/matches?q=a%20b&group=A")
        for path in ("/sign-in?next=//elsewhere.example", "//elsewhere.example/"):
            assert browser.get(path, Host=f"{name}:9500").headers["Location"].startswith("http://127.0.0.1:9500/")


@pytest.mark.parametrize(
    ("public_url", "host"),
    [
        ("http://127.0.0.1:9500", "127.0.0.1:9500"),  # where the pages are
        ("http://127.0.0.1:9500", "localhost:8080"),  # a port that somebody forwards
        ("http://127.0.0.1:9500", "pages.example:9500"),
        ("https://tickets.example", "localhost:9500"),  # a look past the proxy
    ],
)
def test_a_page_is_shown_under_every_other_name(public_url: str, host: str) -> None:
    with open_pages(FakeApi(), PUBLIC_URL=public_url) as browser:
        assert browser.get("/matches", Host=host).status_code == 200
        for path in ("/health/live", "/openapi.json", "/docs"):
            assert browser.get(path, Host="localhost:9500").status_code == 200


def test_nothing_inline_and_nobody_else_is_let_into_a_page(browser: Browser) -> None:
    page = browser.get("/matches/1")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    for sign in ("<style", " style=", " onclick=", "javascript:", "<script>"):
        assert sign not in page.text


def test_what_comes_from_services_is_escaped(browser: Browser, fake: FakeApi) -> None:
    fake.matches[1]["homeTeam"] = "<script>alert(1)</script>"
    assert "<script>alert" not in browser.get("/matches/1").text


def test_the_services_are_told_who_asks(browser: Browser, fake: FakeApi) -> None:
    browser.get("/matches/1", **{"X-Request-Id": "abc", "X-Forwarded-For": "192.0.2.7"})
    sent = fake.sent("GET", "/api/matches/1").headers
    assert sent["X-Request-Id"] == "abc"
    assert sent["X-Forwarded-For"] == "192.0.2.7"
    assert sent["User-Agent"] == "Mozilla/5.0"
    assert sent["Accept-Language"] == "en"
    assert "traceparent" in sent
    assert "Cookie" not in sent


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/matches/999", 404), ("/matches/9999999999", 404)])
def test_what_is_not_there_is_told_as_a_page(browser: Browser, path: str, status: int) -> None:
    page = browser.get(path)
    assert page.status_code == status
    assert "<h1>" in page.text
    assert page.headers["X-Request-Id"] in page.text


@pytest.mark.parametrize(
    ("path", "above"),
    [
        ("/matches/9/hold", "/matches/9"),
        ("/account/profile", "/account"),
        ("/account/sessions/11111111-1111-4111-8111-111111111111/end", "/account"),
        ("/language", "/"),
    ],
)
def test_where_only_forms_go_an_address_leads_to_the_page_above(browser: Browser, path: str, above: str) -> None:
    """The page of a refused form stands at the form's address: a reload, or another language, asks for it by GET."""
    page = browser.get(path)
    assert (page.status_code, page.headers["Location"]) == (303, above)


def test_a_form_that_goes_to_where_only_pages_are_is_refused(browser: Browser) -> None:
    browser.get("/matches")
    page = browser.post("/matches/9", {})
    assert (page.status_code, page.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_a_service_that_is_away_is_told_honestly(browser: Browser, fake: FakeApi) -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    fake.answers["GET", "/api/matches"] = gone
    page = browser.get("/matches")
    assert page.status_code == 503
    assert page.headers["Retry-After"] == "2"
    assert "A part of this site is resting" in page.text


def test_a_form_without_this_browsers_token_is_refused(browser: Browser) -> None:
    browser.get("/matches")
    assert browser.post("/language", {"csrf": "guessed", "language": "fr", "next": "/matches"}).status_code == 403
    assert browser.cookie("matchday_language") is None
    assert browser.post("/language", {"language": "fr", "next": "/matches/3"}).headers["Location"] == "/matches/3"
    assert browser.cookie("matchday_language") == "fr"


@pytest.mark.parametrize(
    ("asked", "code", "direction"),
    [("en", "en", "ltr"), ("ar-EG, en;q=0.5", "ar", "rtl"), ("de, es-MX;q=0.8", "es", "ltr"), ("xx", "en", "ltr")],
)
def test_the_language_is_what_the_browser_asks_for(browser: Browser, asked: str, code: str, direction: str) -> None:
    page = browser.get("/matches", language=asked)
    assert f'<html lang="{code}" dir="{direction}">' in page.text
    assert page.headers["Content-Language"] == code


def test_what_was_chosen_counts_more_than_what_the_browser_asks_for(browser: Browser) -> None:
    browser.keep("matchday_language", "ar")
    assert browser.get("/matches", language="fr").headers["Content-Language"] == "ar"


@pytest.mark.parametrize(
    "text", [None, "", "http://elsewhere", "//elsewhere", "/\\elsewhere", "/a\r\nb", "matches", "/x" * 400]
)
def test_a_way_back_never_leads_to_another_site(text: str | None) -> None:
    assert own_path(text) == "/"
    assert own_path("/matches?q=a") == "/matches?q=a"


def test_kick_offs_are_told_by_the_clocks_of_the_site_s_matches(fake: FakeApi) -> None:
    with open_pages(fake) as browser:
        assert re.search(r"10:00\WPM</time> .*\(UTC\)", browser.get("/matches/2").text)
    with open_pages(fake, MATCH_TIME_ZONE="Asia/Qatar") as browser:
        assert re.search(r"1:00\WAM</time> .*\(local time\)", browser.get("/matches/2").text)


def test_the_way_back_from_signing_in_is_the_very_address(browser: Browser) -> None:
    asked = "/admin/payments?q=a%2Bb%23c&status=paid"
    sent = browser.get(asked).headers["Location"]
    assert sent.startswith("/sign-in?next=")
    assert parse_qs(urlsplit(sent).query) == {"next": [asked]}


def test_files_are_kept_for_good_by_the_name_of_their_content(browser: Browser) -> None:
    path = browser.get("/matches").text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    file = browser.get(path)
    assert file.status_code == 200
    assert file.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert browser.get("/static/style.css").status_code == 404


def test_the_first_page_is_small(browser: Browser) -> None:
    page = browser.get("/matches").text
    size = len(page.encode())
    for part in page.split('"'):
        if part.startswith("/static/"):
            size += len(browser.get(part).get_data())
    assert size < 100_000


def test_through_a_proxy_health_and_metrics_are_not_to_be_had(browser: Browser) -> None:
    assert browser.get("/health/live").get_json() == {"live": True, "service": "client"}
    assert b"matchday_http" in browser.get("/metrics").get_data()
    for path in ("/health/live", "/metrics"):
        assert browser.get(path, **{"X-Forwarded-For": "192.0.2.7"}).status_code == 404


def test_what_a_script_asks_in_vain_is_a_problem_and_not_a_page(browser: Browser, fake: FakeApi) -> None:
    for path in ("/reservations/7/status", "/matches/0/wait/status"):
        answered = browser.get(path)
        assert (answered.status_code, answered.content_type) == (404, "application/problem+json")
    assert browser.get("/matches/3/wait/status?x=1").status_code == 422
    browser.get("/matches")
    posted = browser.post("/matches/3/wait/status", {})
    assert (posted.status_code, posted.get_json()["code"]) == (405, "method_not_allowed")
    fake.answers["GET", "/api/availability/stream"] = problem(503, "too_many_streams", 5)
    full = browser.get("/api/availability/stream")
    assert (full.status_code, full.get_json()["code"], full.headers["Retry-After"]) == (503, "too_many_streams", "5")


def test_a_script_s_question_renews_the_session_as_a_page_does(browser: Browser, fake: FakeApi) -> None:
    browser.keep("matchday_refresh", "r-1")
    token = browser.signer.sign(browser.signer.claims())
    tokens = {"accessToken": token, "refreshToken": "r-2", "expiresIn": 600}
    fake.answers["POST", "/api/users/refresh"] = answer(tokens)
    assert browser.get("/matches/3/wait/status").status_code == 200
    assert (browser.cookie("matchday_access"), browser.cookie("matchday_refresh")) == (token, "r-2")
    browser.keep("matchday_access", "over")
    browser.keep("matchday_refresh", "r-3")
    fake.answers["POST", "/api/users/refresh"] = answer({**tokens, "refreshToken": "r-4"})
    reservation = "/reservations/4c5c3f5e-9d0e-4f49-8f3d-7a0f3f1f7c11/status"
    assert browser.get(reservation).status_code == 404, "the service knows none"
    assert browser.cookie("matchday_refresh") == "r-4", "what was renewed is kept though the question failed"


def test_a_challenge_keeps_what_was_asked_and_earns_a_pass(browser: Browser, fake: FakeApi) -> None:
    fake.answers["GET", "/api/matches"] = problem(403, "challenge_required")
    fake.answers["GET", "/api/security/challenge"] = answer({"parameters": {"nonce": "00"}, "signature": "ff"})
    page = browser.get("/matches?q=Qatar")
    assert page.status_code == 403
    assert 'name="challenge-next" value="/matches?q=Qatar"' in page.text
    fake.answers["GET", "/api/matches"] = answer({"items": [], "nextCursor": None}, 200, {"X-Challenge-Pass": "a.1.b"})
    form = {"challenge-solution": "solved", "challenge-next": "/matches?q=Qatar", "challenge-method": "get"}
    assert browser.post("/challenge", form).headers["Location"] == "/matches?q=Qatar"
    assert fake.sent("GET", "/api/matches").headers["X-Challenge-Solution"] == "solved"
    browser.get("/matches")
    assert fake.sent("GET", "/api/matches").headers["X-Challenge-Pass"] == "a.1.b"


def test_every_page_is_for_somebody_and_every_form_bears_a_token(fake: FakeApi) -> None:
    with open_pages(fake) as browser:
        for page in browser.app.declared:
            assert isinstance(page.access, Access)
            assert page.limit != "none" or page.path in ("/static/<name>", "/robots.txt")
            if page.method == "POST":
                path = page.path.replace("<int:number>", "1").replace("<uuid:", "<").partition("<")[0]
                refused = browser.post(path, {"csrf": "guessed"})
                assert refused.status_code in (401, 403, 404, 405), page.path
