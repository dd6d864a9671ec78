"""`POST /api/reservation`, the partners' known contract: bought in one call, or nothing held and nothing charged."""

import contextlib
import json
import random
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from werkzeug.test import TestResponse

from shared.database import Database
from tests.counter import Service, is_problem, open_replica, open_service

CARD = {"number": "4242 4242 4242 4242", "expirationMonth": 12, "expirationYear": 2030, "cvc": "123"}
DECLINED = CARD | {"number": "4000000000000002"}
PENDING, RESERVED, CANCELLED = "TICKET_PENDING", "TICKET_RESERVED", "TICKET_CANCELLED"
Answer = tuple[int, dict[str, Any]]


@dataclass
class Payments:
    """A `payments` that charges each reservation once, or does what the test says."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    charged: dict[str, dict[str, Any]] = field(default_factory=dict)
    answer: Callable[[dict[str, Any]], Answer | None] = lambda _body: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hear(self, body: dict[str, Any]) -> Answer | None:
        with self.lock:
            self.asked.append(body)
            return self.answer(body) or (201, self.charge(body))

    def charge(self, body: dict[str, Any]) -> dict[str, Any]:
        paid = {"id": str(uuid.uuid4()), "status": "succeeded"} | {name: body[name] for name in ("amount", "currency")}
        return self.charged.setdefault(body["reservationId"], paid)


class Hang(Exception):
    """The connection is closed without an answer."""


@pytest.fixture
def payments() -> Iterator[Payments]:
    told = Payments()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/internal/payments/card"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Idempotency-Key"] == body["reservationId"]
            try:
                status, content = told.hear(body) or (500, {})
            except Hang:
                return
            raw = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield told
    server.shutdown()
    server.server_close()
    thread.join(5)


@contextlib.contextmanager
def log_that_says(service: Service, verdict: str) -> Iterator[None]:
    """Judges each hold at once, as the consumer would."""
    stopping = threading.Event()

    def judge() -> None:
        with psycopg.connect(service.settings.database_url, autocommit=True, row_factory=dict_row) as sql:
            judging = Service(service.app, service.settings, sql)
            while not stopping.wait(0.01):
                for row in judging.rows(
                    "SELECT r.id, s.sale_id FROM reservations.reservations r JOIN shop.sales s USING (sale_id)"
                    " WHERE s.state = 'submitted'"
                ):
                    judging.judge(str(row["id"]), verdict)
                    sql.execute("SELECT pg_notify('sales', %s)", (row["sale_id"],))

    thread = threading.Thread(target=judge, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(10)


@pytest.fixture
def service(database_url: str, payments: Payments) -> Iterator[Service]:
    with open_service(database_url, PAYMENTS_URL=payments.url, CARD_PURCHASE_SECONDS="5") as service:
        yield service


@pytest.fixture
def log(service: Service) -> Iterator[None]:
    with log_that_says(service, "held"):
        yield


def purchase(service: Service, key: str | None = None, **changed: Any) -> TestResponse:
    tickets = {"category": 2, "quantity": 2, "price": 125} | changed.pop("tickets", {})
    body = {"email": "ada@example.org", "matchNumber": 12, "tickets": tickets, "card": CARD, **changed}
    headers = {"Idempotency-Key": key} if key else {}
    return service.call("POST", "/api/reservation", json=body, headers=headers)


def nothing_is_held(service: Service) -> None:
    pools = service.facts()["pools"]
    assert {(pool["held"], pool["sold"]) for pool in pools} == {(0, 0)}


# -- as the reference does -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("log")
def test_it_answers_as_the_reference_does_and_charges_the_exact_amount_once(
    service: Service, payments: Payments
) -> None:
    answer = purchase(service)
    assert answer.status_code == 200, answer.text
    (reservation,) = service.facts()["reservations"]
    assert answer.get_json() == {
        "message": "Ticket Purchase Successful",
        "id": str(reservation["id"]),
        "email": "ada@example.org",
        "matchNumber": 12,
        "category": 2,
        "quantity": 2,
        "price": 125,
    }
    (asked,) = payments.asked
    assert (asked["amount"], asked["currency"], asked["email"]) == (25_000, "USD", "ada@example.org")
    assert asked["card"] == {**CARD, "number": "4242424242424242"}
    assert service.told() == [PENDING, RESERVED]
    assert len(service.facts()["tickets"]) == 2


@pytest.mark.usefixtures("log")
def test_a_declined_card_gives_the_tickets_back(service: Service, payments: Payments) -> None:
    problem = {"code": "card_declined", "declineCode": "insufficient_funds"}
    payments.answer = lambda _: (402, problem)
    told = is_problem(purchase(service, "k"), 402, "card_declined")
    assert told["declineCode"] == "insufficient_funds"
    assert service.told() == [PENDING, CANCELLED]
    nothing_is_held(service)
    assert service.facts()["tickets"] == []
    payments.answer = lambda _: None
    assert purchase(service, "k").status_code == 200, "with the same key and another card"


@pytest.mark.parametrize("price", [124, 126, 0, 125.01, 1250])
def test_a_wrong_price_is_refused_before_anything_happens(service: Service, payments: Payments, price: float) -> None:
    before = service.facts()
    is_problem(purchase(service, tickets={"price": price}), 422, "price_mismatch")
    assert service.facts() == before
    assert payments.asked == []


def test_what_is_sold_out_or_unknown_charges_nothing(service: Service, payments: Payments) -> None:
    service.count_as(12, 2, sold=20)
    is_problem(purchase(service), 409, "sold_out")
    service.count_as(12, 2, sold=0, held=20)
    is_problem(purchase(service), 409, "temporarily_unavailable")
    is_problem(purchase(service, matchNumber=65), 404, "not_found")
    assert payments.asked == []
    assert service.facts()["reservations"] == []


def test_who_loses_against_another_site_is_charged_nothing(service: Service, payments: Payments) -> None:
    with log_that_says(service, "lost"):
        is_problem(purchase(service), 409, "temporarily_unavailable")
    assert payments.asked == []
    nothing_is_held(service)


def test_without_a_verdict_the_tickets_are_given_back_and_nothing_is_charged(
    service: Service, payments: Payments
) -> None:
    with open_replica(service, card_purchase_seconds=0.2) as hasty:
        is_problem(purchase(hasty, "k"), 503, "broker_unavailable")
    assert payments.asked == []
    assert service.told() == [PENDING, CANCELLED]
    nothing_is_held(service)
    assert service.facts()["keys"] == [], "the key may be used again"


def test_it_can_be_switched_off(service: Service) -> None:
    with open_replica(service, card_purchases="off") as without:
        is_problem(purchase(without), 404, "not_found")
        assert "/api/reservation" not in without.call("GET", "/openapi.json").get_json()["paths"]


# -- double clicks, and answers that are lost ------------------------------------------------------------------------


@pytest.mark.usefixtures("log")
def test_the_same_key_charges_once_and_is_answered_the_same(service: Service, payments: Payments) -> None:
    first, again = purchase(service, "k"), purchase(service, "k")
    assert (first.status_code, first.get_json()) == (again.status_code, again.get_json())
    assert len(payments.charged) == 1
    is_problem(purchase(service, "k", tickets={"quantity": 1}), 409, "idempotency_key_reused")


@pytest.mark.usefixtures("log")
def test_another_buyer_with_the_same_key_has_a_key_of_his_own(service: Service, payments: Payments) -> None:
    mine, others = purchase(service, "00000001"), purchase(service, "00000001", email="bob@example.org")
    assert mine.status_code == others.status_code == 200
    assert mine.get_json()["id"] != others.get_json()["id"]
    again = purchase(service, "00000001", email="Ada@Example.org", tickets={"quantity": 1})
    is_problem(again, 409, "idempotency_key_reused")
    assert len(payments.charged) == 2


@pytest.mark.usefixtures("log")
def test_declined_and_good_cards_with_one_key_at_once_charge_at_most_once(service: Service, payments: Payments) -> None:
    def hear(body: dict[str, Any]) -> Answer:
        chance = random.Random(body["reservationId"] + body["card"]["number"])
        if body["card"]["number"] == DECLINED["number"]:
            time.sleep(chance.uniform(0, 0.03))
            return 402, {"code": "card_declined"}
        time.sleep(chance.uniform(0.02, 0.1))
        return 201, payments.charge(body)

    payments.hear = hear  # type: ignore[method-assign]
    for seed in range(20):
        chance, key, email = random.Random(seed), f"key-{seed}", f"{seed}@example.org"

        def ask(card: dict[str, Any], pause: float, key: str = key, email: str = email) -> TestResponse:
            time.sleep(pause)
            return purchase(service, key, email=email, card=card, tickets={"quantity": 1})

        cards = [DECLINED, CARD, *chance.choices([DECLINED, CARD], k=2)]
        with ThreadPoolExecutor(len(cards)) as pool:
            pauses = [0.0, *(chance.uniform(0.01, 0.09) for _ in cards[1:])]
            answers = list(pool.map(ask, cards, pauses))
        answers += [ask(CARD, 0) for _ in range(2)]
        assert {answer.status_code for answer in answers} <= {200, 402}
        assert len({answer.get_json()["id"] for answer in answers if answer.status_code == 200}) == 1
        assert len(payments.charged) == seed + 1


@pytest.mark.usefixtures("log")
def test_who_waits_too_long_for_another_request_with_the_same_key_is_told_to_ask_again(
    service: Service, payments: Payments
) -> None:
    scope = "purchase:ada@example.org:k"
    with open_replica(service, card_purchase_seconds=0.2) as hasty, Database(service.settings, "other").alone(scope, 1):
        problem = purchase(hasty, "k")
    is_problem(problem, 503, "purchase_undecided")
    assert int(problem.headers["Retry-After"]) > 0
    assert payments.asked == []
    assert purchase(service, "k").status_code == 200


@pytest.mark.usefixtures("log")
def test_many_requests_with_one_key_at_once_charge_once(service: Service, payments: Payments) -> None:
    with open_replica(service) as replica, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: purchase((service, replica)[number % 2], "k"), range(6)))
    assert Counter(answer.status_code for answer in answers) == {200: 6}
    assert len({answer.get_json()["id"] for answer in answers}) == len(payments.charged) == 1
    assert service.told() == [PENDING, RESERVED]
    assert len(service.facts()["tickets"]) == 2


@pytest.mark.usefixtures("log")
def test_without_a_key_each_request_is_a_purchase(service: Service, payments: Payments) -> None:
    assert purchase(service).get_json()["id"] != purchase(service).get_json()["id"]
    assert len(payments.charged) == 2


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("failure", ["closed", "500", "503"])
def test_when_it_is_not_known_whether_the_card_was_charged_the_hold_stays_and_the_key_tells_the_end(
    service: Service, payments: Payments, failure: str
) -> None:
    def charge_and_fail(body: dict[str, Any]) -> Answer:
        payments.charge(body)
        if failure == "closed":
            raise Hang
        return int(failure), {"code": "dependency_unavailable"}

    payments.answer = charge_and_fail
    problem = purchase(service, "k")
    is_problem(problem, 503, "purchase_undecided")
    assert int(problem.headers["Retry-After"]) > 0
    assert service.told() == [PENDING]
    payments.answer = lambda _: None
    assert purchase(service, "k").status_code == 200
    assert len(payments.charged) == 1
    assert service.told() == [PENDING, RESERVED]


@pytest.mark.usefixtures("log")
def test_a_charge_whose_request_died_ends_in_tickets_when_payments_tells_of_it(
    service: Service, payments: Payments
) -> None:
    def charge_and_die(body: dict[str, Any]) -> Answer:
        payments.charge(body)
        raise Hang

    payments.answer = charge_and_die
    purchase(service, "k")
    ((reservation_id, paid),) = payments.charged.items()
    body = {"paymentId": paid["id"], "amount": paid["amount"], "currency": paid["currency"]}
    path = f"/internal/reservations/{reservation_id}/paid"
    assert service.call("POST", path, token=service.service_token, json=body).get_json()["outcome"] == "reserved"
    answer = purchase(service, "k")
    assert (answer.status_code, answer.get_json()["id"]) == (200, reservation_id)
    assert len(payments.asked) == 1, "what is bought is not charged again"


@pytest.fixture
def lonely(service: Service) -> Iterator[Service]:
    """The service, with a payments that cannot be reached."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with open_replica(service, payments_url=nowhere) as lonely:
            yield lonely


@pytest.mark.usefixtures("log")
def test_when_payments_cannot_be_reached_the_tickets_are_given_back(service: Service, lonely: Service) -> None:
    is_problem(purchase(lonely), 503, "dependency_unavailable")
    assert service.told() == [PENDING, CANCELLED]
    nothing_is_held(service)


@pytest.mark.usefixtures("log")
def test_when_payments_cannot_be_reached_a_key_keeps_the_tickets_for_the_next_try(
    service: Service, lonely: Service, payments: Payments
) -> None:
    is_problem(purchase(lonely, "k"), 503, "purchase_undecided")
    assert purchase(service, "k").status_code == 200
    assert service.told() == [PENDING, RESERVED]
    assert len(payments.charged) == 1


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("knows", [True, False], ids=["payments knows", "payments does not know yet"])
def test_a_key_whose_charge_was_lost_does_not_charge_again_when_the_hold_has_ended(
    service: Service, payments: Payments, knows: bool
) -> None:
    def charge_and_die(body: dict[str, Any]) -> Answer:
        payments.charge(body)
        raise Hang

    payments.answer = charge_and_die
    purchase(service, "k")
    ((reservation_id, paid),) = payments.charged.items()
    service.call("POST", f"/internal/reservations/{reservation_id}/cancel", token=service.service_token)
    payments.answer = lambda _: (201, paid) if knows else (409, {"code": "hold_expired"})
    for _ in range(2):
        answer = purchase(service, "k")
        assert answer.status_code in ((503, 200) if knows else (409,))
    body = {"paymentId": paid["id"], "amount": paid["amount"], "currency": paid["currency"]}
    path = f"/internal/reservations/{reservation_id}/paid"
    assert service.call("POST", path, token=service.service_token, json=body).get_json()["outcome"] == "asking"
    assert list(payments.charged) == [reservation_id]
    assert {asked["reservationId"] for asked in payments.asked} == {reservation_id}


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("code", ["hold_expired", "not_held"])
def test_a_hold_that_ended_before_the_charge_is_told_as_such(service: Service, payments: Payments, code: str) -> None:
    payments.answer = lambda _: (409, {"code": code})
    is_problem(purchase(service), 409, "hold_expired")
    nothing_is_held(service)


# -- card data -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("log")
def test_nothing_of_a_card_is_kept_or_logged(
    service: Service, payments: Payments, capfd: pytest.CaptureFixture[str]
) -> None:
    number, cvc = "4000056655665556", "737"
    card = CARD | {"number": number, "cvc": cvc}
    purchase(service, "a", card=card)
    payments.answer = lambda _: (402, {"code": "card_declined", "declineCode": "lost_card"})
    purchase(service, "b", card=card)
    payments.answer = lambda _: (500, {})
    purchase(service, "c", card=card)
    is_problem(purchase(service, card=card | {"cvc": f"{cvc}x"}), 422, "validation_failed")
    is_problem(purchase(service, card=card | {"number": number + "x"}), 422, "validation_failed")
    is_problem(purchase(service, tickets={"price": 1}, card=card), 422, "price_mismatch")
    assert len(payments.asked) == 3
    kept = json.dumps(service.facts(), default=str)
    said = "".join(capfd.readouterr())
    for place in (kept, said):
        assert number not in place
        assert f'"{cvc}"' not in place
        assert f"'{cvc}'" not in place


WRONG = {
    "no card": {"card": None},
    "a short number": {"card": CARD | {"number": "4242"}},
    "letters": {"card": CARD | {"number": "4242x424242424242"}},
    "a thirteenth month": {"card": CARD | {"expirationMonth": 13}},
    "a long code": {"card": CARD | {"cvc": "12345"}},
    "three tickets": {"tickets": {"quantity": 3}},
    "no ticket": {"tickets": {"quantity": 0}},
    "a price as text": {"tickets": {"price": "125"}},
    "a negative price": {"tickets": {"price": -125}},
    "something more": {"total": 1},
    "no address": {"email": "ada"},
}  # fmt: skip


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG)
def test_what_cannot_be_read_is_refused_and_nothing_happens(
    service: Service, payments: Payments, changed: dict[str, Any]
) -> None:
    answer = purchase(service, **changed)
    problem = is_problem(answer, 422, "validation_failed")
    assert "4242" not in str({**problem, "requestId": "a random number, which may hold any digits"})
    assert service.facts()["reservations"] == payments.asked == []
