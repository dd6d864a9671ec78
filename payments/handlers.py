"""Use cases of payments: one function each. A transaction is never open while Stripe is asked.

What Stripe says of an intent comes in from four sides (the answer to a request, an event, the worker's look, its list)
and takes one way: `apply_intent`, under the lock of the payment's row. So it has its effect once, whoever is first.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection

from payments import analytics, refunding, store
from payments.domain import (
    FINAL,
    Account,
    Card,
    CardDeclined,
    Difference,
    Held,
    Intent,
    Outcome,
    Payment,
    Place,
    Search,
    Status,
    StripeRefused,
    StripeStuck,
    StripeUnavailable,
    TooManyDeclines,
    WrongAmount,
    check_payable,
    is_paid_in_full,
    move,
)
from payments.gateway import Gateway
from payments.reservations import TARGET, Reservations
from payments.tables import deliveries, idempotency_keys, inbox, site_events
from shared import delivery, event_outbox
from shared import inbox as inbox_of
from shared.clock import Clock
from shared.database import Database
from shared.delivery import Delivery, Taken
from shared.errors import NotFound
from shared.idempotency import Claim, Verdict, claim
from shared.site_events import EventKind

log = structlog.get_logger(__name__)

KEY_SCOPE = "payments"
TRIES_MAX = 5
DIFFERENCES_SHOWN_MAX = 100
PAID = "/paid"
AUTHENTICATION = "authentication_required"
Blame = Callable[[str], None]


def _nobody(_payer: str) -> None:
    """A worker has no gate."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the use cases need."""

    database: Database
    gateway: Gateway
    reservations: Reservations
    clock: Clock
    tries_max: int = TRIES_MAX  # cards that may be declined for a reservation
    blame: Blame = _nobody  # tells the gate who had a card declined, by the name that it gave him


# Paying


def pay(
    site: Site, reservation_id: str, credential: str, key: str | None, body_hash: bytes, payer: str | None = None
) -> Payment:
    """The payment of a reservation, with its intent at Stripe; again it is the same one.

    `payer` is the name under which the gate counts failures of whoever asks. Raises `NotHeld`, `HoldExpired`,
    `AlreadyPaid`, `TooManyDeclines`, `IdempotencyKeyReused`, `StripeUnavailable`; what `Reservations.opened` raises.
    """
    held = site.reservations.opened(reservation_id, credential)
    payment = _begin(site, held, key, body_hash, payer)
    return payment if payment.intent_id is not None else _with_intent(site, payment)


def _begin(site: Site, held: Held, key: str | None = None, body_hash: bytes = b"", payer: str | None = None) -> Payment:
    """The row, before anybody asks Stripe for anything."""
    now = site.clock.now()
    payment_id = str(uuid.uuid4())
    with site.database.transaction() as connection:
        if key is not None:
            # A key belongs to whom the reservation belongs to, so that nobody can block another's.
            wanted = Claim(f"{KEY_SCOPE}:{held.id}", key, body_hash, payment_id)
            made = claim(connection, idempotency_keys, wanted, now)
            if made.verdict is Verdict.REPLAY:
                known = store.find(connection, made.resource_id)
                if known is not None and known.status is not Status.CANCELED:
                    return known
        live = store.find_live(connection, held.id)
        if live is not None and live.status is Status.SUCCEEDED:
            return live
        check_payable(held, now)
        if store.declines(connection, held.id) >= site.tries_max:
            raise TooManyDeclines(f"{site.tries_max} cards were declined")
        if live is None and not store.insert_payment(connection, payment_id, held, payer):
            # Somebody was faster; its transaction has ended, since the insert waited for it.
            live = store.find_live(connection, held.id)
        found = live or store.find(connection, payment_id)
        assert found is not None
        return found


def _with_intent(site: Site, payment: Payment) -> Payment:
    """Asks Stripe for the intent, and writes it down. Twice at once is one intent, by its idempotency key."""
    try:
        intent = site.gateway.create_intent(payment)
    except StripeStuck:
        _take_new_key(site, payment)
        raise
    with site.database.transaction() as connection:
        return apply_intent(connection, _locked(connection, payment.id), intent)


def _take_new_key(site: Site, payment: Payment) -> None:
    """Stripe answers a 500 again to the same key. An intent that it made nevertheless is known to nobody: it cannot be
    paid, since nobody has its client secret, and is cancelled when the worker finds it."""
    with site.database.transaction() as connection:
        if _locked(connection, payment.id).intent_key == payment.intent_key:
            store.change(connection, payment.id, intent_key=f"{payment.id}-{uuid.uuid4().hex[:8]}")


def _locked(connection: Connection, payment_id: str) -> Payment:
    payment = store.find(connection, payment_id, lock=True)
    if payment is None:
        raise NotFound("there is no such payment")
    return payment


def get(site: Site, payment_id: str, credential: str) -> Payment:
    """A payment, for who may see its reservation. Raises `NotFound`, and what `Reservations.opened` raises."""
    with site.database.transaction() as connection:
        payment = store.find(connection, payment_id)
    if payment is None:
        raise NotFound("there is no such payment")
    site.reservations.opened(payment.reservation_id, credential)
    return payment


def look_up(site: Site, payment_id: str) -> Payment:
    """A payment, for this site's own services and operators. Raises `NotFound`."""
    with site.database.transaction() as connection:
        payment = store.find(connection, payment_id)
    if payment is None:
        raise NotFound("there is no such payment")
    return payment


def search(site: Site, wanted: Search, after: Place | None, limit: int) -> list[tuple[Payment, int]]:
    """Payments for an operator, newest first, each with what has gone back."""
    with site.database.transaction() as connection:
        return store.search(connection, wanted, after, limit)


# Paying with a card on the server: the partners' reference route


def charge_card(site: Site, told: Held, card: Card) -> Payment:
    """Charges a card for a reservation. Raises `CardDeclined`, `StripeUnavailable`, `NotHeld`, `HoldExpired`,
    `WrongAmount`, `NotFound`.

    After `StripeUnavailable` nobody knows whether the money was taken: the worker finds out, and tells reservations.
    """
    held = site.reservations.held(told.id)
    if (held.amount, held.currency) != (told.amount, told.currency):
        raise WrongAmount(f"the reservation costs {held.amount} {held.currency}")
    payment = _begin(site, held)
    if payment.status is Status.SUCCEEDED:
        return payment
    with site.gateway.card_time():
        if payment.intent_id is None:
            payment = _with_intent(site, payment)
        return _confirm(site, payment, card)


def _confirm(site: Site, payment: Payment, card: Card) -> Payment:
    assert payment.intent_id is not None
    with site.database.transaction() as connection:
        number = store.next_confirm(connection, payment.id)
    declined: CardDeclined | None = None
    try:
        intent = site.gateway.confirm(payment.intent_id, card, f"{payment.id}-confirm-{number}")
    except CardDeclined as error:
        declined, intent = error, _ended(site, payment.intent_id)
    except (StripeUnavailable, StripeRefused) as error:
        # The answer is lost, or another attempt was faster: what the intent says now is what happened.
        intent = site.gateway.intent(payment.intent_id)
        if intent.status is not Status.SUCCEEDED:
            raise StripeUnavailable("it is not known whether the card was charged") from error
    if intent.status is Status.REQUIRES_ACTION:
        # Nobody is there who could answer the bank's question.
        intent = _ended(site, payment.intent_id)
        declined = CardDeclined("the card asks for authentication", declineCode=AUTHENTICATION)
    with site.database.transaction() as connection:
        payment = apply_intent(connection, _locked(connection, payment.id), intent)
    if declined is not None and payment.status is not Status.SUCCEEDED:
        raise declined
    return payment


def _ended(site: Site, intent_id: str) -> Intent:
    """The intent, with which nothing can be charged any more, or that was charged by another request.

    Who is told that a card was declined may buy again: so it must be certain that no other attempt is under way.
    """
    try:
        return site.gateway.cancel(intent_id)
    except (StripeUnavailable, StripeRefused) as error:
        intent = site.gateway.intent(intent_id)
        if intent.status not in FINAL:
            raise StripeUnavailable("it is not known whether the card was charged") from error
        return intent


# What Stripe says


def apply_intent(connection: Connection, payment: Payment, intent: Intent) -> Payment:
    """Makes the payment what its intent is, with all that follows; the payment's row is locked.

    What was final before stays as it is, whatever is told late.
    """
    if payment.status in FINAL:
        return payment
    if payment.intent_id not in (None, intent.id):
        return payment
    changed = replace(
        payment,
        status=intent.status,
        intent_id=intent.id,
        client_secret=payment.client_secret or intent.client_secret,
        charge_id=intent.charge_id,
        received=intent.received,
        failure_code=intent.failure_code,
        decline_code=intent.decline_code,
        payer=None if intent.status in FINAL else payment.payer,
    )
    if payment.failure_code == TooManyDeclines.code and changed.status is not Status.SUCCEEDED:
        changed = replace(changed, failure_code=payment.failure_code, decline_code=None)
    store.change(
        connection, payment.id,
        status=changed.status, intent_id=changed.intent_id, client_secret=changed.client_secret,
        charge_id=changed.charge_id, received=changed.received,
        failure_code=changed.failure_code, decline_code=changed.decline_code, payer=changed.payer,
    )  # fmt: skip
    return _succeed(connection, changed, intent) if changed.status is Status.SUCCEEDED else changed


def _succeed(connection: Connection, payment: Payment, intent: Intent) -> Payment:
    """Money was taken: it is in the books, and reservations hears of it, in this transaction."""
    log.info("payment_succeeded", payment_id=payment.id, reservation_id=payment.reservation_id, amount=payment.received)
    entries = move(intent.received, intent.currency, Account.DEPOSITS, Account.STRIPE)
    store.write_ledger(connection, f"charge:{payment.id}", payment.id, entries)
    store.set_paid(connection, payment.id)
    analytics.tell(connection, EventKind.PAYMENT_SUCCEEDED, payment, payment.received)
    if not is_paid_in_full(payment, intent):
        log.error("amount_differs", payment_id=payment.id, amount=payment.amount, received=intent.received)
        return decide(connection, payment, Outcome.REFUSED, "wrong_amount")
    tell_paid(connection, payment)
    return payment


def tell_paid(connection: Connection, payment: Payment) -> None:
    """Message to reservations: this reservation is paid."""
    body = {"paymentId": payment.id, "amount": payment.received, "currency": payment.currency}
    path = f"/internal/reservations/{payment.reservation_id}{PAID}"
    delivery.send(connection, deliveries, [Delivery(TARGET, path, body, payment.reservation_id)])


# What reservations says


def told(connection: Connection, taken: Taken, answer: object) -> None:
    """Reservations has answered that a reservation is paid; in the transaction that marks the delivery."""
    if not taken.path.endswith(PAID):
        return  # of refunds it says nothing that matters here
    outcome = answer.get("outcome") if isinstance(answer, dict) else None
    if outcome not in tuple(Outcome):
        log.error("outcome_not_understood", path=taken.path)
        return
    payment = store.find(connection, str(taken.body["paymentId"]), lock=True)
    if payment is not None:
        reason = answer.get("reason") if isinstance(answer, dict) else None
        decide(connection, payment, Outcome(outcome), None if reason is None else str(reason))


def hear_outcome(
    site: Site, payment_id: str, reservation_id: str, outcome: Outcome, reason: str | None, message_id: str | None
) -> Payment:
    """Reservations tells what became of the tickets. Raises `NotFound`."""
    with site.database.transaction() as connection:
        payment = _locked(connection, payment_id)
        if payment.reservation_id != reservation_id:
            raise NotFound("there is no such payment of this reservation")
        if not inbox_of.claim(connection, inbox, message_id, TARGET):
            return payment
        return decide(connection, payment, outcome, reason)


def decide(connection: Connection, payment: Payment, outcome: Outcome, reason: str | None) -> Payment:
    """What became of the tickets has its effect: the money is earned, or goes back. `refused` is for good."""
    if payment.status is not Status.SUCCEEDED or payment.outcome in (outcome, Outcome.REFUSED):
        return payment
    if outcome is Outcome.ASKING and payment.outcome is Outcome.RESERVED:
        return payment  # an answer that was overtaken by the verdict
    store.change(connection, payment.id, outcome=outcome, outcome_reason=reason)
    payment = replace(payment, outcome=outcome, outcome_reason=reason)
    if outcome is Outcome.RESERVED:
        earned = -store.balance(connection, payment.id, Account.DEPOSITS)
        entries = move(earned, payment.currency, Account.SALES, Account.DEPOSITS)
        store.write_ledger(connection, f"sale:{payment.id}", payment.id, entries)
        if refunding.is_given_back(connection, payment):
            refunding.tell(connection, payment, back=True)
    elif outcome is Outcome.REFUSED:
        log.warning("sale_refused", payment_id=payment.id, reason=reason)
        refunding.refund_rest(connection, payment, reason or "refused")
    return payment


def cancel_reservation(site: Site, reservation_id: str, message_id: str | None) -> int:
    """The hold has ended: what is open of its payments is cancelled, by the worker; returns how many."""
    with site.database.transaction() as connection:
        if not inbox_of.claim(connection, inbox, message_id, TARGET):
            return 0
        return store.want_cancelled(connection, reservation_id)


def forget_account(site: Site, account_id: str, message_id: str | None) -> int:
    """An account was deleted: its payments stay, and nobody's they are."""
    with site.database.transaction() as connection:
        if not inbox_of.claim(connection, inbox, message_id, "users"):
            return 0
        event_outbox.forget_account(connection, site_events, account_id)
        return store.forget_account(connection, account_id)


# For operators


def books(site: Site) -> tuple[list[tuple[str, str, int]], int, list[Difference]]:
    """The balances of all accounts, how many transactions are not balanced, and what Stripe says and they do not."""
    with site.database.transaction() as connection:
        found = store.differences_found(connection, DIFFERENCES_SHOWN_MAX)
        return store.balances(connection), store.unbalanced(connection), found
