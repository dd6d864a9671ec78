"""Somebody changes what is sent (price, quantity, owner, id, address, size), and puts code where text belongs."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.attacks.challenged import solution
from tests.counter import Service, open_service

WISH = {"matchNumber": 1, "category": 1, "quantity": 1, "email": "mallory@example.org"}
SQL = ["'; DROP TABLE reservations.reservations; --", "1' OR '1'='1", "0; SELECT pg_sleep(10)", "%27%20OR%201=1", "\\'"]


@pytest.fixture
def service(database_url: str, as_in_production: dict[str, str]) -> Iterator[Service]:
    with open_service(database_url, **as_in_production | {"RATE_SCALE": "100"}) as service:
        yield service


@pytest.fixture
def strict(database_url: str, as_in_production: dict[str, str]) -> Iterator[Service]:
    with open_service(database_url, **as_in_production) as service:
        yield service


def attempt(service: Service, body: Any, **headers: str) -> int:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **headers}
    return service.call("POST", "/api/reservations", data=raw, headers=sent).status_code


@pytest.mark.parametrize(
    "changed",
    [
        {"price": 1},
        {"amount": 1},
        {"currency": "IDR"},
        {"status": "reserved"},
        {"id": str(uuid.uuid4())},
        {"accountId": str(uuid.uuid4())},
        {"buyer": "ada@example.org"},
        {"expiresAt": "2099-01-01T00:00:00Z"},
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": 3},
        {"quantity": 1.5},
        {"quantity": "1"},
        {"quantity": True},
        {"quantity": 2**64},
        {"quantity": [1, 1]},
        {"category": -1},
        {"matchNumber": 0},
        {"matchNumber": 10**30},
        {"email": ["a@example.org", "b@example.org"]},
        {"email": "a@example.org\r\nBcc: all@example.org"},
        {"email": "a@example.org\u0000"},
        *({"email": text} for text in SQL),
        *({"matchNumber": text} for text in SQL),
    ],
)
def test_a_wish_that_names_what_is_not_its_to_name_is_refused(service: Service, changed: dict[str, Any]) -> None:
    before = service.facts()
    assert attempt(service, WISH | changed) == 422
    assert service.facts() == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"matchNumber":1,"category":1,"quantity":1,"quantity":2,"email":"a@example.org"}', 400),
        (b"[" * 50_000, 400),
        (b'{"email":"' + b"a" * 70_000 + b'"}', 413),
        (b'{"__proto__":{"admin":true}}', 422),
        (b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>", 400),
        (b"\xff\xfe", 400),
        (b"", 400),
    ],
)
def test_a_body_that_could_be_read_in_two_ways_or_without_end_is_refused(
    service: Service, body: bytes, status: int
) -> None:
    before = service.facts()
    assert attempt(service, body) == status
    assert service.facts() == before


@pytest.mark.parametrize("text", [*SQL, "../../etc/passwd", "%00", "<script>", "{{7*7}}", "$" + "{jndi:ldap://x}"])
def test_code_in_ids_queries_and_headers_finds_nothing(service: Service, text: str) -> None:
    before = service.facts()
    assert service.call("GET", f"/api/reservations/{text}").status_code in (401, 404)
    assert service.call("GET", "/api/reservations", query_string={"email": text}).status_code in (401, 422)
    key = text.encode("ascii", "ignore").decode().replace(" ", "+")
    answer = service.call("GET", "/api/tickets", headers={"Authorization": f"Bearer {text}", "X-Request-Id": text})
    assert answer.status_code == 401
    assert text not in answer.text
    assert answer.headers["X-Request-Id"] != text
    assert attempt(service, WISH | {"quantity": 3}, **{"Idempotency-Key": key}) in (403, 422)
    assert service.facts() == before


def test_a_header_that_carries_another_one_splits_no_answer(service: Service) -> None:
    for name in ("X-Request-Id", "Origin", "X-Challenge-Pass", "traceparent"):
        value = "a\r\nSet-Cookie: stolen=1"
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value}
        answer = service.call("GET", "/api/reservations", environ_overrides=environ)
        assert answer.status_code == 401
        assert "stolen" not in str(answer.headers)


def test_another_buyers_reservation_is_neither_shown_nor_cancelled(service: Service) -> None:
    mine, theirs = service.buy().get_json(), service.buy().get_json()
    before = service.facts()
    for method in ("GET", "DELETE"):
        answer = service.call(method, f"/api/reservations/{theirs['id']}", token=mine["accessToken"])
        assert answer.status_code == 403
        forged = f"{theirs['id']}.{mine['accessToken'].partition('.')[2]}"
        assert service.call(method, f"/api/reservations/{theirs['id']}", token=forged).status_code == 401
    assert service.facts() == before


def test_an_address_that_the_client_makes_up_does_not_help(strict: Service) -> None:
    statuses = [
        strict.call("POST", "/api/reservations", json={}, headers=forged).status_code
        for number in range(30)
        for forged in [
            {
                "X-Forwarded-For": f"198.51.100.{number}",
                "X-Real-IP": f"198.51.100.{number}",
                "Forwarded": f"for=198.51.100.{number}",
                "X-Original-Address": f"198.51.100.{number}",
                "True-Client-IP": f"198.51.100.{number}",
            }
        ]
    ]
    assert statuses.index(403) <= 20
    assert set(statuses[20:]) == {403}


def test_behind_a_trusted_proxy_only_what_the_proxy_wrote_counts(
    database_url: str, as_in_production: dict[str, str]
) -> None:
    def ask(service: Service, forwarded: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        return service.call("POST", "/api/reservations", json={}, headers=headers).status_code

    with open_service(database_url, TRUSTED_PROXIES="127.0.0.0/8", **as_in_production) as service:
        # The client's own words stand before the address that the proxy saw.
        statuses = [ask(service, f"198.51.100.{number}, 192.0.2.1") for number in range(30)]
        assert set(statuses[20:]) == {403}
        assert ask(service, "192.0.2.2") == 422, "somebody else is not concerned"


def test_hoarders_are_challenged_and_each_solution_buys_them_little(strict: Service) -> None:
    held = [strict.buy().status_code for _ in range(30)]
    assert held.count(201) <= 20
    assert set(held[20:]) == {403}
    before = strict.held()
    first = strict.call("POST", "/api/reservations", json=WISH, headers=solution(strict.settings))
    assert first.status_code == 201
    shown = {"X-Challenge-Pass": first.headers["X-Challenge-Pass"]}
    more = [
        strict.call("POST", "/api/reservations", json=WISH | {"email": f"m{n}@example.org"}, headers=shown).status_code
        for n in range(15)
    ]
    assert more.count(201) == 9
    assert set(more[9:]) == {429}
    assert strict.held() == before + 10


def test_internal_routes_open_to_nobody_and_who_tries_is_shut_out(strict: Service) -> None:
    made = strict.buy().get_json()
    before = strict.facts()
    token = strict.service_token
    guesses = ["", "x", token[:-1], token + "x", token.swapcase(), made["accessToken"]]
    path = f"/internal/reservations/{made['id']}/confirm"
    for guess in guesses:
        assert strict.call("POST", path, token=guess or None).status_code == 401
    statuses = [strict.call("POST", path, token="guess").status_code for _ in range(60)]
    assert statuses[-1] == 403
    assert strict.facts() == before
    assert strict.call("POST", path, token=token).status_code != 403, "who bears the token is not shut out with them"
