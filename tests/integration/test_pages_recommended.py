"""Recommendations on the list of matches: what is told, and that the page never suffers from them."""

import gzip
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from client.calls import Calls, Lines, Refused, Sender
from client.kernel.languages import NAMES
from client.settings import ClientSettings
from shared.regions import REGION_OF
from shared.settings import load
from shop.recommendations.domain import ReasonCode
from tests.fake_api import Browser, FakeApi, Json, answer, match_of, open_pages, problem
from tests.no_redis import NO_REDIS

ASKED = ("GET", "/api/recommendations")
HEADING = {
    "en": "Recommended for you", "ar": "مقترحة لك", "es": "Recomendados para ti", "fr": "Recommandés pour vous",
}  # fmt: skip
COUNTRIES = {"en": "Brazil", "ar": "البرازيل", "es": "Brasil", "fr": "Brésil"}
TEAMS = {"en": "Argentina", "ar": "الأرجنتين", "es": "Argentina", "fr": "Argentine"}
REGIONS = {"en": "Latin America", "ar": "أمريكا اللاتينية", "es": "Latinoamérica", "fr": "Amérique latine"}
MADE_UP = "made-up data"
ARGENTINA = {"code": "follows_team", "team": "Argentina", "country": None, "region": None}
PARAMETERS = {"team": "Argentina", "country": "BR", "region": "latin_america"}
NEEDED = {
    "follows_team": ["team"], "home_team": ["team"], "region": ["region", "team"], "popular_in_country": ["country"],
}  # fmt: skip


def advice(*items: Json, source: str = "model", synthetic: bool = False) -> Json:
    """An answer of the shop."""
    version = "20221119T000000Z-0123abcd" if source == "model" else None
    return {"items": list(items), "source": source, "country": "BR", "modelVersion": version, "synthetic": synthetic}


def item(number: int = 30, reason: Json | None = None, **more: Any) -> Json:
    return {"match": {**match_of(number), **more}, "reason": reason or ARGENTINA}


@pytest.fixture
def fake() -> FakeApi:
    made = FakeApi()
    made.answers[ASKED] = answer(advice(item(30), item(31)))
    return made


@pytest.fixture
def browser(fake: FakeApi) -> Iterator[Browser]:
    with open_pages(fake, RECOMMENDED_WAIT_SECONDS="0.3") as opened:
        yield opened


def check_without(browser: Browser) -> None:
    """The page is there as always, and says nothing of recommendations."""
    page = browser.get("/matches")
    assert page.status_code == 200
    assert page.text.count('class="card"') == 24
    assert HEADING["en"] not in page.text
    assert 'class="card suggestion"' not in page.text


def test_matches_are_recommended_with_the_reason_and_a_link(browser: Browser) -> None:
    page = browser.get("/matches")
    assert f'<h2 id="recommended">{HEADING["en"]}</h2>' in page.text
    section = page.text.partition('aria-labelledby="recommended"')[2].partition("</section>")[0]
    assert [f'<a href="/matches/{number}">' in section for number in (30, 31)] == [True, True]
    assert section.count("Because you follow <bdi>Argentina</bdi>") == 2
    assert "Qatar 30" in section
    assert MADE_UP not in page.text


def test_the_shop_learns_who_asks_and_from_where(browser: Browser, fake: FakeApi) -> None:
    browser.get("/matches", language="es-CR,es;q=0.9")
    sent = fake.sent(*ASKED).headers
    assert sent["Accept-Language"] == "es-CR,es;q=0.9"
    assert "Authorization" not in sent
    token = browser.signer.sign(browser.signer.claims())
    browser.keep("matchday_access", token)
    page = browser.get("/matches")
    assert fake.sent(*ASKED).headers["Authorization"] == f"Bearer {token}"
    assert page.headers["Cache-Control"] == "no-store"
    assert "unsafe" not in page.headers["Content-Security-Policy"]


def test_made_up_data_is_called_so(browser: Browser, fake: FakeApi) -> None:
    fake.answers[ASKED] = answer(advice(item(), synthetic=True))
    assert MADE_UP in browser.get("/matches").text


@pytest.mark.parametrize("query", [{"q": "qatar"}, {"group": "A"}, {"sort": "price"}, {"cursor": "24"}])
def test_who_looks_for_something_is_not_recommended_anything(browser: Browser, fake: FakeApi, query: Json) -> None:
    page = browser.get(f"/matches?{urlencode(query)}")
    assert page.status_code == 200
    assert HEADING["en"] not in page.text
    assert not any(request.url.path == ASKED[1] for request in fake.seen)


def test_a_form_that_was_sent_empty_asks_for_everything(browser: Browser) -> None:
    assert HEADING["en"] in browser.get("/matches?q=&group=&availability=&sort=dateUtc").text


@pytest.mark.parametrize("code", [code.value for code in ReasonCode])
def test_each_reason_has_words_in_each_language(browser: Browser, fake: FakeApi, code: str) -> None:
    needed = NEEDED.get(code, [])
    told = {name: PARAMETERS[name] if name in needed else None for name in PARAMETERS}
    fake.answers[ASKED] = answer(advice(item(reason={"code": code, **told}), source="country"))
    found = set()
    for language, heading in HEADING.items():
        page = browser.get("/matches", language=language)
        assert heading in page.text
        words = page.text.partition('class="quiet small">')[2].partition("</p>")[0]
        names = {"team": TEAMS[language], "country": COUNTRIES[language], "region": REGIONS[language]}
        assert all(f"<bdi>{names[name]}</bdi>" in words for name in needed)
        assert "%" not in words
        found.add(re.sub("<bdi>.*?</bdi>", "", words))
    assert len(found - {""}) == len(NAMES) == len(HEADING)


@pytest.mark.parametrize("region", sorted(set(REGION_OF.values())))
def test_each_region_has_a_name(browser: Browser, fake: FakeApi, region: str) -> None:
    reason = {"code": "region", "team": "Argentina", "country": None, "region": region}
    fake.answers[ASKED] = answer(advice(item(reason=reason), source="country"))
    page = browser.get("/matches").text
    assert f"<bdi>{region.replace('_', ' ').title()}</bdi>" in page


def test_names_are_escaped(browser: Browser, fake: FakeApi) -> None:
    reason = {**ARGENTINA, "team": "<script>alert(1)</script>"}
    fake.answers[ASKED] = answer(advice(item(reason=reason, homeTeam="<script>")))
    page = browser.get("/matches").text
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("empty", [advice(), advice(item(), source="soonest")], ids=["nothing", "soonest"])
def test_where_nothing_is_known_nothing_is_recommended(browser: Browser, fake: FakeApi, empty: Json) -> None:
    fake.answers[ASKED] = answer(empty)
    check_without(browser)


def gone(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def torn(request: httpx.Request) -> httpx.Response:
    raise httpx.RemoteProtocolError("closed", request=request)


@pytest.mark.parametrize(
    "failure",
    [gone, torn, *(problem(status, "internal_error") for status in (400, 401, 403, 404, 429, 500, 503))],
    ids=str,
)
def test_a_failure_is_not_to_be_seen(browser: Browser, fake: FakeApi, failure: Any) -> None:
    fake.answers[ASKED] = failure
    check_without(browser)


@pytest.mark.parametrize(
    "nonsense",
    [
        None, [], "yes", 7, {}, {"items": "many"}, advice({}), advice(item(), source="stars"),
        advice(item(), synthetic="no"),  # type: ignore[arg-type]
        advice(*[item(number) for number in range(1, 9)]),
        advice(item(matchNumber="../../sign-out")), advice(item(matchNumber=-1)), advice(item(homeTeam=None)),
        advice(item(dateUtc="soon")), advice(item(dateUtc="0001-01-01T00:00:00+14:00")),
        advice(item(dateUtc="2022-11-20T16:00:00")),
        advice(item(reason={"code": "the_stars"})), advice(item(reason={"code": "follows_team"})),
        advice(item(reason={"code": "region", "team": "Argentina", "region": "atlantis"})),
        advice(item(reason={"code": "popular_in_country", "country": "Brazil"})),
    ],
    ids=lambda body: json.dumps(body)[-80:],
)  # fmt: skip
def test_nonsense_is_passed_over(browser: Browser, fake: FakeApi, nonsense: Any) -> None:
    fake.answers[ASKED] = answer(nonsense)
    check_without(browser)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"{", b"[" * 100_000, b"<!doctype html>", b" " * 300_000],
    ids=["nothing", "no text", "torn", "deep", "html", "long"],
)
def test_what_is_no_json_is_passed_over(browser: Browser, fake: FakeApi, content: bytes) -> None:
    fake.answers[ASKED] = httpx.Response(200, content=content, headers={"Content-Type": "application/json"})
    check_without(browser)


class Dribble(httpx.SyncByteStream):
    """An answer that comes byte by byte, and goes on for a minute."""

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(6000):
            yield b" "
            time.sleep(0.01)

    def close(self) -> None:
        self.is_closed = True


def test_an_answer_that_dribbles_is_waited_for_no_longer_than_the_setting_says(browser: Browser, fake: FakeApi) -> None:
    dribble = Dribble()
    fake.answers[ASKED] = httpx.Response(200, stream=dribble, headers={"Content-Type": "application/json"})
    began = time.monotonic()
    check_without(browser)
    assert time.monotonic() - began < 20, "the whole would take a minute"
    assert dribble.is_closed


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_shop_that_says_nothing_is_not_waited_for(silent: str) -> None:
    given = {"PORT": "9000", "SERVICE_TOKEN": "0123456789abcdef", "SHOP_URL": silent, **NO_REDIS}
    lines = Lines(load(ClientSettings, given))
    began = time.monotonic()
    with pytest.raises(Refused, match="dependency_unavailable"):
        Calls(lines, Sender("192.0.2.1", {})).ask("GET", "shop", "/api/recommendations", within=0.2)
    assert time.monotonic() - began < 8, "the usual time is ten seconds"
    lines.close()


def packed(body: Json) -> Callable[[httpx.Request], httpx.Response]:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    content = gzip.compress(json.dumps(body).encode())
    return lambda _request: httpx.Response(200, content=content, headers=headers)


def test_an_answer_may_be_compressed(browser: Browser, fake: FakeApi) -> None:
    fake.answers[ASKED] = packed(advice(item()))
    assert HEADING["en"] in browser.get("/matches").text
