"""HTTP: parse, one use case, answer."""

from uuid import UUID

from flask import Response, request
from werkzeug.http import parse_cookie

from payments import domain, handlers, hearing, refunding, tables
from payments.domain import (
    AlreadyPaid,
    CardDeclined,
    HoldExpired,
    InvalidSignature,
    NotHeld,
    NotPaid,
    RefundTooLarge,
    StripeRefused,
    TooManyDeclines,
    WrongAmount,
)
from payments.events import SIGNATURE_HEADER
from payments.payouts.routes import admin_payouts, credits, payouts
from payments.schemas import (
    AccountDeleted,
    Balance,
    Cancelled,
    CardPayment,
    Difference,
    Forgotten,
    FoundPayment,
    FoundPayments,
    Heard,
    Ledger,
    NewPayment,
    NewRefund,
    OutcomeTold,
    Payment,
    PaymentQuery,
    Refund,
    Refunds,
    ReservationEnded,
    WebhookHeaders,
    cursor_behind,
)
from payments.wiring import Wiring
from security.engine.gate import name_of
from shared.errors import DependencyUnavailable, Forbidden, IdempotencyKeyReused, NotFound, Unauthenticated
from shared.http import LOCATION, PUBLIC, TOKEN, IdempotencyHeaders, Routes, json_answer, roles
from shared.http.callers import ACCESS_COOKIE, Seal
from shared.http.deliveries import delivery_routes
from shared.idempotency import body_hash

__all__ = ["admin", "admin_payouts", "credits", "internal", "payouts", "routes", "stripe"]

routes = Routes("payments", "Pay for a reservation, and follow the payment.")
stripe = Routes("stripe", "For Stripe.")
admin = Routes("refunds", "For operators.")
internal = Routes("internal", "For this site's own services.")
deliveries = delivery_routes(tables.deliveries, lambda wiring: wiring.site.database)

SIGNED = Seal(
    SIGNATURE_HEADER,
    lambda wiring, signature: wiring.events.may_be_signed(signature),
    lambda wiring, signature, body: wiring.events.is_signed(signature, body),
)
OPERATORS = roles("admin", services=True)
EVENT = {
    "type": "object",
    "description": "An event as Stripe sends it, https://docs.stripe.com/api/events",
    "required": ["id", "type", "created", "data"],
}


def _credential() -> str:
    """What the caller shows reservations: the header as it came, or the page's cookie. Raises `Unauthenticated`."""
    header = request.environ.get("HTTP_AUTHORIZATION")
    if header is not None:
        return str(header)
    cookie = parse_cookie(request.environ).get(ACCESS_COOKIE)
    if not cookie:
        raise Unauthenticated("send the reservation's access token as Authorization: Bearer, or sign in")
    return f"Bearer {cookie}"


@routes.post(
    "/api/payments",
    answer=Payment,
    status=201,
    sends=LOCATION,
    access=TOKEN,
    limit="pay",
    raises=[
        NotHeld, HoldExpired, AlreadyPaid, TooManyDeclines, IdempotencyKeyReused, NotFound, Forbidden, StripeRefused,
        DependencyUnavailable,
    ],
)  # fmt: skip
def create_payment(wiring: Wiring, body: NewPayment, headers: IdempotencyHeaders) -> Response:
    """Begin to pay a reservation that is held.

    The page hands `clientSecret` to Stripe.js, which asks for the card; card data never comes here. A reservation has
    one payment: the same again is answered with it, and after a declined card the buyer may try again, a few times.
    """
    payment = handlers.pay(
        wiring.site, str(body.reservation_id), _credential(), headers.idempotency_key, body_hash(body),
        name_of(request.environ),
    )  # fmt: skip
    return json_answer(Payment.of(payment), 201, [("Location", f"/api/payments/{payment.id}")])


@routes.get(
    "/api/payments/{paymentId}", answer=Payment, access=TOKEN, raises=[NotFound, Forbidden, DependencyUnavailable]
)
def get_payment(wiring: Wiring, payment_id: UUID) -> Payment:
    """A payment, for whom its reservation belongs to."""
    return Payment.of(handlers.get(wiring.site, str(payment_id), _credential()))


@stripe.post(
    "/api/payments/webhook",
    answer=Heard,
    access=PUBLIC,
    limit="webhook",
    raises=[InvalidSignature, DependencyUnavailable],
    body_schema=EVENT,
    seal=SIGNED,
)
def hear_event(wiring: Wiring, body: bytes, headers: WebhookHeaders) -> Heard:
    """Stripe's webhook.

    What Stripe has not signed is refused, and limited; what it has signed passes whatever comes from the same address.
    Events may come late, in any order and more than once. One that cannot be understood is kept with its problem.
    """
    hearing.hear(wiring.site, wiring.events.read(body, headers.signature))
    return Heard()


@admin.get("/api/payments", answer=FoundPayments, access=OPERATORS, raises=[DependencyUnavailable])
def find_payments(wiring: Wiring, query: PaymentQuery) -> FoundPayments:
    """Find payments, newest first."""
    found = handlers.search(wiring.site, query.search(), query.place(), query.limit)
    items = [FoundPayment.of(payment, refunded) for payment, refunded in found]
    return FoundPayments(items=items, next_cursor=cursor_behind(found[-1][0]) if len(found) == query.limit else None)


@admin.get("/api/ledger", answer=Ledger, access=OPERATORS, raises=[DependencyUnavailable])
def read_ledger(wiring: Wiring) -> Ledger:
    """The books' balances."""
    return get_ledger(wiring)


@admin.get(
    "/api/payments/{paymentId}/refunds",
    answer=Refunds,
    access=roles("admin"),
    raises=[NotFound, DependencyUnavailable],
)
def list_refunds(wiring: Wiring, payment_id: UUID) -> Refunds:
    """A payment's refunds."""
    return Refunds(items=[Refund.of(refund) for refund in refunding.listed(wiring.site, str(payment_id))])


@admin.post(
    "/api/payments/{paymentId}/refunds",
    answer=Refund,
    status=201,
    sends=LOCATION,
    access=roles("admin"),
    fresh=True,
    raises=[NotFound, NotPaid, RefundTooLarge, IdempotencyKeyReused, DependencyUnavailable],
)
def create_refund(wiring: Wiring, payment_id: UUID, body: NewRefund, headers: IdempotencyHeaders) -> Response:
    """Give back a part of a payment, or what is left of it.

    Decided when this answers: a status of `new` says that Stripe has not answered yet, and is asked again.
    """
    return _refund(wiring, payment_id, body, headers)


def _refund(wiring: Wiring, payment_id: UUID, body: NewRefund, headers: IdempotencyHeaders) -> Response:
    refund = refunding.refund(
        wiring.site, str(payment_id), body.amount, body.reason, headers.idempotency_key, body_hash(body)
    )
    return json_answer(Refund.of(refund), 201, [("Location", f"/api/payments/{payment_id}/refunds")])


@internal.post(
    "/internal/payments/{paymentId}/refunds",
    answer=Refund,
    status=201,
    sends=LOCATION,
    audited=True,
    raises=[NotFound, NotPaid, RefundTooLarge, IdempotencyKeyReused, DependencyUnavailable],
)
def create_refund_internally(
    wiring: Wiring, payment_id: UUID, body: NewRefund, headers: IdempotencyHeaders
) -> Response:
    """Give money back, for this site's own services."""
    return _refund(wiring, payment_id, body, headers)


@internal.get("/internal/payments/{paymentId}", answer=Payment, raises=[NotFound, DependencyUnavailable])
def get_payment_internally(wiring: Wiring, payment_id: UUID) -> Payment:
    """A payment, for this site's own services."""
    return Payment.of(handlers.look_up(wiring.site, str(payment_id)))


@internal.post("/internal/payments/{paymentId}/outcome", answer=Payment, raises=[NotFound, DependencyUnavailable])
def hear_outcome(wiring: Wiring, payment_id: UUID, body: OutcomeTold, headers: IdempotencyHeaders) -> Payment:
    """Reservations tells what became of the tickets. What is refused is refunded, once."""
    payment = handlers.hear_outcome(
        wiring.site,
        str(payment_id),
        str(body.reservation_id),
        domain.Outcome(body.outcome),
        body.reason,
        headers.idempotency_key,
    )
    return Payment.of(payment)


@internal.post("/internal/payments/cancelled", answer=Cancelled, raises=[DependencyUnavailable])
def hear_cancelled(wiring: Wiring, body: ReservationEnded, headers: IdempotencyHeaders) -> Cancelled:
    """A hold has ended: what is open of its payments is cancelled at Stripe, soon."""
    ended = handlers.cancel_reservation(wiring.site, str(body.reservation_id), headers.idempotency_key)
    return Cancelled(payments=ended)


@internal.post(
    "/internal/payments/card",
    answer=Payment,
    status=201,
    sends=LOCATION,
    raises=[
        CardDeclined, NotHeld, HoldExpired, AlreadyPaid, TooManyDeclines, WrongAmount, NotFound, StripeRefused,
        DependencyUnavailable,
    ],
)  # fmt: skip
def charge_card(wiring: Wiring, body: CardPayment) -> Payment:
    """Charge a card for a reservation: the partners' reference route, and nothing else.

    The card goes to Stripe. After 503 it is not known whether it was charged; reconciliation finds out, and what was
    paid in vain is refunded.
    """
    held = domain.Held(
        str(body.reservation_id), "held", body.amount, body.currency, wiring.site.clock.now(), body.email, None
    )
    card = domain.Card(
        body.card.number.get_secret_value(),
        body.card.expiration_month,
        body.card.expiration_year,
        body.card.cvc.get_secret_value(),
    )
    return Payment.of(handlers.charge_card(wiring.site, held, card))


@internal.post("/internal/accounts/deleted", answer=Forgotten, raises=[DependencyUnavailable])
def hear_account_deleted(wiring: Wiring, body: AccountDeleted, headers: IdempotencyHeaders) -> Forgotten:
    """An account was deleted: its payments stay in the books, without whose they were."""
    forgotten = handlers.forget_account(wiring.site, str(body.account_id), headers.idempotency_key)
    return Forgotten(payments=forgotten)


@internal.get("/internal/ledger", answer=Ledger, raises=[DependencyUnavailable])
def get_ledger(wiring: Wiring) -> Ledger:
    """The books' balances."""
    found, unbalanced, differences = handlers.books(wiring.site)
    items = [Balance(account=account, currency=currency, amount=amount) for account, currency, amount in found]
    return Ledger(items=items, unbalanced=unbalanced, differences=[Difference.of(each) for each in differences])
