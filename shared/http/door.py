"""The door of a service: what every request passes before its handler, in one place and in one order."""

from flask import request

from shared.errors import MatchdayError
from shared.http.auth import ServiceTokenGuard
from shared.http.callers import (
    CALLER_KEY,
    HEADERS_KEY,
    Account,
    Accounts,
    Caller,
    Environ,
    Gate,
    Question,
    admit,
    check_csrf,
)
from shared.http.client import ClientAddress
from shared.http.routes import Route


class Door:
    """Finds out who is calling, asks the gate, and lets in whom the route is for."""

    def __init__(
        self, client: ClientAddress, service_token: ServiceTokenGuard, accounts: Accounts | None, gate: Gate | None
    ) -> None:
        self._client = client
        self._service_token = service_token
        self._accounts = accounts
        self._gate = gate

    def enter(self, route: Route) -> Caller:
        """The caller. Raises what keeps the request out."""
        environ = request.environ
        address = self._client.of(environ)
        account, problem = (None, None) if route.internal else self._account(environ)
        self._ask(route, address, account, environ)
        if route.internal:
            self._service_token()
        else:
            self._admit(route, account, problem)
        caller = environ[CALLER_KEY] = Caller(address, account)
        return caller

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
        environ[HEADERS_KEY] = self._gate.check(Question(address, method, route.path, route.limit, account_id, environ))

    def _admit(self, route: Route, account: Account | None, problem: MatchdayError | None) -> None:
        admit(route.access, account, problem)
        if problem is not None and route.reads_identity:
            raise problem
        if account is not None and route.reads_identity:
            check_csrf(account, route.method, request.environ)
