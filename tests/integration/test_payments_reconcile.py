"""What a crash, a lost event or a lost answer leaves open is found and mended: no charge without ticket or refund."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from matchday.servers import Postgres
from payments import handlers, reconcile, refunding, store
from payments.domain import Card, Held, StripeUnavailable
from shared import delivery
from tests.eventually import eventually
from tests.resources import Databases
from tests.standin import SECRET_KEY
from tests.till import Till, open_till

EARNED = {"stripe": 25_000, "sales": -25_000}
VISA = Card("4242424242424242", 12, 2034, "123")


class Crash(BaseException):
    """The process dies here."""


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    databases = Databases(_postgres, _template)
    with open_till(databases.create(), tmp_path_factory.mktemp("till")) as till:
        yield till
    databases.drop_all()


@pytest.fixture
def till(opened: Till, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    monkeypatch.setattr("payments.reconcile.YOUNG_SECONDS", -1)
    yield opened
    monkeypatch.undo()
    opened.stripe.no_faults()
    opened.stripe.let_go()
    eventually(opened.stripe.quiet)
    assert opened.unbalanced() == 0, "the books sum to zero after every test"


def _is_settled(till: Till, held: Any) -> str:
    """Not a cent is owed: each charge is a sale or went back, and there is one sale at most. What became of it."""
    live = [row for row in till.payments_of(held) if row["status"] != "canceled"]
    charged = [intent for intent in till.intents_of(held) if intent.status == "succeeded"]
    assert len(charged) <= 1
    open_at_stripe = [i.id for i in till.intents_of(held) if i.status not in ("succeeded", "canceled")]
    assert open_at_stripe == [], "nobody can pay any more"
    if not charged:
        assert all(till.books(row["id"]) == {} for row in live)
        return "nothing charged"
    (row,) = live
    back = till.stripe.api.v1.charges.retrieve(charged[0].latest_charge).amount_refunded
    if row["outcome"] == "reserved":
        assert (back, till.books(row["id"])) == (0, EARNED)
        return "sold"
    assert row["outcome"] == "refused"
    assert (back, till.books(row["id"])) == (25_000, {})
    return "refunded"


def _end_hold(till: Till, held: Any) -> None:
    """The hold's time is over, and all the work is done that follows from it."""
    held.expires_at = datetime.now(UTC) - timedelta(seconds=1)
    if held.status == "held":
        held.status = "expired"
    till.sql.execute(
        "UPDATE payments.payments SET expires_at = now() - interval '1 second' WHERE reservation_id = %s", (held.id,)
    )
    for _ in range(3):
        till.settle()


# -- events that never come ------------------------------------------------------------------------------------------


def test_a_payment_whose_events_are_all_lost_is_found(till: Till) -> None:
    till.stripe.hold()
    held = till.twin.hold()
    payment = till.pay(held)
    till.buyer_pays(payment)
    till.settle()
    assert till.payment(payment["id"])["outcome"] == "reserved"
    assert till.books(payment["id"]) == EARNED
    till.stripe.let_go(copies=2)
    till.settle()
    assert len(till.twin.told_of(held.id)) == 1
    assert till.books(payment["id"]) == EARNED


def test_what_reservations_heard_and_did_not_decide_is_asked_again(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    till.twin.outcome[held.id] = "asking"
    till.buyer_pays(payment)
    till.settle()
    assert till.payment(payment["id"])["outcome"] == "asking"
    till.twin.outcome[held.id] = "reserved"  # the message that says so was lost
    till.settle()
    assert till.payment(payment["id"])["outcome"] == "reserved"


# -- holds that end --------------------------------------------------------------------------------------------------


def test_nobody_can_pay_after_the_holds_end(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    _end_hold(till, held)
    assert till.at_stripe(payment).status == "canceled"
    assert till.payment(payment["id"])["status"] == "canceled"


def test_a_hold_that_is_given_up_is_cancelled_at_stripe_at_once(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    answer = till.internal("payments/cancelled", {"reservationId": held.id}, key="told-once")
    assert answer.json() == {"payments": 1}
    assert till.internal("payments/cancelled", {"reservationId": held.id}, key="told-once").json() == {"payments": 0}
    assert reconcile.cancel_ended(till.site, till.worker._settings) == 1
    assert till.at_stripe(payment).status == "canceled"


def test_who_pays_in_the_moment_of_the_cancelling_has_tickets_or_the_money_back(till: Till) -> None:
    till.stripe.hold()
    held = till.twin.hold()
    payment = till.pay(held)
    till.buyer_pays(payment)
    _end_hold(till, held)
    assert _is_settled(till, held) == "refunded"


def test_who_is_at_the_bank_when_the_hold_ends_pays_nothing(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    till.buyer_pays(payment, "pm_card_threeDSecure2Required")
    _end_hold(till, held)
    assert _is_settled(till, held) == "nothing charged"


def test_after_a_cancelled_payment_there_may_be_another(till: Till) -> None:
    held = till.twin.hold()
    first = till.pay(held)
    till.internal("payments/cancelled", {"reservationId": held.id})
    till.work()
    second = till.pay(held)
    assert second["id"] != first["id"]
    till.buyer_pays(second)
    till.settle()
    assert _is_settled(till, held) == "sold"


def test_looking_at_open_payments_keeps_none_from_being_cancelled(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    till.sql.execute(
        "UPDATE payments.payments SET expires_at = now() - interval '1 minute' WHERE id = %s", (payment["id"],)
    )
    till.sql.execute(
        "UPDATE payments.payments SET checked_at = now() - interval '4 seconds' WHERE status <> 'succeeded'"
    )
    assert reconcile.check_open(till.site, till.worker._settings) == 0
    assert reconcile.cancel_ended(till.site, till.worker._settings) == 0, "looked at a moment ago"
    till.sql.execute(
        "UPDATE payments.payments SET checked_at = now() - interval '6 seconds' WHERE status <> 'succeeded'"
    )
    assert reconcile.check_open(till.site, till.worker._settings) == 0
    assert reconcile.cancel_ended(till.site, till.worker._settings) >= 1
    assert till.at_stripe(payment).status == "canceled"


# -- an intent that nobody knows of ----------------------------------------------------------------------------------


def test_an_intent_of_ours_without_a_payment_is_cancelled_and_others_are_left_alone(till: Till) -> None:
    told: Any = {"amount": 1_000, "currency": "usd", "payment_method_types": ["card"]}
    ours: Any = {"site": "matchday", "paymentId": "00000000-0000-4000-8000-000000000000"}
    make: Any = till.stripe.api.v1.payment_intents.create
    stray, theirs, by_hand = make({**told, "metadata": ours}), make({**told, "metadata": {"site": "atlas"}}), make(told)
    till.work()
    found = [till.stripe.api.v1.payment_intents.retrieve(intent.id).status for intent in (stray, theirs, by_hand)]
    assert found == ["canceled", "requires_payment_method", "requires_payment_method"]


# -- dying at every step ---------------------------------------------------------------------------------------------


def _dies(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, when: str) -> None:
    """The process dies the next time that it comes here, before it happens or after."""
    real: Callable[..., Any] = getattr(owner, name)

    def dying(*args: Any, **more: Any) -> Any:
        if "process_request" in threading.current_thread().name:
            return real(*args, **more)  # an event that arrives beside it is another process' matter
        monkeypatch.setattr(owner, name, real)
        if when == "after":
            real(*args, **more)
        raise Crash

    monkeypatch.setattr(owner, name, dying)


STEPS = [
    (store, "insert_payment"), (store, "find_live"), ("gateway", "create_intent"), (handlers, "apply_intent"),
    (store, "change"), (store, "write_ledger"), (delivery, "send"),
]  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("where", "name"), STEPS, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("comes_back", [True, False], ids=["buyer comes back", "buyer is gone"])
@pytest.mark.parametrize("events", [True, False], ids=["events", "no events"])
def test_dying_while_a_buyer_begins_to_pay(
    till: Till, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, when: str, comes_back: bool, events: bool
) -> None:
    if not events:
        till.stripe.hold()
    held = till.twin.hold()
    credential = held.credential["Authorization"]
    _dies(monkeypatch, till.site.gateway.__class__ if where == "gateway" else where, name, when)
    with contextlib.suppress(Crash):
        handlers.pay(till.site, held.id, credential, None, b"")
    monkeypatch.undo()
    monkeypatch.setattr("payments.reconcile.YOUNG_SECONDS", -1)
    if comes_back:
        till.buyer_pays(till.pay(held))
    till.settle()
    _end_hold(till, held)
    assert _is_settled(till, held) == ("sold" if comes_back else "nothing charged")


CARD_STEPS = [
    *STEPS, ("gateway", "confirm"), ("gateway", "intent"), (store, "next_confirm"), (store, "set_paid"),
]  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("where", "name"), CARD_STEPS, ids=lambda value: value if isinstance(value, str) else "")
def test_dying_while_a_card_is_charged_on_the_server(
    till: Till, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, when: str
) -> None:
    till.stripe.hold()
    held = till.twin.hold()
    told = Held(held.id, "held", held.amount, held.currency, held.expires_at, held.email, None)
    _dies(monkeypatch, till.site.gateway.__class__ if where == "gateway" else where, name, when)
    with contextlib.suppress(Crash, StripeUnavailable):
        handlers.charge_card(till.site, told, VISA)
    monkeypatch.undo()
    monkeypatch.setattr("payments.reconcile.YOUNG_SECONDS", -1)
    till.settle()
    _end_hold(till, held)
    assert _is_settled(till, held) in ("sold", "refunded", "nothing charged")


REFUND_STEPS = [
    (store, "insert_refund"), ("gateway", "refund"), (refunding, "apply"), (store, "change_refund"),
    (store, "write_ledger"), (store, "due_refunds"), (store, "pause_refund"),
]  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("where", "name"), REFUND_STEPS, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("events", [True, False], ids=["events", "no events"])
def test_dying_while_money_goes_back(
    till: Till, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, when: str, events: bool
) -> None:
    if not events:
        till.stripe.hold()
    held = till.twin.hold()
    payment = till.pay(held)
    till.twin.outcome[held.id] = "asking"
    till.buyer_pays(payment)
    till.settle()
    _dies(monkeypatch, till.site.gateway.__class__ if where == "gateway" else where, name, when)
    till.twin.outcome[held.id] = "refused"
    with contextlib.suppress(Crash):
        till.settle()
    monkeypatch.undo()
    monkeypatch.setattr("payments.reconcile.YOUNG_SECONDS", -1)
    for _ in range(3):
        till.settle()
    assert _is_settled(till, held) == "refunded"
    assert till.refunds(payment["id"]) == [(25_000, "succeeded")]


def test_a_stripe_that_dies_in_the_middle_of_it_all_has_forgotten_nothing(till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    till.stripe.hold()
    till.buyer_pays(payment)
    till.stripe.kill()
    till.stripe.start()
    till.stripe.let_go()
    till.settle()
    assert _is_settled(till, held) == "sold"
    assert till.stripe.client(SECRET_KEY).v1.payment_intents.retrieve(payment["intentId"]).status == "succeeded"
