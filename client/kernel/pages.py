"""How pages are declared and served.

A page is a function that takes the visit, and what its path names, and answers:

    pages = Pages()

    @pages.get("/matches/<int:number>")
    def show_match(visit: Visit, number: int) -> Response: ...

Before it runs, in this order: the gate has let the request in, the session has been renewed if it was due, the visitor
has been found to be one that the page is for, and a form was read that bears this browser's token. Whatever is raised
becomes a page, too.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from flask import Response, g, request
from werkzeug.datastructures import LanguageAccept
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_accept_header, parse_cookie

from client import api
from client.calls import Calls, Lines, Refused, Sender
from client.kernel.cookies import FORM_COOKIE, LANGUAGE_COOKIE, Jar
from client.kernel.forms import check_csrf, read_form
from client.kernel.problems import Trouble
from client.kernel.sessions import Sessions
from client.kernel.visits import HTML, Site, Visit, here
from security.engine.challenge import PASS_COOKIE
from shared import tracing
from shared.errors import DependencyUnavailable, MatchdayError, MethodNotAllowed, NotFound, Unauthenticated
from shared.http import HttpApp
from shared.http.callers import (
    ACCESS_COOKIE,
    HEADERS_KEY,
    PUBLIC,
    QUESTION_KEY,
    Access,
    Caller,
    Gate,
    Question,
    RateClass,
    admit,
)
from shared.http.openapi import errors_of
from shared.http.problems import as_error, problem_response
from shared.http.routes import NO_ROUTE, ROUTE_KEY, Endpoint, Route, Routes

log = structlog.get_logger(__name__)

Handler = Callable[..., Response]
# What of the browser's own headers goes on to the services: they judge who asks by these, too.
HANDED_ON = ("User-Agent", "Accept", "Accept-Language")
LANGUAGES_ACCEPTED_MAX = 500
MACHINES = ("/health/", "/metrics")
# Names of one machine that are different sites to a browser: each has cookies of its own.
LOOPBACK = ("localhost", "127.0.0.1", "::1")


DESCRIPTION = (
    "The pages. Described is what their own scripts ask, and whoever runs the service. What people open, pages and"
    " files, is not: it changes when it should look otherwise."
)


@dataclass(frozen=True)
class Page:
    """A declared page."""

    method: str
    path: str
    handler: Handler
    access: Access
    limit: RateClass

    @property
    def endpoint(self) -> str:
        return f"{self.method} {self.path}"


class Pages:
    """The pages of one part of the site."""

    def __init__(self) -> None:
        self.all: list[Page] = []

    def get(self, path: str, access: Access = PUBLIC, limit: RateClass = "read") -> Callable[[Handler], Handler]:
        """A page that is looked at."""
        return self._page("GET", path, access, limit)

    def post(self, path: str, access: Access = PUBLIC, limit: RateClass = "write") -> Callable[[Handler], Handler]:
        """Where a form is sent; answers with a redirect, or with the page again when something is wrong."""
        return self._page("POST", path, access, limit)

    def _page(self, method: str, path: str, access: Access, limit: RateClass) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            self.all.append(Page(method, path, handler, access, limit))
            return handler

        return declare


class PagesApp(HttpApp):
    """The app of the pages: what every service has, and HTML in place of JSON."""

    def __init__(self, site: Site, lines: Lines, sessions: Sessions, gate: Gate | None) -> None:
        super().__init__("client", DESCRIPTION, site.settings, gate=gate)
        self.site = site
        self.declared: list[Page] = []
        self._lines = lines
        self._sessions = sessions
        self._gate = gate
        self._for_programs: list[re.Pattern[str]] = []

    def add_pages(self, pages: Pages) -> None:
        """Serves the pages of one part."""
        for page in pages.all:
            self.declared.append(page)
            self.add_url_rule(page.path, page.endpoint, self._server(page), methods=[page.method])

    def add_routes(self, part: Routes, wiring: object = None) -> None:
        super().add_routes(part, wiring)
        self._for_programs += [_form(route.path) for route in part.routes]

    def add_scripts(self, part: Routes, wiring: object) -> None:
        """Serves what the pages' scripts ask: routes like those of any service, to a visit like that of any page."""
        self.parts.append(part)
        for route in part.routes:
            endpoint = Endpoint(route, wiring, self._enter, self._bodies, self._actions)
            self.endpoints.append(endpoint)
            self._for_programs.append(_form(route.path))
            self.add_url_rule(
                route.flask_rule, f"{route.method} {route.path}", self._told_to(endpoint), methods=[route.method]
            )

    def _told_to(self, endpoint: Endpoint) -> Callable[..., Response]:
        def serve(**path: str) -> Response:
            try:
                response = endpoint(**path)
            except Refused as refused:
                # The service has counted it already.
                request.environ.pop(QUESTION_KEY, None)
                raise relayed(refused, endpoint) from refused
            return self._finish(g.visit, response)

        return serve

    def _enter(self, route: Page | Route, *, vouched: bool = False) -> Caller:  # noqa: ARG002 - as `Guard` has it
        visit = self._visit()
        visit.account = self._sessions.account(visit.jar)
        self._ask_gate(route, visit)
        self._let_in(route, visit)
        return Caller(visit.address, visit.account)

    def _server(self, page: Page) -> Callable[..., Response]:
        def serve(**path: Any) -> Response:
            request.environ[ROUTE_KEY] = page.path
            self._enter(page)
            visit: Visit = g.visit
            if page.method == "POST":
                self._read_form(visit)
            return self._finish(visit, page.handler(visit, **path))

        return serve

    def _read_form(self, visit: Visit) -> None:
        """The form, once it is known to come from a page of ours."""
        form = read_form(self._bodies.read(), request.environ.get("CONTENT_TYPE", ""))
        check_csrf(form, visit.jar.sent.get(FORM_COOKIE), request.headers.get("Sec-Fetch-Site"))
        visit.form = form

    def _visit(self) -> Visit:
        environ = request.environ
        jar = Jar(dict(parse_cookie(environ)), self.site.settings.cookies_secure == "on")
        accepted = parse_accept_header(environ.get("HTTP_ACCEPT_LANGUAGE", "")[:LANGUAGES_ACCEPTED_MAX], LanguageAccept)
        language = self.site.languages.choose(jar.get(LANGUAGE_COOKIE), accepted)
        handed_on = {name: value for name in HANDED_ON if (value := request.headers.get(name))}
        address = self._client.of(environ)
        calls = Calls(self._lines, Sender(address, {"User-Agent": "", **handed_on}))
        calls.challenge_pass = jar.get(PASS_COOKIE)
        calls.on_pass = jar.keep_pass
        g.visit = Visit(self.site, jar, language, address, calls)
        visit: Visit = g.visit
        return visit

    def _ask_gate(self, page: Page | Route, visit: Visit) -> None:
        if self._gate is None or page.limit == "none":
            return
        account, environ = visit.account, request.environ
        account_id, verified = (account.id, account.email_verified) if account else (None, True)
        question = Question(visit.address, page.method, page.path, page.limit, account_id, environ, verified)
        environ[HEADERS_KEY] = self._gate.check(question)
        environ[QUESTION_KEY] = question

    def _let_in(self, page: Page | Route, visit: Visit) -> None:
        if visit.account is None:
            try:
                visit.account = self._sessions.renew(visit.jar, visit.calls)
            except Refused:
                # Who is signed in cannot be found out at present; what is for everybody is shown all the same.
                if page.access.kind != "public":
                    raise
        if visit.account is not None:
            visit.calls.token = visit.jar.get(ACCESS_COOKIE)
        admit(page.access, visit.account, None)

    def _finish(self, visit: Visit, response: Response) -> Response:
        for name, value in visit.jar.headers():
            response.headers.add(name, value)
        if response.content_type == HTML:
            response.headers["Content-Language"] = visit.language.code
            response.headers["Permissions-Policy"] = "camera=(self), microphone=(), geolocation=()"
        return response

    def dispatch_request(self) -> Any:
        # The pages are what a proxy leads everything to that is nobody else's; health and metrics are not for those.
        if request.path.startswith(MACHINES) and "X-Forwarded-For" in request.headers:
            raise NotFound("there is nothing here")
        if self._under_another_name():
            request.environ.setdefault(ROUTE_KEY, NO_ROUTE)
            return Response("", 307, [("Location", f"{self.site.settings.public_url}{here()}")])
        return super().dispatch_request()

    def _under_another_name(self) -> bool:
        """Whether a browser calls this machine otherwise than PUBLIC_URL does. Payments and mails lead back to that
        name, where it would be without its cookies: so it goes there from the first page on."""
        ours = urlsplit(self.site.settings.public_url)
        try:
            asked = urlsplit(f"//{request.environ.get('HTTP_HOST', '')}")
            same_port = asked.port == ours.port
        except ValueError:
            return False
        both = {asked.hostname, ours.hostname}
        looks = request.method in ("GET", "HEAD") and not self._is_for_programs()
        return looks and same_port and len(both) == 2 and both.issubset(LOOPBACK)

    # What goes wrong

    def _is_for_programs(self) -> bool:
        path = request.path
        return path.startswith(MACHINES) or any(form.fullmatch(path) for form in self._for_programs)

    def handle_user_exception(self, e: Exception) -> Response:
        if self._is_for_programs():
            response = problem_response(as_error(e))
            return self._finish(g.visit, response) if "visit" in g else response
        visit: Visit = g.visit if "visit" in g else self._visit()
        request.environ.setdefault(ROUTE_KEY, NO_ROUTE)
        if isinstance(e, Refused):
            # The service has counted it already.
            request.environ.pop(QUESTION_KEY, None)
        try:
            return self._finish(visit, self._told(visit, e if isinstance(e, Refused) else as_error(e)))
        except Exception as error:
            log.exception("error_page_failed", error=repr(error))
            return Response("Something went wrong here.", 500, content_type="text/plain; charset=utf-8")

    def handle_exception(self, e: Exception) -> Response:
        return self.handle_user_exception(e)

    def _told(self, visit: Visit, error: Refused | MatchdayError) -> Response:
        if error.code == "challenge_required":
            return self._challenge(visit)
        if error.code == Unauthenticated.code and request.method == "GET":
            visit.jar.forget(ACCESS_COOKIE)  # it may be one that only a service knew to be over
            return visit.redirect(f"/sign-in?next={quote(visit.here, safe='')}")
        if error.code == MethodNotAllowed.code and request.method in ("GET", "HEAD"):
            return visit.redirect(self._page_above())
        trouble = Trouble.of(error)
        response = visit.render("error.html", trouble.status, trouble=trouble, request_id=tracing.request_id())
        if trouble.retry_after is not None:
            response.headers["Retry-After"] = str(trouble.retry_after)
        if isinstance(error, MatchdayError):
            for name, value in error.headers():
                response.headers[name] = value
        return response

    def _page_above(self) -> str:
        """The nearest page above a path that takes forms only. Where a form was refused a page stands all the same: to
        load it again, or in another language, is to ask for that path."""
        pages, path = self.create_url_adapter(request), request.path
        assert pages is not None
        while path != "/":
            path = path.rpartition("/")[0] or "/"
            try:
                pages.match(path, method="GET")
            except HTTPException:
                continue
            return quote(path)
        return "/"

    def _challenge(self, visit: Visit) -> Response:
        """The page on which the browser works a little; then the same request goes on, with a pass."""
        if request.method == "POST" and not visit.form.values:
            # The gate stands before the form. What goes into a page of ours must come from one, here as elsewhere.
            try:
                self._read_form(visit)
            except MatchdayError as error:
                return self._told(visit, error)
        try:
            challenge = api.challenge(visit.calls)
        except Refused as refused:
            return visit.render("error.html", 503, trouble=Trouble.of(refused), request_id=tracing.request_id())
        method = "get" if request.method in ("GET", "HEAD") else "post"
        return visit.render("challenge.html", 403, challenge=challenge, method=method, target=visit.here)


def _form(path: str) -> re.Pattern[str]:
    """What the paths of a route look like, variables and all."""
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))


def relayed(refused: Refused, endpoint: Endpoint) -> MatchdayError:
    """What a script is told of a refusal by a service: the same, if its document says that this may come."""
    kind = {each.code: each for each in errors_of(endpoint)}.get(refused.code)
    if kind is None:
        return DependencyUnavailable(f"a service answered {refused.code}", retry_after=refused.retry_after)
    members = {name: refused.problem[name] for name in kind.members if name in refused.problem}
    detail = refused.problem.get("detail")
    return kind(None if detail is None else str(detail), retry_after=refused.retry_after, **members)
