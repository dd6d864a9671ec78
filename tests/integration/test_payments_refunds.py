"""Refunds: never more than was paid, once each, in the books, and through every failure of Stripe's."""

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from matchday.servers import Postgres
from matchday.stripe_standin.webhooks import sign
from tests.eventually import eventually
from tests.resources import Databases
from tests.standin import WEBHOOK_SECRET
from tests.till import Till, open_till

EARNED = {"stripe": 25_000, "sales": -25_000}


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    databases = Databases(_postgres, _template)
    with open_till(databases.create(), tmp_path_factory.mktemp("till")) as till:
        yield till
    databases.drop_all()


@pytest.fixture
def till(opened: Till) -> Iterator[Till]:
    yield opened
    opened.stripe.no_faults()
    opened.stripe.let_go()
    eventually(opened.stripe.quiet)
    assert opened.unbalanced() == 0, "the books sum to zero after every test"


@pytest.fixture
def payment(till: Till) -> dict[str, Any]:
    """A payment whose tickets are sold."""
    return _paid(till)


def _paid(till: Till, method: str = "pm_card_visa") -> dict[str, Any]:
    made = till.pay(till.twin.hold())
    till.buyer_pays(made, method)
    till.settle()
    assert till.books(made["id"]) == EARNED
    return made


def _refunded_at_stripe(till: Till, payment: dict[str, Any]) -> int:
    charge = till.stripe.api.v1.charges.retrieve(till.at_stripe(payment).latest_charge)
    return int(charge.amount_refunded)


def test_a_part_goes_back_and_then_the_rest(till: Till, payment: dict[str, Any]) -> None:
    part = till.refund(payment["id"], amount=10_000, reason="goodwill")
    assert part.status_code == 201
    assert (part.json()["amount"], part.json()["status"], part.json()["reason"]) == (10_000, "succeeded", "goodwill")
    assert till.books(payment["id"]) == {"stripe": 15_000, "sales": -15_000}
    assert till.refund(payment["id"]).json()["amount"] == 15_000
    assert till.books(payment["id"]) == {}
    assert _refunded_at_stripe(till, payment) == 25_000


def _amount(amount: int | None) -> dict[str, Any]:
    return {} if amount is None else {"amount": amount}


@pytest.mark.parametrize(("first", "then"), [(None, 1), (None, None), (10_000, 15_001), (24_999, 2)])
def test_more_than_is_left_does_not_go_back(
    till: Till, payment: dict[str, Any], first: int | None, then: int | None
) -> None:
    given = till.refund(payment["id"], None, **_amount(first)).json()["amount"]
    answer = till.refund(payment["id"], None, **_amount(then))
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_too_large")
    assert answer.json()["left"] == 25_000 - given
    assert _refunded_at_stripe(till, payment) == given


def test_what_reservations_knows_to_be_sold_again_is_not_refunded(till: Till, payment: dict[str, Any]) -> None:
    reservation = till.twin.reservations[payment["reservationId"]]
    reservation.resold = 25_000
    answer = till.refund(payment["id"])
    assert (answer.status_code, answer.json()["code"], answer.json()["left"]) == (409, "refund_too_large", 0)
    reservation.resold = 12_500
    waits = till.refund(payment["id"])
    assert (waits.status_code, waits.json()["code"]) == (503, "dependency_unavailable")
    assert (till.refunds(payment["id"]), _refunded_at_stripe(till, payment)) == ([], 0)


@pytest.mark.parametrize("amount", [0, -1, 1.5, "1", 10**10])
def test_an_amount_that_is_none_is_refused(till: Till, payment: dict[str, Any], amount: object) -> None:
    answer = till.refund(payment["id"], amount=amount)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert till.refunds(payment["id"]) == []


def test_what_is_not_paid_is_not_refunded(till: Till) -> None:
    open_payment = till.pay(till.twin.hold())
    answer = till.refund(open_payment["id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "not_paid")
    assert till.refund(str(uuid.uuid4())).status_code == 404


def test_of_many_at_once_no_more_goes_back_than_was_paid(till: Till, payment: dict[str, Any]) -> None:
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: till.refund(payment["id"], amount=10_000), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]
    till.settle()
    assert till.refunds(payment["id"]) == [(10_000, "succeeded")] * 2
    assert _refunded_at_stripe(till, payment) == 20_000


def test_the_same_key_is_the_same_refund(till: Till, payment: dict[str, Any]) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: till.refund(payment["id"], key="once", amount=1_000), range(4)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = till.refund(payment["id"], key="once", amount=2_000)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert till.refunds(payment["id"]) == [(1_000, "succeeded")]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 500, "when": "after"},
        {"status": 500, "when": "before", "saved": True},
        {"status": 500, "when": "after", "saved": True},
        {"when": "after", "hang_seconds": 2},
    ],
    ids=["refused", "done, answer lost", "500 for ever", "done, 500 for ever", "done, timed out"],
)
@pytest.mark.parametrize("events", [True, False], ids=["events come", "events are lost"])
def test_a_refund_that_is_decided_is_made_once_whatever_stripe_does(
    till: Till, payment: dict[str, Any], fault: dict[str, Any], events: bool
) -> None:
    if not events:
        till.stripe.hold()
    till.stripe.fault(path="/v1/refunds", **fault)
    answer = till.refund(payment["id"], amount=10_000)
    assert answer.status_code == 201
    assert answer.json()["status"] in ("new", "succeeded")
    for _ in range(3):
        till.work()
    assert till.refunds(payment["id"]) == [(10_000, "succeeded")]
    assert _refunded_at_stripe(till, payment) == 10_000
    assert till.books(payment["id"]) == {"stripe": 15_000, "sales": -15_000}


def test_a_refund_that_is_pending_is_followed_without_its_event(till: Till) -> None:
    payment = _paid(till, "pm_card_pendingRefund")
    till.stripe.hold()
    assert till.refund(payment["id"]).json()["status"] == "pending"
    assert till.books(payment["id"]) == {}

    def settled() -> bool:
        till.work()
        return till.refunds(payment["id"]) == [(25_000, "succeeded")]

    eventually(settled)
    assert till.books(payment["id"]) == {}


def test_a_refund_that_fails_after_all_is_booked_back_and_may_be_tried_again(till: Till) -> None:
    payment = _paid(till, "pm_card_refundFail")
    till.refund(payment["id"])
    assert till.books(payment["id"]) == {}
    eventually(lambda: till.refunds(payment["id"]) == [(25_000, "failed")])
    assert till.books(payment["id"]) == EARNED
    till.settle()
    assert till.books(payment["id"]) == EARNED, "once"
    assert till.refund(payment["id"]).status_code == 201


@pytest.mark.parametrize("events", [True, False], ids=["events come", "events are lost"])
def test_a_refund_made_at_stripe_itself_comes_into_the_books(till: Till, payment: dict[str, Any], events: bool) -> None:
    if not events:
        till.stripe.hold()
    till.stripe.api.v1.refunds.create({"payment_intent": payment["intentId"], "amount": 4_000})
    for _ in range(2):
        till.work()
    eventually(lambda: till.refunds(payment["id"]) == [(4_000, "succeeded")])
    assert till.books(payment["id"]) == {"stripe": 21_000, "sales": -21_000}
    assert till.refund(payment["id"]).json()["amount"] == 21_000


def test_what_went_back_at_stripe_itself_is_not_given_twice(till: Till, payment: dict[str, Any]) -> None:
    till.stripe.hold()
    till.stripe.api.v1.refunds.create({"payment_intent": payment["intentId"]})
    answer = till.refund(payment["id"], amount=10_000)
    assert answer.json()["status"] == "failed"
    assert answer.json()["failureReason"] == "charge_already_refunded"
    till.work()
    assert sorted(till.refunds(payment["id"])) == [(10_000, "failed"), (25_000, "succeeded")]
    assert till.books(payment["id"]) == {}


# -- what cannot be right --------------------------------------------------------------------------------------------


def _refund_event(payment: dict[str, Any], **changed: Any) -> bytes:
    refund = {
        "id": f"re_{uuid.uuid4().hex}", "object": "refund", "status": "succeeded", "amount": 1_000, "currency": "usd",
        "payment_intent": payment["intentId"], "metadata": {},
    }  # fmt: skip
    data = {"object": refund | changed}
    return json.dumps({"id": f"evt_{uuid.uuid4().hex}", "type": "refund.updated", "created": 1, "data": data}).encode()


def _hear(till: Till, body: bytes) -> None:
    signature = sign(body.decode(), WEBHOOK_SECRET, int(time.time()))
    headers = {"Content-Type": "application/json", "Stripe-Signature": signature}
    assert till.http.post("/api/payments/webhook", content=body, headers=headers).status_code == 200


def _differences(till: Till, payment: dict[str, Any]) -> list[tuple[str, int, str]]:
    found = till.http.get("/internal/ledger", headers=till.operator).json()["differences"]
    return [(each["stripeId"], each["amount"], each["reason"]) for each in found if each["paymentId"] == payment["id"]]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"currency": "eur"}, "currency"),
        ({"amount": 25_001}, "amount"),
        ({"status": "pending", "amount": 10**9}, "amount"),
    ],
)
def test_a_refund_at_stripe_that_cannot_be_right_is_told_and_not_booked(
    till: Till, payment: dict[str, Any], changed: dict[str, Any], reason: str
) -> None:
    for _ in range(2):
        _hear(till, _refund_event(payment, id="re_odd_" + payment["id"], **changed))
    assert till.refunds(payment["id"]) == []
    assert till.books(payment["id"]) == EARNED
    amount = changed.get("amount", 1_000)
    assert _differences(till, payment) == [("re_odd_" + payment["id"], amount, reason)]
    _hear(till, _refund_event(payment, id="re_odd_" + payment["id"], **changed | {"status": "failed"}))
    assert _differences(till, payment) == [], "what has failed at Stripe differs no more"
    assert till.books(payment["id"]) == EARNED


def test_refunds_at_stripe_are_booked_up_to_what_was_paid(till: Till, payment: dict[str, Any]) -> None:
    till.refund(payment["id"], amount=20_000)
    _hear(till, _refund_event(payment, amount=5_001))
    _hear(till, _refund_event(payment, amount=5_000))
    assert [amount for amount, _ in till.refunds(payment["id"])] == [20_000, 5_000]
    assert till.books(payment["id"]) == {}
    assert [reason for _, _, reason in _differences(till, payment)] == ["amount"]


def test_a_refund_that_names_one_of_ours_with_another_amount_is_not_taken_for_it(
    till: Till, payment: dict[str, Any]
) -> None:
    till.stripe.hold()
    till.stripe.fault(path="/v1/refunds", status=503)
    ours = till.refund(payment["id"], amount=10_000).json()
    assert ours["status"] == "new"
    _hear(till, _refund_event(payment, amount=25_001, metadata={"refundId": ours["id"]}))
    assert till.books(payment["id"]) == EARNED
    till.work()
    assert till.refunds(payment["id"]) == [(10_000, "succeeded")]


# -- reservations hears of it ----------------------------------------------------------------------------------------

BACK, FAILED = "refunded", "refund-failed"


def _told(till: Till, payment: dict[str, Any]) -> list[str]:
    """What reservations heard of the payment's refunds, in order."""
    till.settle()
    told = till.twin.refunds_of(payment["reservationId"])
    assert all(body == {"paymentId": payment["id"]} for _, body in told)
    return [word for word, _ in told]


def test_reservations_hears_of_a_refund_in_full_once(till: Till, payment: dict[str, Any]) -> None:
    till.refund(payment["id"])
    assert _told(till, payment) == [BACK]
    assert _told(till, payment) == [BACK]
    refused = till.rows("SELECT 1 FROM payments.deliveries WHERE refused_at IS NOT NULL")
    assert refused == []


def test_reservations_hears_nothing_of_a_part_and_all_of_the_last_one(till: Till, payment: dict[str, Any]) -> None:
    for amount, told in ((10_000, []), (14_999, []), (1, [BACK])):
        till.refund(payment["id"], amount=amount)
        assert _told(till, payment) == told


def test_parts_that_are_given_back_at_once_are_told_once(till: Till, payment: dict[str, Any]) -> None:
    with ThreadPoolExecutor(5) as threads:
        list(threads.map(lambda _: till.refund(payment["id"], amount=5_000), range(5)))
    assert _told(till, payment) == [BACK]


@pytest.mark.parametrize("events", [True, False], ids=["events come", "events are lost"])
def test_reservations_hears_of_a_pending_refund_when_it_has_succeeded(till: Till, events: bool) -> None:
    payment = _paid(till, "pm_card_pendingRefund")
    if not events:
        till.stripe.hold()
    till.refund(payment["id"])
    till.deliver()
    assert till.refunds(payment["id"]) == [(25_000, "pending")]
    assert till.twin.refunds_of(payment["reservationId"]) == []

    def settled() -> bool:
        till.work()
        return till.refunds(payment["id"]) == [(25_000, "succeeded")]

    eventually(settled)
    assert _told(till, payment) == [BACK]


def test_a_refund_that_stripe_refuses_is_not_told(till: Till, payment: dict[str, Any]) -> None:
    till.stripe.hold()
    till.stripe.api.v1.refunds.create({"payment_intent": payment["intentId"], "amount": 1_000})
    assert till.refund(payment["id"]).json()["status"] == "failed"
    assert _told(till, payment) == []


def test_reservations_hears_when_a_refund_that_had_succeeded_fails_after_all(till: Till) -> None:
    payment = _paid(till, "pm_card_refundFail")
    till.refund(payment["id"])
    eventually(lambda: till.refunds(payment["id"]) == [(25_000, "failed")])
    assert _told(till, payment) == [BACK, FAILED]
    till.refund(payment["id"])
    eventually(lambda: till.refunds(payment["id"]) == [(25_000, "failed")] * 2)
    assert _told(till, payment) == [BACK, FAILED] * 2


def test_a_part_that_fails_after_all_is_not_told(till: Till) -> None:
    payment = _paid(till, "pm_card_refundFail")
    till.refund(payment["id"], amount=10_000)
    eventually(lambda: till.refunds(payment["id"]) == [(10_000, "failed")])
    assert _told(till, payment) == []


def test_a_refund_made_at_stripe_itself_is_told(till: Till, payment: dict[str, Any]) -> None:
    till.stripe.api.v1.refunds.create({"payment_intent": payment["intentId"]})
    assert _told(till, payment) == [BACK]


def test_what_is_refunded_before_its_tickets_are_sold_is_told_when_they_are(till: Till) -> None:
    held = till.twin.hold()
    till.twin.outcome[held.id] = "asking"
    payment = till.pay(held)
    till.buyer_pays(payment)
    till.settle()
    till.refund(payment["id"])
    assert _told(till, payment) == []
    till.tell_outcome(payment, "reserved")
    assert _told(till, payment) == [BACK]
    assert till.books(payment["id"]) == {}


def test_what_is_refunded_since_there_are_no_tickets_is_not_told(till: Till) -> None:
    held = till.twin.hold()
    till.twin.outcome[held.id] = "refused"
    payment = till.pay(held)
    till.buyer_pays(payment)
    till.settle()
    till.settle()
    assert till.refunds(payment["id"]) == [(25_000, "succeeded")]
    assert _told(till, payment) == []


def test_reservations_hears_of_a_refund_though_it_was_away(till: Till, payment: dict[str, Any]) -> None:
    till.twin.fails = 3
    till.refund(payment["id"])
    till.deliver()
    assert _told(till, payment) == [BACK]
    assert till.twin.fails == 0


# -- the books -------------------------------------------------------------------------------------------------------


def _write(till: Till, payment: dict[str, Any], *entries: tuple[str, str, int]) -> None:
    with contextlib.closing(psycopg.connect(till.settings.database_url)) as connection, connection.transaction():
        row = connection.execute(
            "INSERT INTO payments.ledger_transactions (reference, payment_id) VALUES (%s, %s) RETURNING id",
            (f"test:{uuid.uuid4()}", payment["id"]),
        ).fetchone()
        assert row is not None
        for account, currency, amount in entries:
            connection.execute(
                "INSERT INTO payments.ledger_entries (transaction_id, account, currency, amount)"
                " VALUES (%s, %s, %s, %s)",
                (row[0], account, currency, amount),
            )


@pytest.mark.parametrize(
    "entries",
    [
        [("stripe", "USD", 100)],
        [("stripe", "USD", 100), ("sales", "USD", -99)],
        [("stripe", "USD", 100), ("sales", "EUR", -100)],
    ],
    ids=["one side", "a cent short", "another currency"],
)
def test_the_database_commits_no_transaction_that_does_not_sum_to_zero(
    till: Till, payment: dict[str, Any], entries: list[tuple[str, str, int]]
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="does not sum to zero"):
        _write(till, payment, *entries)
    assert till.books(payment["id"]) == EARNED


def test_one_that_does_is_committed(till: Till, payment: dict[str, Any]) -> None:
    _write(till, payment, ("sales", "USD", 20_000), ("resellers", "USD", -20_000))
    assert till.books(payment["id"]) == {"stripe": 25_000, "sales": -5_000, "resellers": -20_000}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payments.ledger_entries SET amount = 0",
        "DELETE FROM payments.ledger_entries",
        "UPDATE payments.ledger_transactions SET reference = 'x' || id",
        "DELETE FROM payments.ledger_transactions",
    ],
)
def test_what_is_in_the_books_stays_there(till: Till, payment: dict[str, Any], statement: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="only written to"):
        till.sql.execute(statement.encode())
    assert till.books(payment["id"]) == EARNED


# What admins see and do


def _find(till: Till, headers: dict[str, str] | None = None, **query: Any) -> list[dict[str, Any]]:
    answer = till.http.get("/api/payments", params=query, headers=headers or till.signer.bearer("admin"))
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_an_admin_finds_a_payment_by_what_a_buyer_can_tell(till: Till, payment: dict[str, Any]) -> None:
    other = _paid(till)
    till.refund(payment["id"], amount=10_000)
    (found,) = _find(till, id=payment["id"])
    assert (found["amount"], found["received"], found["refunded"]) == (25_000, 25_000, 10_000)
    assert (found["status"], found["outcome"]) == ("succeeded", "reserved")
    for query in ({"reservationId": payment["reservationId"]}, {"intentId": payment["intentId"]}):
        assert [each["id"] for each in _find(till, **query)] == [payment["id"]]
    by_email = [each["id"] for each in _find(till, email=found["email"].upper())]
    assert payment["id"] in by_email
    assert _find(till, email="nobody@example.org") == []
    assert [each["id"] for each in _find(till, limit=1)] == [other["id"]], "the newest first"
    assert payment["id"] in {each["id"] for each in _find(till, headers=till.operator, status="succeeded", limit=200)}


def test_the_list_of_payments_is_read_in_pages_and_loses_none(till: Till) -> None:
    made = [till.pay(till.twin.hold())["id"] for _ in range(3)]
    read, cursor = [], None
    for _ in range(2):
        query = {"limit": "2", "status": "requires_payment_method"} | ({"cursor": cursor} if cursor else {})
        page = till.http.get("/api/payments", params=query, headers=till.operator).json()
        read += [each["id"] for each in page["items"]]
        cursor = page["nextCursor"]
    assert read[:3] == made[::-1]
    for nonsense in ("1", "1.2", f"1.{'-' * 36}", f"{'9' * 17}.{uuid.uuid4()}"):
        answer = till.http.get("/api/payments", params={"cursor": nonsense}, headers=till.operator)
        assert answer.status_code == 422


def test_only_admins_read_payments_and_books_and_nobody_refunds_with_an_old_password(
    till: Till, payment: dict[str, Any]
) -> None:
    for path in ("/api/payments", "/api/ledger"):
        assert till.http.get(path).status_code == 401
        assert till.http.get(path, headers=till.signer.bearer("gate", "partner")).status_code == 403
        assert till.http.get(path, headers=till.signer.bearer("admin", password_ago=3600)).status_code == 200
    path = f"/api/payments/{payment['id']}/refunds"
    stale = till.http.post(path, json={}, headers=till.signer.bearer("admin", password_ago=301))
    assert (stale.status_code, stale.json()["code"]) == (403, "reauthentication_required")
    without = till.signer.claims("admin")
    del without["auth_time"]
    headers = {"Authorization": f"Bearer {till.signer.sign(without)}"}
    assert till.http.post(path, json={}, headers=headers).json()["code"] == "reauthentication_required"
    assert till.refunds(payment["id"]) == []
    assert till.http.post(path, json={}, headers=till.signer.bearer("admin")).status_code == 201
    till.settle()
    told = till.rows("SELECT body FROM payments.deliveries WHERE target = 'security' ORDER BY number")
    assert told[-2]["body"]["operation"] == "createRefund"
    assert told[-2]["body"]["path"] == path
    assert told[-1]["body"]["status"] == 201
