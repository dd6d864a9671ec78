"""The way to the services: the one place where the pages speak HTTP to somebody.

Each visit has its own `Calls`, which hand on who the visitor is: the access token, the client's address, what the
browser says of itself, the trace, and the pass that a solved challenge has earned.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from uuid import uuid4

import httpx
import structlog

from client.settings import ClientSettings
from security.engine.challenge import PASS_HEADER, SOLUTION_HEADER
from shared import tracing

log = structlog.get_logger(__name__)

CONNECT_SECONDS_MAX = 2.0
CONNECTIONS_MAX = 256
STREAMS_SPARE = 16  # streams that are opened while `LIVE_RELAYS_MAX` are, to be told that there are too many
QUERY_LONGEST = 4000  # characters; what a service takes is far shorter, and a longer address would not be sent at all
SMALL_BYTES_MAX = 256 * 1024
FRAMING = ("content-encoding", "content-length", "transfer-encoding")  # not true of a body that was read and unpacked
Json = dict[str, Any]


class Refused(Exception):
    """A service answered with a problem, or did not answer."""

    def __init__(self, code: str, status: int, problem: Mapping[str, Any], retry_after: int | None = None) -> None:
        super().__init__(f"{code}: {problem.get('detail', '')}")
        self.code = code
        self.status = status
        self.problem = problem
        self.retry_after = retry_after

    @property
    def errors(self) -> list[Mapping[str, Any]]:
        """Each thing that was wrong with what was sent."""
        found = self.problem.get("errors")
        return list(found) if isinstance(found, list) else []


@dataclass(frozen=True)
class Sender:
    """On whose behalf the services are asked."""

    address: str
    headers: Mapping[str, str]  # of the browser, to be handed on


@dataclass(frozen=True)
class Given:
    """What a service answered, when nothing was wrong."""

    status: int
    headers: httpx.Headers
    content: bytes
    json: Any


class Waits:
    """Who waits for a service until something changes. Each takes a thread and a connection, so only some may at once:
    whoever follows a reservation in a thousand tabs leaves the others theirs."""

    def __init__(self, most: int) -> None:
        self._free = threading.BoundedSemaphore(most)

    @contextmanager
    def up_to(self, seconds: float) -> Iterator[float]:
        """How long one may wait: `seconds`, or 0 while too many do. Then one is answered at once, and asks again."""
        granted = seconds > 0 and self._free.acquire(blocking=False)
        try:
            yield seconds if granted else 0
        finally:
            if granted:
                self._free.release()


class Lines:
    """The connections of one process to the services."""

    def __init__(self, settings: ClientSettings, transport: httpx.BaseTransport | None = None) -> None:
        """`transport` stands for the network in tests."""
        self.addresses = {
            "shop": settings.shop_url,
            "users": settings.users_url,
            "reservations": settings.reservations_url,
            "payments": settings.payments_url,
            "security": settings.security_url,
            "log": settings.shop_consumer_url,
            "analytics": settings.analytics_url,
        }
        self._seconds = settings.service_seconds_max
        self.waits = Waits(max(1, settings.http_threads // 2))
        self._client = _client(CONNECTIONS_MAX, transport)
        # Streams stay for hours. With connections of their own they take none from the pages.
        self._streams = _client(settings.live_relays_max + STREAMS_SPARE, transport)

    def timeout(self, waits: float) -> httpx.Timeout:
        return httpx.Timeout(self._seconds + waits, connect=CONNECT_SECONDS_MAX)

    def request(self, method: str, service: str, path: str, waits: float, **options: Any) -> httpx.Response:
        return self._client.request(
            method, self.addresses[service] + path, timeout=self.timeout(waits), **options
        )  # fmt: skip

    def request_within(self, seconds: float, method: str, service: str, path: str, **options: Any) -> httpx.Response:
        """The same for an answer that must be small and come soon, all of it. Raises `httpx.ReadTimeout`, too."""
        ends, body = time.monotonic() + seconds, b""
        address = self.addresses[service] + path
        # The time-out of the library is for each piece: who sends a byte now and then could keep a visitor waiting.
        with self._client.stream(method, address, timeout=seconds, **options) as answer:
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > SMALL_BYTES_MAX or time.monotonic() > ends:
                    raise httpx.ReadTimeout("too slow or too long", request=answer.request)
        headers = [(name, value) for name, value in answer.headers.multi_items() if name not in FRAMING]
        return httpx.Response(answer.status_code, headers=headers, content=body, request=answer.request)

    def stream(self, service: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
        """An answer that is read piece by piece; whoever asks closes it."""
        request = self._streams.build_request("GET", self.addresses[service] + path, headers=headers)
        request.extensions["timeout"] = httpx.Timeout(CONNECT_SECONDS_MAX, read=60.0).as_dict()
        return self._streams.send(request, stream=True)

    def check_shop(self) -> None:
        """For readiness. Raises when the shop does not answer."""
        self._client.get(self.addresses["shop"] + "/health/live", timeout=CONNECT_SECONDS_MAX).raise_for_status()

    def close(self) -> None:
        self._client.close()
        self._streams.close()


def _client(connections: int, transport: httpx.BaseTransport | None) -> httpx.Client:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=64)
    # All visitors share the connections: no cookie that one of them is given may go along with what another asks.
    keeps_none = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx.Client(
        trust_env=False, limits=limits, transport=transport, follow_redirects=False, cookies=keeps_none
    )  # fmt: skip


class Calls:
    """One visit's questions to the services."""

    def __init__(self, lines: Lines, sender: Sender) -> None:
        self._lines = lines
        self._sender = sender
        self.token: str | None = None  # the account's access token
        self.challenge_pass: str | None = None
        self.on_pass: Callable[[str], None] = lambda _text: None

    def get(self, service: str, path: str, **options: Any) -> Any:
        """The JSON of a GET; see `ask`."""
        return self.ask("GET", service, path, **options).json

    def post(self, service: str, path: str, body: Any = None, **options: Any) -> Any:
        """The JSON of the answer to a POST; see `ask`."""
        return self.ask("POST", service, path, body=body, **options).json

    def ask(
        self,
        method: str,
        service: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        token: str | None = None,
        anonymous: bool = False,
        key: str | None = None,
        waits: float = 0,
        solution: str | None = None,
        headers: Mapping[str, str] | None = None,
        within: float | None = None,
    ) -> Given:
        """One request. Raises `Refused`.

        `token` is sent in place of the account's access token, `anonymous` sends none. `key` is an Idempotency-Key.
        `waits` are the seconds that the service was asked to wait before it answers; `headers` go with this one only.
        `within` so many seconds the whole answer must have come, in place of the usual time.
        """
        sent = self.headers(None if anonymous else token or self.token) | dict(headers or {})
        sent |= {"Idempotency-Key": key} if key else {}
        sent |= {SOLUTION_HEADER: solution} if solution else {}
        if not all(is_header(given) for given in (key, solution, token) if given):
            raise Refused("bad_request", 400, {"detail": "a value cannot stand in a header"})
        if sum(len(str(value)) for value in (query or {}).values()) > QUERY_LONGEST:
            raise Refused("validation_failed", 422, {"detail": "a value is too long for an address"})
        options: dict[str, Any] = {} if body is None else {"json": body}
        try:
            options |= {"headers": sent, "params": query or {}}
            if within is None:
                answer = self._lines.request(method, service, path, waits, **options)
            else:
                answer = self._lines.request_within(within, method, service, path, **options)
        except httpx.HTTPError as error:
            log.warning("service_out_of_reach", service=service, path=path, error=repr(error))
            raise Refused("dependency_unavailable", 503, {"service": service}, 2) from error
        earned = answer.headers.get(PASS_HEADER)
        if earned:
            self.challenge_pass = earned
            self.on_pass(earned)
        if answer.status_code >= 400:
            raise _refused(answer)
        return Given(answer.status_code, answer.headers, answer.content, _json(answer))

    def waiting(self, seconds: float) -> AbstractContextManager[float]:
        """For as long as a service is asked to wait: how many seconds of these it may be asked for (see `Waits`)."""
        return self._lines.waits.up_to(seconds)

    def headers(self, token: str | None) -> dict[str, str]:
        """What every request of this visit bears."""
        headers = {**self._sender.headers, "X-Forwarded-For": self._sender.address}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {PASS_HEADER: self.challenge_pass} if self.challenge_pass else {}
        request_id, traceparent = tracing.request_id(), tracing.traceparent()
        headers |= {"X-Request-Id": request_id} if request_id else {}
        headers |= {"traceparent": traceparent} if traceparent else {}
        return headers

    def follow(self, service: str, path: str, last_event_id: str | None) -> httpx.Response:
        """A stream of events, open. Raises `Refused`."""
        headers = self.headers(None) | {"Accept": "text/event-stream"}
        headers |= {"Last-Event-ID": last_event_id} if last_event_id else {}
        try:
            answer = self._lines.stream(service, path, headers)
            if answer.status_code >= 400:
                answer.read()
                answer.close()
                raise _refused(answer)
        except httpx.HTTPError as error:
            raise Refused("dependency_unavailable", 503, {"service": service}, 2) from error
        return answer


def is_header(text: str) -> bool:
    """Whether a text that a visitor has sent can go on in a header as it is."""
    return text.isascii() and text.isprintable()


def new_key() -> str:
    """An idempotency key."""
    return str(uuid4())


def _json(answer: httpx.Response) -> Any:
    if not answer.headers.get("Content-Type", "").partition(";")[0].endswith("json") or not answer.content:
        return None
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def _refused(answer: httpx.Response) -> Refused:
    read = _json(answer)
    problem = read if isinstance(read, dict) else {}
    retry = answer.headers.get("Retry-After", "")
    code = str(problem.get("code", "internal_error"))
    return Refused(code, answer.status_code, problem, int(retry) if retry.isdecimal() else None)
