"""What the reservations service answers, on a real PostgreSQL; and that a refusal changes nothing."""

import hashlib
import hmac
import json
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from matchday.servers import Postgres
from reservations.access import PURPOSE
from tests.counter import Service, is_problem, open_service
from tests.resources import Databases

BODY = {"matchNumber": 1, "category": 1, "quantity": 1, "email": "ada@example.org"}
NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str) -> Iterator[Service]:
    databases = Databases(_postgres, _template)
    with open_service(databases.create()) as service:
        yield service
    databases.drop_all()


@pytest.fixture
def service(opened: Service) -> Service:
    """The service before its first buyer."""
    opened.clear()
    return opened


@pytest.fixture
def lonely(database_url: str) -> Iterator[Service]:
    """One of its own, for what is remembered of the broker for a moment."""
    with open_service(database_url) as service:
        yield service


def _send(service: Service, raw: bytes, content_type: str = "application/json", **headers: str) -> Any:
    return service.call("POST", "/api/reservations", data=raw, content_type=content_type, headers=headers)


# -- submitting ------------------------------------------------------------------------------------------------------


def test_a_reservation_has_the_master_lists_price_and_waits_for_the_verdict(service: Service) -> None:
    answer = service.buy(match=12, category=2, quantity=2, email="ada@example.org")
    assert answer.status_code == 201
    made = answer.get_json()
    assert answer.headers["Location"] == f"/api/reservations/{made['id']}"
    assert made["status"] == "submitted"
    assert (made["matchNumber"], made["category"], made["quantity"]) == (12, 2, 2)
    assert (made["price"], made["amount"], made["currency"]) == (125, 25_000, "USD")
    assert (made["email"], made["logPosition"]) == ("ada@example.org", None)
    created, expires = (datetime.fromisoformat(made[name]) for name in ("createdAt", "expiresAt"))
    assert expires - created == timedelta(seconds=service.settings.hold_seconds)
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)
    assert service.held(12, 2) == 2


def test_a_submit_puts_one_pending_into_the_outbox_as_strict_partners_take_it(service: Service) -> None:
    service.buy(match=12, category=2, quantity=2)
    (message,) = service.facts()["outbox"]
    assert json.loads(message["value"]) == {
        "meta": {"action": "TICKET_PENDING"},
        "body": {"matchNumber": 12, "tickets": {"category": 2, "quantity": 2, "price": 125}},
    }
    (sale,) = service.facts()["sales"]
    assert bytes(message["key"]) == b"12-2"
    assert (message["headers"]["clientId"], message["headers"]["saleId"]) == ("matchday", sale["sale_id"])
    assert uuid.UUID(sale["sale_id"])


def test_without_a_verdict_the_answer_comes_when_the_wait_is_over(service: Service) -> None:
    answer = service.buy(wait=0.3)
    assert (answer.status_code, answer.get_json()["status"]) == (201, "submitted")


# -- refusals --------------------------------------------------------------------------------------------------------


def _without(name: str) -> dict[str, Any]:
    return {member: value for member, value in BODY.items() if member != name}


WRONG_BODIES: list[tuple[str, dict[str, Any], str, str]] = [
    *[(f"no {name}", _without(name), f"/{name}", "required") for name in BODY],
    ("an unknown member", BODY | {"price": 1}, "/price", "unknown"),
    ("a match as text", BODY | {"matchNumber": "1"}, "/matchNumber", "wrong_type"),
    ("a match of zero", BODY | {"matchNumber": 0}, "/matchNumber", "out_of_range"),
    ("a match beyond all", BODY | {"matchNumber": 10**30}, "/matchNumber", "out_of_range"),
    ("half a category", BODY | {"category": 1.5}, "/category", "wrong_type"),
    ("a category of null", BODY | {"category": None}, "/category", "wrong_type"),
    ("no ticket", BODY | {"quantity": 0}, "/quantity", "out_of_range"),
    ("three tickets", BODY | {"quantity": 3}, "/quantity", "out_of_range"),
    ("a truth for a number", BODY | {"quantity": True}, "/quantity", "wrong_type"),
    ("tickets in a list", BODY | {"quantity": [1]}, "/quantity", "wrong_type"),
    ("no address", BODY | {"email": "ada"}, "/email", "wrong_format"),
    ("an empty address", BODY | {"email": ""}, "/email", "wrong_format"),
    ("an address with a line break", BODY | {"email": "ada@example.org\n"}, "/email", "wrong_format"),
    ("an address with NUL", BODY | {"email": "a\0da@example.org"}, "/email", "nul_character"),
    ("a long address", BODY | {"email": "a" * 64 + "@" + "b." * 100 + "org"}, "/email", "wrong_length"),
    ("snake case", _without("matchNumber") | {"match_number": 1}, "/match_number", "unknown"),
]


@pytest.mark.parametrize(
    ("body", "pointer", "code"), [row[1:] for row in WRONG_BODIES], ids=[r[0] for r in WRONG_BODIES]
)
def test_a_wrong_member_is_named_and_nothing_changes(
    service: Service, body: dict[str, Any], pointer: str, code: str
) -> None:
    before = service.facts()
    problem = is_problem(_send(service, json.dumps(body).encode()), 422, "validation_failed")
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in problem["errors"]]
    assert service.facts() == before


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b"\xff\xfe{}", 400, "malformed_json"),
        (json.dumps(BODY).encode() + b"x", 400, "malformed_json"),
        (b'{"matchNumber":NaN}', 400, "malformed_json"),
        (b'{"quantity":1,' + json.dumps(BODY).encode()[1:], 400, "malformed_json"),
        (b"[" * 100 + b"]" * 100, 400, "malformed_json"),
        (b"null", 422, "validation_failed"),
        (b"[]", 422, "validation_failed"),
        (b'"text"', 422, "validation_failed"),
        (json.dumps(BODY | {"email": "a" * 70_000}).encode(), 413, "body_too_large"),
    ],
    ids=["empty", "half", "not UTF-8", "trailing", "NaN", "twice", "deep", "null", "a list", "a text", "large"],
)
def test_a_body_that_is_no_object_of_ours_is_refused_and_nothing_changes(
    service: Service, raw: bytes, status: int, code: str
) -> None:
    before = service.facts()
    is_problem(_send(service, raw), status, code)
    assert service.facts() == before


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_another_media_type_is_refused(service: Service, content_type: str) -> None:
    is_problem(_send(service, json.dumps(BODY).encode(), content_type), 415, "unsupported_media_type")
    assert service.facts()["reservations"] == []


@pytest.mark.parametrize("wait", ["-1", "31", "x", "1e1", "", "nan", "1&wait=2"])
def test_a_wrong_wait_is_refused_and_nothing_changes(service: Service, wait: str) -> None:
    answer = service.call("POST", f"/api/reservations?wait={wait}", json=BODY)
    is_problem(answer, 422, "validation_failed")
    assert service.facts()["reservations"] == []


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "ä"])
def test_a_wrong_idempotency_key_is_refused_and_nothing_changes(service: Service, key: str) -> None:
    problem = is_problem(
        _send(service, json.dumps(BODY).encode(), **{"Idempotency-Key": key}), 422, "validation_failed"
    )
    assert problem["errors"][0]["header"] == "Idempotency-Key"
    assert service.facts()["reservations"] == []


@pytest.mark.parametrize(("match", "category"), [(65, 1), (1, 4), (999_999, 1), (1, 100)])
def test_what_the_master_list_does_not_have_is_not_found(service: Service, match: int, category: int) -> None:
    before = service.facts()
    is_problem(service.buy(match, category), 404, "not_found")
    assert service.facts() == before


def test_a_pool_that_is_on_hold_is_temporarily_unavailable(service: Service) -> None:
    service.count_as(sold=10, held=10)
    before = service.facts()
    problem = is_problem(service.buy(), 409, "temporarily_unavailable")
    assert problem["title"] == "Ticket is temporarily unavailable"
    assert service.facts() == before


def test_two_tickets_of_one_left_are_temporarily_unavailable_and_one_is_not(service: Service) -> None:
    service.count_as(held=19)
    problem = is_problem(service.buy(quantity=2), 409, "temporarily_unavailable")
    assert problem["pending"] == 1
    assert service.buy(quantity=1).status_code == 201


def test_a_pool_that_is_sold_is_sold_out(service: Service) -> None:
    service.count_as(sold=20)
    before = service.facts()
    problem = is_problem(service.buy(), 409, "sold_out")
    assert problem["title"] == "Ticket is sold out"
    assert service.facts() == before


def test_a_pool_that_partners_over_committed_shows_no_negative_numbers(service: Service) -> None:
    service.count_as(sold=15, held=10)
    assert is_problem(service.buy(), 409, "temporarily_unavailable")["pending"] == 0


# -- the broker is away ----------------------------------------------------------------------------------------------


def test_a_submit_is_refused_when_the_broker_was_not_seen_for_long(lonely: Service) -> None:
    lonely.broker_unseen(60)
    before = lonely.facts()
    answer = lonely.buy(wait=5)
    is_problem(answer, 503, "broker_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert lonely.facts() == before


def test_a_submit_without_a_verdict_gives_its_hold_back_when_the_broker_is_away(lonely: Service) -> None:
    lonely.broker_unseen(5)
    answer = lonely.buy(wait=0.2)
    is_problem(answer, 503, "broker_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert lonely.held() == 0
    actions = [json.loads(message["value"])["meta"]["action"] for message in lonely.facts()["outbox"]]
    assert actions == ["TICKET_PENDING", "TICKET_CANCELLED"]


def test_a_submit_refused_while_the_broker_was_away_succeeds_with_its_key_when_it_is_back(lonely: Service) -> None:
    lonely.broker_unseen(5)
    is_problem(lonely.buy(key="once", email="ada@example.org", wait=0.2), 503, "broker_unavailable")
    lonely.broker_unseen(0)
    again = lonely.buy(key="once", email="ada@example.org")
    assert (again.status_code, again.get_json()["status"]) == (201, "submitted")


# -- access ----------------------------------------------------------------------------------------------------------


def _forged(reservation_id: str, secret: str) -> str:
    digest = hmac.new(secret.encode(), PURPOSE + reservation_id.encode(), hashlib.sha256).digest()
    return f"{reservation_id}.{urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def test_a_guest_opens_the_own_reservation_and_no_other(service: Service) -> None:
    mine, other = service.buy().get_json(), service.buy().get_json()
    opened = service.call("GET", f"/api/reservations/{mine['id']}", token=mine["accessToken"])
    assert opened.status_code == 200
    assert opened.get_json() == {**mine, "accessToken": None}
    listed = service.call("GET", "/api/reservations", token=mine["accessToken"])
    assert [item["id"] for item in listed.get_json()["items"]] == [mine["id"]]
    for method in ("GET", "DELETE"):
        answer = service.call(method, f"/api/reservations/{other['id']}", token=mine["accessToken"])
        is_problem(answer, 403, "forbidden")
    assert service.held() == 2


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_token_is_needed_and_cannot_be_made_up(service: Service, method: str) -> None:
    made = service.buy().get_json()
    path, good = f"/api/reservations/{made['id']}", made["accessToken"]
    identity, _, signature = good.partition(".")
    wrong = [
        None,
        "x",
        identity,
        f"{identity}.",
        f"{identity}.{signature[:-2]}AA",
        f"{identity}.{signature}.",
        f"{identity.upper()}.{signature}",
        _forged(made["id"], "another secret of sixteen"),
        _forged(made["id"], service.service_token),
        service.service_token,
        good * 40,
    ]
    for token in wrong:
        answer = service.call(method, path, token=token)
        is_problem(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    for header in (f"Basic {good}", good, f"Bearer{good}", "Bearer", "Bearer \xff"):
        is_problem(service.call(method, path, headers={"Authorization": header}), 401, "unauthenticated")
    assert service.call("GET", path, token=good).get_json()["status"] == "submitted"


def test_a_token_for_nothing_finds_nothing(service: Service) -> None:
    token = _forged(NOBODYS, service.settings.token_secret.get_secret_value())
    is_problem(service.call("GET", f"/api/reservations/{NOBODYS}", token=token), 404, "not_found")
    is_problem(service.call("DELETE", f"/api/reservations/{NOBODYS}", token=token), 404, "not_found")
    is_problem(service.call("GET", "/api/reservations/not-an-id", token=token), 404, "not_found")


def test_internal_routes_need_the_service_token(service: Service) -> None:
    made = service.buy().get_json()
    for method, end in (("GET", ""), ("POST", "/confirm"), ("POST", "/cancel")):
        path = f"/internal/reservations/{made['id']}{end}"
        for token in (None, "x" * 43, made["accessToken"]):
            is_problem(service.call(method, path, token=token), 401, "unauthenticated")
        unknown = f"/internal/reservations/{NOBODYS}{end}"
        is_problem(service.call(method, unknown, token=service.service_token), 404, "not_found")
    assert service.call("GET", f"/internal/reservations/{made['id']}", token=service.service_token).status_code == 200
    assert service.facts()["sales"][0]["state"] == "submitted"


# -- before the verdict ----------------------------------------------------------------------------------------------


def test_a_reservation_is_not_sold_before_the_log_has_decided(service: Service) -> None:
    made = service.buy().get_json()
    before = service.facts()
    answer = service.call("POST", f"/internal/reservations/{made['id']}/confirm", token=service.service_token)
    is_problem(answer, 409, "not_held")
    assert service.facts() == before


def test_a_reservation_cancelled_before_the_verdict_gives_its_tickets_back_once(service: Service) -> None:
    made = service.buy(quantity=2).get_json()
    path = f"/api/reservations/{made['id']}"
    for _ in range(3):
        answer = service.call("DELETE", path, token=made["accessToken"])
        assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")
    assert service.held() == 0
    actions = [json.loads(message["value"])["meta"]["action"] for message in service.facts()["outbox"]]
    assert actions == ["TICKET_PENDING", "TICKET_CANCELLED"]
    confirm = service.call("POST", f"/internal/reservations/{made['id']}/confirm", token=service.service_token)
    is_problem(confirm, 409, "hold_expired")
