"""Use cases of refunds: written down first, then asked of Stripe, as often as it takes."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection

from payments import analytics, store
from payments.domain import (
    Account,
    Doubt,
    Entry,
    Outcome,
    Payment,
    Refund,
    RefundStatus,
    Status,
    StripeRefund,
    StripeRefused,
    StripeStuck,
    StripeUnavailable,
    check_refund,
    doubt,
    move,
)
from payments.payouts import withholding
from payments.reservations import TARGET
from payments.tables import deliveries, idempotency_keys
from shared import delivery, metrics
from shared.delivery import Delivery
from shared.errors import DependencyUnavailable, NotFound
from shared.idempotency import Claim, Verdict, claim
from shared.site_events import EventKind

if TYPE_CHECKING:
    from payments.handlers import Site

log = structlog.get_logger(__name__)

KEY_SCOPE = "refunds"
BY_STRIPE = "made_at_stripe"


def refund(site: "Site", payment_id: str, amount: int | None, reason: str, key: str | None, body_hash: bytes) -> Refund:
    """Gives back a part of a payment, or all that is left. Raises `NotFound`, `NotPaid`, `RefundTooLarge`,
    `IdempotencyKeyReused`, `DependencyUnavailable`.

    It is decided when this returns, also while Stripe is out of reach: then it is `new`, and the worker goes on.
    """
    return send(site, decide(site, payment_id, amount, reason, key, body_hash))


def decide(site: "Site", payment_id: str, amount: int | None, reason: str, key: str | None, body_hash: bytes) -> Refund:
    """Writes the refund down, or finds the one that was written with this key. Raises as `refund` does."""
    refund_id, sold = str(uuid.uuid4()), _sold_on(site, payment_id)
    with site.database.transaction() as connection:
        payment = store.find(connection, payment_id, lock=True)
        if payment is None:
            raise NotFound("there is no such payment")
        if key is not None:
            wanted = Claim(f"{KEY_SCOPE}:{payment_id}", key, body_hash, refund_id)
            made = claim(connection, idempotency_keys, wanted, site.clock.now())
            known = store.find_refund(connection, made.resource_id) if made.verdict is Verdict.REPLAY else None
            if known is not None:
                return known
        return _write(connection, payment, amount, reason, refund_id, sold)


def _sold_on(site: "Site", payment_id: str) -> int:
    """What was paid for those of the payment's tickets that others have bought, as reservations knows it: the credit
    that tells it here comes a moment later. Raises `DependencyUnavailable`."""
    with site.database.transaction() as connection:
        payment = store.find(connection, payment_id)
    if payment is None or payment.status is not Status.SUCCEEDED:
        return 0
    try:
        return site.reservations.held(payment.reservation_id).resold
    except NotFound:
        return 0


def refund_rest(connection: Connection, payment: Payment, reason: str) -> None:
    """All that is left goes back, by rule; the worker sends it. The payment's row is locked."""
    if payment.received > store.refunded(connection, payment.id) + store.resold(connection, payment.reservation_id):
        _write(connection, payment, None, reason, str(uuid.uuid4()))


def _write(
    connection: Connection, payment: Payment, amount: int | None, reason: str, refund_id: str, sold: int = 0
) -> Refund:
    resold = store.resold(connection, payment.reservation_id)
    allowed = check_refund(payment, store.refunded(connection, payment.id), amount, max(resold, sold))
    if sold > resold:
        # Whether the other tickets become void with this refund is decided by credits that are here.
        raise DependencyUnavailable("a ticket was sold again, and its credit is on the way: ask again in a moment")
    made = Refund(
        refund_id, payment.id, allowed, payment.currency, reason, RefundStatus.NEW, None, refund_id, None,
        datetime.now(UTC), 0,
    )  # fmt: skip
    store.insert_refund(connection, made)
    return made


def send(site: "Site", wanted: Refund) -> Refund:
    """Asks Stripe for a refund, or how it stands; the refund as it is then."""
    with site.database.transaction() as connection:
        payment = store.find(connection, wanted.payment_id)
    assert payment is not None
    assert payment.intent_id is not None
    try:
        answer = _known_at_stripe(site, wanted, payment.intent_id) or site.gateway.refund(wanted, payment.intent_id)
    except StripeStuck:
        _take_new_key(site, wanted)
        return wanted
    except StripeUnavailable:
        return wanted
    except StripeRefused as error:
        return _give_up(site, wanted, payment.intent_id, error.reason)
    with site.database.transaction() as connection:
        apply(connection, answer)
        return store.find_refund(connection, wanted.id) or wanted


def _known_at_stripe(site: "Site", wanted: Refund, intent_id: str) -> StripeRefund | None:
    """What Stripe has made of an earlier attempt. A first attempt needs no look: its key is new."""
    if wanted.tries <= 1 and wanted.stripe_id is None:
        return None
    return next((found for found in site.gateway.refunds_of(intent_id) if found.refund_id == wanted.id), None)


def _take_new_key(site: "Site", wanted: Refund) -> None:
    """Stripe repeats its 500 for the same key. Whether it made the refund shows in its list, which the next attempt
    reads before it asks with another key; and more than was paid never goes back, whatever happens."""
    with site.database.transaction() as connection:
        current = store.find_refund(connection, wanted.id, lock=True)
        if current is not None and current.stripe_key == wanted.stripe_key and current.stripe_id is None:
            key = f"{wanted.id}-{uuid.uuid4().hex[:8]}"
            store.change_refund(connection, wanted.id, stripe_key=key, tries=current.tries + 1)


def _give_up(site: "Site", wanted: Refund, intent_id: str, reason: str) -> Refund:
    """Stripe refuses: usually because the money went back by another way, which is looked for."""
    others = site.gateway.refunds_of(intent_id)
    with site.database.transaction() as connection:
        payment = store.find(connection, wanted.payment_id, lock=True)
        assert payment is not None
        for found in others:
            apply(connection, found)
        current = store.find_refund(connection, wanted.id, lock=True)
        if current is None or current.stripe_id is not None:
            return current or wanted
        log.error("refund_refused", refund_id=wanted.id, payment_id=wanted.payment_id, reason=reason)
        store.change_refund(connection, wanted.id, status=RefundStatus.FAILED, failure_reason=reason)
        withholding.let_go(connection, payment, wanted.id)
        return replace(current, status=RefundStatus.FAILED, failure_reason=reason)


def apply(connection: Connection, told: StripeRefund) -> bool:
    """Makes a refund what Stripe says of it, with its entries in the books; False when it is none of ours."""
    payment = store.find_by_intent(connection, told.intent_id, lock=True) if told.intent_id else None
    if payment is None:
        return False
    known = store.find_refund(connection, stripe_id=told.id, lock=True) or _by_our_id(connection, told, payment)
    if known is None:
        known = _adopt(connection, payment, told)
    if known is None:
        return True
    if known.status in (RefundStatus.FAILED,) and known.stripe_id is not None:
        return True  # what failed stays failed, whatever comes late
    if known.status is RefundStatus.SUCCEEDED and told.status is RefundStatus.PENDING:
        return True
    before = is_given_back(connection, payment)
    store.change_refund(connection, known.id, status=told.status, stripe_id=told.id, failure_reason=told.failure_reason)
    _book(connection, payment, known, told.status)
    if told.status is RefundStatus.FAILED:
        withholding.let_go(connection, payment, known.id)
    if told.status is RefundStatus.SUCCEEDED and known.status is not RefundStatus.SUCCEEDED:
        analytics.tell(connection, EventKind.REFUND_MADE, payment, known.amount)
    if payment.outcome is Outcome.RESERVED and is_given_back(connection, payment) is not before:
        tell(connection, payment, back=not before)
    return True


def is_given_back(connection: Connection, payment: Payment) -> bool:
    """Whether all that was received has gone back, by Stripe's word; the payment's row is locked.

    What was paid for tickets that were sold again never goes back; the others' money is all there is to give then.
    """
    returned = store.given_back(connection, payment.id)
    return returned > 0 and payment.received <= returned + store.resold(connection, payment.reservation_id)


def tell(connection: Connection, payment: Payment, *, back: bool) -> None:
    """Message to reservations: the tickets' money has gone back, or has not after all. Of a sale that stands only."""
    path = f"/internal/reservations/{payment.reservation_id}/{'refunded' if back else 'refund-failed'}"
    told = Delivery(TARGET, path, {"paymentId": payment.id}, payment.reservation_id)
    delivery.send(connection, deliveries, [told])


def _by_our_id(connection: Connection, told: StripeRefund, payment: Payment) -> Refund | None:
    try:
        refund_id = str(uuid.UUID(told.refund_id or ""))
    except ValueError:
        return None
    found = store.find_refund(connection, refund_id, lock=True)
    if found is None or found.payment_id != payment.id or found.stripe_id is not None:
        return None
    return found if (found.amount, found.currency) == (told.amount, told.currency) else None


def _adopt(connection: Connection, payment: Payment, told: StripeRefund) -> Refund | None:
    """A refund that somebody made at Stripe itself belongs into our books, too, if it can be right.

    None when it cannot: then it is told to the operator and changes nothing. Before the payment itself is known to have
    succeeded nothing is decided; the comparison with Stripe's list comes back to it.
    """
    if payment.status is not Status.SUCCEEDED:
        return None
    reason = doubt(payment, store.taken_on(connection, payment.id), told)
    if told.status is RefundStatus.FAILED or reason is None:
        store.forget_difference(connection, told.id)
    if reason is not None:
        _doubt(connection, payment, told, reason)
        return None
    log.warning("refund_adopted", payment_id=payment.id, amount=told.amount)
    refund_id = str(uuid.uuid5(uuid.NAMESPACE_URL, told.id))
    made = Refund(
        refund_id, payment.id, told.amount, told.currency, BY_STRIPE, RefundStatus.PENDING, told.id, refund_id, None,
        datetime.now(UTC), 0,
    )  # fmt: skip
    store.insert_refund(connection, made)
    return made


def _doubt(connection: Connection, payment: Payment, told: StripeRefund, reason: Doubt) -> None:
    if told.status is not RefundStatus.FAILED and store.note_difference(connection, payment.id, told, reason):
        metrics.PAYMENT_DIFFERENCES.inc()
        log.error(
            "refund_not_booked", payment_id=payment.id, stripe_id=told.id, amount=told.amount, currency=told.currency,
            reason=reason,
        )  # fmt: skip


def _book(connection: Connection, payment: Payment, refund: Refund, status: RefundStatus) -> None:
    """Once when Stripe has taken it on, and back when it fails after all."""
    reference = f"refund:{refund.id}"
    if status is not RefundStatus.FAILED:
        store.write_ledger(connection, reference, payment.id, _entries(connection, payment, refund))
        return
    log.error("refund_failed", refund_id=refund.id, payment_id=payment.id)
    booked = store.ledger_of(connection, reference)
    undone = [Entry(entry.account, entry.currency, -entry.amount) for entry in booked]
    if undone:
        store.write_ledger(connection, f"refund-failed:{refund.id}", payment.id, undone)


def _entries(connection: Connection, payment: Payment, refund: Refund) -> list[Entry]:
    """Out of the deposit while there is one, out of the sales beyond it."""
    deposit = min(refund.amount, max(0, -store.balance(connection, payment.id, Account.DEPOSITS)))
    return [
        *move(deposit, refund.currency, Account.STRIPE, Account.DEPOSITS),
        *move(refund.amount - deposit, refund.currency, Account.STRIPE, Account.SALES),
    ]


def listed(site: "Site", payment_id: str) -> list[Refund]:
    """A payment's refunds. Raises `NotFound`."""
    with site.database.transaction() as connection:
        if store.find(connection, payment_id) is None:
            raise NotFound("there is no such payment")
        return store.refunds_of(connection, payment_id)
