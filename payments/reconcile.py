"""Reconciliation: what a crash, a lost answer or a lost event left open is found by looking, and mended.

Each of these may run in several workers at once, and at any moment.
"""

from datetime import timedelta

import structlog

from payments import refunding, store
from payments.domain import FINAL, OPEN, Intent, Outcome, Payment, Refund, Status, StripeRefused, StripeUnavailable
from payments.handlers import Site, apply_intent, decide, tell_paid
from payments.settings import WorkerSettings

log = structlog.get_logger(__name__)

BATCH = 100
CANCEL_AGAIN = timedelta(seconds=5)
REFUND_LEASE_MIN = timedelta(seconds=2)
REFUND_LEASE_MAX = timedelta(minutes=10)
# An intent this young may belong to a request that is still at work.
YOUNG_SECONDS = 60


def cancel_ended(site: Site, settings: WorkerSettings) -> int:
    """Cancels at Stripe what nobody may pay any more; returns how many were looked at."""
    now = site.clock.now()
    ended = now - timedelta(seconds=settings.payment_grace_seconds)
    with site.database.transaction() as connection:
        due = store.to_cancel(connection, ended, now - CANCEL_AGAIN, BATCH)
    for payment in due:
        _cancel(site, payment)
    return len(due)


def _cancel(site: Site, payment: Payment) -> None:
    if payment.intent_id is None:
        _give_up_new(site, payment)
        return
    try:
        intent = _cancelled(site, payment.intent_id)
    except StripeUnavailable as error:
        log.warning("cancel_waits", payment_id=payment.id, error=str(error))
        return
    _apply(site, payment.id, intent)


def _cancelled(site: Site, intent_id: str) -> Intent:
    """The intent cancelled, or as it stands when that cannot be: paid at the last moment, say."""
    try:
        return site.gateway.cancel(intent_id)
    except StripeRefused:
        return site.gateway.intent(intent_id)


def _give_up_new(site: Site, payment: Payment) -> None:
    """Nobody has been given the client secret of an intent that we do not know of, so nobody can pay it."""
    with site.database.transaction() as connection:
        current = store.find(connection, payment.id, lock=True)
        if current is not None and current.intent_id is None and current.status is Status.NEW:
            store.change(connection, payment.id, status=Status.CANCELED)


def _apply(site: Site, payment_id: str, intent: Intent) -> None:
    with site.database.transaction() as connection:
        payment = store.find(connection, payment_id, lock=True)
        if payment is not None:
            apply_intent(connection, payment, intent)


def send_refunds(site: Site) -> int:
    """Sends refunds that are due, and asks how pending ones stand; returns how many."""
    with site.database.transaction() as connection:
        due = store.due_refunds(connection, REFUND_LEASE_MIN, BATCH)
    for refund in due:
        _send(site, refund)
    return len(due)


def _send(site: Site, refund: Refund) -> None:
    refunding.send(site, refund)
    pause = min(REFUND_LEASE_MIN * 2 ** min(refund.tries, 12), REFUND_LEASE_MAX)
    with site.database.transaction() as connection:
        store.pause_refund(connection, refund.id, pause)


def check_open(site: Site, settings: WorkerSettings) -> int:
    """Looks at Stripe how open payments stand whose events may be lost; returns how many."""
    now = site.clock.now()
    ended = now - timedelta(seconds=settings.payment_grace_seconds)
    with site.database.transaction() as connection:
        due = store.to_check(connection, ended, now - timedelta(seconds=settings.reconcile_seconds), BATCH)
    for payment in due:
        assert payment.intent_id is not None
        _apply(site, payment.id, site.gateway.intent(payment.intent_id))
    return len(due)


def check_undecided(site: Site, settings: WorkerSettings) -> int:
    """Asks again what became of tickets that are paid; what reservations would not hear is refunded."""
    before = site.clock.now() - timedelta(seconds=settings.reconcile_seconds)
    with site.database.transaction() as connection:
        due = store.undecided(connection, before, BATCH)
        for payment in due:
            if store.is_being_told(connection, payment):
                continue
            if payment.outcome is None and store.was_refused(connection, payment):
                decide(connection, payment, Outcome.REFUSED, "not_understood")
            else:
                tell_paid(connection, payment)
    return len(due)


def compare(site: Site, settings: WorkerSettings) -> int:
    """Reads Stripe's lists and makes our rows agree with them; returns how many differed."""
    since = int((site.clock.now() - timedelta(hours=settings.reconcile_hours)).timestamp())
    young = int(site.clock.now().timestamp()) - YOUNG_SECONDS
    differing = sum(_compare(site, intent) for intent in site.gateway.intents_since(since) if intent.created <= young)
    return differing + _compare_refunds(site, since)


def _compare(site: Site, intent: Intent) -> bool:
    with site.database.transaction() as connection:
        payment = store.find_by_intent(connection, intent.id)
        if payment is None and intent.payment_id is not None:
            payment = store.find(connection, intent.payment_id)
    if payment is not None and payment.intent_id in (None, intent.id) and payment.status not in FINAL:
        if payment.status is intent.status:
            return False
        log.warning("payment_differs", payment_id=payment.id, ours=payment.status, theirs=intent.status)
        _apply(site, payment.id, intent)
        return True
    if payment is not None and payment.intent_id == intent.id and payment.status is intent.status:
        return False
    return _is_stray(site, intent)


def _is_stray(site: Site, intent: Intent) -> bool:
    """An intent of ours that no payment stands for: it must not be paid, and if it is, somebody must look."""
    if intent.status is Status.SUCCEEDED:
        log.error("charge_without_payment", intent_id=intent.id, amount=intent.received, currency=intent.currency)
        return True
    if intent.status not in OPEN:
        return False
    log.warning("stray_intent_cancelled", intent_id=intent.id)
    _cancelled(site, intent.id)
    return True


def _compare_refunds(site: Site, since: int) -> int:
    differing = 0
    for told in site.gateway.refunds_since(since):
        with site.database.transaction() as connection:
            known = store.find_refund(connection, stripe_id=told.id)
            if known is None or known.status is not told.status:
                differing += refunding.apply(connection, told)
    return differing
