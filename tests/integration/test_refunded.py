"""What is refunded in full: its tickets are void, once, unless somebody went in with one; others hear nothing of it."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from matchday.servers import Postgres
from tests.counter import Service, is_problem, open_replica, open_service, open_worker
from tests.resources import Databases

ROUNDS = 10
PAYMENT = "p1"
BACK, FAILED = "refunded", "refund-failed"
NOON = "2022-11-26T12:00:00Z"


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str) -> Iterator[list[Service]]:
    """Two processes of one service, as it were."""
    databases = Databases(_postgres, _template)
    with open_service(databases.create()) as service, open_replica(service) as replica:
        yield [service, replica]
    databases.drop_all()


@pytest.fixture
def services(opened: list[Service]) -> list[Service]:
    opened[0].clear()
    return opened


@pytest.fixture
def service(services: list[Service]) -> Service:
    return services[0]


@pytest.fixture
def work(service: Service) -> Iterator[Callable[[], None]]:
    """Lets the worker look once; it sends no mail and posts nothing."""
    with open_worker(service) as once:
        yield once


def paid(service: Service, quantity: int = 2) -> dict[str, Any]:
    """A reservation that is paid and sold."""
    made: dict[str, Any] = service.buy(quantity=quantity).get_json()
    service.judge(made["id"])
    assert pay(service, made) == ("reserved", None)
    return made


def pay(service: Service, made: dict[str, Any], payment: str = PAYMENT) -> tuple[str, str | None]:
    body = {"paymentId": payment, "amount": made["amount"], "currency": made["currency"]}
    path = f"/internal/reservations/{made['id']}/paid"
    answer = service.call("POST", path, token=service.service_token, json=body).get_json()
    return answer["outcome"], answer["reason"]


def tell(
    service: Service, made: dict[str, Any], word: str = BACK, key: str | None = None, payment: str = PAYMENT
) -> TestResponse:
    """Message of payments; a new one unless `key` says which."""
    path = f"/internal/reservations/{made['id']}/{word}"
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return service.call("POST", path, token=service.service_token, json={"paymentId": payment}, headers=headers)


def void(answer: TestResponse) -> int:
    """How many tickets are void then."""
    assert answer.status_code == 200, answer.text
    return int(answer.get_json()["void"])


def tickets(service: Service, made: dict[str, Any]) -> list[dict[str, Any]]:
    """The tickets as their buyer sees them."""
    items: list[dict[str, Any]] = service.call("GET", "/api/tickets", token=made["accessToken"]).get_json()["items"]
    return items


def states(service: Service, made: dict[str, Any]) -> list[str]:
    return [ticket["status"] for ticket in tickets(service, made)]


def seen(service: Service, made: dict[str, Any]) -> tuple[str, bool]:
    """The reservation as its buyer sees it."""
    path = f"/api/reservations/{made['id']}"
    found = service.call("GET", path, token=made["accessToken"]).get_json()
    return found["status"], found["refunded"]


def admit(service: Service, code: str) -> TestResponse:
    return service.call("POST", "/api/tickets/verify", token=service.service_token, json={"code": code})


def test_a_refund_makes_the_tickets_void_and_the_other_sites_hear_nothing_of_it(service: Service) -> None:
    made = paid(service)
    before, codes = service.facts(), [ticket["code"] for ticket in tickets(service, made)]
    assert seen(service, made) == ("reserved", False)
    assert void(tell(service, made)) == 2
    assert states(service, made) == ["void", "void"]
    assert seen(service, made) == ("reserved", True)
    for code in codes:
        is_problem(admit(service, code), 409, "ticket_void")
    after = service.facts()
    untouched = ("pools", "sales", "outbox", "admissions", "deliveries", "mails")
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}


def test_a_refund_that_is_told_again_has_no_further_effect(service: Service) -> None:
    made = paid(service)
    tell(service, made, key="one")
    before = service.facts()
    assert void(tell(service, made, key="one")) == 2
    assert service.facts() == before


def test_a_refund_that_is_told_by_many_at_once_counts_once(services: list[Service]) -> None:
    made, start = paid(services[0]), Barrier(6)

    def post(number: int) -> int:
        start.wait(30)
        return void(tell(services[number % 2], made, key="one"))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(post, range(6))) == [2] * 6
    assert len(services[0].facts()["inbox"]) == 1


def test_tickets_of_which_one_was_admitted_stay_as_they_are(service: Service) -> None:
    made = paid(service)
    first, second = (ticket["code"] for ticket in tickets(service, made))
    assert admit(service, first).status_code == 200
    with capture_logs() as logs:
        assert void(tell(service, made, key="one")) == 0
        assert void(tell(service, made, key="one")) == 0
    assert [entry["event"] for entry in logs].count("refunded_after_admission") == 1
    assert states(service, made) == ["admitted", "valid"]
    assert seen(service, made) == ("reserved", True)
    assert admit(service, second).status_code == 200


def test_tickets_that_were_let_in_without_a_network_stay_as_they_are(service: Service) -> None:
    made = paid(service, 1)
    told = {"admissions": [{"code": tickets(service, made)[0]["code"], "admittedAt": NOON}]}
    service.call("POST", "/api/tickets/admissions", token=service.service_token, json=told)
    assert void(tell(service, made)) == 0
    assert states(service, made) == ["admitted"]


def test_a_ticket_is_either_admitted_or_void_whoever_is_first(services: list[Service]) -> None:
    found: Counter[tuple[int, str]] = Counter()
    for _ in range(ROUNDS):
        made, start = paid(services[0], 1), Barrier(2)
        code = tickets(services[0], made)[0]["code"]

        def scan(code: str = code, start: Barrier = start) -> int:
            start.wait(30)
            return admit(services[1], code).status_code

        def refund(made: dict[str, Any] = made, start: Barrier = start) -> int:
            start.wait(30)
            return void(tell(services[0], made))

        with ThreadPoolExecutor(2) as pool:
            scanned, _ = pool.submit(scan), pool.submit(refund)
        found[scanned.result(), states(services[0], made)[0]] += 1
        services[0].clear()
    assert set(found) <= {(200, "admitted"), (409, "void")}, found


def test_what_is_refunded_gets_no_new_tickets(service: Service) -> None:
    made = paid(service)
    tell(service, made)
    before = service.facts()
    assert pay(service, made)[0] == "reserved"
    confirmed = service.call("POST", f"/internal/reservations/{made['id']}/confirm", token=service.service_token)
    assert confirmed.get_json()["status"] == "reserved"
    assert service.facts() == before


def test_money_that_is_paid_after_a_refund_goes_back(service: Service) -> None:
    made = paid(service)
    tell(service, made)
    assert pay(service, made, "p2") == ("refused", "already_paid")


def letters(service: Service) -> list[str]:
    """Which letters were written, in order."""
    return [str(mail["kind"]) for mail in service.facts()["mails"]]


def test_a_refund_before_the_tickets_are_mailed_mails_none_and_tells_of_itself(
    service: Service, work: Callable[[], None]
) -> None:
    made = paid(service)
    tell(service, made)
    work()
    assert letters(service) == ["given_back"]


def test_what_was_refunded_does_not_count_for_the_limit(service: Service) -> None:
    made = paid(service)
    more = [service.buy(quantity=2, email=made["email"]).status_code for _ in range(2)]
    assert more == [201, 201]
    is_problem(service.buy(email=made["email"]), 409, "purchase_limit")
    tell(service, made, BACK, "one")
    assert service.buy(quantity=2, email=made["email"]).status_code == 201
    is_problem(service.buy(email=made["email"]), 409, "purchase_limit")


def test_who_has_his_money_back_is_written_once(service: Service, work: Callable[[], None]) -> None:
    made = paid(service)
    work()
    for _ in range(3):
        tell(service, made, BACK, "one")
        work()
    assert letters(service) == ["tickets", "given_back"]


def test_a_refund_that_has_failed_before_its_letter_is_not_told_of(service: Service, work: Callable[[], None]) -> None:
    made = paid(service)
    tell(service, made, BACK, "one")
    tell(service, made, FAILED, "two")
    work()
    assert letters(service) == ["tickets"]


def test_a_refund_that_fails_after_all_lets_the_same_tickets_count_again(service: Service) -> None:
    made = paid(service)
    before = tickets(service, made)
    tell(service, made, BACK, "one")
    assert void(tell(service, made, FAILED, "two")) == 0
    assert tickets(service, made) == before
    assert seen(service, made) == ("reserved", False)
    assert admit(service, before[0]["code"]).status_code == 200


def test_a_refund_that_comes_late_once_more_does_not_undo_its_failure(service: Service) -> None:
    made = paid(service)
    tell(service, made, BACK, "one")
    tell(service, made, FAILED, "two")
    tell(service, made, BACK, "one")
    assert states(service, made) == ["valid", "valid"]
    tell(service, made, BACK, "three")
    tell(service, made, FAILED, "two")
    assert states(service, made) == ["void", "void"]


def test_a_failure_of_nothing_changes_nothing(service: Service) -> None:
    made = paid(service)
    before = service.facts()["tickets"]
    assert void(tell(service, made, FAILED)) == 0
    assert service.facts()["tickets"] == before


def drop_reserved(service: Service) -> None:
    """The relay came too late to send TICKET_RESERVED, and has put it aside."""
    service.sql.execute(
        "UPDATE shop.outbox SET dropped_at = now() WHERE convert_from(value, 'UTF8') LIKE '%TICKET_RESERVED%'"
    )


@pytest.mark.parametrize("refunded_first", [True, False])
def test_what_is_refunded_and_sold_once_more_gets_no_new_tickets(
    service: Service, work: Callable[[], None], refunded_first: bool
) -> None:
    made = paid(service)
    if refunded_first:
        tell(service, made)
    drop_reserved(service)
    work()
    if not refunded_first:
        assert states(service, made) == ["suspended", "suspended"]
        tell(service, made)
    assert seen(service, made) == ("submitted", True)
    service.judge(made["id"])
    work()
    assert seen(service, made) == ("reserved", True)
    assert states(service, made) == ["void", "void"]


def test_tickets_of_a_failed_refund_wait_while_the_log_is_asked_again(
    service: Service, work: Callable[[], None]
) -> None:
    made = paid(service)
    tell(service, made)
    drop_reserved(service)
    work()
    tell(service, made, FAILED)
    assert states(service, made) == ["suspended", "suspended"]
    service.judge(made["id"])
    work()
    assert states(service, made) == ["valid", "valid"]


def test_an_admitted_ticket_counts_again_when_the_log_takes_its_refunded_sale(
    service: Service, work: Callable[[], None]
) -> None:
    made = paid(service)
    admit(service, tickets(service, made)[0]["code"])
    tell(service, made)
    drop_reserved(service)
    work()
    service.judge(made["id"])
    work()
    assert states(service, made) == ["admitted", "valid"]


def test_an_admitted_ticket_that_waits_for_the_log_is_not_made_void(service: Service, work: Callable[[], None]) -> None:
    made = paid(service)
    admit(service, tickets(service, made)[0]["code"])
    drop_reserved(service)
    work()
    assert void(tell(service, made)) == 0
    assert states(service, made) == ["suspended", "suspended"]


def test_a_sale_that_was_lost_in_between_is_left_as_it_is(service: Service, work: Callable[[], None]) -> None:
    made = paid(service)
    drop_reserved(service)
    work()
    service.judge(made["id"], "lost")
    work()
    before = service.facts()
    for word in (BACK, FAILED):
        assert void(tell(service, made, word)) == 2
    assert {**service.facts(), "inbox": []} == {**before, "inbox": []}


@pytest.mark.parametrize("word", [BACK, FAILED])
def test_a_refund_of_an_unknown_payment_is_not_found(service: Service, word: str) -> None:
    made, other = paid(service), service.buy().get_json()
    before = service.facts()
    is_problem(tell(service, made, word, payment="p2"), 404, "not_found")
    is_problem(tell(service, other, word), 404, "not_found")
    is_problem(tell(service, {"id": str(uuid.uuid4())}, word), 404, "not_found")
    assert service.facts() == before


@pytest.mark.parametrize("word", [BACK, FAILED])
def test_only_this_sites_services_tell_of_refunds(service: Service, word: str) -> None:
    made = paid(service)
    for token in (None, made["accessToken"]):
        path = f"/internal/reservations/{made['id']}/{word}"
        is_problem(service.call("POST", path, token=token, json={"paymentId": PAYMENT}), 401, "unauthenticated")
    assert states(service, made) == ["valid", "valid"]
