"""What becomes of payments: kept, asked about again, or given back; each once, whatever is told how often."""

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from werkzeug.test import TestResponse

from matchday.servers import Postgres
from reservations import paying
from reservations.handlers import Site
from shared.clock import SystemClock
from shared.database import Database
from tests.counter import Service, is_problem, open_replica, open_service, open_worker
from tests.resources import Databases

ROUNDS = 8
PENDING, RESERVED, CANCELLED = "TICKET_PENDING", "TICKET_RESERVED", "TICKET_CANCELLED"
LOG_HOLD_SECONDS = 3600


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


def held(service: Service, quantity: int = 2, **options: Any) -> dict[str, Any]:
    """A reservation that may be paid."""
    made: dict[str, Any] = service.buy(quantity=quantity, **options).get_json()
    service.judge(made["id"])
    return made


def pay(service: Service, made: dict[str, Any], payment: str = "p1", **changed: Any) -> TestResponse:
    body = {"paymentId": payment, "amount": made["amount"], "currency": made["currency"], **changed}
    path = f"/internal/reservations/{made['id']}/paid"
    return service.call("POST", path, token=service.service_token, json=body)


def outcome(answer: TestResponse) -> tuple[str, str | None]:
    assert answer.status_code == 200, answer.text
    return answer.get_json()["outcome"], answer.get_json()["reason"]


def status(service: Service, made: dict[str, Any]) -> str:
    found = service.call("GET", f"/internal/reservations/{made['id']}", token=service.service_token)
    return str(found.get_json()["status"])


def messages(service: Service) -> list[tuple[str, Any]]:
    """What payments is to be told."""
    return [(row["path"], row["body"]) for row in service.facts()["deliveries"]]


def outcome_message(made: dict[str, Any], kept: str, reason: str | None, payment: str = "p1") -> tuple[str, Any]:
    told = {"reservationId": made["id"], "outcome": kept, "reason": reason}
    return f"/internal/payments/{payment}/outcome", told


def end(service: Service, made: dict[str, Any]) -> None:
    """The hold's time is over."""
    service.sql.execute(
        "UPDATE shop.sales s SET expires_at = now() - interval '1 second' FROM reservations.reservations r"
        " WHERE r.sale_id = s.sale_id AND r.id = %s",
        (made["id"],),
    )


def states(service: Service) -> list[str]:
    return [row["state"] for row in service.facts()["tickets"]]


# -- in time ---------------------------------------------------------------------------------------------------------


def test_what_is_paid_in_time_is_sold_and_has_its_tickets(service: Service) -> None:
    made = held(service)
    assert outcome(pay(service, made)) == ("reserved", None)
    assert status(service, made) == "reserved"
    assert service.told() == [PENDING, RESERVED]
    assert states(service) == ["valid", "valid"]
    assert messages(service) == []


def test_a_payment_that_is_told_again_has_no_further_effect(service: Service) -> None:
    made = held(service)
    pay(service, made)
    before = service.facts()
    assert outcome(pay(service, made)) == ("reserved", None)
    assert service.facts() == before


def test_a_payment_that_is_told_by_many_at_once_counts_once(services: list[Service]) -> None:
    for _ in range(ROUNDS):
        made, start = held(services[0]), Barrier(6)

        def tell(number: int, made: dict[str, Any] = made, start: Barrier = start) -> tuple[str, str | None]:
            start.wait(30)
            return outcome(pay(services[number % 2], made))

        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(tell, range(6))) == {("reserved", None)}
        assert len(services[0].facts()["tickets"]) == 2
        assert services[0].told() == [PENDING, RESERVED]
        services[0].clear()


def test_of_two_payments_at_once_one_is_kept_and_the_other_given_back(services: list[Service]) -> None:
    for _ in range(ROUNDS):
        made, start = held(services[0]), Barrier(2)

        def tell(number: int, made: dict[str, Any] = made, start: Barrier = start) -> tuple[str, str | None]:
            start.wait(30)
            return outcome(pay(services[number], made, f"p{number}"))

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(tell, range(2)))
        assert Counter(found) == {("reserved", None): 1, ("refused", "already_paid"): 1}
        refused = f"p{found.index(('refused', 'already_paid'))}"
        assert messages(services[0]) == [outcome_message(made, "refused", "already_paid", refused)]
        services[0].clear()


@pytest.mark.parametrize("changed", [{"amount": 1}, {"amount": 10**9}, {"amount": 0}, {"currency": "EUR"}])
def test_a_wrong_amount_is_given_back_and_sells_nothing(service: Service, changed: dict[str, Any]) -> None:
    made = held(service)
    assert outcome(pay(service, made, **changed)) == ("refused", "wrong_amount")
    assert messages(service) == [outcome_message(made, "refused", "wrong_amount")]
    assert (status(service, made), states(service)) == ("held", [])
    assert outcome(pay(service, made, "p2")) == ("reserved", None)


def test_a_payment_for_nothing_is_given_back(service: Service) -> None:
    made = {"id": str(uuid.uuid4()), "amount": 100, "currency": "USD"}
    assert outcome(pay(service, made)) == ("refused", "not_found")


def test_a_payment_that_is_told_for_two_reservations_is_not_understood(service: Service) -> None:
    made, other = held(service), held(service)
    pay(service, made)
    before = service.facts()
    is_problem(pay(service, other), 409, "conflict")
    is_problem(pay(service, made, amount=1), 409, "conflict")
    assert service.facts() == before


def test_what_was_sold_by_hand_keeps_its_payment(service: Service) -> None:
    made = service.sold()
    assert outcome(pay(service, made)) == ("reserved", None)
    assert len(service.facts()["tickets"]) == 1


def test_only_this_sites_services_tell_of_payments(service: Service) -> None:
    made = held(service)
    for token in (None, made["accessToken"]):
        path = f"/internal/reservations/{made['id']}/paid"
        body = {"paymentId": "p", "amount": made["amount"], "currency": "USD"}
        is_problem(service.call("POST", path, token=token, json=body), 401, "unauthenticated")
    assert status(service, made) == "held"


# -- too late --------------------------------------------------------------------------------------------------------


def test_what_is_paid_after_its_hold_is_sold_when_the_log_still_has_room(
    service: Service, work: Callable[[], None]
) -> None:
    made = held(service)
    end(service, made)
    work()
    assert status(service, made) == "expired"
    assert outcome(pay(service, made)) == ("asking", None)
    assert (status(service, made), states(service)) == ("submitted", [])
    service.judge(made["id"])
    work()
    assert (status(service, made), states(service)) == ("reserved", ["valid", "valid"])
    assert service.told() == [PENDING, CANCELLED, PENDING, RESERVED]
    assert messages(service)[-1] == outcome_message(made, "reserved", None)
    assert outcome(pay(service, made)) == ("reserved", None)


def test_what_is_paid_after_its_hold_is_given_back_when_the_log_has_no_room(
    service: Service, work: Callable[[], None]
) -> None:
    made = held(service)
    end(service, made)
    work()
    pay(service, made)
    service.judge(made["id"], "lost")
    for _ in range(2):
        work()
    assert (status(service, made), states(service)) == ("lost", [])
    told = [message for message in messages(service) if message[0].endswith("/outcome")]
    assert told == [outcome_message(made, "refused", "lost")]
    assert outcome(pay(service, made)) == ("refused", "lost")
    assert [row["kind"] for row in service.facts()["mails"]] == ["refund"]


@pytest.mark.parametrize(
    ("counters", "reason"), [({"sold": 20}, "sold_out"), ({"held": 19}, "temporarily_unavailable")]
)
def test_what_is_paid_after_its_hold_is_given_back_when_nothing_is_left_here(
    service: Service, work: Callable[[], None], counters: dict[str, int], reason: str
) -> None:
    made = held(service)
    end(service, made)
    work()
    service.count_as(**counters)
    assert outcome(pay(service, made)) == ("refused", reason)
    assert messages(service)[-1] == outcome_message(made, "refused", reason)
    service.count_as(sold=0, held=0)
    assert outcome(pay(service, made)) == ("refused", reason), "what was said once is not taken back"
    work()
    assert [row["kind"] for row in service.facts()["mails"]] == ["refund"], "the buyer is told, too"


def test_what_is_paid_while_it_is_given_back_is_asked_about_again(service: Service) -> None:
    made = held(service)
    service.call("DELETE", f"/api/reservations/{made['id']}", token=made["accessToken"])
    assert outcome(pay(service, made)) == ("asking", None)
    assert service.told() == [PENDING, CANCELLED, PENDING]


def test_what_is_paid_before_the_verdict_waits_for_it(service: Service, work: Callable[[], None]) -> None:
    made = service.buy(quantity=2).get_json()
    assert outcome(pay(service, made)) == ("asking", None)
    work()
    assert status(service, made) == "submitted"
    service.judge(made["id"])
    work()
    assert (status(service, made), states(service)) == ("reserved", ["valid", "valid"])
    assert service.told() == [PENDING, RESERVED]


def test_a_hold_that_the_log_is_about_to_end_is_asked_about_again(service: Service) -> None:
    made = held(service)
    service.sql.execute("UPDATE shop.sales SET born_ms = born_ms - %s", ((LOG_HOLD_SECONDS - 30) * 1000,))
    assert outcome(pay(service, made)) == ("asking", None)
    assert service.told() == [PENDING, CANCELLED, PENDING]


def test_who_gives_back_what_is_paid_and_asked_about_has_the_money_back(
    service: Service, work: Callable[[], None]
) -> None:
    made = held(service)
    end(service, made)
    work()
    pay(service, made)
    service.call("DELETE", f"/api/reservations/{made['id']}", token=made["accessToken"])
    work()
    assert messages(service)[-1] == outcome_message(made, "refused", "cancelled")


def test_a_payment_after_one_that_was_given_back_can_be_kept(service: Service, work: Callable[[], None]) -> None:
    made = held(service)
    end(service, made)
    work()
    pay(service, made)
    service.judge(made["id"], "lost")
    work()
    assert outcome(pay(service, made, "p2")) == ("asking", None)
    service.judge(made["id"])
    work()
    assert (status(service, made), states(service)) == ("reserved", ["valid", "valid"])


# -- sold, and the others could not be told in time ------------------------------------------------------------------


def drop_reserved(service: Service) -> None:
    """The relay came too late to send TICKET_RESERVED, and has put it aside."""
    service.sql.execute(
        "UPDATE shop.outbox SET dropped_at = now() WHERE convert_from(value, 'UTF8') LIKE '%TICKET_RESERVED%'"
    )


def test_tickets_open_no_gate_while_the_log_is_asked_again_and_the_same_ones_do_afterwards(
    service: Service, work: Callable[[], None]
) -> None:
    made = held(service)
    pay(service, made)
    issued = [row["id"] for row in service.facts()["tickets"]]
    drop_reserved(service)
    work()
    assert (status(service, made), states(service)) == ("submitted", ["suspended", "suspended"])
    assert outcome(pay(service, made)) == ("asking", None)
    service.judge(made["id"])
    work()
    assert (status(service, made), states(service)) == ("reserved", ["valid", "valid"])
    assert [row["id"] for row in service.facts()["tickets"]] == issued
    assert messages(service)[-1] == outcome_message(made, "reserved", None)


def test_tickets_of_a_sale_that_the_log_did_not_take_back_in_are_void_and_the_money_goes_back(
    service: Service, work: Callable[[], None]
) -> None:
    made = held(service)
    pay(service, made)
    drop_reserved(service)
    work()
    service.judge(made["id"], "lost")
    work()
    assert (status(service, made), states(service)) == ("lost", ["void", "void"])
    assert messages(service)[-1] == outcome_message(made, "refused", "lost")


def test_a_sale_that_cannot_be_asked_about_again_is_void_at_once(service: Service, work: Callable[[], None]) -> None:
    made = held(service)
    pay(service, made)
    drop_reserved(service)
    service.count_as(sold=20)
    service.sql.execute("UPDATE shop.pools SET sold = 22 WHERE match_number = 1 AND category = 1")
    work()
    assert states(service) == ["void", "void"]
    assert messages(service)[-1] == outcome_message(made, "refused", "sold_out")


def test_workers_who_look_at_once_settle_each_sale_once(services: list[Service]) -> None:
    sales = [held(services[0], 1, match=match) for match in range(1, 7)]
    for number, made in enumerate(sales):
        services[0].call("DELETE", f"/api/reservations/{made['id']}", token=made["accessToken"])
        assert outcome(pay(services[0], made, f"p{number}")) == ("asking", None)
        services[0].judge(made["id"], "held" if number % 2 else "lost")
    databases = [Database(service.settings, "worker") for service in services * 2]
    start = Barrier(4)

    def settle(database: Database) -> int:
        start.wait(30)
        return len(paying.settle_resubmitted(Site(database, services[0].settings.federation(), SystemClock()), 100))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(settle, databases)) == len(sales)
    for database in databases:
        database.close()
    told = Counter(body["outcome"] for path, body in messages(services[0]) if path.endswith("/outcome"))
    assert told == {"reserved": 3, "refused": 3}
    assert len(services[0].facts()["tickets"]) == 3


# -- what payments hears of ends -------------------------------------------------------------------------------------


def test_payments_is_told_when_what_may_be_paid_ends(service: Service, work: Callable[[], None]) -> None:
    cancelled, expired, undecided = held(service), held(service), service.buy().get_json()
    for made in (cancelled, undecided):
        service.call("DELETE", f"/api/reservations/{made['id']}", token=made["accessToken"])
        service.call("DELETE", f"/api/reservations/{made['id']}", token=made["accessToken"])
    end(service, expired)
    work()
    assert messages(service) == [
        ("/internal/payments/cancelled", {"reservationId": made["id"]}) for made in (cancelled, expired)
    ]


def test_a_mail_is_written_once_for_a_sale_and_tells_no_card(service: Service, work: Callable[[], None]) -> None:
    made = held(service, email="ada@example.org")
    pay(service, made)
    for _ in range(3):
        work()
    (mail,) = service.facts()["mails"]
    assert (mail["kind"], mail["recipient"]) == ("tickets", "ada@example.org")
    assert json.dumps(service.facts()["reservations"], default=str).count('"mail_due": null') == 1


def test_an_operator_sees_what_payments_did_not_take_and_tells_it_again(service: Service) -> None:
    pay(service, held(service), amount=1)
    (told,) = service.facts()["deliveries"]
    service.sql.execute("UPDATE reservations.deliveries SET refused_at = now(), last_error = '404: no such payment'")
    path = "/internal/deliveries"
    (seen,) = service.call("GET", path, token=service.service_token).get_json()["items"]
    assert (seen["id"], seen["lastError"]) == (str(told["id"]), "404: no such payment")
    again = service.call("POST", f"{path}/{seen['id']}/retry", token=service.service_token)
    assert again.status_code == 204
    waiting = service.call("GET", f"{path}?state=waiting", token=service.service_token).get_json()["items"]
    assert [item["id"] for item in waiting if item["target"] == "payments"] == [seen["id"]]
    others = [item["target"] for item in waiting if item["id"] != seen["id"]]
    assert others == ["security"] * 2, "the log of what the operator does is told of it"
    is_problem(service.call("GET", path, token="x" * 43), 401, "unauthenticated")
    nobody = service.call("POST", f"{path}/{uuid.uuid4()}/retry", token=service.service_token)
    is_problem(nobody, 404, "not_found")
