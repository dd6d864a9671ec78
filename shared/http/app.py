"""The HTTP app of every service: Flask inside, the house rules around it.

What each request gets: a request id and a trace, metrics, the security headers, and problem+json whatever
goes wrong. The work per request is kept in `HttpApp.__call__`, in plain code, because hooks cost more.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, cast

import structlog
from flask import Flask, Request, Response, request
from flask.sessions import SessionInterface
from flask.typing import ResponseReturnValue

from shared import metrics, tracing
from shared.errors import NotFound
from shared.http import docs, openapi, paths
from shared.http.actions import ActionBook, Auditor
from shared.http.auth import ServiceTokenGuard
from shared.http.body import BodyReader, leaves_body
from shared.http.callers import HEADERS_KEY, Accounts, Gate
from shared.http.client import ClientAddress
from shared.http.cors import Cors
from shared.http.door import Door
from shared.http.health import Check, Details, Readiness, health_routes
from shared.http.problems import as_error, problem_response
from shared.http.routes import NO_ROUTE, ROUTE_KEY, Endpoint, Routes
from shared.settings import HttpSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = structlog.get_logger(__name__)

SLOW_SECONDS = 1.0
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    # Browsers heed it only where it came by TLS.
    ("Strict-Transport-Security", "max-age=31536000"),
]
_API_POLICY = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
_CLOSE = ("Connection", "close")
_NO_STORE = ("Cache-Control", "no-store")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class _NoSession(SessionInterface):
    """Services keep no session in cookies, so none is opened or saved."""

    def open_session(self, app: Flask, request: Any) -> None:  # noqa: ARG002
        return None

    def make_null_session(self, app: Flask) -> Any:  # noqa: ARG002
        return None

    def is_null_session(self, obj: object) -> bool:  # noqa: ARG002
        return True


def create_http_app(
    name: str,
    description: str,
    settings: HttpSettings,
    *,
    routes: Sequence[Routes] = (),
    wiring: object = None,
    readiness: Mapping[str, Check] | None = None,
    details: Details | None = None,
    accounts: Accounts | None = None,
    gate: Gate | None = None,
    auditor: Auditor | None = None,
) -> "HttpApp":
    """The app of the service `name` with its routes, health, metrics and documentation.

    `accounts` tells who a token belongs to, `gate` decides whether a request may go on; without them nobody is
    signed in and every request may. `auditor` keeps the log of what admins change; without one they can change nothing.

    `readiness` names a check for each server that the service needs: it returns when all is well and raises
    otherwise. `details` adds members to `/health/ready`. `wiring` is handed to every handler that asks for it.
    """
    app = HttpApp(name, description, settings, accounts, gate, auditor)
    state = Readiness(name, readiness or {}, details)
    for part in (*routes, health_routes(name, state), docs.documentation_routes(app.openapi, app.page)):
        app.add_routes(part, wiring)
    return app


class HttpApp(Flask):
    """A Flask app whose routes are declared with `Routes`."""

    session_interface = _NoSession()

    def __init__(
        self,
        name: str,
        description: str,
        settings: HttpSettings,
        accounts: Accounts | None = None,
        gate: Gate | None = None,
        auditor: Auditor | None = None,
    ) -> None:
        super().__init__(name, static_folder=None, template_folder=None)
        self.description = description
        self.endpoints: list[Endpoint] = []
        self.parts: list[Routes] = []
        self._cors = Cors(settings.cors_origins)
        self._bodies = BodyReader(settings.http_threads * 3 // 4, settings.body_bytes_max)
        self._client = ClientAddress(settings.trusted_proxies)
        self._door = Door(
            self._client,
            ServiceTokenGuard(settings.service_token),
            accounts,
            gate,
            settings.reauthentication_seconds,
        )
        self._actions = ActionBook(name, auditor)
        self._on_stop: list[Callable[[], None]] = []
        self._on_end: list[Callable[[], None]] = []
        self._count = _RequestMetrics()
        self._debug = settings.log_level == "debug"
        self._document: dict[str, Any] | None = None
        self._page: str | None = None
        # Another spelling of an address is another address: no redirects.
        self.url_map.strict_slashes = True
        self.url_map.merge_slashes = False
        self.url_map.redirect_defaults = False

    def add_routes(self, part: Routes, wiring: object = None) -> None:
        """Adds declared routes; each request passes the door before its handler."""
        self.parts.append(part)
        for route in part.routes:
            endpoint = Endpoint(route, wiring, self._door.enter, self._bodies, self._actions)
            self.endpoints.append(endpoint)
            self.add_url_rule(
                route.flask_rule, f"{route.method} {route.path}", view_func=endpoint, methods=[route.method]
            )

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document of all routes."""
        if self._document is None:
            self._document = openapi.document(self.name, self.description, self.parts, self.endpoints)
        return self._document

    def page(self) -> str:
        """The documentation page."""
        if self._page is None:
            self._page = docs.page(self.openapi())
        return self._page

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Registers what must happen as soon as the process is asked to stop, such as ending open streams."""
        self._on_stop.append(callback)

    def on_end(self, callback: Callable[[], None]) -> None:
        """Registers what must be released after the last request, such as database connections."""
        self._on_end.append(callback)

    def stop(self) -> None:
        """Tells everybody that the process is about to end; requests in flight go on."""
        for callback in self._on_stop:
            callback()

    def end(self) -> None:
        """Releases everything; nothing is answered any more."""
        for callback in self._on_end:
            callback()

    def full_dispatch_request(self) -> Response:
        response = self._dispatch()
        if response.is_streamed and request.method == "HEAD":
            response.close()  # nobody will iterate it, so nobody else would
        return response

    def _dispatch(self) -> Response:
        if self.before_request_funcs or self.after_request_funcs:
            return super().full_dispatch_request()
        # Without hooks there is nothing to ask them; that saves a tenth of a request's time.
        try:
            return cast(Response, self.dispatch_request())
        except Exception as error:
            return self.handle_user_exception(error)

    def dispatch_request(self) -> ResponseReturnValue:
        if not paths.is_normal(request.environ):
            self._door.knock(request.environ)
            raise NotFound
        return super().dispatch_request()

    def raise_routing_exception(self, request: Request) -> NoReturn:
        if request.method in METHODS - {"OPTIONS"}:
            self._door.knock(request.environ)
        super().raise_routing_exception(request)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func  # no handler is a coroutine

    def handle_user_exception(self, e: Exception) -> Response:
        return problem_response(as_error(e))

    def handle_exception(self, e: Exception) -> Response:
        return problem_response(as_error(e))

    def make_default_options_response(self) -> Response:
        if request.url_rule is not None:
            request.environ[ROUTE_KEY] = request.url_rule.endpoint.partition(" ")[2]
        response = super().make_default_options_response()
        response.status_code = 204
        del response.headers["Content-Type"]
        self._cors.preflight(response)
        return response

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        begun = time.perf_counter()
        token = tracing.begin(environ.get("HTTP_X_REQUEST_ID"), environ.get("HTTP_TRACEPARENT"))
        metrics.HTTP_IN_PROGRESS.inc()
        exchange = _Exchange(environ, start_response, self._cors)
        try:
            result = self.wsgi_app(environ, exchange.start)
            if not exchange.streams:
                # As a list the server sends it in one piece, which it cannot do with an iterator.
                result = _drained(result)
            if exchange.status >= "4":
                self._door.leave(environ, int(exchange.status[:3]))
            self._tell(environ, exchange.status, time.perf_counter() - begun)
            return result
        finally:
            metrics.HTTP_IN_PROGRESS.dec()
            tracing.end(token)

    def _tell(self, environ: "WSGIEnvironment", status: str, seconds: float) -> None:
        method = environ["REQUEST_METHOD"]
        route = environ.get(ROUTE_KEY, NO_ROUTE)
        code = status[:3]
        self._count(route, method if method in METHODS else "other", code, seconds)
        if code >= "500":
            level = log.error
        elif code >= "400" or method not in _READING or seconds >= SLOW_SECONDS:
            level = log.info
        elif self._debug:
            level = log.debug
        else:
            return
        level(
            "request", method=method, route=route, path=environ.get("PATH_INFO"), status=int(code),
            milliseconds=round(seconds * 1000, 2), address=self._client.of(environ),
        )  # fmt: skip


class _Exchange:
    """One request's way out: completes the headers and remembers the status."""

    __slots__ = ("_cors", "_environ", "_start", "status", "streams")

    def __init__(self, environ: "WSGIEnvironment", start_response: "StartResponse", cors: Cors) -> None:
        self._environ = environ
        self._start = start_response
        self._cors = cors
        self.status = "500"
        self.streams = False

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        names = {name.lower() for name, _ in headers}
        if "cache-control" not in names:
            headers.append(_NO_STORE)
        if "content-security-policy" not in names:
            headers.append(_API_POLICY)
        headers += _SECURITY_HEADERS
        headers.append(("X-Request-Id", tracing.request_id() or ""))
        headers += self._cors.headers(self._environ.get("HTTP_ORIGIN"))
        headers += self._environ.get(HEADERS_KEY, ())
        if leaves_body(self._environ):
            # The server closes the connection then, and does not always say so: the next request on it would be lost.
            headers.append(_CLOSE)
        self.status = status
        self.streams = "content-length" not in names and status[:3] not in ("204", "304")
        return self._start(status, headers, exc_info) if exc_info else self._start(status, headers)


def _drained(result: Iterable[bytes]) -> list[bytes]:
    try:
        return list(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()


class _RequestMetrics:
    """Counts requests; looks each label combination up once, since looking up costs more than counting."""

    def __init__(self) -> None:
        self._children: dict[tuple[str, str, str], tuple[Callable[[], None], Callable[[float], None]]] = {}

    def __call__(self, route: str, method: str, status: str, seconds: float) -> None:
        key = (route, method, status)
        children = self._children.get(key)
        if children is None:
            counter = metrics.HTTP_REQUESTS.labels(route, method, status)
            histogram = metrics.HTTP_SECONDS.labels(route, method)
            children = self._children[key] = (counter.inc, histogram.observe)
        children[0]()
        children[1](seconds)
