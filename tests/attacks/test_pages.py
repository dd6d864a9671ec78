"""The pages as somebody meets them who wants them to stand still, to fail, or to take a form that is not theirs."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus

import httpx
import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Response

from client.calls import CONNECTIONS_MAX, Lines
from client.settings import ClientSettings
from shared.settings import load
from tests.eventually import eventually
from tests.fake_api import HERE, Browser, FakeApi, answer, open_pages
from tests.no_redis import NO_REDIS

HELD = "33333333-3333-4333-8333-333333333333"
THREADS = 8
PAYMENT = "44444444-4444-4444-8444-444444444444"
NOTHING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def fake() -> FakeApi:
    return FakeApi()


@pytest.fixture
def browser(fake: FakeApi) -> Iterator[Browser]:
    with open_pages(fake, HTTP_THREADS=str(THREADS)) as opened:
        yield opened


# Waiting for a service


class Following:
    """A reservation that stays held, and how many wait for it to change."""

    def __init__(self, fake: FakeApi) -> None:
        self.over = threading.Event()
        self.waiting = 0
        self._lock = threading.Lock()
        fake.answers["GET", f"/api/reservations/{HELD}"] = self._answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if "wait" in request.url.params:
            with self._lock:
                self.waiting += 1
            assert self.over.wait(60)
            with self._lock:
                self.waiting -= 1
        return answer({"id": HELD, "status": "held", "expiresAt": None, "matchNumber": 3})


def follow(browser: Browser, answered: list[int]) -> None:
    visitor = Browser(browser.app, browser.signer)  # the same browser's next tab
    visitor.keep("matchday_holds", f"{HELD}.signature")
    answered.append(visitor.get(f"/reservations/{HELD}/status?known=held").status_code)


def test_who_follows_a_reservation_in_many_tabs_leaves_threads_and_connections_for_others(
    browser: Browser, fake: FakeApi
) -> None:
    following, answered = Following(fake), list[int]()
    tabs = [threading.Thread(target=follow, args=(browser, answered)) for _ in range(3 * THREADS)]
    try:
        for tab in tabs:
            tab.start()
        eventually(lambda: len(answered) == len(tabs) - THREADS // 2, 30, "those that may not wait are answered")
        assert following.waiting == THREADS // 2
        assert browser.get("/matches").status_code == HTTPStatus.OK
    finally:
        following.over.set()
        for tab in tabs:
            tab.join(60)
    assert answered == [HTTPStatus.OK] * len(tabs)
    follow(browser, answered)
    assert "wait" in fake.sent("GET", f"/api/reservations/{HELD}").url.params, "now that none waits one may again"


@pytest.fixture
def endless() -> Iterator[str]:
    """A service with streams that never end, and short answers."""
    with ExitStack() as connections, socket.create_server(("127.0.0.1", 0), backlog=512) as listening:

        def serve() -> None:
            while True:
                try:
                    connection = connections.enter_context(listening.accept()[0])
                    asked = connection.recv(65_536)
                    connection.sendall(STREAM if b"stream" in asked else NOTHING)
                except OSError:
                    return

        server = threading.Thread(target=serve)
        server.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        server.join(10)


def test_streams_take_no_connection_from_the_pages(endless: str) -> None:
    many = CONNECTIONS_MAX + 1
    given = {"PORT": "9000", "SERVICE_TOKEN": "0123456789abcdef", "SHOP_URL": endless, "LIVE_RELAYS_MAX": str(many)}
    lines = Lines(load(ClientSettings, given | NO_REDIS))
    streams = [lines.stream("shop", "/stream", {}) for _ in range(many)]
    try:
        assert lines.request("GET", "shop", "/", 0).json() == {}
    finally:
        for stream in streams:
            stream.close()
        lines.close()


# What is no fault of ours


@pytest.mark.parametrize("path", ["/matches?q=", "/matches?cursor=", "/resale?cursor=", "/resale?priceMax="])
def test_a_text_that_fits_into_no_address_is_a_mistake_of_who_sends_it(browser: Browser, path: str) -> None:
    # Each of these letters takes nine in an address, and more than 65,536 are not sent.
    told = browser.get(path + "%EF%BF%BD" * 15_000)
    assert told.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "Something in the filter is not right." in told.text


@pytest.mark.parametrize("amount", ["1e999999", "1e1000000", "-1e999999", "sNaN", "Infinity"])
def test_an_amount_beyond_all_numbers_is_none(browser: Browser, fake: FakeApi, amount: str) -> None:
    browser.keep("matchday_access", browser.signer.sign(browser.signer.claims("admin")))
    browser.get("/sign-in")
    told = browser.post(f"/admin/payments/{PAYMENT}/refunds", {"amount": amount, "reason": "operator"})
    assert told.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    assert not [each for each in fake.seen if each.method == "POST"]


# Forms


@pytest.mark.parametrize("form", [{}, {"csrf": ""}])
def test_a_cookie_without_a_value_is_no_proof_that_a_form_is_ours(browser: Browser, form: dict[str, str]) -> None:
    visitor = Client(browser.app, Response, use_cookies=False)
    fields = {"language": "fr", "next": "/", **form}
    sent = visitor.post("/language", data=fields, headers={"Cookie": "matchday_form="}, environ_base=HERE)
    assert sent.status_code == HTTPStatus.FORBIDDEN
