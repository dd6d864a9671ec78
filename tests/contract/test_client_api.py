"""What the pages' scripts ask keeps what the document promises, whatever the services behind it answer."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from tests.contract.door import Door
from tests.fake_api import Browser, FakeApi, answer, open_pages, problem

HELD = "4c5c3f5e-9d0e-4f49-8f3d-7a0f3f1f7c11"
PLACE = "3.0a3a5a4e-7f0b-4a51-9f24-b8ad5d6d6f10.1.2.3"
STREAM = "/api/availability/stream"
EVENT = b'event: availability\ndata: {"matchNumber": 3, "categories": []}\n\n'
COOKIES = {"matchday_places": PLACE, "matchday_holds": f"{HELD}.signature"}
STATUSES = ("submitted", "held", "reserved", "cancelled", "expired", "lost")
STATES = ("waiting", "admitted", "expired", "used")
door = Door("client")
schema = schemathesis.openapi.from_wsgi("/openapi.json", door)


class Services(FakeApi):
    """Services that know each reservation, place and stream that somebody asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.refusal: httpx.Response | None = None
        self.status, self.state = "held", "waiting"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if self.refusal is not None:
            return self.refusal
        if re.fullmatch(r"/api/reservations/[^/]+", path):
            return answer({"id": HELD, "status": self.status, "expiresAt": "2022-11-20T12:00:00Z", "matchNumber": 3})
        if re.fullmatch(r"/api/waiting-rooms/\d+/places/[^/]+", path):
            return answer({"state": self.state, "position": 812, "pollSeconds": 7, "estimateSeconds": 100})
        if path == STREAM:
            return httpx.Response(200, stream=httpx.ByteStream(EVENT), headers={"Content-Type": "text/event-stream"})
        return answer({}) if path == "/health/live" else super().__call__(request)


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
def browser(services: Services) -> Iterator[Browser]:
    with open_pages(services) as opened:
        before, door.app = door.app, opened.app
        yield opened
        door.app = before


def _excluded(path: str) -> list[CheckFunction]:
    # A stream is text to OpenAPI 3.1; here it is read as events.
    return [response_schema_conformance] if path == STREAM else []


def ask(path: str, **more: Any) -> Any:
    """One request; its answer fits the document."""
    case = schema[path]["GET"].Case(cookies=COOKIES, **more)
    return case.call_and_validate(excluded_checks=[not_a_server_error, *_excluded(path)])


@schema.parametrize()
@pytest.mark.usefixtures("browser")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_to_a_script_is_a_documented_one(case: Case[Any]) -> None:
    case.call_and_validate(excluded_checks=_excluded(case.path))


@schema.exclude(path_regex="^/(health|metrics|docs|openapi)").parametrize()
@pytest.mark.usefixtures("browser")
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_about_what_the_browser_has_is_a_documented_one(case: Case[Any]) -> None:
    case.cookies = COOKIES
    case.call_and_validate(excluded_checks=_excluded(case.path))


@pytest.mark.usefixtures("browser")
def test_each_status_of_a_reservation_is_told(services: Services) -> None:
    for services.status in STATUSES:
        told = ask("/reservations/{reservationId}/status", path_parameters={"reservationId": HELD}).json()
        assert told == {"status": services.status, "expiresAt": "2022-11-20T12:00:00Z"}


@pytest.mark.usefixtures("browser")
def test_each_state_of_a_place_is_told(services: Services) -> None:
    for services.state in STATES:
        told = ask("/matches/{matchNumber}/wait/status", path_parameters={"matchNumber": 3}).json()
        assert told == {"state": services.state, "position": 812, "pollSeconds": 7, "estimate": "2 minutes"}
    told = ask("/matches/{matchNumber}/wait/status", path_parameters={"matchNumber": 4}).json()
    assert told == {"state": "none", "position": None, "pollSeconds": None, "estimate": None}


@pytest.mark.usefixtures("browser")
def test_the_live_numbers_come_as_the_shop_sends_them() -> None:
    told = ask(STREAM, query={"matchNumber": 3})
    assert (told.content, told.headers["content-type"]) == (EVENT, ["text/event-stream; charset=utf-8"])


ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/reservations/{reservationId}/status", {"reservationId": HELD}),
    ("/matches/{matchNumber}/wait/status", {"matchNumber": 3}),
    (STREAM, {}),
)


@pytest.mark.parametrize(("path", "named"), ASKED, ids=[path for path, _ in ASKED])
@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (problem(429, "rate_limited", 7), 429, "rate_limited"),
        (problem(403, "challenge_required", challenge="/api/security/challenge"), 403, "challenge_required"),
        (problem(503, "overloaded", 1), 503, "overloaded"),
        (problem(500, "internal_error"), 500, "internal_error"),
        (problem(409, "something_new"), 503, "dependency_unavailable"),
        (httpx.Response(502, content=b"<h1>Bad gateway</h1>"), 500, "internal_error"),
    ],
    ids=["too fast", "challenged", "too many", "a bug", "of a later release", "of a proxy"],
)
def test_what_a_service_refuses_is_told_as_documented(
    browser: Browser, services: Services, path: str, named: Any, refusal: httpx.Response, status: int, code: str
) -> None:
    services.refusal = refusal
    told = ask(path, path_parameters=named)
    if path.startswith("/matches") and status == 403:
        assert told.json()["state"] == "none", "whatever the reason, there is no place that counts"
        return
    assert (told.status_code, told.json()["code"]) == (status, code)
    assert told.headers["content-type"] == ["application/problem+json"]
    assert told.json()["requestId"] == told.headers["x-request-id"][0]
    if "Retry-After" in refusal.headers:
        assert told.headers["retry-after"] == [refusal.headers["Retry-After"]]


def test_what_people_open_is_not_described(browser: Browser) -> None:
    described = set(browser.app.openapi()["paths"])
    assert described >= {path for path, _ in ASKED} | {"/health/live", "/health/ready", "/metrics"}
    for page in browser.app.declared:
        assert re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", page.path) not in described


def test_the_page_of_the_document_is_there_for_people(browser: Browser) -> None:
    page = browser.get("/docs")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "/reservations/{reservationId}/status" in page.text
