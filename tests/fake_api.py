"""Services that exist in memory only: what the pages ask of them, answered as the real ones would.

    fake = FakeApi()
    with open_pages(fake) as browser:
        page = browser.get("/matches")

It holds as much as pages need to be drawn in each of their states; what the services really do is tested with them
(tests/browser). Whoever adds a question to `client/api.py` adds its answer here.
"""

import contextlib
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Response as WsgiResponse

from client.app import create_app
from client.kernel.pages import PagesApp
from client.settings import ClientSettings
from shared.settings import load
from tests.jwks import serve_keys
from tests.no_redis import NO_REDIS
from tests.tokens import Signer

Json = dict[str, Any]
HERE = {"REMOTE_ADDR": "127.0.0.1"}
MESSAGES = {
    "available": None,
    "temporarily_unavailable": "Ticket is temporarily unavailable",
    "sold_out": "Ticket is sold out",
}


class FakeApi:
    """Answers requests; `answers` are put before everything else by (method, path)."""

    def __init__(self) -> None:
        self.matches: dict[int, Json] = {number: match_of(number) for number in range(1, 49)}
        self.answers: dict[tuple[str, str], httpx.Response | Callable[[httpx.Request], httpx.Response]] = {}
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        ordered = self.answers.get((request.method, request.url.path))
        if ordered is not None:
            return ordered(request) if callable(ordered) else ordered
        if request.method == "GET" and request.url.path == "/api/matches":
            return self._list(request)
        if found := re.fullmatch(r"/api/matches/(\d+)", request.url.path):
            match = self.matches.get(int(found[1]))
            return answer(match) if match else problem(404, "not_found")
        return problem(404, "not_found")

    def _list(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params
        if query.get("dateFrom") == "never":
            return problem(422, "validation_failed", errors=[{"parameter": "dateFrom", "code": "wrong_format"}])
        words = query.get("q", "").lower()
        found = [m for m in self.matches.values() if words in f"{m['homeTeam']} {m['awayTeam']} {m['city']}".lower()]
        limit = int(query["limit"])
        after = int(query.get("cursor", "0"))
        page = found[after : after + limit]
        more = str(after + limit) if len(found) > after + limit else None
        return answer({"items": page, "nextCursor": more})

    def sent(self, method: str, path: str) -> httpx.Request:
        """The last request of this kind."""
        return next(each for each in reversed(self.seen) if (each.method, each.url.path) == (method, path))


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """An answer in JSON."""
    return httpx.Response(status, json=body, headers=headers)


def problem(status: int, code: str, retry_after: int | None = None, **members: Any) -> httpx.Response:
    """A problem document."""
    headers = {"Content-Type": "application/problem+json"} | ({"Retry-After": str(retry_after)} if retry_after else {})
    body = {"type": f"/docs#{code}", "title": code, "status": status, "detail": code, "code": code, **members}
    return httpx.Response(status, content=json.dumps(body), headers=headers)


def pool_of(category: int, status: str = "available", **more: Any) -> Json:
    """A price category."""
    left = {"available": (17, 18), "temporarily_unavailable": (0, 3), "sold_out": (0, 0)}[status]
    price = {1: 75, 2: 125, 3: 195}[category]
    numbers = {"capacity": 20, "pending": left[0], "reserved": left[1], "price": price, "currency": "USD"}
    return {"category": category, **numbers, "status": status, "message": MESSAGES[status], **more}


def match_of(number: int, *statuses: str) -> Json:
    """A match with a category for each of these statuses, or three that are available."""
    statuses = statuses or ("available",) * 3
    begins = datetime(2022, 11, 20, 16, tzinfo=UTC) + timedelta(hours=3 * number)
    return {
        "matchNumber": number, "roundNumber": 1, "stage": "Group stage", "dateUtc": begins.isoformat(),
        "location": "Al Bayt Stadium", "city": "Al Khor",
        "homeTeam": f"Qatar {number}", "awayTeam": "Côte d'Ivoire & co",
        "group": "A",
        "categories": [pool_of(index, status) for index, status in enumerate(statuses, 1)],
        "resale": {"open": 0, "lowestPrice": None},
    }  # fmt: skip


class Browser:
    """A browser without scripts: keeps cookies, follows nothing by itself."""

    def __init__(self, app: PagesApp, signer: Signer) -> None:
        self.app = app
        self.signer = signer
        self._client = Client(app, WsgiResponse)

    def get(self, path: str, language: str = "en", **headers: str) -> TestResponse:
        return self._client.get(
            path, environ_base=HERE, headers={"Accept-Language": language, "User-Agent": "Mozilla/5.0", **headers}
        )

    def post(self, path: str, form: Mapping[str, str], language: str = "en") -> TestResponse:
        """Sends a form as a page of ours would, with this browser's token."""
        token = self._client.get_cookie("matchday_form")
        fields = {"csrf": token.value if token else "", **form}
        return self._client.post(path, environ_base=HERE, data=fields, headers={"Accept-Language": language})

    def cookie(self, name: str) -> str | None:
        found = self._client.get_cookie(name)
        return found.value if found else None

    def keep(self, name: str, value: str) -> None:
        self._client.set_cookie(name, value)


@contextlib.contextmanager
def open_pages(fake: FakeApi, **more: str) -> Iterator[Browser]:
    """The pages in front of the fake services, and a browser for them."""
    signer = Signer()
    with serve_keys(signer) as users_url:
        given = {
            "PORT": "9000", "SERVICE_TOKEN": secrets.token_urlsafe(32), "USERS_URL": users_url, "COOKIES_SECURE": "off",
            "STRIPE_API_BASE": "http://127.0.0.1:12111", **NO_REDIS, **more,
        }  # fmt: skip
        app = create_app(load(ClientSettings, given), httpx.MockTransport(fake))
        browser = Browser(app, signer)
        try:
            yield browser
        finally:
            app.stop()
            app.end()
