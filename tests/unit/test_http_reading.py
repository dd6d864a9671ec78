"""Reading requests strictly: what is refused, with which code, and where it is wrong."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime
from werkzeug.test import TestResponse

from shared.errors import MalformedJson, ValidationFailed
from shared.http.body import DEPTH_MAX, parse_json, strict_json
from shared.http.models import QueryModel
from shared.http.validation import TextFields, json_pointer
from tests.example_service import NewOrder, Wiring, example_app, example_settings

GOOD = {"matchNumber": 12, "quantity": 2}


@pytest.fixture
def wiring() -> Wiring:
    return Wiring()


@pytest.fixture
def client(wiring: Wiring) -> FlaskClient:
    return example_app(wiring=wiring).test_client()


def _post(client: FlaskClient, body: Any, **headers: str) -> TestResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post("/api/orders", data=raw, content_type="application/json", headers=headers)


def _code(response: TestResponse) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    return response.status_code, response.get_json()["code"]


def _violations(response: TestResponse) -> set[tuple[str, str]]:
    assert _code(response) == (422, "validation_failed")
    where = ("pointer", "parameter", "header")
    found = response.get_json()["errors"]
    assert all(sum(name in error for name in where) == 1 and error["detail"] for error in found)
    return {(next(error[name] for name in where if name in error), error["code"]) for error in found}


def test_a_good_body_is_taken(client: FlaskClient, wiring: Wiring) -> None:
    response = _post(client, GOOD)
    assert (response.status_code, response.get_json()) == (201, {"matchNumber": 12, "quantity": 2, "key": None})
    assert response.headers["Location"] == "/api/orders/12"
    assert len(wiring.orders) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b'{"matchNumber":12,}',
        b"{'matchNumber':12}",
        b'{"matchNumber":12,"matchNumber":13,"quantity":1}',
        b'{"buyer":{"name":"a","name":"b"}}',
        b'{"quantity":NaN}',
        b'{"quantity":Infinity}',
        b'{"quantity":1e999}',
        b'{"quantity":' + b"9" * 5000 + b"}",
        b'{"name":"\xff"}',
        b'{"name":"\xed\xa0\x80"}',
        b'{"name":"\\ud800"}',
        b'{"name":"\x00"}',
        b"\xef\xbb\xbf{}",
        '{"matchNumber":12}'.encode("utf-16"),
        b'{"a":1} {"b":2}',
        b"// comment\n{}",
        b"[" * 1000 + b"]" * 1000,
        b'{"a":' * 70 + b"1" + b"}" * 70,
    ],
)
def test_what_is_not_json_is_400_malformed_json(client: FlaskClient, wiring: Wiring, raw: bytes) -> None:
    assert _code(_post(client, raw)) == (400, "malformed_json")
    assert wiring.orders == []


@pytest.mark.parametrize("document", [[], [GOOD], "text", 1, 1.5, True, None])
def test_what_is_not_an_object_is_422(client: FlaskClient, document: Any) -> None:
    assert _violations(_post(client, document)) == {("", "wrong_type")}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"quantity": "2"}, ("/quantity", "wrong_type")),
        ({"quantity": 1.5}, ("/quantity", "wrong_type")),
        ({"quantity": 2.5e300}, ("/quantity", "wrong_type")),
        ({"quantity": True}, ("/quantity", "wrong_type")),
        ({"quantity": None}, ("/quantity", "wrong_type")),
        ({"quantity": 0}, ("/quantity", "out_of_range")),
        ({"quantity": 3}, ("/quantity", "out_of_range")),
        ({"quantity": -1}, ("/quantity", "out_of_range")),
        ({"matchNumber": 10**30}, ("/matchNumber", "out_of_range")),
        ({"match_number": 12}, ("/match_number", "unknown")),
        ({"price": 1}, ("/price", "unknown")),
        ({"a/b~c": 1}, ("/a~1b~0c", "unknown")),
        ({"orderId": "12"}, ("/orderId", "wrong_format")),
        ({"orderId": 12}, ("/orderId", "wrong_type")),
        ({"placedAt": "yesterday"}, ("/placedAt", "wrong_format")),
        ({"placedAt": 1669000000}, ("/placedAt", "wrong_type")),
        ({"colour": "green"}, ("/colour", "not_allowed")),
        ({"buyer": {}}, ("/buyer/name", "required")),
        ({"buyer": []}, ("/buyer", "wrong_type")),
        ({"buyer": {"name": ""}}, ("/buyer/name", "wrong_length")),
        ({"buyer": {"name": "x" * 21}}, ("/buyer/name", "wrong_length")),
        ({"buyer": {"name": "a", "tags": ["a", 1]}}, ("/buyer/tags/1", "wrong_type")),
        ({"buyer": {"name": "a", "tags": list("abcd")}}, ("/buyer/tags", "wrong_length")),
        ({"buyer": {"name": "a\0b"}}, ("/buyer/name", "nul_character")),
        ({"buyer": {"name": "a", "tags": ["\0"]}}, ("/buyer/tags/0", "nul_character")),
        ({"x\0": 1}, ("/x\0", "nul_character")),
        ({"buyer": {"name": "nobody"}}, ("/buyer", "invalid")),
    ],
)
def test_a_wrong_member_is_pointed_at(
    client: FlaskClient, wiring: Wiring, change: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert _violations(_post(client, GOOD | change)) == {expected}
    assert wiring.orders == []


def test_every_wrong_member_is_named_at_once(client: FlaskClient) -> None:
    assert _violations(_post(client, {"quantity": 3, "price": 1})) == {
        ("/matchNumber", "required"),
        ("/quantity", "out_of_range"),
        ("/price", "unknown"),
    }


def test_the_number_of_named_violations_is_bounded(client: FlaskClient) -> None:
    assert len(_violations(_post(client, {f"unknown{number}": 1 for number in range(500)}))) == 50


@pytest.mark.parametrize("raw", [b"2.0", b"2e0", b"0.2e1", b"2.000"])
def test_a_whole_number_may_be_written_with_a_fraction(client: FlaskClient, raw: bytes) -> None:
    response = _post(client, b'{"matchNumber":12.0,"weight":0.5,"quantity":' + raw + b"}")
    assert (response.status_code, response.get_json()["quantity"]) == (201, 2)


def test_a_whole_number_beyond_64_bits_beside_a_fraction_is_a_violation(client: FlaskClient) -> None:
    body = b'{"matchNumber":12,"weight":0.5,"quantity":591230713420893420878036992}'
    assert _violations(_post(client, body)) == {("/quantity", "out_of_range")}


def test_the_escape_of_an_escape_is_not_a_nul(client: FlaskClient) -> None:
    assert _post(client, GOOD | {"buyer": {"name": "a\\u0000"}}).status_code == 201


def test_a_value_is_never_repeated_in_the_answer(client: FlaskClient) -> None:
    response = _post(client, GOOD | {"orderId": "my secret", "quantity": 42424242})
    assert b"my secret" not in response.data
    assert b"42424242" not in response.data


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/xml", "application/json-patch+json", "json"])
def test_another_media_type_is_415(client: FlaskClient, media_type: str) -> None:
    response = client.post("/api/orders", data=json.dumps(GOOD), content_type=media_type)
    assert _code(response) == (415, "unsupported_media_type")
    assert response.headers["Accept"] == "application/json"


def test_another_charset_is_415(client: FlaskClient) -> None:
    response = client.post("/api/orders", data=json.dumps(GOOD), content_type="application/json; charset=latin-1")
    assert _code(response) == (415, "unsupported_media_type")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
def test_spellings_of_json_in_utf_8_are_taken(client: FlaskClient, media_type: str) -> None:
    assert client.post("/api/orders", data=json.dumps(GOOD), content_type=media_type).status_code == 201


def test_a_body_over_the_limit_is_413_by_its_declared_length(wiring: Wiring) -> None:
    client = example_app(example_settings(body_bytes_max=1024), wiring=wiring).test_client()
    assert _code(_post(client, b" " * 1025)) == (413, "body_too_large")
    assert _code(_post(client, b" " * 1024)) == (400, "malformed_json")


def test_a_body_over_the_limit_is_413_by_what_arrives(wiring: Wiring) -> None:
    client = example_app(example_settings(body_bytes_max=1024), wiring=wiring).test_client()
    response = client.post(
        "/api/orders",
        data=b" " * 1025,
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert _code(response) == (413, "body_too_large")


def test_a_body_that_ends_early_is_400(client: FlaskClient) -> None:
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": "9"}
    response = client.post("/api/orders", data=b"{}", content_type="application/json", environ_overrides=environ)
    assert _code(response) == (400, "bad_request")


@pytest.mark.parametrize("key", ["k", "~" * 255, "a:b/c!"])
def test_an_idempotency_key_is_taken(client: FlaskClient, key: str) -> None:
    assert _post(client, GOOD, **{"Idempotency-Key": key}).get_json()["key"] == key


@pytest.mark.parametrize("key", ["", "k" * 256, "a b", "é", "a\tb"])
def test_a_wrong_idempotency_key_is_422(client: FlaskClient, key: str) -> None:
    ((name, _),) = _violations(_post(client, GOOD, **{"Idempotency-Key": key}))
    assert name == "Idempotency-Key"


def test_a_query_is_read(client: FlaskClient) -> None:
    response = client.get("/api/search?team=C%C3%B4te+d%27Ivoire&limit=5&exact=true&category=1&category=3")
    assert response.get_json() == {"team": "Côte d'Ivoire", "limit": 5, "exact": True, "category": [1, 3]}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=0", ("limit", "out_of_range")),
        ("limit=101", ("limit", "out_of_range")),
        ("limit=ten", ("limit", "wrong_format")),
        ("limit=1_0", ("limit", "wrong_format")),
        ("limit=%201", ("limit", "wrong_format")),
        ("limit=1.0", ("limit", "wrong_format")),
        ("limit=%2B1", ("limit", "wrong_format")),
        ("limit=", ("limit", "wrong_format")),
        ("limit=99999999999999999999", ("limit", "wrong_format")),
        ("limit=1&limit=2", ("limit", "duplicate")),
        ("exact=yes", ("exact", "wrong_format")),
        ("since=0", ("since", "wrong_format")),
        ("since=2022-02-30", ("since", "wrong_format")),
        ("category=1&category=x", ("category", "wrong_format")),
        ("category=1&category=2&category=3&category=4", ("category", "wrong_length")),
        ("team=" + "x" * 51, ("team", "wrong_length")),
        ("team=a%00b", ("team", "nul_character")),
        ("unknown=1", ("unknown", "unknown")),
        ("=1", ("", "unknown")),
    ],
)
def test_a_wrong_query_parameter_is_named(client: FlaskClient, query: str, expected: tuple[str, str]) -> None:
    assert _violations(client.get(f"/api/search?{query}")) == {expected}


@pytest.mark.parametrize("query", ["team=%ff", "%ff=1", "team=\xff", "&".join(f"a{n}=1" for n in range(101))])
def test_an_unreadable_query_is_400(client: FlaskClient, query: str) -> None:
    response = client.get("/api/search", environ_overrides={"QUERY_STRING": query})
    assert _code(response) == (400, "bad_request")


def test_a_route_without_parameters_refuses_any(client: FlaskClient) -> None:
    assert _violations(client.get("/api/trace?x=1")) == {("x", "unknown")}


@pytest.mark.parametrize(
    "segment", ["0", "-1", "abc", "1.5", "01", "%201", "1_0", "99999999999999999999", "%00", "%ff"]
)
def test_a_path_that_can_name_nothing_is_404(client: FlaskClient, segment: str) -> None:
    assert _code(client.get(f"/api/orders/{segment}")) == (404, "not_found")


def test_path_variables_arrive_with_their_types(client: FlaskClient, wiring: Wiring) -> None:
    order_id = "c0ffee00-0000-4000-8000-000000000000"
    response = client.delete(f"/api/orders/{order_id}/lines/7")
    assert (response.status_code, response.data) == (204, b"")
    assert "Content-Type" not in response.headers
    assert [(str(seen[0]), seen[1]) for seen in wiring.seen] == [(order_id, 7)]


def test_json_pointers_are_escaped() -> None:
    assert json_pointer(["a/b", "~", 0, ""]) == "/a~1b/~0/0/"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_all_other_json_is_read_as_python_reads_it(document: Any) -> None:
    raw = json.dumps(document).encode("utf-8", "surrogatepass")
    assert strict_json(raw) == json.loads(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_read_or_refused_clearly(raw: bytes) -> None:
    with contextlib.suppress(MalformedJson, ValidationFailed):
        parse_json(NewOrder, raw)


@given(st.dictionaries(st.sampled_from(["matchNumber", "quantity", "buyer", "colour", "weight"]), JSON))
def test_any_object_is_either_read_or_refused_clearly(document: dict[str, Any]) -> None:
    with contextlib.suppress(ValidationFailed):
        parse_json(NewOrder, json.dumps(document).encode())


def test_nesting_within_the_limit_is_taken() -> None:
    deep = b"[" * DEPTH_MAX + b"]" * DEPTH_MAX
    assert strict_json(deep)
    with pytest.raises(MalformedJson):
        strict_json(b"[" + deep + b"]")


class Since(QueryModel):
    since: AwareDatetime | None = None


@pytest.mark.parametrize("text", ["0.5", "1668960000", "2022-11-20", "2022-11-20T16:00:00", "yesterday", ""])
def test_a_moment_is_written_as_one(text: str) -> None:
    with pytest.raises(ValidationFailed):
        TextFields(Since, "parameter").from_query(urlencode({"since": text}))


def test_a_moment_has_its_offset() -> None:
    read = TextFields(Since, "parameter").from_query(urlencode({"since": "2022-11-20T19:00:00+03:00"}))
    assert read == Since(since=datetime(2022, 11, 20, 16, tzinfo=UTC))
