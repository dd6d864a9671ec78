"""Use cases of what Stripe posts: each event has its effect once, in one transaction with its place in the inbox."""

import uuid

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from payments import analytics, handlers, refunding, store
from payments.domain import DECLINED, FINAL, Event, Intent, Payment, TooManyDeclines
from payments.handlers import Site
from payments.tables import inbox
from shared import inbox as inbox_of
from shared import metrics
from shared.site_events import EventKind

log = structlog.get_logger(__name__)

SOURCE = "stripe"


def hear(site: Site, event: Event) -> bool:
    """An event has its effect, once; False when it had it before, does not concern this site or has a problem."""
    if event.problem is not None:
        return _keep_odd(site, event, event.problem)
    try:
        heard, payer = _hear(site, event)
    except (DataError, IntegrityError) as error:
        # It reads well and contradicts what is stored: sent again, it would do so again.
        return _keep_odd(site, event, type(error).__name__)
    metrics.PAYMENT_EVENTS.labels("taken" if heard else "ignored").inc()
    if payer is not None:
        site.blame(payer)
    return heard


def _keep_odd(site: Site, event: Event, problem: str) -> bool:
    with site.database.transaction() as connection:
        new = inbox_of.claim(connection, inbox, event.id, SOURCE, problem=problem)
    if new:
        metrics.PAYMENT_EVENTS.labels("odd").inc()
        log.error("event_not_understood", event_id=event.id, kind=event.kind, problem=problem)
    return False


def _hear(site: Site, event: Event) -> tuple[bool, str | None]:
    """Whether it had an effect, and whose card was declined, if one was."""
    with site.database.transaction() as connection:
        if not inbox_of.claim(connection, inbox, event.id, SOURCE):
            return False, None
        if event.intent is not None:
            return _hear_intent(connection, site, event, event.intent)
        return event.refund is not None and refunding.apply(connection, event.refund), None


def _hear_intent(connection: Connection, site: Site, event: Event, intent: Intent) -> tuple[bool, str | None]:
    payment = _of_intent(connection, intent)
    if payment is None:
        return False, None
    # An event shows the intent as it was. What is final stays true; of the rest only the newest is told.
    if intent.status in FINAL or store.is_news(connection, payment.id, event.created):
        payment = handlers.apply_intent(connection, payment, intent)
    if event.kind == DECLINED:
        _decline(connection, site, payment)
        return True, payment.payer
    return True, None


def _decline(connection: Connection, site: Site, payment: Payment) -> None:
    """A card was declined at Stripe, where nobody but Stripe sees it. Who tries out cards has only so many tries."""
    metrics.PAYMENT_DECLINES.inc()
    store.count_decline(connection, payment.id)
    analytics.tell(connection, EventKind.PAYMENT_FAILED, payment, payment.amount)
    if payment.status in FINAL or store.declines(connection, payment.reservation_id) < site.tries_max:
        return
    log.warning("too_many_declines", payment_id=payment.id, reservation_id=payment.reservation_id)
    store.change(connection, payment.id, failure_code=TooManyDeclines.code, decline_code=None)
    store.want_cancelled(connection, payment.reservation_id)


def _of_intent(connection: Connection, intent: Intent) -> Payment | None:
    """The payment of an intent, locked. An intent that names a payment which has another is none of its."""
    payment = store.find_by_intent(connection, intent.id, lock=True)
    if payment is None and _is_uuid(intent.payment_id):
        payment = store.find(connection, intent.payment_id or "", lock=True)
    return payment if payment is not None and payment.intent_id in (None, intent.id) else None


def _is_uuid(text: str | None) -> bool:
    try:
        return text is not None and str(uuid.UUID(text)) == text
    except ValueError:
        return False
