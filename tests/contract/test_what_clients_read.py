"""What the OpenAPI documents tell those who generate a client from them: words, members, headers, credentials."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.errors import MatchdayError
from tests.contract.door import document_app

SERVICES = ("client", "payments", "reservations", "security", "shop", "shop_consumer", "users")
APPS = {service: document_app(service) for service in SERVICES}
PROBLEM = "application/problem+json"


def responses(service: str, method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = APPS[service].openapi()["paths"][path][method]["responses"]
    return found


def words(service: str, model: str, member: str) -> set[str]:
    """The words that a member may have, by its own schema or the one that it refers to."""
    schemas = APPS[service].openapi()["components"]["schemas"]
    schema = schemas[model]["properties"][member]
    options = schema.get("anyOf", [schema])
    named = [schemas[option["$ref"].rsplit("/", 1)[1]] if "$ref" in option else option for option in options]
    return {word for option in named for word in option.get("enum", ())}


@pytest.mark.parametrize(
    ("service", "model", "member", "expected"),
    [
        ("reservations", "Reservation", "status", "submitted held reserved cancelled expired lost"),
        ("reservations", "TicketAnswer", "status", "valid admitted suspended void"),
        ("reservations", "AdmissionAnswer", "result", "admitted double_use ticket_void invalid_ticket"),
        (
            "payments", "Payment", "status",
            "new requires_payment_method requires_confirmation requires_action requires_capture processing succeeded"
            " canceled",
        ),
        ("payments", "Payment", "outcome", "asking reserved refused"),
        ("payments", "Refund", "status", "new pending succeeded failed"),
    ],
)  # fmt: skip
def test_words_of_a_closed_list_are_listed(service: str, model: str, member: str, expected: str) -> None:
    assert words(service, model, member) == set(expected.split())


@pytest.mark.parametrize(
    ("service", "method", "path", "status", "members"),
    [
        ("reservations", "post", "/api/reservations", "409", {"limit": 2, "pending": 0}),
        ("reservations", "post", "/api/reservation", "402", {"declineCode": "insufficient_funds"}),
        ("reservations", "post", "/api/tickets/verify", "409",
         {"matchNumber": 1, "admittedAt": "2026-01-01T00:00:00Z", "scanner": "A"}),
        ("users", "post", "/api/users/signin", "403", {"challenge": "/api/security/challenge"}),
    ],
)  # fmt: skip
def test_the_members_of_a_problem_are_described_where_its_code_is(
    service: str, method: str, path: str, status: str, members: dict[str, object]
) -> None:
    document = APPS[service].openapi()
    content = responses(service, method, path)[status]["content"][PROBLEM]
    narrowed = content["schema"]["allOf"][1]["properties"]
    assert members.keys() <= narrowed.keys()
    schema = {**content["schema"], "components": document["components"]}
    (example, *_) = content["examples"].values()
    Draft202012Validator(schema).validate({**example["value"], **members})
    for name in members:
        assert not Draft202012Validator(schema).is_valid({**example["value"], name: []}), name
        assert narrowed[name]["description"].startswith("With `")


def test_every_member_says_its_type_and_meaning() -> None:
    kinds, found = [MatchdayError], 0
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        for schema in kind.members.values():
            assert {"type", "description"} <= schema.keys()
            found += 1
    assert found


@pytest.mark.parametrize(
    ("method", "path"),
    [("post", "/api/tickets/verify"), ("post", "/api/tickets/admissions"), ("get", "/api/tickets/void")],
)
def test_what_scanners_ask_may_be_asked_with_the_service_token(method: str, path: str) -> None:
    document = APPS["reservations"].openapi()
    assert {"serviceToken": []} in document["paths"][path][method]["security"]
    assert "serviceToken" in document["components"]["securitySchemes"]


@pytest.mark.parametrize(
    ("service", "method", "path", "status", "header"),
    [
        ("reservations", "post", "/api/reservations", "201", "Location"),
        ("payments", "post", "/api/payments", "201", "Location"),
        ("payments", "post", "/api/payments/{paymentId}/refunds", "201", "Location"),
        ("security", "post", "/api/security/lists", "201", "Location"),
        ("shop", "get", "/api/matches", "200", "ETag"),
        ("shop", "get", "/api/matches", "304", "ETag"),
        ("shop", "get", "/api/matches/{matchNumber}", "200", "ETag"),
        ("shop", "get", "/api/matches/{matchNumber}/availability", "200", "ETag"),
        ("users", "post", "/api/users/signup", "201", "Set-Cookie"),
        ("users", "post", "/api/users/signin", "200", "Set-Cookie"),
        ("users", "post", "/api/users/refresh", "200", "Set-Cookie"),
        ("users", "post", "/api/users/signout", "204", "Set-Cookie"),
        ("users", "delete", "/api/users/me", "204", "Set-Cookie"),
        ("users", "post", "/api/users/password/reset", "204", "Set-Cookie"),
    ],
)
def test_headers_that_clients_read_are_described(
    service: str, method: str, path: str, status: str, header: str
) -> None:
    assert responses(service, method, path)[status]["headers"][header]["description"]


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_limited_tells_of_its_limit(service: str) -> None:
    for endpoint in APPS[service].endpoints:
        route = endpoint.route
        answers = responses(service, route.method.lower(), route.path)
        named = answers[str(route.success)].get("headers", {}).keys()
        assert ({"RateLimit", "RateLimit-Policy"} <= named) == (route.limit != "none")
        if route.limit != "none":
            assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= answers["429"]["headers"].keys()
