"""Cross-origin requests: only listed origins, never with cookies."""

import pytest
from pydantic import ValidationError
from werkzeug.datastructures import Headers

from tests.example_service import example_app, example_settings

FRIEND = "https://shop.example"
LIST = f"{FRIEND}, http://localhost:9000"


def _headers(method: str, origin: str | None, path: str = "/api/orders/1", asked: str | None = None) -> Headers:
    sent = {"Origin": origin, "Access-Control-Request-Method": asked}
    client = example_app(example_settings(cors_origins=LIST)).test_client()
    headers = {name: value for name, value in sent.items() if value is not None}
    return client.open(path, method=method, headers=headers).headers


@pytest.mark.parametrize("origin", [FRIEND, "http://localhost:9000"])
def test_a_listed_origin_may_read(origin: str) -> None:
    headers = _headers("GET", origin)
    assert headers["Access-Control-Allow-Origin"] == origin
    assert "ETag" in headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in headers
    assert headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://shop.example.evil.example", "null", FRIEND + ":1", ""]
)
def test_another_origin_gets_no_permission(origin: str) -> None:
    headers = _headers("GET", origin)
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Vary"] == "Origin"


def test_failures_can_be_read_by_a_listed_origin() -> None:
    assert _headers("GET", FRIEND, "/nothing")["Access-Control-Allow-Origin"] == FRIEND


def test_a_preflight_tells_what_may_be_sent() -> None:
    headers = _headers("OPTIONS", FRIEND, "/api/orders", asked="POST")
    assert headers["Access-Control-Allow-Origin"] == FRIEND
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in headers["Access-Control-Allow-Headers"]
    assert int(headers["Access-Control-Max-Age"]) > 0


def test_a_preflight_of_another_origin_gets_nothing() -> None:
    headers = _headers("OPTIONS", "https://evil.example", "/api/orders", asked="POST")
    assert not [name for name in headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118


def test_without_a_list_there_is_no_word_of_it() -> None:
    headers = example_app().test_client().get("/api/orders/1", headers={"Origin": FRIEND}).headers
    assert "Vary" not in headers
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("wrong", ["*", "shop.example", "https://shop.example/path", "null", "ftp://shop.example"])
def test_what_is_not_an_origin_stops_the_start(wrong: str) -> None:
    with pytest.raises(ValidationError):
        example_settings(cors_origins=wrong)
