"""Every route of every service: documented with all its errors, bounded, and guarded where it must be.

A service is found by its `routes.py`, so that a new one cannot be forgotten.
"""

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from shared.http import BodyModel, QueryModel, Routes
from shared.http.openapi import errors_of
from shared.http.routes import Endpoint
from tests.contract.door import document_app

CHECKOUT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in CHECKOUT.glob("*/routes.py"))
SAFE = ("GET", "HEAD", "OPTIONS")
PROBLEM = "application/problem+json"


APPS = {service: document_app(service) for service in SERVICES}


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
    assert {"shop", "shop_consumer", "reservations"} <= set(SERVICES)


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


@every_operation
def test_what_changes_something_is_for_somebody_known_or_makes_something_new(operation: Operation) -> None:
    route = operation.endpoint.route
    if route.method in SAFE or route.internal or route.access.kind != "public":
        return
    assert route.method == "POST", "anybody may only make something new"
    names = {parameter["name"] for parameter in operation.written.get("parameters", ())}
    assert "Idempotency-Key" in names, "what anybody can make takes an idempotency key"


@every_operation
def test_bodies_are_strict_and_queries_closed(operation: Operation) -> None:
    if operation.endpoint.body is not None:
        assert issubclass(operation.endpoint.body, BodyModel)
    if operation.endpoint.query is not None:
        assert issubclass(operation.endpoint.query, QueryModel)


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
