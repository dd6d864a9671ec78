"""The shop recommends, whatever analytics does: on a real PostgreSQL, with analytics there, down, slow and absurd."""

import base64
import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from shared.database import Database
from shared.http import identity
from shared.settings import load
from shared.site_events import pseudonym
from shop.app import create_app
from shop.settings import ShopSettings
from tests.contract.door import NOWHERE, fill
from tests.no_redis import NO_REDIS
from tests.tokens import Signer

TOKEN, SECRET = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
SIX = {"Argentina", "Brazil", "Costa Rica", "Ecuador", "Mexico", "Uruguay"}
GOOD = {
    "items": [
        {"matchNumber": 64, "score": 2.0, "reason": {"code": "like_others"}},
        {"matchNumber": 1, "score": 1.0, "reason": {"code": "follows_team", "team": "Qatar"}},
    ],
    "modelVersion": "20221119T000000Z-0123abcd",
    "synthetic": True,
}


@dataclass
class Analytics:
    """A server in analytics' place: answers as it is told, byte for byte."""

    url: str = ""
    status: int = 200
    content: bytes = json.dumps(GOOD).encode()
    requests: list[tuple[dict[str, list[str]], str]] = field(default_factory=list)
    dribbles: bool = False
    open: threading.Event = field(default_factory=threading.Event)  # cleared: requests hang until it is set


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        there = cast(Analytics, cast(Any, self.server).analytics)
        there.requests.append((parse_qs(urlsplit(self.path).query), self.headers["Authorization"]))
        there.open.wait(20)
        with contextlib.suppress(OSError):
            self.send_response(there.status)
            self.send_header("Content-Length", str(len(there.content)))
            self.end_headers()
            for place in range(0, len(there.content), 1 if there.dribbles else len(there.content) or 1):
                self.wfile.write(there.content[place : place + 1] if there.dribbles else there.content)
                if there.dribbles:
                    time.sleep(0.05)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


@pytest.fixture
def analytics() -> Iterator[Analytics]:
    there = Analytics()
    there.open.set()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.analytics = there  # type: ignore[attr-defined]
    there.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield there
    there.open.set()
    server.shutdown()
    thread.join()
    server.server_close()


signer = Signer()
Ask = Callable[..., Any]


@dataclass
class Shop:
    """A shop whose analytics stands at some address."""

    database_url: str
    closing: contextlib.ExitStack

    def at(self, analytics_url: str, **more: str) -> Ask:
        given = {
            "PORT": "3000", "DATABASE_URL": self.database_url, "KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
            "SERVICE_TOKEN": TOKEN, "ANALYTICS_SECRET": SECRET, "ANALYTICS_URL": analytics_url,
            "RECOMMENDATIONS_END_AT_KICK_OFF": "off", "RECOMMENDATIONS_SECONDS_MAX": "2", **NO_REDIS, **more,
        }  # fmt: skip
        app = create_app(load(ShopSettings, given))
        self.closing.callback(app.end)
        self.closing.callback(app.stop)
        client = app.test_client()

        def ask(language: str = "en", limit: int = 6, token: str | None = None) -> Any:
            headers = {"Accept-Language": language} | ({"Authorization": f"Bearer {token}"} if token else {})
            answer = client.get(f"/api/recommendations?limit={limit}", headers=headers)
            assert answer.status_code == 200, answer.text
            assert answer.headers["Cache-Control"] == "private, no-cache"
            assert "Accept-Language" in answer.headers["Vary"]
            return answer.get_json()

        return ask


@pytest.fixture
def shop(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(identity, "fetch_from", lambda _: signer.jwks)
    fill(database_url)
    with contextlib.ExitStack() as closing:
        yield Shop(database_url, closing)


def numbers(answer: Any) -> list[int]:
    return [item["match"]["matchNumber"] for item in answer["items"]]


def teams(item: Any) -> set[str]:
    return {item["match"]["homeTeam"], item["match"]["awayTeam"]}


def closed_port() -> int:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return int(reserved.getsockname()[1])


def test_the_model_s_advice_is_given_with_its_reasons(shop: Shop, analytics: Analytics) -> None:
    found = shop.at(analytics.url)("es-AR")
    assert numbers(found) == [64, 1]
    assert found["items"][1]["reason"] == {"code": "follows_team", "team": "Qatar", "country": None, "region": None}
    assert (found["source"], found["synthetic"], found["country"]) == ("model", True, "AR")
    assert found["modelVersion"] == GOOD["modelVersion"]
    query, authorization = analytics.requests[0]
    assert (query["country"], query["language"]) == (["AR"], ["es"])
    assert "subject" not in query
    assert authorization == f"Bearer {TOKEN}"


def test_analytics_hears_a_pseudonym_and_never_the_account(shop: Shop, analytics: Analytics) -> None:
    token = signer.bearer()["Authorization"].removeprefix("Bearer ")
    shop.at(analytics.url)("en-GB", token=token)
    query, _ = analytics.requests[0]
    account_id = json.loads(_payload(token))["sub"]
    assert query["subject"] == [pseudonym(SecretStr(SECRET), account_id)]
    assert account_id not in str(query)


def _payload(token: str) -> bytes:
    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_what_is_sold_out_is_not_recommended(shop: Shop, analytics: Analytics) -> None:
    settings = load(ShopSettings, {
        "PORT": "3000", "DATABASE_URL": shop.database_url, "KAFKA_BOOTSTRAP_SERVERS": NOWHERE, "SERVICE_TOKEN": TOKEN,
        "ANALYTICS_SECRET": SECRET, **NO_REDIS,
    })  # fmt: skip
    database = Database(settings, "test")
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE shop.pools SET sold = 1000000 WHERE match_number = 64")
    database.close()
    assert numbers(shop.at(analytics.url)()) == [1]


@pytest.mark.parametrize(
    ("language", "first"), [("es-CO", SIX), ("pt-BR", {"Brazil"}), ("fr-SN", {"Senegal"}), ("en-AU", {"Australia"})]
)
def test_with_analytics_down_the_table_of_regions_decides(shop: Shop, language: str, first: set[str]) -> None:
    found = shop.at(f"http://127.0.0.1:{closed_port()}")(language)
    assert (found["source"], found["modelVersion"], found["synthetic"]) == ("country", None, False)
    assert len(found["items"]) == 6
    assert teams(found["items"][0]) & first
    if language == "es-CO":
        assert all(teams(item) & SIX for item in found["items"])
        assert {item["reason"]["code"] for item in found["items"]} == {"region"}


def test_with_nothing_known_the_soonest_matches_are_given(shop: Shop) -> None:
    found = shop.at(f"http://127.0.0.1:{closed_port()}")("en")
    assert (found["source"], found["country"]) == ("soonest", None)
    dates = [item["match"]["dateUtc"] for item in found["items"]]
    assert dates == sorted(dates)
    assert {item["reason"]["code"] for item in found["items"]} == {"soonest"}


def test_what_has_begun_is_not_recommended(shop: Shop, analytics: Analytics) -> None:
    found = shop.at(analytics.url, RECOMMENDATIONS_END_AT_KICK_OFF="on")("es-AR")
    assert found["items"] == []  # the list is of 2022
    assert not analytics.requests


@pytest.mark.parametrize("dribbles", [False, True])
def test_who_is_slow_is_not_waited_for(shop: Shop, analytics: Analytics, dribbles: bool) -> None:
    analytics.dribbles = dribbles
    if not dribbles:
        analytics.open.clear()
    ask = shop.at(analytics.url, RECOMMENDATIONS_SECONDS_MAX="0.15", RECOMMENDATIONS_PAUSE_SECONDS="600")
    begun = time.monotonic()
    assert ask("es-AR")["source"] == "country"
    # The hundred bytes that dribble would take seconds; under load other things may take some time, too.
    assert time.monotonic() - begun < 5.0
    for _ in range(10):
        assert ask("es-AR")["source"] == "country"
    assert len(analytics.requests) <= 3  # after three failures nobody waits any more


def test_who_comes_back_is_asked_again(shop: Shop, analytics: Analytics) -> None:
    analytics.status = 503
    ask = shop.at(analytics.url, RECOMMENDATIONS_FAILURES_MAX="1", RECOMMENDATIONS_PAUSE_SECONDS="0.2")
    assert ask()["source"] == "soonest"
    analytics.status = 200
    ends = time.monotonic() + 20
    while ask()["source"] != "model":
        assert time.monotonic() < ends
        time.sleep(0.05)


def changed(**members: object) -> bytes:
    return json.dumps(GOOD | members).encode()


def item(number: object, **reason: object) -> dict[str, object]:
    return {"matchNumber": number, "score": 1.0, "reason": reason}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>it works</html>",
        b"null",
        b"[]",
        b"{}",
        b'{"items": [], "modelVersion": 7, "synthetic": false}',
        b" " * 400_000,
        b"[" * 100_000,
        changed(items="all of them"),
        changed(items=[item("64", code="popular")]),
        changed(items=[item(64, code="because")]),
        changed(items=[item(64, code="popular"), item(64, code="popular")]),
        changed(items=[item(1, code="follows_team", team="Argentina")]),
        changed(items=[item(1, code="follows_team")]),
        changed(items=[item(1, code="region", team="Ecuador", region="atlantis")]),
        changed(items=[item(1, code="popular_in_country", country="FR")]),
        changed(items=[item(9_999, code="popular")]),
        changed(synthetic="no"),
    ],
)
def test_nonsense_is_not_handed_on(shop: Shop, analytics: Analytics, content: bytes) -> None:
    analytics.content = content
    found = shop.at(analytics.url)("es-AR")
    assert found["source"] == "country"
    assert teams(found["items"][0]) & {"Argentina"}
    assert len(analytics.requests) == 1
