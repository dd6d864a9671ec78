"""The OpenAPI document and the page made from it: complete, valid, self-contained."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared import VERSION
from shared.http import Answer, Routes, create_http_app
from tests.example_service import example_app, example_settings


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    response = example_app().test_client().get("/openapi.json")
    assert response.content_type == "application/json"
    found: dict[str, Any] = response.get_json()
    return found


@pytest.fixture(scope="module")
def page() -> str:
    return example_app().test_client().get("/docs").text


def _responses(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path][method]["responses"]
    return found


CHALLENGED = {"X-Challenge-Solution", "X-Challenge-Pass"}


def _own_parameters(document: dict[str, Any], path: str, method: str) -> list[dict[str, Any]]:
    """Those of the operation, without what every caller may send to the gate."""
    found = document["paths"][path][method]["parameters"]
    return [parameter for parameter in found if parameter["name"] not in CHALLENGED]


def _codes(response: dict[str, Any]) -> set[str]:
    return set(response["content"]["application/problem+json"]["examples"])


def test_it_is_openapi_3_1_with_the_version_of_the_product(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == VERSION


def test_every_route_of_the_app_is_in_it(document: dict[str, Any]) -> None:
    app = example_app()
    served = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served == {(path, method) for path, methods in document["paths"].items() for method in methods}


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


def test_docstrings_become_the_documentation(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/orders"]["post"]
    assert (operation["summary"], operation["description"]) == ("Order something.", "Match 64 is sold out.")


def test_bodies_and_answers_are_described(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/orders"]["post"]
    body = operation["requestBody"]
    assert body["required"] is True
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/NewOrder"}
    created = operation["responses"]["201"]
    assert created["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}
    assert document["components"]["schemas"]["NewOrder"]["additionalProperties"] is False


def test_parameters_are_described_without_null(document: dict[str, Any]) -> None:
    parameters = {found["name"]: found for found in _own_parameters(document, "/api/search", "get")}
    assert set(parameters) == {"team", "limit", "since", "exact", "category"}
    assert parameters["team"]["schema"]["type"] == "string"
    assert parameters["limit"]["schema"] == {
        "default": 50,
        "maximum": 100,
        "minimum": 1,
        "title": "Limit",
        "type": "integer",
    }
    (path,) = _own_parameters(document, "/api/orders/{matchNumber}", "get")
    assert (path["in"], path["required"], path["schema"]["minimum"]) == ("path", True, 1)
    (header,) = _own_parameters(document, "/api/orders", "post")
    assert (header["name"], header["in"], header["required"]) == ("Idempotency-Key", "header", False)


def test_who_is_challenged_finds_how_to_go_on(document: dict[str, Any]) -> None:
    def sent(path: str, method: str) -> set[str]:
        return {
            found["name"] for found in document["paths"][path][method].get("parameters", []) if not found["required"]
        }

    assert sent("/api/orders", "post") >= CHALLENGED
    assert not sent("/internal/orders/{matchNumber}/close", "post") & CHALLENGED, "the token opens it or nothing does"
    assert not sent("/health/live", "get") & CHALLENGED


def test_another_method_is_described_with_those_that_there_are(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            assert _codes(operation["responses"]["405"]) == {"method_not_allowed"}
            assert "Allow" in operation["responses"]["405"]["headers"]


def test_errors_of_reading_and_of_the_use_case_are_described(document: dict[str, Any]) -> None:
    responses = _responses(document, "/api/orders", "post")
    assert _codes(responses["400"]) == {"bad_request", "malformed_json"}
    assert _codes(responses["409"]) == {"sold_out"}
    assert _codes(responses["503"]) == {"overloaded", "dependency_unavailable"}
    assert {"413", "415", "422", "500"} <= set(responses)
    assert "Retry-After" in responses["503"]["headers"]


def test_internal_routes_name_their_credential(document: dict[str, Any]) -> None:
    operation = document["paths"]["/internal/orders/{matchNumber}/close"]["post"]
    assert operation["security"] == [{"serviceToken": []}]
    assert _codes(operation["responses"]["401"]) == {"unauthenticated"}
    assert set(document["components"]["securitySchemes"]) == {"serviceToken", "accessToken", "accessCookie"}


def test_open_routes_name_none(document: dict[str, Any]) -> None:
    assert "security" not in document["paths"]["/api/search"]["get"]
    assert "401" not in _responses(document, "/api/search", "get")


def test_examples_of_errors_fit_their_schemas(document: dict[str, Any]) -> None:
    checked = 0
    for methods in document["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                for content in response.get("content", {}).values():
                    schema = {**content["schema"], "components": document["components"]}
                    for example in content.get("examples", {}).values():
                        Draft202012Validator(schema).validate(example["value"])
                        checked += 1
    assert checked > 50


def test_real_problems_fit_the_schema(document: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/Problem", "components": document["components"]}
    client = example_app().test_client()
    for response in (client.get("/nothing"), client.post("/api/orders", json={}), client.get("/api/search?limit=0")):
        Draft202012Validator(schema).validate(response.get_json())


def test_an_app_without_routes_still_documents_itself() -> None:
    app = create_http_app("empty", "Nothing.", example_settings())
    assert set(app.openapi()["paths"]) == {"/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.tags: set[str] = set()
        self.style = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        if tag not in ("meta", "br", "!doctype"):
            self.open.append(tag)
        if given.get("id"):
            assert given["id"] not in self.ids
            self.ids.add(str(given["id"]))
        self.links |= {str(given[name]) for name in ("href", "src") if name in given}
        assert not [name for name in given if name.startswith("on") or name == "style"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data


@pytest.fixture(scope="module")
def parsed(page: str) -> _Page:
    parser = _Page()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_the_page_loads_nothing_from_anywhere(parsed: _Page) -> None:
    assert not parsed.tags & {"script", "img", "link", "iframe", "object"}
    assert all(link == "/openapi.json" or link.startswith("#") for link in parsed.links)


def test_the_links_of_the_page_lead_somewhere(parsed: _Page) -> None:
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= parsed.ids


def test_the_type_of_every_problem_leads_to_its_explanation(parsed: _Page) -> None:
    client = example_app().test_client()
    requests = [("POST", "/api/orders"), ("GET", "/nothing"), ("PUT", "/api/orders"), ("GET", "/api/broken")]
    for method, path in requests:
        response = client.open(path, method=method)
        assert response.get_json()["type"].removeprefix("/docs#") in parsed.ids


def test_the_policy_allows_the_style_and_nothing_else(parsed: _Page) -> None:
    policy = example_app().test_client().get("/docs").headers["Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(parsed.style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_texts_are_escaped() -> None:
    part = Routes("x<b>", "<script>alert(1)</script>")

    @part.get("/x", answer=Answer("<img src=x>"))
    def handler() -> None:
        """<i>Summary</i>"""

    text = create_http_app("x", "<u>", example_settings(), routes=[part]).test_client().get("/docs").text
    assert not re.search(r"<(script|img|i|u|b)>", text)
