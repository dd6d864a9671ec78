"""The door of a service: what every request passes before its handler, in one place and in one order."""

import time

from flask import request

from shared.errors import MatchdayError, NotFound, Unauthenticated
from shared.http.auth import ServiceTokenGuard
from shared.http.callers import (
    CALLER_KEY,
    HEADERS_KEY,
    QUESTION_KEY,
    Account,
    Accounts,
    Caller,
    Environ,
    Gate,
    Question,
    admit,
    check_csrf,
    check_fresh,
)
from shared.http.client import ClientAddress
from shared.http.paths import came_by_proxy
from shared.http.routes import NO_ROUTE, Route


class Door:
    """Finds out who is calling, asks the gate, and lets in whom the route is for."""

    def __init__(
        self,
        client: ClientAddress,
        service_token: ServiceTokenGuard,
        accounts: Accounts | None,
        gate: Gate | None,
        fresh_seconds: int,
    ) -> None:
        """`fresh_seconds` is how long a password counts where a route wants it fresh."""
        self._client = client
        self._service_token = service_token
        self._accounts = accounts
        self._gate = gate
        self._fresh_seconds = fresh_seconds

    def enter(self, route: Route, *, vouched: bool = False) -> Caller:
        """The caller. Raises what keeps the request out.

        Who is `vouched` for by the route's seal is not asked about at the gate.
        """
        environ = request.environ
        address = self._client.of(environ)
        account, problem = None, None
        if route.internal:
            self._admit_service(route, address, environ)
        elif not (route.opens_to_services and self._service_token.is_borne()):
            account, problem = self._account(environ)
            if not vouched:
                self._ask(route, address, account, environ)
            self._admit(route, account, problem)
        caller = environ[CALLER_KEY] = Caller(address, account)
        return caller

    def _admit_service(self, route: Route, address: str, environ: dict[str, object]) -> None:
        if not route.operator and came_by_proxy(environ):
            # However it was spelled, a proxy should not have handed it on: for the world there is no such path.
            self.knock(environ)
            raise NotFound
        # Who bears the token is one of us, whatever others did from the same address; only who does not is judged.
        try:
            self._service_token()
        except MatchdayError:
            self._ask(route, address, None, environ)
            raise

    def _account(self, environ: Environ) -> tuple[Account | None, MatchdayError | None]:
        # Kept until the gate has been asked: who tries out forged tokens is to be counted.
        try:
            return (self._accounts.account(environ) if self._accounts is not None else None), None
        except MatchdayError as error:
            return None, error

    def _ask(self, route: Route, address: str, account: Account | None, environ: dict[str, object]) -> None:
        if self._gate is None or route.limit == "none":
            return
        account_id = None if account is None else account.id
        method = str(environ["REQUEST_METHOD"])
        verified = account is None or account.email_verified
        question = Question(address, method, route.path, route.limit, account_id, environ, verified)
        self._check(question, environ)

    def knock(self, environ: dict[str, object]) -> None:
        """For a path that leads nowhere: who tries many of them is to be counted, too."""
        if self._gate is not None:
            method = str(environ["REQUEST_METHOD"])
            self._check(Question(self._client.of(environ), method, NO_ROUTE, "nowhere", None, environ), environ)

    def _check(self, question: Question, environ: dict[str, object]) -> None:
        assert self._gate is not None
        environ[HEADERS_KEY] = self._gate.check(question)
        environ[QUESTION_KEY] = question

    def leave(self, environ: Environ, status: int) -> None:
        """Tells the gate how a request that it let through ended."""
        question = environ.get(QUESTION_KEY)
        if self._gate is not None and question is not None:
            self._gate.tell(question, status)

    def _admit(self, route: Route, account: Account | None, problem: MatchdayError | None) -> None:
        admit(route.access, account, problem)
        if not route.reads_identity:
            return
        if problem is not None:
            raise problem
        if account is not None:
            check_csrf(account, route.method, request.environ)
            if route.fresh:
                check_fresh(account, time.time(), self._fresh_seconds)
        elif route.access.kind == "public" and "HTTP_AUTHORIZATION" in request.environ:
            # Not as a guest: who shows a token believes to be somebody.
            raise Unauthenticated("this is no account's access token; send none to call as a guest")
