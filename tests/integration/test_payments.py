"""Paying, over HTTP, on a real PostgreSQL and the real stand-in: nobody is charged twice, or for nothing."""

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stripe

from matchday.servers import Postgres
from matchday.stripe_standin.webhooks import sign
from tests.eventually import eventually
from tests.resources import Databases
from tests.standin import WEBHOOK_SECRET
from tests.till import Till, open_till

NOBODYS = "00000000-0000-4000-8000-000000000000"
EARNED = {"stripe": 25_000, "sales": -25_000}
OWED = {"stripe": 25_000, "deposits": -25_000}


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
    opened.twin.fails, opened.twin.status = 0, 503
    eventually(opened.stripe.quiet)
    assert opened.unbalanced() == 0, "the books sum to zero after every test"


def _is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code, problem
    return problem


def _paid(till: Till, method: str = "pm_card_visa", amount: int = 25_000) -> dict[str, Any]:
    """A payment whose tickets are sold."""
    held = till.twin.hold(amount)
    payment = till.pay(held)
    till.buyer_pays(payment, method)
    till.settle()
    assert till.payment(payment["id"])["outcome"] == "reserved"
    return payment


# -- beginning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [50, 7_501, 25_000, 123_457, 99_999_999])
def test_stripe_is_asked_for_the_exact_amount_in_minor_units(till: Till, amount: int) -> None:
    held = till.twin.hold(amount, currency="EUR")
    payment = till.pay(held)
    intent = till.at_stripe(payment)
    assert (payment["amount"], payment["currency"]) == (amount, "EUR")
    assert (intent.amount, intent.currency) == (amount, "eur")
    assert intent.metadata.to_dict() == {"site": "matchday", "paymentId": payment["id"], "reservationId": held.id}
    assert payment["clientSecret"] == intent.client_secret
    assert (payment["status"], payment["intentId"]) == ("requires_payment_method", intent.id)


def test_a_payment_is_seen_by_its_buyer(till: Till) -> None:
    held = till.twin.hold()
    answer = till.ask_to_pay(held)
    seen = till.http.get(answer.headers["Location"], headers=held.credential)
    assert (seen.status_code, seen.json()) == (200, answer.json())


def test_a_page_pays_with_its_cookie_and_proves_that_it_is_ours(till: Till) -> None:
    held = till.twin.hold()
    claims = {**till.signer.claims(), "csrf": hashlib.sha256(b"shown to our pages").hexdigest()}
    held.token = till.signer.sign(claims)
    cookie = {"Cookie": f"matchday_access={held.token}"}
    body = {"reservationId": held.id}
    _is_problem(till.http.post("/api/payments", json=body, headers=cookie), 403, "csrf_failed")
    cookie["X-CSRF-Token"] = "shown to our pages"
    answer = till.http.post("/api/payments", json={"reservationId": held.id}, headers=cookie)
    assert answer.status_code == 201
    assert till.http.get(answer.headers["Location"], headers=cookie).status_code == 200


def test_only_the_owner_pays_or_sees_a_payment(till: Till) -> None:
    mine, other = till.twin.hold(), till.twin.hold()
    payment = till.pay(mine)
    nobody = {"Authorization": "Bearer of-nobody"}
    for headers, status, code in (
        ({}, 401, "unauthenticated"), (nobody, 401, "unauthenticated"), (other.credential, 403, "forbidden")
    ):  # fmt: skip
        paying = till.http.post("/api/payments", json={"reservationId": mine.id}, headers=headers)
        _is_problem(paying, status, code)
        _is_problem(till.http.get(f"/api/payments/{payment['id']}", headers=headers), status, code)
    assert len(till.payments_of(mine)) == 1


def test_what_is_not_there_is_not_found(till: Till) -> None:
    held = till.twin.hold()
    nobodys = till.http.post("/api/payments", json={"reservationId": NOBODYS}, headers=held.credential)
    _is_problem(nobodys, 404, "not_found")
    _is_problem(till.http.get(f"/api/payments/{NOBODYS}", headers=held.credential), 404, "not_found")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("submitted", "not_held"), ("reserved", "already_paid"), ("cancelled", "hold_expired"),
        ("expired", "hold_expired"), ("lost", "hold_expired"),
    ],
)  # fmt: skip
def test_only_what_is_held_can_be_paid(till: Till, status: str, code: str) -> None:
    held = till.twin.hold(status=status)
    _is_problem(till.ask_to_pay(held), 409, code)
    assert till.payments_of(held) == []


def test_a_hold_whose_time_is_over_cannot_be_paid(till: Till) -> None:
    held = till.twin.hold(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    _is_problem(till.ask_to_pay(held), 409, "hold_expired")


@pytest.mark.parametrize("member", ["amount", "currency", "price"])
def test_the_caller_names_no_price(till: Till, member: str) -> None:
    held = till.twin.hold()
    body = {"reservationId": held.id, member: 1}
    answer = till.http.post("/api/payments", json=body, headers=held.credential)
    assert _is_problem(answer, 422, "validation_failed")["errors"][0]["code"] == "unknown"
    assert till.payments_of(held) == []


# -- once ------------------------------------------------------------------------------------------------------------


def test_a_double_click_makes_one_payment_and_one_intent(till: Till) -> None:
    held = till.twin.hold()
    ready = threading.Barrier(8)

    def click(_: int) -> Any:
        ready.wait()
        return till.pay(held)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(click, range(8)))
    assert len({json.dumps(answer) for answer in answers}) == 1
    assert len(till.payments_of(held)) == len(till.intents_of(held)) == 1


def test_a_key_belongs_to_one_request(till: Till) -> None:
    held = till.twin.hold()
    first = till.ask_to_pay(held, key="key-1").json()
    assert till.ask_to_pay(held, key="key-1").json() == first
    assert till.ask_to_pay(held, key="key-2").json() == first, "a reservation has one payment"


def test_somebody_elses_key_is_in_nobodys_way(till: Till) -> None:
    one, other = till.twin.hold(), till.twin.hold()
    assert till.ask_to_pay(one, key="the-same").json()["reservationId"] == one.id
    assert till.ask_to_pay(other, key="the-same").json()["reservationId"] == other.id


def test_what_is_paid_is_answered_with_its_payment(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    till.buyer_pays(payment)
    till.settle()
    again = till.pay(held)
    assert (again["id"], again["status"], again["outcome"]) == (payment["id"], "succeeded", "reserved")
    assert len(till.intents_of(held)) == 1


# -- paying ----------------------------------------------------------------------------------------------------------


def test_a_payment_that_succeeds_is_booked_and_told_and_then_earned(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    till.buyer_pays(payment)
    eventually(lambda: till.payment(payment["id"])["status"] == "succeeded")
    assert till.books(payment["id"]) == OWED
    till.deliver()
    assert till.twin.told_of(held.id) == [{"paymentId": payment["id"], "amount": 25_000, "currency": "USD"}]
    assert till.payment(payment["id"])["outcome"] == "reserved"
    assert till.books(payment["id"]) == EARNED


def test_a_buyer_whose_card_is_declined_tries_another(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    with pytest.raises(stripe.CardError):
        till.buyer_pays(payment, "pm_card_visa_chargeDeclinedInsufficientFunds")
    eventually(lambda: till.payment(payment["id"])["failure_code"] == "card_declined")
    seen = till.http.get(f"/api/payments/{payment['id']}", headers=held.credential).json()
    assert seen["failure"] == {"code": "card_declined", "declineCode": "insufficient_funds"}
    assert till.pay(held)["clientSecret"] == payment["clientSecret"]
    assert till.books(payment["id"]) == {}
    till.buyer_pays(payment)
    till.settle()
    assert till.books(payment["id"]) == EARNED


@pytest.mark.parametrize(("outcome", "status"), [("complete", "succeeded"), ("fail", "requires_payment_method")])
def test_a_buyer_who_is_asked_by_the_bank_pays_or_does_not(till: Till, outcome: str, status: str) -> None:
    payment = till.pay(till.twin.hold())
    till.stripe.authenticate(till.buyer_pays(payment, "pm_card_threeDSecure2Required"), outcome)
    eventually(lambda: till.payment(payment["id"])["status"] == status)


def test_reservations_is_told_until_it_has_heard(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    till.twin.fails = 3
    till.buyer_pays(payment)
    till.settle()
    assert len(till.twin.told_of(held.id)) == 1
    assert till.books(payment["id"]) == EARNED


# -- Stripe on a bad day ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 500}, {"status": 429}, {"status": 409}])
def test_a_stripe_that_fails_is_asked_again_by_the_buyer(till: Till, fault: dict[str, Any]) -> None:
    held = till.twin.hold()
    till.stripe.fault(path="/v1/payment_intents", **fault)
    problem = _is_problem(till.ask_to_pay(held), 503, "dependency_unavailable")
    assert problem["requestId"]
    assert till.pay(held)["status"] == "requires_payment_method"
    assert len(till.intents_of(held)) == 1


def test_an_answer_that_is_lost_after_stripe_did_the_work_makes_no_second_intent(till: Till) -> None:
    held = till.twin.hold()
    till.stripe.fault(path="/v1/payment_intents", when="after", hang_seconds=2)
    _is_problem(till.ask_to_pay(held), 503, "dependency_unavailable")
    payment = till.pay(held)
    assert [intent.id for intent in till.intents_of(held)] == [payment["intentId"]]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_500_that_sticks_to_its_key_does_not_stick_to_the_buyer(
    till: Till, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = till.twin.hold()
    till.stripe.hold()  # or the event of the first intent would make it known
    till.stripe.fault(path="/v1/payment_intents", when=when, saved=True)
    _is_problem(till.ask_to_pay(held), 503, "dependency_unavailable")
    payment = till.pay(held)
    till.stripe.let_go()
    till.buyer_pays(payment)
    monkeypatch.setattr("payments.reconcile.YOUNG_SECONDS", -1)
    till.settle()
    stray = {intent.id: intent.status for intent in till.intents_of(held) if intent.id != payment["intentId"]}
    assert list(stray.values()) == (["canceled"] if when == "after" else [])
    assert till.books(payment["id"]) == EARNED


def test_a_stripe_that_is_gone_is_said_to_be(till: Till) -> None:
    held = till.twin.hold()
    till.stripe.kill()
    try:
        _is_problem(till.ask_to_pay(held), 503, "dependency_unavailable")
    finally:
        till.stripe.start()
    assert till.pay(held)["intentId"]


def test_reservations_out_of_reach_charges_nothing(till: Till) -> None:
    held = till.twin.hold()
    token, till.twin.service_token = till.twin.service_token, "another one for a while"
    try:
        answer = till.ask_to_pay(held)
    finally:
        till.twin.service_token = token
    assert answer.status_code in (401, 503)
    assert till.payments_of(held) == []


# -- events ----------------------------------------------------------------------------------------------------------


def _event(payment: dict[str, Any], kind: str = "payment_intent.succeeded", **changed: Any) -> dict[str, Any]:
    intent = {
        "id": payment["intentId"], "object": "payment_intent", "status": "succeeded", "amount": payment["amount"],
        "amount_received": payment["amount"], "currency": payment["currency"].lower(), "client_secret": None,
        "latest_charge": "ch_forged", "last_payment_error": None, "created": 1,
        "metadata": {"site": "matchday", "paymentId": payment["id"]},
    }  # fmt: skip
    return {
        "id": f"evt_{uuid.uuid4().hex}", "object": "event", "type": kind, "created": int(time.time()),
        "data": {"object": intent | changed},
    }  # fmt: skip


def _post(till: Till, event: dict[str, Any], signature: str | None = None, secret: str = WEBHOOK_SECRET) -> Any:
    payload = json.dumps(event)
    signed = sign(payload, secret, int(time.time())) if signature is None else signature
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signed}
    return till.http.post("/api/payments/webhook", content=payload, headers=headers)


def test_an_event_that_stripe_has_not_signed_is_refused_without_effect(till: Till) -> None:
    payment = till.pay(till.twin.hold())
    event = _event(payment)
    old = sign(json.dumps(event), WEBHOOK_SECRET, int(time.time()) - 301)
    other = sign(json.dumps(_event(payment)), WEBHOOK_SECRET, int(time.time()))
    for signature in ("", "t=1,v1=abc", "v1=", "t=x,v1=y", old, other, old.replace("v1", "v0")):
        _is_problem(_post(till, event, signature), 400, "invalid_signature")
    _is_problem(_post(till, event, secret="whsec_of_somebody_else"), 400, "invalid_signature")
    unsigned = till.http.post("/api/payments/webhook", json=event)
    _is_problem(unsigned, 400, "invalid_signature")
    assert till.payment(payment["id"])["status"] == "requires_payment_method"
    assert till.books(payment["id"]) == {}


def test_an_event_of_another_site_or_of_something_else_is_taken_and_forgotten(till: Till) -> None:
    payment = till.pay(till.twin.hold())
    theirs = _event(payment, metadata={"site": "atlas", "paymentId": payment["id"]})
    unknown = _event(payment, id="pi_unknown", metadata={})
    other = _event(payment, kind="charge.succeeded", object="charge")
    for event in (theirs, unknown, other):
        assert _post(till, event).status_code == 200
    assert till.payment(payment["id"])["status"] == "requires_payment_method"


def test_an_intent_that_names_a_payment_which_has_another_changes_nothing(till: Till) -> None:
    payment = till.pay(till.twin.hold())
    assert _post(till, _event(payment, id="pi_stray")).status_code == 200
    assert till.payment(payment["id"])["status"] == "requires_payment_method"


def test_a_replayed_event_has_no_second_effect(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    event = _event(payment)
    for _ in range(3):
        assert _post(till, event).json() == {"received": True}
    till.deliver()
    assert len(till.twin.told_of(held.id)) == 1
    assert till.books(payment["id"]) == EARNED


def test_one_event_brought_by_many_at_once_has_one_effect(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    event = _event(payment)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: _post(till, event).status_code, range(8)))
    assert answers == [200] * 8
    till.deliver()
    assert len(till.twin.told_of(held.id)) == 1
    assert till.books(payment["id"]) == EARNED


@pytest.mark.parametrize("order", ["as_made", "reversed", "shuffled"])
def test_events_in_any_order_and_three_times_each_come_to_the_same(till: Till, order: str) -> None:
    till.stripe.hold()
    held = till.twin.hold()
    payment = till.pay(held)
    with pytest.raises(stripe.CardError):
        till.buyer_pays(payment, "pm_card_visa_chargeDeclined")
    till.stripe.authenticate(till.buyer_pays(payment, "pm_card_threeDSecure2Required"))
    assert till.stripe.let_go(order, copies=3) >= 15
    till.settle()
    row = till.payment(payment["id"])
    assert (row["status"], row["outcome"], row["received"]) == ("succeeded", "reserved", 25_000)
    assert len(till.twin.told_of(held.id)) == 1
    assert till.books(payment["id"]) == EARNED


def test_an_event_that_comes_late_tells_no_old_news(till: Till) -> None:
    payment = till.pay(till.twin.hold())
    now = int(time.time())
    newer = _event(payment, "payment_intent.requires_action", status="requires_action", amount_received=0)
    older = _event(payment, "payment_intent.payment_failed", status="requires_payment_method", amount_received=0)
    assert _post(till, newer | {"created": now + 10}).status_code == 200
    assert _post(till, older | {"created": now - 10}).status_code == 200
    assert till.payment(payment["id"])["status"] == "requires_action"


def test_money_that_is_not_the_amount_goes_back_and_sells_nothing(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    till.stripe.api.v1.payment_intents.update(payment["intentId"], {"amount": 100})
    till.buyer_pays(payment)
    till.settle()
    assert till.twin.told_of(held.id) == []
    assert till.refunds(payment["id"]) == [(100, "succeeded")]
    assert till.books(payment["id"]) == {}


# -- too late --------------------------------------------------------------------------------------------------------


def test_a_late_payment_that_the_log_admits_again_is_earned(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    held.status = "expired"
    till.twin.outcome[held.id] = "asking"
    till.buyer_pays(payment)
    till.settle()
    assert till.payment(payment["id"])["outcome"] == "asking"
    assert till.books(payment["id"]) == OWED
    assert till.tell_outcome(payment, "reserved", key=str(uuid.uuid4())).json()["outcome"] == "reserved"
    till.settle()
    assert (till.books(payment["id"]), till.refunds(payment["id"])) == (EARNED, [])


def test_a_late_payment_without_tickets_is_refunded_once_by_itself(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    till.twin.outcome[held.id] = "asking"
    till.buyer_pays(payment)
    till.settle()
    told = str(uuid.uuid4())
    for key in (told, told, str(uuid.uuid4()), None):
        assert till.tell_outcome(payment, "refused", key).json()["outcome"] == "refused"
    till.settle()
    till.settle()
    assert till.refunds(payment["id"]) == [(25_000, "succeeded")]
    assert till.books(payment["id"]) == {}
    charge = till.stripe.api.v1.charges.retrieve(till.at_stripe(payment).latest_charge)
    assert charge.amount_refunded == 25_000


def test_a_payment_that_reservations_refuses_at_once_is_refunded_once(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    till.twin.outcome[held.id] = "refused"
    till.buyer_pays(payment)
    till.settle()
    till.tell_outcome(payment, "refused", str(uuid.uuid4()))
    till.settle()
    assert till.refunds(payment["id"]) == [(25_000, "succeeded")]
    assert till.books(payment["id"]) == {}


def test_what_was_sold_and_is_refused_after_all_is_refunded_out_of_the_sales(till: Till) -> None:
    payment = _paid(till)
    till.tell_outcome(payment, "refused", str(uuid.uuid4()))
    till.settle()
    assert till.refunds(payment["id"]) == [(25_000, "succeeded")]
    assert till.books(payment["id"]) == {}


def test_an_answer_that_was_overtaken_by_the_verdict_changes_nothing(till: Till) -> None:
    payment = _paid(till)
    assert till.tell_outcome(payment, "asking", str(uuid.uuid4())).json()["outcome"] == "reserved"
    refused = till.tell_outcome(payment, "refused", str(uuid.uuid4())).json()
    assert refused["outcome"] == "refused"
    assert till.tell_outcome(payment, "reserved", str(uuid.uuid4())).json()["outcome"] == "refused"


def test_an_outcome_of_another_reservation_is_not_taken(till: Till) -> None:
    payment = _paid(till)
    wrong = {**payment, "reservationId": NOBODYS}
    _is_problem(till.tell_outcome(wrong, "refused"), 404, "not_found")
    _is_problem(till.tell_outcome({**payment, "id": NOBODYS}, "refused"), 404, "not_found")
    assert till.refunds(payment["id"]) == []


def test_a_message_that_reservations_will_not_hear_ends_in_a_refund(till: Till) -> None:
    payment = till.pay(till.twin.hold())
    till.buyer_pays(payment)
    till.twin.fails, till.twin.status = 1, 422
    till.settle()
    till.settle()
    assert till.payment(payment["id"])["outcome_reason"] == "not_understood"
    assert till.books(payment["id"]) == {}
    refused = till.http.get("/internal/deliveries", headers=till.operator).json()["items"]
    assert [item["subject"] for item in refused].count(payment["reservationId"]) == 1


# -- accounts --------------------------------------------------------------------------------------------------------


def test_a_deleted_account_leaves_its_payments_and_nothing_personal(till: Till) -> None:
    account = str(uuid.uuid4())
    held = till.twin.hold(account_id=account, email="ada@example.org")
    payment = till.pay(held)
    assert till.payment(payment["id"])["email"] == "ada@example.org"
    key = str(uuid.uuid4())
    assert till.internal("accounts/deleted", {"accountId": account}, key).json() == {"payments": 1}
    assert till.internal("accounts/deleted", {"accountId": account}, key).json() == {"payments": 0}
    row = till.payment(payment["id"])
    assert (row["email"], row["account_id"]) == ("deleted", None)


# -- the site's own --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/internal/payments/{NOBODYS}/outcome"), ("POST", f"/internal/payments/{NOBODYS}/refunds"),
        ("POST", "/internal/payments/card"), ("POST", "/internal/payments/cancelled"),
        ("GET", "/internal/ledger"), ("GET", "/internal/deliveries"), ("GET", f"/internal/payments/{NOBODYS}"),
        ("POST", f"/api/payments/{NOBODYS}/refunds"), ("GET", f"/api/payments/{NOBODYS}/refunds"),
    ],
)  # fmt: skip
def test_what_moves_money_is_not_for_buyers(till: Till, method: str, path: str) -> None:
    held = till.twin.hold()
    for headers in ({}, held.credential):
        _is_problem(till.http.request(method, path, json={}, headers=headers), 401, "unauthenticated")


def test_the_service_is_ready_and_says_when_stripe_is_not(till: Till) -> None:
    ready = till.http.get("/health/ready")
    assert (ready.status_code, set(ready.json()["dependencies"])) == (200, {"postgresql", "stripe"})
