"""How pages are declared and served.

A page is a function that takes the visit, and what its path names, and answers:

    pages = Pages()

    @pages.get("/matches/<int:number>")
    def show_match(visit: Visit, number: int) -> Response: ...

Before it runs, in this order: the gate has let the request in, the session has been renewed if it was due, the visitor
has been found to be one that the page is for, and a form was read that bears this browser's token. Whatever is raised
becomes a page, too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

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
from client.kernel.visits import HTML, Site, Visit
from security.engine.challenge import PASS_COOKIE
from shared import tracing
from shared.errors import MatchdayError, MethodNotAllowed, NotFound, Unauthenticated
from shared.http import HttpApp
from shared.http.callers import (
    ACCESS_COOKIE,
    HEADERS_KEY,
    PUBLIC,
    QUESTION_KEY,
    Access,
    Gate,
    Question,
    RateClass,
    admit,
)
from shared.http.problems import as_error
from shared.http.routes import NO_ROUTE, ROUTE_KEY

log = structlog.get_logger(__name__)

Handler = Callable[..., Response]
# What of the browser's own headers goes on to the services: they judge who asks by these, too.
HANDED_ON = ("User-Agent", "Accept", "Accept-Language")
LANGUAGES_ACCEPTED_MAX = 500
MACHINES = ("/health/", "/metrics")


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
        super().__init__("client", "Pages for people.", site.settings, gate=gate)
        self.site = site
        self.declared: list[Page] = []
        self._lines = lines
        self._sessions = sessions
        self._gate = gate

    def add_pages(self, pages: Pages) -> None:
        """Serves the pages of one part."""
        for page in pages.all:
            self.declared.append(page)
            self.add_url_rule(page.path, page.endpoint, self._server(page), methods=[page.method])

    def _server(self, page: Page) -> Callable[..., Response]:
        def serve(**path: Any) -> Response:
            request.environ[ROUTE_KEY] = page.path
            visit = self._visit()
            visit.account = self._sessions.account(visit.jar)
            self._ask_gate(page, visit)
            self._let_in(page, visit)
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

    def _ask_gate(self, page: Page, visit: Visit) -> None:
        if self._gate is None or page.limit == "none":
            return
        account, environ = visit.account, request.environ
        account_id, verified = (account.id, account.email_verified) if account else (None, True)
        question = Question(visit.address, page.method, page.path, page.limit, account_id, environ, verified)
        environ[HEADERS_KEY] = self._gate.check(question)
        environ[QUESTION_KEY] = question

    def _let_in(self, page: Page, visit: Visit) -> None:
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
        return super().dispatch_request()

    # What goes wrong

    def handle_user_exception(self, e: Exception) -> Response:
        if request.path.startswith(MACHINES):
            return super().handle_user_exception(e)
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
