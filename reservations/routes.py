"""HTTP: parse, one use case, answer."""

import uuid
from decimal import Decimal
from uuid import UUID

from flask import Response

from reservations import accounts, handlers, paying, purchase, tables
from reservations.domain import (
    CardDeclined,
    Charge,
    PriceMismatch,
    PurchaseLimit,
    PurchaseUndecided,
    Submit,
)
from reservations.following import follow, submit
from reservations.languages import chosen
from reservations.paging import PageQuery, Place
from reservations.resale import handlers as resale
from reservations.resale.routes import admin_listings, listings
from reservations.schemas import (
    SPOKEN,
    AccountDeleted,
    AccountVerified,
    CallerHeaders,
    HoldHeaders,
    Joined,
    NewPurchase,
    NewReservation,
    OwnedReservation,
    Paid,
    PaidAnswer,
    Purchase,
    Refund,
    RefundHeard,
    Reservation,
    Reservations,
    Wait,
)
from reservations.tickets.routes import gate
from reservations.tickets.routes import routes as tickets
from reservations.waiting_room.domain import WaitingRoomClosed
from reservations.waiting_room.routes import waiting_rooms
from reservations.wiring import Wiring
from shared import tracing
from shared.errors import (
    BrokerUnavailable,
    Conflict,
    DependencyUnavailable,
    Forbidden,
    IdempotencyKeyReused,
    NotFound,
    Unauthenticated,
    ValidationFailed,
)
from shared.http import LOCATION, TOKEN, Caller, IdempotencyHeaders, Routes, json_answer
from shared.http.auth import bearer_of
from shared.http.deliveries import delivery_routes
from shared.http.validation import violation
from shared.idempotency import body_hash
from shop.inventory.domain import (
    AlreadyReserved,
    HoldExpired,
    NotHeld,
    Pool,
    SoldOut,
    State,
    TemporarilyUnavailable,
)

__all__ = ["admin_listings", "cards", "gate", "internal", "listings", "routes", "tickets", "waiting_rooms"]

routes = Routes("reservations", "Hold tickets, follow the log's verdict, give tickets back.")
cards = Routes("purchase", "Buy in one call, with a card.")
internal = Routes("internal", "For this site's own services.")
deliveries = delivery_routes(tables.deliveries, lambda wiring: wiring.site.database)

HOLDING = (
    SoldOut,
    TemporarilyUnavailable,
    PurchaseLimit,
    WaitingRoomClosed,
    IdempotencyKeyReused,
    NotFound,
    BrokerUnavailable,
    DependencyUnavailable,
)
CARD = frozenset({"card"})


@routes.post("/api/reservations", answer=Reservation, status=201, sends=LOCATION, limit="hold", raises=HOLDING)
def create_reservation(
    wiring: Wiring, caller: Caller, body: NewReservation, query: Wait, headers: HoldHeaders
) -> Response:
    """Hold tickets, signed in or as a guest with an e-mail address.

    The answer's status is `submitted` until the federation's log has decided; with `?wait=` the answer comes with
    the verdict: `held` (pay before `expiresAt`) or `lost` (another site was first). A guest's `accessToken` opens the
    reservation later.

    A match that has a waiting room needs an admitted place as `X-Waiting-Place`; a hold uses it up, a refusal does not.
    """
    wiring.broker.require()
    wish = _wish(wiring, caller, body, headers)
    with wiring.rooms.passage(body.match_number, headers.waiting_place, caller, wish.repetition) as passage:
        standing = submit(wiring, wish, query.wait)
        if standing.status is not State.LOST:
            passage.used()
    location = f"/api/reservations/{standing.reservation.id}"
    return json_answer(wiring.answer(standing, with_token=caller.account is None), 201, [("Location", location)])


def _wish(wiring: Wiring, caller: Caller, body: NewReservation, headers: HoldHeaders) -> Submit:
    key = headers.idempotency_key
    return Submit(
        str(uuid.uuid4()),
        str(uuid.uuid4()),
        body.email or _own_email(caller),
        Pool(body.match_number, body.category),
        body.quantity,
        key,
        body_hash(body, without=SPOKEN) if key else b"",
        tracing.traceparent(),
        None if caller.account is None else caller.account.id,
        language=chosen(body.language, caller, headers.accept_language),
        country=wiring.country(caller),
    )


def _own_email(caller: Caller) -> str:
    if caller.account is None:
        wrong = violation("pointer", ["email"], "required", "is required unless you are signed in")
        raise ValidationFailed("the body is not valid", errors=[wrong])
    return caller.account.email


@routes.get("/api/reservations", answer=Reservations, access=TOKEN, raises=[DependencyUnavailable])
def list_reservations(wiring: Wiring, caller: Caller, query: PageQuery) -> Reservations:
    """The caller's reservations, newest first: all of an account, or the one that a guest's token opens."""
    opener = wiring.access.opener(caller)
    if opener.account_id is None:
        standing = handlers.get(wiring.site, opener.reservation_id or "")
        return Reservations(items=[wiring.answer(standing)], next_cursor=None)
    page, place = handlers.listed(wiring.site, opener.account_id, query.place(), query.limit)
    cursor = Place(*place).cursor() if place else None
    return Reservations(items=[wiring.answer(each) for each in page], next_cursor=cursor)


@routes.get(
    "/api/reservations/{reservationId}",
    answer=Reservation,
    access=TOKEN,
    raises=[NotFound, Forbidden, DependencyUnavailable],
)
def get_reservation(wiring: Wiring, caller: Caller, reservation_id: UUID, query: Wait) -> Reservation:
    """A reservation; with `?wait=` the answer comes when its status changes, or when the time is over."""
    standing = wiring.opened(caller, str(reservation_id))
    return wiring.answer(follow(wiring, standing, query.wait) if query.wait else standing)


@routes.delete(
    "/api/reservations/{reservationId}",
    answer=Reservation,
    access=TOKEN,
    raises=[NotFound, Forbidden, AlreadyReserved, DependencyUnavailable],
)
def cancel_reservation(wiring: Wiring, caller: Caller, reservation_id: UUID) -> Reservation:
    """Give the tickets back. A reservation that has ended already is answered as it is."""
    wiring.opened(caller, str(reservation_id))
    return wiring.answer(handlers.cancel(wiring.site, str(reservation_id)))


@cards.post(
    "/api/reservation",
    answer=Purchase,
    limit="pay",
    raises=[*HOLDING, PriceMismatch, CardDeclined, HoldExpired, PurchaseUndecided],
)
def purchase_with_card(wiring: Wiring, caller: Caller, body: NewPurchase, headers: HoldHeaders) -> Purchase:
    """Buy tickets in one call: the known contract of the federation's partners.

    The price must be the master list's. The card goes to Stripe and is kept nowhere here. When the card is declined, or
    anything else stands in the way, the tickets are given back and nothing is charged; after `purchase_undecided` the
    same request with the same `Idempotency-Key` tells how it ended, and charges nothing twice. A match that has a
    waiting room needs an admitted place as `X-Waiting-Place`.
    """
    key = headers.idempotency_key
    wish = Submit(
        str(uuid.uuid4()),
        str(uuid.uuid4()),
        body.email,
        Pool(body.match_number, body.tickets.category),
        body.tickets.quantity,
        key,
        body_hash(body, without=CARD | SPOKEN) if key else b"",
        tracing.traceparent(),
        None if caller.account is None else caller.account.id,
        "purchase",
        chosen(body.language, caller, headers.accept_language),
        wiring.country(caller),
    )
    with wiring.rooms.passage(body.match_number, headers.waiting_place, caller, wish.repetition) as passage:
        try:
            standing = purchase.buy(wiring, wish, Decimal(str(body.tickets.price)), body.card.card())
        except PurchaseUndecided:
            passage.undecided()
            raise
        passage.used()
    return Purchase.of(standing.reservation)


@internal.get(
    "/internal/reservations/{reservationId}",
    answer=OwnedReservation,
    raises=[NotFound, Unauthenticated, Forbidden, DependencyUnavailable],
)
def get_reservation_internally(wiring: Wiring, reservation_id: UUID, headers: CallerHeaders) -> OwnedReservation:
    """A reservation, for this site's own services.

    With `X-Caller-Authorization`, the Authorization of somebody else, only if that one may open it: 401 and 403 then
    speak of that one.
    """
    standing = handlers.get(wiring.site, str(reservation_id))
    if headers.caller_authorization is not None:
        account = wiring.accounts.account({"HTTP_AUTHORIZATION": headers.caller_authorization})
        wiring.access.of(account, bearer_of(headers.caller_authorization)).check(standing.reservation)
    resold = resale.resold(wiring.site, standing.reservation)
    return OwnedReservation.owned(standing, resold, wiring.site.federation.topic)


@internal.post(
    "/internal/reservations/{reservationId}/confirm",
    answer=Reservation,
    raises=[NotFound, NotHeld, HoldExpired, DependencyUnavailable],
)
def confirm_reservation(wiring: Wiring, reservation_id: UUID) -> Reservation:
    """The tickets are paid elsewhere: sell them for good and issue them. Again has no further effect."""
    return wiring.answer(handlers.confirm(wiring.site, str(reservation_id)))


@internal.post(
    "/internal/reservations/{reservationId}/cancel",
    answer=Reservation,
    raises=[NotFound, AlreadyReserved, DependencyUnavailable],
)
def cancel_reservation_internally(wiring: Wiring, reservation_id: UUID) -> Reservation:
    """Give the tickets back for a buyer who cannot pay. Again has no further effect."""
    return wiring.answer(handlers.cancel(wiring.site, str(reservation_id)))


@internal.post(
    "/internal/reservations/{reservationId}/paid", answer=PaidAnswer, raises=[Conflict, DependencyUnavailable]
)
def pay_reservation(wiring: Wiring, reservation_id: UUID, body: Paid) -> PaidAnswer:
    """A payment has succeeded: sell the tickets, or say that the money must go back.

    What comes too late is asked of the federation's log once more, and payments is told later. Again, for the same
    payment, has no further effect and is answered by how it stands.
    """
    told = Charge(body.payment_id, str(reservation_id), body.amount, body.currency)
    return PaidAnswer.of(paying.paid(wiring.site, wiring.settings, told))


@internal.post(
    "/internal/reservations/{reservationId}/refunded", answer=RefundHeard, raises=[NotFound, DependencyUnavailable]
)
def refund_reservation(wiring: Wiring, reservation_id: UUID, body: Refund, headers: IdempotencyHeaders) -> RefundHeard:
    """All that was paid has gone back: the tickets are void from now on, unless one was used at the gate already.

    The sale stays as it is, and nothing is told to the other sites.
    """
    key = headers.idempotency_key
    return RefundHeard(void=paying.refunded(wiring.site, str(reservation_id), body.payment_id, key))


@internal.post(
    "/internal/reservations/{reservationId}/refund-failed", answer=RefundHeard, raises=[NotFound, DependencyUnavailable]
)
def fail_refund(wiring: Wiring, reservation_id: UUID, body: Refund, headers: IdempotencyHeaders) -> RefundHeard:
    """A refund that had succeeded has failed after all, and the money is here again: the same tickets count again."""
    key = headers.idempotency_key
    return RefundHeard(void=paying.refund_failed(wiring.site, str(reservation_id), body.payment_id, key))


@internal.post("/internal/accounts/verified", answer=Joined, raises=[DependencyUnavailable])
def verify_account(wiring: Wiring, body: AccountVerified) -> Joined:
    """An account's address is verified: what was reserved with it as a guest joins the account."""
    return Joined(reservations=accounts.verified(wiring.site, str(body.account_id), body.email))


@internal.post("/internal/accounts/deleted", status=204, raises=[DependencyUnavailable])
def delete_account(wiring: Wiring, body: AccountDeleted) -> None:
    """An account is gone: its sales stay, and nothing tells any more whose they were."""
    accounts.deleted(wiring.site, str(body.account_id), body.email)
