"""Every route of every service: documented with all its errors, bounded, limited, checked, and guarded.

A service is found by its `routes.py`, so that a new one cannot be forgotten.
"""

import importlib
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from security.domain import rate_class_of
from security.engine.settings import GateSettings
from shared.errors import Blocked
from shared.http import BodyModel, QueryModel, Question, Routes, create_http_app
from shared.http.openapi import errors_of
from shared.http.routes import Endpoint, Route
from shared.settings import load
from tests.contract.door import document_app
from tests.example_service import SERVICE_TOKEN, example_settings

CHECKOUT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in CHECKOUT.glob("*/routes.py"))
SAFE = ("GET", "HEAD", "OPTIONS")
PROBLEM = "application/problem+json"


APPS = {service: document_app(service) for service in SERVICES}
GATE_SETTINGS = load(GateSettings, {"PORT": "1", "SERVICE_TOKEN": SERVICE_TOKEN, "REDIS_URL": "redis://nowhere/0"})


@dataclass(frozen=True)
class Operation:
    """One route of a service, with what is written of it."""

    service: str
    endpoint: Endpoint

    @property
    def document(self) -> dict[str, Any]:
        return APPS[self.service].openapi()

    @property
    def written(self) -> dict[str, Any]:
        route = self.endpoint.route
        found: dict[str, Any] = self.document["paths"][route.path][route.method.lower()]
        return found

    def __str__(self) -> str:
        return f"{self.service}: {self.endpoint.route.method} {self.endpoint.route.path}"


OPERATIONS = [Operation(service, endpoint) for service, app in APPS.items() for endpoint in app.endpoints]
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def test_there_are_services_to_guard() -> None:
    assert {"shop", "shop_consumer", "reservations", "users", "payments", "security", "analytics"} <= set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_served_that_is_not_declared(service: str) -> None:
    app = APPS[service]
    served = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    assert served == {(endpoint.route.method, endpoint.route.flask_rule) for endpoint in app.endpoints}


@pytest.mark.parametrize("service", SERVICES)
def test_every_declared_part_is_wired_by_the_app(service: str) -> None:
    module = importlib.import_module(f"{service}.routes")
    source = inspect.getsource(importlib.import_module(f"{service}.app"))
    for name, value in vars(module).items():
        if isinstance(value, Routes):
            assert f"routes.{name}" in source, f"{service}.app does not serve {service}.routes.{name}"


@every_operation
def test_it_is_described(operation: Operation) -> None:
    assert operation.written["summary"]
    assert operation.written["tags"]
    assert inspect.getdoc(operation.endpoint.route.handler), "the docstring is the description"


@every_operation
def test_every_error_is_documented_with_its_code(operation: Operation) -> None:
    for error in errors_of(operation.endpoint):
        content = operation.written["responses"][str(error.status)]["content"][PROBLEM]
        assert error.code in content["examples"]
        if error.retry_after_seconds is not None:
            assert "Retry-After" in operation.written["responses"][str(error.status)]["headers"]


@every_operation
def test_internal_routes_are_guarded_and_say_so(operation: Operation) -> None:
    route = operation.endpoint.route
    if not route.internal:
        return
    assert operation.written["security"] == [{"serviceToken": []}]
    client = APPS[operation.service].test_client()
    response = client.open(route.path.replace("{", "").replace("}", ""), method=route.method)
    assert (response.status_code, response.get_json()["code"]) == (401, "unauthenticated")


# Whoever adds a route that anybody may call writes it down here, too. What is for health, metrics and documentation
# (no limit) is not listed.
PUBLIC = {
    "client": {
        "GET /api/availability/stream",
        "GET /matches/{matchNumber}/wait/status",
        "GET /reservations/{reservationId}/status",
    },
    "payments": {"POST /api/payments/webhook"},  # Stripe's signature
    "reservations": {
        "GET /api/tickets/keys",
        "POST /api/resale/listings/{listingId}/hold",
        "POST /api/reservation",
        "POST /api/reservations",
        "GET /api/waiting-rooms/{matchNumber}",
        "GET /api/waiting-rooms/{matchNumber}/places/{placeId}",
        "POST /api/waiting-rooms/{matchNumber}/places",
    },
    "security": {"GET /api/security/challenge"},
    "shop": {
        "GET /api/availability/stream",
        "GET /api/listings",
        "GET /api/listings/{listingId}",
        "GET /api/matches",
        "GET /api/matches/{matchNumber}",
        "GET /api/matches/{matchNumber}/availability",
        "GET /api/recommendations",
        "GET /api/search/suggestions",
    },
    "shop_consumer": {"GET /api/evidence", "GET /api/refused", "GET /api/verify"},
    "users": {"GET /.well-known/jwks.json"},
}
# Opened by what the body or a cookie bears: a password, or a token that was sent by e-mail.
BY_CREDENTIAL = {
    "users": {
        "POST /api/users/email/verify",
        "POST /api/users/password/forgotten",
        "POST /api/users/password/reset",
        "POST /api/users/refresh",
        "POST /api/users/signin",
        "POST /api/users/signout",
        "POST /api/users/signup",
    },
}
UNLIMITED = {"/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"}


def _names(service: str, kind: str) -> set[str]:
    return {
        f"{route.method} {route.path}"
        for route in (endpoint.route for endpoint in APPS[service].endpoints)
        if route.access.kind == kind and not route.internal and route.limit != "none"
    }


@pytest.mark.parametrize("service", SERVICES)
def test_each_route_is_for_somebody_known_or_declared_public_here(service: str) -> None:
    assert _names(service, "public") == PUBLIC.get(service, set())
    assert _names(service, "credential") == BY_CREDENTIAL.get(service, set())


@every_operation
def test_who_may_not_call_it_is_turned_away(operation: Operation) -> None:
    route = operation.endpoint.route
    if route.access.kind != "signed_in" or route.internal:
        return
    response = APPS[operation.service].test_client().open(_example(route), method=route.method)
    assert (response.status_code, response.get_json()["code"]) == (401, "unauthenticated")


@every_operation
def test_it_is_limited_unless_it_is_for_health_or_documentation(operation: Operation) -> None:
    route = operation.endpoint.route
    assert (route.limit == "none") == (route.path in UNLIMITED)
    if route.limit != "none":
        rates = GATE_SETTINGS.rates()[route.limit]
        assert rates.address is not None, "an address has a limit in every class"
        codes = {error.code for error in errors_of(operation.endpoint)}
        assert {"blocked", "challenge_required", "rate_limited", "dependency_unavailable"} <= codes


class ClosedGate:
    """Lets nobody in, and remembers who asked."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def check(self, question: Question) -> Sequence[tuple[str, str]]:
        self.asked.append(question)
        raise Blocked("closed")

    def tell(self, question: Question, status: int) -> None:
        raise AssertionError("nothing was let in")


@every_operation
def test_the_gate_is_asked_before_anything_else(operation: Operation) -> None:
    route, gate = operation.endpoint.route, ClosedGate()
    if route.limit == "none":
        return
    part = Routes("one")
    part.routes.append(route)
    app = create_http_app(operation.service, "", example_settings(), routes=[part], gate=gate)
    # Neither a token nor a readable body: whatever else is wrong, the gate comes first.
    response = app.test_client().open(_example(route), method=route.method, data=b"{")
    assert (response.status_code, response.get_json()["code"]) == (403, "blocked")
    assert [(asked.route, asked.rate_class) for asked in gate.asked] == [(route.path, route.limit)]


@pytest.mark.parametrize("service", SERVICES)
def test_the_service_has_a_gate(service: str) -> None:
    source = inspect.getsource(importlib.import_module(f"{service}.app"))
    assert re.search(rf'RedisGate\("{service}", settings(, counted="pages")?\)\.start\(\)', source)
    assert "gate=gate" in source
    assert "app.on_end(gate.close)" in source or "gate.close," in source


@pytest.mark.parametrize("service", SERVICES)
def test_whose_routes_ask_for_an_account_can_tell_accounts(service: str) -> None:
    if any(route.access.kind == "signed_in" for route in (endpoint.route for endpoint in APPS[service].endpoints)):
        assert "accounts=accounts" in inspect.getsource(importlib.import_module(f"{service}.app"))


@every_operation
def test_a_proxy_that_asks_about_a_path_gets_the_class_that_the_route_has(operation: Operation) -> None:
    route = operation.endpoint.route
    if route.limit != "none":
        assert rate_class_of(route.method, _example(route)) == route.limit


def _example(route: Route) -> str:
    """A path that the route fits."""
    return re.sub(r"\{\w+\}", "7", route.path)


@every_operation
def test_what_anybody_can_make_takes_an_idempotency_key(operation: Operation) -> None:
    route = operation.endpoint.route
    if route.access.kind != "public" or route.internal or route.method in SAFE or route.limit == "webhook":
        return
    assert route.method == "POST", "anybody may only make something new"
    names = {parameter["name"] for parameter in operation.written.get("parameters", ())}
    assert "Idempotency-Key" in names


# A reservation has one payment, whoever asks and however often.
ONE_BY_ITSELF = {"POST /internal/payments/card"}


@every_operation
def test_what_makes_something_takes_an_idempotency_key(operation: Operation) -> None:
    route = operation.endpoint.route
    if route.method != "POST" or route.success != 201:
        return
    names = {parameter["name"] for parameter in operation.written.get("parameters", ())}
    assert "Idempotency-Key" in names or f"POST {route.path}" in ONE_BY_ITSELF


@every_operation
def test_bodies_are_strict_and_queries_closed(operation: Operation) -> None:
    if operation.endpoint.body is not None:
        assert issubclass(operation.endpoint.body, BodyModel)
    if operation.endpoint.query is not None:
        assert issubclass(operation.endpoint.query, QueryModel)


RANGES = {"from": "until", "since": "until", "dateFrom": "dateTo", "priceMin": "priceMax"}
UPSIDE_DOWN = {"Date": ("2022-12-02", "2022-12-01"), "Moment": ("2022-12-02T00:00:00Z", "2022-12-01T00:00:00Z")}
RANGES_OF_HANDLERS = {"/api/sales"}  # what a window's beginning is without `since` depends on its end


@every_operation
def test_a_range_upside_down_is_refused_and_its_end_named(operation: Operation) -> None:
    query = operation.endpoint.query
    if query is None or operation.endpoint.route.path in RANGES_OF_HANDLERS:
        return
    names = {field.alias or name for name, field in query.model_fields.items()}
    for begin, end in RANGES.items():
        if begin in names and end in names:
            kind = "Moment" if end == "until" else "Date"
            high, low = ("2", "1") if begin == "priceMin" else UPSIDE_DOWN[kind]
            with pytest.raises(ValidationError) as refused:
                query.model_validate({begin: high, end: low})
            assert [error["loc"] for error in refused.value.errors()] == [(end,)]
            query.model_validate({begin: low, end: low})


def _models(operation: Operation) -> Iterator[type[BaseModel]]:
    for model in (operation.endpoint.body, operation.endpoint.query, operation.endpoint.headers):
        if model is not None:
            yield model


def _unbounded(schema: Any, where: str, schemas: dict[str, Any]) -> Iterator[str]:
    """Places in a schema of something that comes in where a caller could send any amount."""
    if isinstance(schema, list):
        for inner in schema:
            yield from _unbounded(inner, where, schemas)
        return
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    closed = schema.keys() & {"enum", "const", "format"}
    if kind == "string" and not closed and not schema.keys() & {"maxLength", "pattern"}:
        yield f"{where}: text without maxLength"
    if kind in ("integer", "number") and not closed and not {"maximum", "exclusiveMaximum"} & schema.keys():
        yield f"{where}: number without maximum"
    if kind in ("integer", "number") and not closed and not {"minimum", "exclusiveMinimum"} & schema.keys():
        yield f"{where}: number without minimum"
    if kind == "array" and "maxItems" not in schema:
        yield f"{where}: list without maxItems"
    for name, inner in schema.get("properties", {}).items():
        yield from _unbounded(inner, f"{where}/{name}", schemas)
    for key in ("anyOf", "oneOf", "allOf", "items"):
        yield from _unbounded(schema.get(key), where, schemas)
    if "$ref" in schema:
        yield from _unbounded(schemas[schema["$ref"].rsplit("/", 1)[1]], where, schemas)


@every_operation
def test_everything_that_comes_in_is_bounded(operation: Operation) -> None:
    schemas = operation.document["components"]["schemas"]
    found: list[str] = []
    for model in _models(operation):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        found += _unbounded(schema, model.__name__, {**schemas, **schema.get("$defs", {})})
    for parameter in operation.written.get("parameters", ()):
        if parameter["in"] == "path":
            found += _unbounded(parameter["schema"], parameter["name"], schemas)
    assert found == []


@every_operation
def test_names_on_the_wire_are_camel_case(operation: Operation) -> None:
    for model in _models(operation):
        for name, field in model.model_fields.items():
            wire = field.alias or name
            assert "_" not in wire, f"{model.__name__}.{wire}"


@pytest.mark.parametrize("service", SERVICES)
def test_lists_are_limited(service: str) -> None:
    for path, methods in APPS[service].openapi()["paths"].items():
        for operation in methods.values():
            names = {parameter["name"]: parameter for parameter in operation.get("parameters", ())}
            if "cursor" in names:
                assert names["limit"]["schema"]["maximum"] <= 1000, path
