"""What every request gets, whatever happens: request id, trace, headers, metrics, and problems for failures."""

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from flask import Response
from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from werkzeug.test import TestResponse

from shared.http import Answer, HttpApp, Routes
from tests.example_service import SERVICE_TOKEN, example_app, example_settings, routes

ORDER = {"matchNumber": 1, "quantity": 1}


@pytest.fixture
def client() -> FlaskClient:
    return example_app().test_client()


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as events:
        yield events


def _is_problem(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    problem: dict[str, Any] = json.loads(response.data)
    assert list(problem)[:7] == ["type", "title", "status", "detail", "instance", "code", "requestId"]
    assert (problem["status"], problem["code"], problem["type"]) == (status, code, f"/docs#{code}")
    assert problem["title"]
    assert problem["detail"]
    assert problem["requestId"] == response.headers["X-Request-Id"]
    return problem


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/api/orders/1/", "//api/orders/1", "/api//orders/1", "/API/orders/1"]
)
def test_an_unknown_address_is_404(client: FlaskClient, path: str) -> None:
    _is_problem(client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "//internal/orders/1/close", "/internal//orders/1/close", "/./internal/orders/1/close",
        "/api/../internal/orders/1/close", "/%69nternal/orders/1/close", "/internal%2forders/1/close",
        "/internal/orders/%31/close", "/internal/orders/1/close/", "/internal;x/orders/1/close",
        "/internal/orders/1%00/close", "/internal/orders/1\\close", "/%2569nternal/orders/1/close",
        "/internal/orders/1/close%3fx", "/%2e/internal/orders/1/close",
    ],
)  # fmt: skip
def test_an_internal_route_has_one_spelling(client: FlaskClient, path: str) -> None:
    token = {"Authorization": f"Bearer {SERVICE_TOKEN}"}
    assert client.post("/internal/orders/1/close", headers=token).status_code == 200
    _is_problem(client.post(path, headers=token), 404, "not_found")


@pytest.mark.parametrize("path", ["//api/orders", "/api/%6frders", "/api/./orders", "/api;x/orders"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_path_that_is_not_in_its_normal_form_leads_nowhere(client: FlaskClient, path: str, method: str) -> None:
    assert client.open(path, method=method, json=ORDER).status_code == 404


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_what_a_proxy_hands_on_reaches_no_internal_route_however_it_was_spelled(
    client: FlaskClient, header: str
) -> None:
    headers = {"Authorization": f"Bearer {SERVICE_TOKEN}", header: "for=198.51.100.1"}
    _is_problem(client.post("/internal/orders/1/close", headers=headers), 404, "not_found")


def test_the_query_may_be_encoded_as_it_likes(client: FlaskClient) -> None:
    assert client.get("/api/search?team=%41%2f%2e%2e%2f").get_json()["team"] == "A/../"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_a_wrong_method_is_405_with_the_right_ones(client: FlaskClient, method: str) -> None:
    response = client.open("/api/orders", method=method)
    _is_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "OPTIONS, POST"


def test_an_error_of_the_domain_has_its_code_status_and_members(client: FlaskClient) -> None:
    problem = _is_problem(client.post("/api/orders", json=ORDER | {"matchNumber": 64}), 409, "sold_out")
    assert problem["title"] == "The pool is sold out"
    assert (problem["detail"], problem["instance"]) == ("none of 64 is left", "/api/orders")
    assert problem["remaining"] == 0


def test_an_unexpected_error_is_logged_and_tells_nothing(client: FlaskClient, logged: list[Any]) -> None:
    response = client.get("/api/broken")
    problem = _is_problem(response, 500, "internal_error")
    assert "hunter2" not in response.text
    assert problem["detail"] == "The service failed unexpectedly"
    (error,) = [event for event in logged if event["event"] == "unexpected_error"]
    assert isinstance(error["exc_info"], RuntimeError)


def test_a_failing_handler_is_500_in_debug_mode_too() -> None:
    app = example_app()
    app.debug = app.testing = True
    _is_problem(app.test_client().get("/api/broken"), 500, "internal_error")


def test_the_instance_is_a_uri_reference(client: FlaskClient) -> None:
    assert client.get("/n%C3%B6thing here?x=1").get_json()["instance"] == "/n%C3%B6thing%20here"


def test_head_answers_as_get_without_a_body(client: FlaskClient) -> None:
    got, headed = client.get("/api/orders/1"), client.head("/api/orders/1")
    assert headed.data == b""
    assert (headed.status_code, headed.headers["Content-Length"]) == (200, got.headers["Content-Length"])


def test_head_of_nothing_is_404_without_a_body(client: FlaskClient) -> None:
    response = client.head("/nothing")
    assert (response.status_code, response.data) == (404, b"")
    assert response.content_type == "application/problem+json"


def test_options_tells_the_methods(client: FlaskClient) -> None:
    response = client.options("/api/orders/1")
    assert (response.status_code, response.data) == (204, b"")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_options_of_nothing_is_404(client: FlaskClient) -> None:
    _is_problem(client.options("/nothing"), 404, "not_found")


HARDENING = (
    "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy",
    "Cross-Origin-Opener-Policy", "Strict-Transport-Security",
)  # fmt: skip


@pytest.mark.parametrize("path", ["/api/orders/1", "/nothing", "/api/broken", "/api/stream", "/health/live", "/docs"])
def test_every_response_has_the_security_headers_once(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    for name in (*HARDENING, "Content-Security-Policy"):
        assert len(headers.getlist(name)) == 1, name
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Cache-Control"] == "no-store"


def test_a_sane_request_id_comes_back(client: FlaskClient) -> None:
    response = client.get("/nothing", headers={"X-Request-Id": "abc-1.2_3"})
    assert _is_problem(response, 404, "not_found")["requestId"] == "abc-1.2_3"


def test_an_unsafe_request_id_is_replaced(client: FlaskClient) -> None:
    response = client.get("/api/orders/1", headers={"X-Request-Id": "<script>"})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-Id"])


def test_the_trace_goes_on(client: FlaskClient) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    seen = client.get("/api/trace", headers={"traceparent": parent}).text
    assert seen.startswith(parent[:36])
    assert seen != parent


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {SERVICE_TOKEN}", f"Bearer {SERVICE_TOKEN}x", "Bearer é"],
)
def test_internal_routes_need_the_service_token(client: FlaskClient, header: str | None) -> None:
    response = client.post("/internal/orders/1/close", headers={} if header is None else {"Authorization": header})
    problem = _is_problem(response, 401, "unauthenticated")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="matchday"'
    assert SERVICE_TOKEN not in json.dumps(problem)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_service_token_opens_internal_routes(client: FlaskClient, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {SERVICE_TOKEN}"}
    assert client.post("/internal/orders/1/close", headers=headers).status_code == 200


def test_the_guard_stands_before_everything_else(client: FlaskClient) -> None:
    _is_problem(client.post("/internal/orders/abc/close?x=1", data=b"{"), 401, "unauthenticated")


def test_a_bearer_token_reaches_the_handler(client: FlaskClient) -> None:
    _is_problem(client.get("/api/mine"), 401, "unauthenticated")
    _is_problem(client.get("/api/mine", headers={"Authorization": "Bearer " + "x" * 5000}), 401, "unauthenticated")
    assert client.get("/api/mine", headers={"Authorization": "Bearer me"}).get_json()["team"] == "me"


def _count(route: str, method: str, status: str) -> float:
    labels = {"route": route, "method": method, "status": status}
    return REGISTRY.get_sample_value("matchday_http_requests_total", labels) or 0.0


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("GET", "/api/orders/17", ("/api/orders/{matchNumber}", "GET", "200")),
        ("HEAD", "/api/orders/17", ("/api/orders/{matchNumber}", "HEAD", "200")),
        ("OPTIONS", "/api/orders/17", ("/api/orders/{matchNumber}", "OPTIONS", "204")),
        ("GET", "/api/orders/abc", ("/api/orders/{matchNumber}", "GET", "404")),
        ("GET", "/some/thing/else", ("(none)", "GET", "404")),
        ("BREW", "/api/orders", ("(none)", "other", "405")),
        ("GET", "/api/broken", ("/api/broken", "GET", "500")),
    ],
)
def test_requests_are_counted_by_the_route_and_never_by_the_address(
    client: FlaskClient, method: str, path: str, labels: tuple[str, str, str]
) -> None:
    before = _count(*labels)
    client.open(path, method=method)
    assert _count(*labels) == before + 1


def test_metrics_are_served(client: FlaskClient) -> None:
    client.get("/api/orders/1")
    response = client.get("/metrics")
    assert response.content_type.startswith("text/plain")
    assert 'matchday_http_requests_total{method="GET",route="/api/orders/{matchNumber}",status="200"}' in response.text
    assert "matchday_http_request_seconds_bucket" in response.text


def test_a_stream_is_not_gathered(client: FlaskClient) -> None:
    response = client.get("/api/stream")
    assert "Content-Length" not in response.headers
    assert response.data == b"one two"


def test_head_of_a_stream_ends_it_at_once() -> None:
    closed = []

    class Pieces:
        def __iter__(self) -> "Pieces":
            return self

        def __next__(self) -> bytes:
            raise AssertionError("nobody reads")

        def close(self) -> None:
            closed.append(1)

    part = Routes("x")

    @part.get("/x", answer=Answer("Pieces", media_type="text/plain"))
    def pieces() -> Response:
        return Response(Pieces(), content_type="text/plain")

    app = HttpApp("x", "x", example_settings())
    app.add_routes(part)
    assert app.test_client().head("/x").status_code == 200
    assert closed


def test_an_ordinary_answer_is_handed_over_in_one_list() -> None:
    app = example_app()
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/orders/1", "SERVER_NAME": "x", "SERVER_PORT": "80"}
    environ |= {"wsgi.url_scheme": "http", "QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1"}
    assert isinstance(app(environ, lambda *_: lambda _: None), list)


def _requests(logged: list[Any]) -> list[tuple[str, str, int]]:
    return [(event["log_level"], event["route"], event["status"]) for event in logged if event["event"] == "request"]


def test_reading_that_went_well_is_not_logged(client: FlaskClient, logged: list[Any]) -> None:
    client.get("/api/orders/1")
    assert _requests(logged) == []


def test_changes_and_failures_are_logged(client: FlaskClient, logged: list[Any]) -> None:
    client.post("/api/orders", json=ORDER)
    client.get("/nothing")
    client.get("/api/broken")
    assert _requests(logged) == [("info", "/api/orders", 201), ("info", "(none)", 404), ("error", "/api/broken", 500)]


def test_everything_is_logged_at_debug(logged: list[Any]) -> None:
    example_app(example_settings(log_level="debug")).test_client().get("/api/orders/1")
    assert _requests(logged) == [("debug", "/api/orders/{matchNumber}", 200)]


def test_query_and_credentials_are_not_logged(client: FlaskClient, logged: list[Any]) -> None:
    client.get("/nothing?token=hunter2", headers={"Authorization": "Bearer hunter2", "Cookie": "a=hunter2"})
    assert "hunter2" not in repr(logged)


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "expected"),
    [
        ("", "10.0.0.1", "1.2.3.4", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.0/8", "9.9.9.9", "1.2.3.4", "9.9.9.9"),
        ("10.0.0.0/8", "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.0/8", "10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("::1/128", "::1", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_forwarded_addresses_are_believed_from_trusted_proxies_only(
    logged: list[Any], trusted: str, peer: str, forwarded: str, expected: str
) -> None:
    client = example_app(example_settings(trusted_proxies=trusted)).test_client()
    client.get("/nothing", headers={"X-Forwarded-For": forwarded}, environ_overrides={"REMOTE_ADDR": peer})
    assert [event["address"] for event in logged if event["event"] == "request"] == [expected]


def test_stopping_and_ending_call_everybody_back() -> None:
    app, called = example_app(), []
    app.on_stop(lambda: called.append("stop 1"))
    app.on_stop(lambda: called.append("stop 2"))
    app.on_end(lambda: called.append("end"))
    app.stop()
    app.end()
    assert called == ["stop 1", "stop 2", "end"]


def test_a_handler_with_an_unknown_parameter_is_refused_at_start() -> None:
    part = Routes("x")

    @part.get("/x/{matchNumber}")
    def handler(match_number: int, other: int) -> None:
        pass

    with pytest.raises(TypeError, match="other"):
        HttpApp("x", "x", example_settings()).add_routes(part)


def test_a_handler_without_its_path_variable_is_refused_at_start() -> None:
    part = Routes("x")

    @part.get("/x/{matchNumber}")
    def handler() -> None:
        pass

    with pytest.raises(TypeError, match="match_number"):
        HttpApp("x", "x", example_settings()).add_routes(part)


def test_every_route_of_the_example_is_served() -> None:
    paths = {rule.rule for rule in example_app().url_map.iter_rules()}
    assert {route.flask_rule for route in routes.routes} <= paths


def test_nothing_of_the_standard_logging_is_changed_by_an_app() -> None:
    before = logging.getLogger().handlers[:]
    example_app()
    assert logging.getLogger().handlers == before
