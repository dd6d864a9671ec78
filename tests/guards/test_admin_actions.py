"""What admins change: each such route is written down before it is done, and money and roles want a fresh password."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from shared.errors import DependencyUnavailable
from shared.http import Account, Routes, create_http_app
from shared.http.actions import Action
from shared.http.callers import Environ
from shared.http.routes import ADMINS, Route
from tests.example_service import SERVICE_TOKEN, example_settings
from tests.guards.test_routes import APPS, OPERATIONS, SAFE, Operation, every_operation

# Routes for admins and our own services that judge the role themselves: at the gate, all day, with their own records.
AT_THE_GATE = {"POST /api/tickets/verify", "POST /api/tickets/admissions"}
TELL_AGAIN = "POST /internal/deliveries/{deliveryId}/retry"  # of each service that has something to tell others
# The operator's, by the service token; the other routes below /internal are for our own services.
OF_THE_OPERATOR = {
    "payments": {TELL_AGAIN, "POST /internal/payments/{paymentId}/refunds"},
    "reservations": {TELL_AGAIN},
    "security": {"POST /internal/security/lists", "DELETE /internal/security/lists/{entryId}"},
    "shop_consumer": {TELL_AGAIN},
    "users": {TELL_AGAIN, "POST /internal/accounts/roles"},
}
# What moves money, takes what is another's off the market, or gives rights.
FRESH = {
    "payments": {"POST /api/payments/{paymentId}/refunds", "POST /api/payments/payouts/{payoutId}/paid"},
    "reservations": {"POST /api/resale/listings/{listingId}/end"},
    "users": {"PUT /api/users/accounts/{accountId}/roles"},
}


def _name(route: Route) -> str:
    return f"{route.method} {route.path}"


def _of(service: str) -> list[Route]:
    return [endpoint.route for endpoint in APPS[service].endpoints]


@every_operation
def test_what_admins_change_is_audited_without_anybody_thinking_of_it(operation: Operation) -> None:
    route = operation.endpoint.route
    if "admin" in route.access.roles and route.method not in SAFE:
        assert route.access.roles == ADMINS
        assert route.audited
    if route.access.kind == "token" and route.access.services and route.method not in SAFE:
        assert _name(route) in AT_THE_GATE, "say roles(…, services=True), so that the door judges and it is audited"


@pytest.mark.parametrize("service", APPS)
def test_what_the_operator_changes_by_the_service_token_is_audited(service: str) -> None:
    audited = {_name(route) for route in _of(service) if route.audited and route.internal}
    assert audited == OF_THE_OPERATOR.get(service, set())


def test_whoever_has_to_tell_others_something_lets_an_operator_see_and_repeat_it() -> None:
    # At the least, security is to be told what admins change.
    telling = {operation.service for operation in OPERATIONS if operation.endpoint.route.audited} - {"security"}
    assert telling == {service for service in APPS if TELL_AGAIN in {_name(route) for route in _of(service)}}


@pytest.mark.parametrize("service", APPS)
def test_what_moves_money_or_gives_rights_wants_a_fresh_password(service: str) -> None:
    fresh = {_name(route) for route in _of(service) if route.fresh}
    assert fresh == FRESH.get(service, set())
    assert all(route.audited for route in _of(service) if route.fresh)


@dataclass
class Broken:
    """A log that cannot be written."""

    asked: list[Action] = field(default_factory=list)

    def begin(self, action: Action) -> None:
        self.asked.append(action)
        raise DependencyUnavailable("the log is away")

    def end(self, action_id: str, status: int, at: datetime) -> None:
        raise AssertionError("nothing was begun")


class Admin:
    """Whoever calls is an admin who has just given the password."""

    def account(self, environ: Environ) -> Account | None:
        everything = frozenset({"buyer", "gate", "partner", "admin"})
        return Account(str(uuid.uuid4()), "ada@example.org", True, everything, "s-1", authenticated_at=float("inf"))


class Untouchable:
    """The wiring of a service in which nothing may happen."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was used")


AUDITED = [operation for operation in OPERATIONS if operation.endpoint.route.audited]


def test_there_are_actions_to_audit() -> None:
    assert {operation.service for operation in AUDITED} >= {"payments", "security", "shop_consumer", "users"}


@pytest.fixture
def broken() -> Broken:
    return Broken()


def _client(operation: Operation, broken: Broken | None) -> Iterator[FlaskClient]:
    part = Routes("one")
    part.routes.append(operation.endpoint.route)
    app = create_http_app(
        operation.service, "", example_settings(), routes=[part], wiring=Untouchable(), accounts=Admin(), auditor=broken
    )
    yield app.test_client()


# A body for each route that takes one.
BODIES: dict[str, Any] = {
    "createRefund": {},
    "createRefundInternally": {},
    "setRoles": {"roles": ["gate"]},
    "grantRole": {"email": "ada@example.org", "role": "gate"},
    "addEntry": {"kind": "block", "network": "192.0.2.1", "reason": "a test"},
    "addEntryInternally": {"kind": "block", "network": "192.0.2.1", "reason": "a test"},
    "setWaitingRoom": {"mode": "on"},
    "payOut": {},
    "endListing": {"note": "a test"},
}


@pytest.mark.parametrize("operation", AUDITED, ids=str)
@pytest.mark.parametrize("with_a_log", [True, False], ids=["the log is away", "there is no log"])
def test_nothing_is_done_that_cannot_be_written_down(operation: Operation, with_a_log: bool, broken: Broken) -> None:
    route = operation.endpoint.route
    for client in _client(operation, broken if with_a_log else None):
        headers = {"Authorization": f"Bearer {SERVICE_TOKEN}"} if route.internal else {}
        answer = client.open(_with_ids(route), method=route.method, json=BODIES.get(route.name), headers=headers)
        assert (answer.status_code, answer.get_json()["code"]) == (503, "dependency_unavailable"), answer.text
    assert len(broken.asked) == with_a_log
    for action in broken.asked:
        assert (action.service, action.operation, action.method) == (operation.service, route.name, route.method)
        assert (action.email is None) == route.internal


def _with_ids(route: Route) -> str:
    path = route.path
    for variable in route.variables:
        value = "7" if variable in ("matchNumber", "refusedId") else str(uuid.uuid4())
        path = path.replace(f"{{{variable}}}", value)
    return path
