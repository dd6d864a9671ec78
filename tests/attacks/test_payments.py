"""What is tried on payments: forged and odd events, cards tried out at Stripe, with production's limits."""

import itertools
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from matchday.servers import Postgres
from matchday.stripe_standin.webhooks import sign
from tests.eventually import eventually
from tests.reservations_twin import Reservation
from tests.resources import Databases
from tests.standin import WEBHOOK_SECRET
from tests.till import Till, open_till

DECLINED = "pm_card_visa_chargeDeclined"


@pytest.fixture
def till(database_url: str, as_in_production: dict[str, str], tmp_path: Path) -> Iterator[Till]:
    with open_till(database_url, tmp_path / "till", **as_in_production, PAYMENT_TRIES_MAX="3") as till:
        yield till


@pytest.fixture(scope="module")
def calm(_postgres: Postgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """A till without limits, for many events."""
    databases = Databases(_postgres, _template)
    with open_till(databases.create(), tmp_path_factory.mktemp("till")) as till:
        yield till
    databases.drop_all()


def _post(till: Till, body: bytes, signature: str | None = None) -> httpx.Response:
    signed = sign(body.decode(), WEBHOOK_SECRET, int(time.time())) if signature is None else signature
    headers = {"Content-Type": "application/json", "Stripe-Signature": signed}
    return till.http.post("/api/payments/webhook", content=body, headers=headers)


def _event(thing: Any, kind: str = "payment_intent.succeeded", **changed: Any) -> bytes:
    event = {"id": f"evt_{uuid.uuid4().hex}", "type": kind, "created": int(time.time()), "data": {"object": thing}}
    return json.dumps(event | changed).encode()


def _intent(payment: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {
        "id": payment["intentId"], "object": "payment_intent", "status": "succeeded", "amount": payment["amount"],
        "amount_received": payment["amount"], "currency": "usd", "created": 1,
        "metadata": {"site": "matchday", "paymentId": payment["id"]},
    } | changed  # fmt: skip


# -- forged webhooks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", ["like nothing", "like a signature"])
def test_a_flood_of_forged_webhooks_shuts_out_none_that_stripe_has_signed(till: Till, looks: str) -> None:
    payment = till.pay(till.twin.hold())
    forged = "forged" if looks == "like nothing" else f"t={int(time.time())},v1={'0' * 64}"
    answers = [_post(till, _event(_intent(payment)), forged) for _ in range(70)]
    assert {answer.status_code for answer in answers[:5]} == {400}
    assert answers[-1].json()["code"] == "blocked", "who forges is shut out"
    assert till.payment(payment["id"])["status"] == "requires_payment_method"
    assert _post(till, _event(_intent(payment))).status_code == 200
    assert till.payment(payment["id"])["status"] == "succeeded"
    assert _post(till, _event(_intent(payment)), forged).status_code == 403, "and stays so"


def test_a_body_that_could_be_signed_and_is_too_large_counts_at_the_gate(till: Till) -> None:
    body = b'{"x": "' + b"x" * 70_000 + b'"}'
    assert _post(till, body).status_code == 413
    old = f"t={int(time.time()) - 400},v1={'0' * 64}"
    assert _post(till, body, old).json()["code"] == "body_too_large"


# -- signed, and odd -------------------------------------------------------------------------------------------------

ODD: dict[str, Any] = {
    "an unknown status": {"status": "thinking"},
    "no currency": {"currency": None},
    "metadata that is a list": {"metadata": [1]},
    "metadata of numbers": {"metadata": {"site": 1, "paymentId": 2}},
    "NUL": {"id": "pi_\0"},
    "half a surrogate pair": {"latest_charge": "\ud800"},
    "an amount beyond all": {"amount_received": 10**30},
    "a negative amount": {"amount_received": -1},
    "a fraction": {"amount_received": 1.5},
    "an error that is a text": {"last_payment_error": "declined"},
    "no id": {"id": None},
}


def _kept(till: Till, problem: str = "%") -> list[dict[str, Any]]:
    return till.rows("SELECT * FROM payments.inbox WHERE problem LIKE %s ORDER BY received_at", problem)


@pytest.mark.parametrize("changed", ODD.values(), ids=ODD)
def test_a_signed_event_that_is_odd_is_kept_with_its_problem_and_changes_nothing(
    calm: Till, changed: dict[str, Any]
) -> None:
    payment = calm.pay(calm.twin.hold())
    eventually(calm.stripe.quiet, what="the intent's own events have come")
    before, kept = calm.payment(payment["id"]), len(_kept(calm))
    event = _event(_intent(payment, **changed))
    for _ in range(2):
        assert (_post(calm, event).status_code, _post(calm, event).json()) == (200, {"received": True})
    assert calm.payment(payment["id"]) == before
    (found,) = _kept(calm)[kept:]
    assert (found["id"], found["source"]) == (json.loads(event)["id"], "stripe")
    assert found["problem"].startswith("/data/object")


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"{}", b"null", b"no json", b'"x"', b'{"data": 1}', b"[" * 50_000, b"1" * 5_000,
        b'{"id": 1, "type": "x", "created": 1, "data": {"object": {}}}',
        b'{"id": "evt_1\\u0000", "type": "x", "created": 1, "data": {"object": {}}}',
        b'{"id": "evt_1", "type": "x", "created": 1e400, "data": {"object": {}}}',
        b'{"id": "evt_2", "type": "x", "created": 1}',
        b'{"id": "evt_3", "type": "x", "created": 1, "data": {"object": []}}',
        b'{"id": "evt_4", "type": "x", "created": 123456789012345678901234567890, "data": {"object": {}}}',
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_a_signed_body_that_is_no_event_is_kept_with_its_problem(calm: Till, body: bytes) -> None:
    kept = len(_kept(calm))
    assert [_post(calm, body).status_code for _ in range(2)] == [200, 200]
    assert len(_kept(calm)) == kept + 1, "once"


def test_an_odd_event_is_told_to_the_operator_once(calm: Till) -> None:
    def odd() -> float:
        text = calm.http.get("/metrics").text
        found = [line for line in text.splitlines() if line.startswith('matchday_payment_events_total{outcome="odd"}')]
        return float(found[0].split()[1]) if found else 0.0

    before, event = odd(), _event({"object": "refund"})
    for _ in range(3):
        _post(calm, event)
    assert odd() == before + 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "id", "status", "amount", "amount_received", "currency", "client_secret", "latest_charge", "last_payment_error",
    "metadata", "created", "payment_intent", "failure_reason",
]  # fmt: skip
GOOD = {
    "id": "pi_1", "status": "succeeded", "amount": 1, "amount_received": 1, "currency": "usd", "created": 1,
    "payment_intent": "pi_1", "metadata": {},
}  # fmt: skip


@given(
    kind=st.sampled_from(["payment_intent", "refund", "charge"]) | JSON,
    changed=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4),
    head=st.dictionaries(st.sampled_from(["id", "type", "created", "data"]), JSON, max_size=2),
    known=st.booleans(),
)
@example(kind="refund", changed={"amount": 0}, head={}, known=True)
@example(kind="payment_intent", changed={"created": 2**63}, head={"created": 2**53 + 1}, known=True)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_whatever_is_signed_is_taken(
    calm: Till, kind: Any, changed: dict[str, Any], head: dict[str, Any], known: bool
) -> None:
    payment = _known(calm) if known else None
    ours = {} if payment is None else {"id": payment["intentId"], "payment_intent": payment["intentId"]}
    body = _event({**GOOD, **ours, "object": kind, **changed}, **head)
    assert _post(calm, body).status_code == 200
    assert calm.unbalanced() == 0


_PAYMENTS: dict[int, dict[str, Any]] = {}


def _known(till: Till) -> dict[str, Any]:
    if id(till) not in _PAYMENTS:
        _PAYMENTS[id(till)] = till.pay(till.twin.hold())
    return _PAYMENTS[id(till)]


# -- cards tried out -------------------------------------------------------------------------------------------------


def _tries(till: Till, payment: dict[str, Any], method: str = DECLINED) -> str:
    """What Stripe says to the page that tries a card with the client secret."""
    try:
        till.buyer_pays(payment, method)
    except (stripe.CardError, stripe.InvalidRequestError) as error:
        return str(error.code)
    return "charged"


def _declines(till: Till, payment: dict[str, Any]) -> int:
    return int(till.payment(payment["id"])["declines"])


def _declined(till: Till, payment: dict[str, Any], number: int) -> None:
    """Stripe declines a card, and we have heard of so many."""
    assert _tries(till, payment) == "card_declined"
    eventually(lambda: _declines(till, payment) == number)


def _close_by_declines(till: Till, held: Reservation) -> dict[str, Any]:
    payment = till.pay(held)
    for number in range(1, 4):
        _declined(till, payment, number)
    till.work()
    return payment


def test_after_some_declined_cards_a_payment_takes_no_other(till: Till) -> None:
    held = till.twin.hold()
    payment = _close_by_declines(till, held)
    assert till.at_stripe(payment).status == "canceled"
    assert _tries(till, payment, "pm_card_visa") == "payment_intent_unexpected_state"
    row = till.payment(payment["id"])
    assert (row["status"], row["failure_code"], row["payer"]) == ("canceled", "too_many_declines", None)
    seen = till.http.get(f"/api/payments/{payment['id']}", headers=held.credential).json()
    assert seen["failure"] == {"code": "too_many_declines", "declineCode": None}
    again = till.ask_to_pay(held)
    assert (again.status_code, again.json()["code"]) == (409, "too_many_declines")
    assert len(till.payments_of(held)) == 1
    assert till.charge_card(held).json()["code"] == "too_many_declines"
    assert till.books(payment["id"]) == {}


def test_cards_declined_at_stripe_count_at_the_gate_for_who_began_the_payment(till: Till) -> None:
    statuses = []
    for _ in range(6):
        answer = till.ask_to_pay(held := till.twin.hold())
        statuses.append(answer.status_code)
        if answer.status_code != 201:
            break
        for number in range(1, 4):
            _declined(till, answer.json(), number)
    assert statuses == [201, 201, 201, 201, 403], "ten are borne; the eleventh belongs to the fourth payment"
    assert till.ask_to_pay(held).json()["code"] == "challenge_required"


def test_a_decline_that_stripe_tells_again_counts_once(till: Till) -> None:
    payment = till.pay(till.twin.hold())
    till.stripe.hold()
    _tries(till, payment)
    till.stripe.let_go(copies=3)
    eventually(till.stripe.quiet)
    assert _declines(till, payment) == 1
    assert _tries(till, payment, "pm_card_visa") == "charged"
    till.settle()
    assert till.payment(payment["id"])["outcome"] == "reserved"
