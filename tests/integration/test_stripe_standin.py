"""The stand-in behaves as Stripe documents, asked through the official library, as a process of its own."""

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from matchday.stripe_standin.cards import BY_METHOD, CARDS, NOT_A_TEST_CARD, Card
from tests.eventually import eventually
from tests.receiver import Receiver, receiver
from tests.standin import PUBLISHABLE_KEY, SECRET_KEY, WEBHOOK_SECRET, StandinProcess, standin

NEW: Any = {"amount": 25_000, "currency": "usd", "payment_method_types": ["card"]}
DIRECT = [card for card in CARDS if not card.asks]
ASKING = [card for card in CARDS if card.asks]


@pytest.fixture(scope="module")
def there() -> Iterator[Receiver]:
    with receiver() as listening:
        yield listening


@pytest.fixture(scope="module")
def process(there: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandinProcess]:
    with standin(tmp_path_factory.mktemp("stripe"), there.url) as running:
        yield running


@pytest.fixture
def there_now(process: StandinProcess, there: Receiver) -> Receiver:
    """The receiver with nothing of earlier tests on its way."""
    eventually(process.quiet)
    there.requests.clear()
    return there


@pytest.fixture
def v1(process: StandinProcess) -> Iterator[Any]:
    yield process.api.v1
    process.no_faults()


def _raw(card: Card, **changed: Any) -> dict[str, Any]:
    cvc = "1234" if card.brand == "amex" else "123"
    return {"type": "card", "card": {"number": card.number, "exp_month": 12, "exp_year": 2034, "cvc": cvc, **changed}}


def _pay(v1: Any, method: str = "pm_card_visa", **more: Any) -> Any:
    return v1.payment_intents.create({**NEW, "payment_method": method, "confirm": True, **more})


# -- the test cards --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("card", DIRECT, ids=lambda card: card.number)
def test_a_card_by_number_does_what_is_documented(v1: Any, card: Card) -> None:
    intent = v1.payment_intents.create(NEW)
    assert intent.status == "requires_payment_method"
    if card.decline is None:
        paid = v1.payment_intents.confirm(intent.id, {"payment_method_data": _raw(card)})
        assert (paid.status, paid.amount_received) == ("succeeded", 25_000)
        details = v1.charges.retrieve(paid.latest_charge).payment_method_details.card
        assert (details.brand, details.last4, details.funding) == (card.brand, card.number[-4:], card.funding)
        return
    with pytest.raises(stripe.CardError) as raised:
        v1.payment_intents.confirm(intent.id, {"payment_method_data": _raw(card)})
    _is_decline(raised.value, card)
    _is_declined(v1.payment_intents.retrieve(intent.id), card)


@pytest.mark.parametrize("method", sorted(method for card in DIRECT for method in card.methods))
def test_a_card_by_its_payment_method_does_the_same(v1: Any, method: str) -> None:
    card = BY_METHOD[method]
    if card.decline is None:
        assert _pay(v1, method).status == "succeeded"
        return
    with pytest.raises(stripe.CardError) as raised:
        _pay(v1, method)
    _is_decline(raised.value, card)


def _is_decline(error: Any, card: Card) -> None:
    assert card.decline is not None
    assert (error.http_status, error.code, error.error.decline_code) == (
        402, card.decline.code, card.decline.decline_code
    )  # fmt: skip
    _is_declined(error.error.payment_intent, card)


def _is_declined(intent: Any, card: Card) -> None:
    assert card.decline is not None
    assert (intent.status, intent.amount_received) == ("requires_payment_method", 0)
    assert intent.last_payment_error.code == card.decline.code


@pytest.mark.parametrize("method", sorted(method for card in ASKING for method in card.methods))
def test_a_card_that_asks_waits_for_the_buyer_and_then_pays_or_declines(
    v1: Any, process: StandinProcess, method: str
) -> None:
    card = BY_METHOD[method]
    intent = _pay(v1, method, return_url="https://shop.example/paid?order=7")
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    back = process.authenticate(intent)
    paid = v1.payment_intents.retrieve(intent.id)
    assert back.headers["Location"].startswith(f"https://shop.example/paid?order=7&payment_intent={intent.id}&")
    if card.decline is None:
        assert paid.status == "succeeded"
        assert back.headers["Location"].endswith("redirect_status=succeeded")
    else:
        _is_declined(paid, card)
        assert back.headers["Location"].endswith("redirect_status=failed")


def test_a_buyer_who_fails_the_banks_question_may_try_another_card(v1: Any, process: StandinProcess) -> None:
    intent = _pay(v1, "pm_card_threeDSecure2Required")
    assert intent.next_action.type == "use_stripe_sdk"
    assert process.authenticate(intent, "fail").status_code == 200
    failed = v1.payment_intents.retrieve(intent.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"
    assert v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "succeeded"


def test_a_question_is_answered_once_and_by_who_was_asked(v1: Any, process: StandinProcess) -> None:
    intent = _pay(v1, "pm_card_threeDSecure2Required")
    wrong = intent.next_action.use_stripe_sdk["stripe_js"].partition("?")[0] + "?challenge=challenge_guessed"
    assert httpx.post(wrong, content="outcome=complete").status_code == 400
    process.authenticate(intent)
    url = intent.next_action.use_stripe_sdk["stripe_js"]
    assert httpx.post(url, content="outcome=fail").status_code == 400
    assert v1.payment_intents.retrieve(intent.id).status == "succeeded"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"number": "4242424242424241"}, "incorrect_number"),
        ({"number": "42"}, "incorrect_number"),
        ({"exp_month": 13}, "invalid_expiry_month"),
        ({"exp_year": 1995}, "invalid_expiry_year"),
        ({"cvc": "99"}, "invalid_cvc"),
    ],
)
def test_card_data_that_cannot_be_is_refused_at_once(v1: Any, changed: dict[str, Any], code: str) -> None:
    with pytest.raises(stripe.CardError) as raised:
        v1.payment_methods.create(_raw(CARDS[0], **changed))
    assert (raised.value.http_status, raised.value.code) == (402, code)


def test_a_real_cards_number_is_declined(v1: Any) -> None:
    with pytest.raises(stripe.CardError) as raised:
        _pay(v1, v1.payment_methods.create(_raw(CARDS[0], number="4539148803436467")).id)
    declined: Any = raised.value
    assert declined.error.decline_code == NOT_A_TEST_CARD.decline_code


# -- an intent's life ------------------------------------------------------------------------------------------------


def test_a_declined_intent_takes_another_card_and_then_no_more(v1: Any) -> None:
    intent = v1.payment_intents.create({**NEW, "metadata": {"payment": "7"}})
    with pytest.raises(stripe.CardError):
        v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa_chargeDeclined"})
    paid = v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (paid.status, paid.last_payment_error, paid.metadata["payment"]) == ("succeeded", None, "7")
    for attempt in (v1.payment_intents.confirm, v1.payment_intents.cancel):
        with pytest.raises(stripe.InvalidRequestError) as raised:
            attempt(intent.id)
        assert raised.value.code == "payment_intent_unexpected_state"
    charges = v1.charges.list({"payment_intent": intent.id}).data
    assert [charge.status for charge in charges] == ["succeeded", "failed"]


def test_a_cancelled_intent_takes_no_money(v1: Any) -> None:
    intent = v1.payment_intents.create(NEW)
    cancelled = v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert (cancelled.status, cancelled.cancellation_reason) == ("canceled", "abandoned")
    with pytest.raises(stripe.InvalidRequestError) as raised:
        v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert raised.value.code == "payment_intent_unexpected_state"


def test_an_intent_can_be_changed_until_it_is_paid(v1: Any) -> None:
    intent = v1.payment_intents.create({**NEW, "metadata": {"a": "1"}})
    changed = v1.payment_intents.update(intent.id, {"amount": 5_000, "metadata": {"b": "2"}})
    assert (changed.amount, changed.metadata.to_dict()) == (5_000, {"a": "1", "b": "2"})
    assert v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).amount_received == 5_000
    with pytest.raises(stripe.InvalidRequestError):
        v1.payment_intents.update(intent.id, {"amount": 1})


def test_an_intent_of_the_dashboards_methods_wants_a_way_back(v1: Any) -> None:
    intent = v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError) as raised:
        v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert raised.value.param == "return_url"


@pytest.mark.parametrize(
    ("changed", "code", "param"),
    [
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"amount": "many"}, "parameter_invalid_integer", "amount"),
        ({"amount": ""}, "parameter_missing", "amount"),
        ({"currency": ""}, "parameter_missing", "currency"),
        ({"price": 1}, "parameter_unknown", "price"),
        ({"payment_method": "pm_of_nobody"}, "resource_missing", "payment_method"),
    ],
)
def test_a_wrong_parameter_is_named(v1: Any, changed: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        v1.payment_intents.create({**NEW, **changed})
    assert (raised.value.code, raised.value.param) == (code, param)


def test_what_is_not_there_is_not_found(v1: Any) -> None:
    for look in (v1.payment_intents.retrieve, v1.refunds.retrieve, v1.charges.retrieve, v1.events.retrieve):
        with pytest.raises(stripe.InvalidRequestError) as raised:
            look("pi_of_nobody")
        assert (raised.value.http_status, raised.value.code) == (404, "resource_missing")


# -- who may ask -----------------------------------------------------------------------------------------------------


def test_only_the_secret_key_makes_intents(process: StandinProcess) -> None:
    for key in ("sk_test_of_somebody_else", SECRET_KEY[:-1]):
        with pytest.raises(stripe.AuthenticationError):
            process.client(key).v1.payment_intents.create(NEW)
    with pytest.raises(stripe.PermissionError):
        process.client(PUBLISHABLE_KEY).v1.payment_intents.create(NEW)
    assert httpx.post(f"{process.url}/v1/payment_intents").status_code == 401


def test_a_browser_confirms_with_the_client_secret_and_not_without(process: StandinProcess, v1: Any) -> None:
    intent = v1.payment_intents.create(NEW)
    browser = process.client(PUBLISHABLE_KEY).v1.payment_intents
    for guess in (None, "pi_x_secret_y", v1.payment_intents.create(NEW).client_secret):
        told: Any = {"payment_method_data": _raw(CARDS[0])} | ({} if guess is None else {"client_secret": guess})
        with pytest.raises(stripe.InvalidRequestError):
            browser.confirm(intent.id, told)
    card: Any = {"payment_method_data": _raw(CARDS[0]), "client_secret": intent.client_secret}
    assert browser.confirm(intent.id, card).status == "succeeded"
    assert browser.retrieve(intent.id, {"client_secret": intent.client_secret}).status == "succeeded"


def test_the_element_and_its_page_are_served(process: StandinProcess) -> None:
    script = httpx.get(f"{process.url}/standin/element.js")
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert "confirmPayment" in script.text
    assert "/standin/element.js" in httpx.get(f"{process.url}/standin/element").text


def test_what_stripe_does_not_have_needs_the_secret_key(process: StandinProcess) -> None:
    assert httpx.post(f"{process.url}/standin/faults", json={}).status_code == 401
    headers = {"Authorization": f"Bearer {PUBLISHABLE_KEY}"}
    assert httpx.post(f"{process.url}/standin/faults", json={}, headers=headers).status_code == 403


# -- idempotency -----------------------------------------------------------------------------------------------------


def test_a_key_is_answered_the_same_again_and_does_nothing_more(v1: Any) -> None:
    first = v1.payment_intents.create(NEW, {"idempotency_key": "key-same"})
    again = v1.payment_intents.create(NEW, {"idempotency_key": "key-same"})
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.last_response.headers


def test_a_key_with_other_parameters_is_refused(v1: Any) -> None:
    v1.payment_intents.create(NEW, {"idempotency_key": "key-other"})
    for other in ({**NEW, "amount": 25_001}, {**NEW, "currency": "eur"}):
        with pytest.raises(stripe.IdempotencyError) as raised:
            v1.payment_intents.create(other, {"idempotency_key": "key-other"})
        assert raised.value.http_status == 400


def test_a_decline_is_kept_under_its_key(v1: Any) -> None:
    told: Any = {**NEW, "payment_method": "pm_card_visa_chargeDeclined", "confirm": True}
    intents = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as raised:
            v1.payment_intents.create(told, {"idempotency_key": "key-decline"})
        declined: Any = raised.value
        intents.add(declined.error.payment_intent.id)
    assert len(intents) == 1


def test_parameters_that_were_wrong_leave_the_key_free(v1: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        v1.payment_intents.create({**NEW, "amount": 1}, {"idempotency_key": "key-free"})
    assert v1.payment_intents.create(NEW, {"idempotency_key": "key-free"}).amount == 25_000


def test_a_double_click_makes_one(v1: Any) -> None:
    ready = threading.Barrier(8)

    def click(_: int) -> Any:
        ready.wait()
        return _pay_with_key(v1, "key-double").id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(click, range(8)))) == 1


def _pay_with_key(v1: Any, key: str) -> Any:
    told: Any = {**NEW, "payment_method": "pm_card_visa", "confirm": True}
    return v1.payment_intents.create(told, {"idempotency_key": key})


# -- refunds ---------------------------------------------------------------------------------------------------------


def test_refunds_take_no_more_than_was_paid(v1: Any) -> None:
    paid = _pay(v1)
    part = v1.refunds.create({"payment_intent": paid.id, "amount": 10_000, "metadata": {"refund": "1"}})
    assert (part.status, part.amount, part.charge) == ("succeeded", 10_000, paid.latest_charge)
    with pytest.raises(stripe.InvalidRequestError) as raised:
        v1.refunds.create({"payment_intent": paid.id, "amount": 15_001})
    assert "greater than unrefunded amount" in str(raised.value)
    assert v1.refunds.create({"payment_intent": paid.id}).amount == 15_000
    with pytest.raises(stripe.InvalidRequestError) as raised:
        v1.refunds.create({"payment_intent": paid.id})
    assert raised.value.code == "charge_already_refunded"
    charge = v1.charges.retrieve(paid.latest_charge)
    assert (charge.amount_refunded, charge.refunded) == (25_000, True)
    assert [refund.amount for refund in v1.refunds.list({"payment_intent": paid.id}).data] == [15_000, 10_000]


def test_what_was_not_paid_is_not_refunded(v1: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        v1.refunds.create({"payment_intent": v1.payment_intents.create(NEW).id})


def test_of_refunds_at_once_only_what_was_paid_is_given_back(v1: Any) -> None:
    paid = _pay(v1)

    def refund(_: int) -> int:
        try:
            return int(v1.refunds.create({"payment_intent": paid.id, "amount": 10_000}).amount)
        except stripe.InvalidRequestError:
            return 0

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(refund, range(6))) == 20_000


def test_a_refund_may_be_settled_later(v1: Any) -> None:
    paid = _pay(v1, "pm_card_pendingRefund")
    refund = v1.refunds.create({"payment_intent": paid.id})
    assert refund.status == "pending"
    eventually(lambda: v1.refunds.retrieve(refund.id).status == "succeeded")


def test_a_refund_may_fail_later_and_the_money_is_back(v1: Any) -> None:
    paid = _pay(v1, "pm_card_refundFail")
    refund = v1.refunds.create({"payment_intent": paid.id})
    assert refund.status == "succeeded"
    eventually(lambda: v1.refunds.retrieve(refund.id).status == "failed")
    assert v1.charges.retrieve(paid.latest_charge).amount_refunded == 0


# -- lists -----------------------------------------------------------------------------------------------------------


def test_lists_are_read_page_by_page_newest_first(v1: Any) -> None:
    made = [v1.payment_intents.create(NEW) for _ in range(7)]
    pages = v1.payment_intents.list({"limit": 3, "created": {"gte": made[0].created}})
    assert (len(pages.data), pages.has_more) == (3, True)
    found = [intent.id for intent, _ in zip(pages.auto_paging_iter(), range(7), strict=False)]
    assert found == [intent.id for intent in reversed(made)]
    before = v1.payment_intents.list({"limit": 2, "ending_before": made[3].id})
    assert [intent.id for intent in before.data] == [made[5].id, made[4].id]
    assert v1.payment_intents.list({"created": {"gt": made[-1].created + 60}}).data == []


def test_what_an_object_names_can_be_expanded(v1: Any) -> None:
    paid = v1.payment_intents.retrieve(_pay(v1).id, {"expand": ["latest_charge"]})
    assert paid.latest_charge.status == "succeeded"
    listed = v1.payment_intents.list({"limit": 1, "expand": ["data.latest_charge"]})
    assert listed.data[0].latest_charge.id == paid.latest_charge.id


# -- events ----------------------------------------------------------------------------------------------------------


def _events(there: Receiver) -> list[Any]:
    return [(event["type"], event["data"]["object"]["id"]) for event in there.bodies()]


def test_events_are_signed_as_the_library_checks_it(process: StandinProcess, v1: Any, there_now: Receiver) -> None:
    paid = _pay(v1)
    # They may come in any order.
    kinds = ("payment_intent.created", "charge.succeeded", "payment_intent.succeeded")
    eventually(lambda: len(there_now.requests) == len(kinds))
    assert {kind for kind, _ in _events(there_now)} == set(kinds)
    assert ("payment_intent.succeeded", paid.id) in _events(there_now)
    for request in there_now.requests:
        payload, signature = json.dumps(request.body), request.headers["stripe-signature"]
        event = process.api.construct_event(payload, signature, WEBHOOK_SECRET)
        assert event.id == request.body["id"]
        with pytest.raises(stripe.SignatureVerificationError):
            process.api.construct_event(payload.replace("25000", "1"), signature, WEBHOOK_SECRET)


def test_an_event_is_posted_until_it_is_taken(process: StandinProcess, v1: Any, there_now: Receiver) -> None:
    there_now.answers = [500, 404, 302]
    intent = v1.payment_intents.create(NEW)
    eventually(lambda: len(there_now.requests) == 4, 20)
    assert {event["data"]["object"]["id"] for event in there_now.bodies()} == {intent.id}
    assert len({event["id"] for event in there_now.bodies()}) == 1
    eventually(process.quiet)


def test_events_come_late_backwards_and_twice_when_told(process: StandinProcess, v1: Any, there_now: Receiver) -> None:
    process.hold()
    paid = _pay(v1)
    assert process.let_go("reversed", copies=2) == 6
    eventually(lambda: len(there_now.requests) == 6)
    counted = sorted(_events(there_now))
    assert counted.count(("payment_intent.succeeded", paid.id)) == 2
    process.again(there_now.bodies()[0]["id"])
    eventually(lambda: len(there_now.requests) == 7)


# -- faults ----------------------------------------------------------------------------------------------------------


def test_a_fault_before_the_work_does_nothing_and_a_retry_does_it(process: StandinProcess, v1: Any) -> None:
    process.fault(path="/v1/payment_intents", status=503, times=2)
    client = process.client(SECRET_KEY, retries=2)
    assert client.v1.payment_intents.create(NEW, {"idempotency_key": "fault-before"}).id


def test_an_answer_that_was_lost_is_given_to_the_same_key(process: StandinProcess, v1: Any) -> None:
    process.fault(path="/v1/payment_intents", hang_seconds=2, when="after")
    hasty = process.client(SECRET_KEY, timeout=0.3)
    with pytest.raises(stripe.APIConnectionError):
        hasty.v1.payment_intents.create(NEW, {"idempotency_key": "fault-lost"})
    again = v1.payment_intents.create(NEW, {"idempotency_key": "fault-lost"})
    assert again.last_response.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_500_may_stick_to_its_key_whether_or_not_the_work_was_done(
    process: StandinProcess, v1: Any, when: str
) -> None:
    told: Any = {**NEW, "metadata": {"sticks": when}}
    process.fault(path="/v1/payment_intents", when=when, saved=True)
    for _ in range(3):
        with pytest.raises(stripe.APIError):
            v1.payment_intents.create(told, {"idempotency_key": f"fault-sticks-{when}"})
    made = [
        intent
        for intent in v1.payment_intents.list({"limit": 100}).data
        if intent.metadata.to_dict().get("sticks") == when
    ]
    assert len(made) == (1 if when == "after" else 0)


# -- kill -9 ---------------------------------------------------------------------------------------------------------


def test_what_was_answered_outlives_a_kill(tmp_path: Path) -> None:
    with receiver() as there, standin(tmp_path, there.url) as process:
        process.hold()
        told: Any = {**NEW, "payment_method": "pm_card_visa", "confirm": True}
        paid = process.api.v1.payment_intents.create(told, {"idempotency_key": "k"})
        process.kill()
        process.start()
        assert process.api.v1.payment_intents.create(told, {"idempotency_key": "k"}).id == paid.id
        assert process.api.v1.refunds.create({"payment_intent": paid.id}).amount == 25_000
        process.let_go()
        eventually(lambda: ("payment_intent.succeeded", paid.id) in _events(there))


def test_no_card_number_is_in_its_file_or_its_log(tmp_path: Path) -> None:
    with standin(tmp_path) as process:
        told: Any = {**NEW, "payment_method_data": _raw(CARDS[2]), "confirm": True}
        process.api.v1.payment_intents.create(told, {"idempotency_key": "k"})
        process.kill()
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"payment_intent.succeeded" in kept
        assert CARDS[2].number.encode() not in kept
        assert SECRET_KEY.encode() not in kept
        assert hashlib.sha256(CARDS[2].number.encode()).hexdigest().encode() not in kept
