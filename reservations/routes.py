"""HTTP: parse, one use case, answer."""

import uuid
from dataclasses import dataclass
from uuid import UUID

from flask import Response

from reservations import handlers
from reservations.access import AccessTokens
from reservations.broker import BrokerWatch
from reservations.domain import PurchaseLimit, Standing, Submit
from reservations.handlers import Site
from reservations.schemas import NewReservation, Reservation, Reservations, Wait
from reservations.submitter import Submitter
from reservations.waiting import Waiting
from shared import tracing
from shared.errors import BrokerUnavailable, DependencyUnavailable, Forbidden, IdempotencyKeyReused, NotFound
from shared.http import TOKEN, IdempotencyHeaders, Routes, json_answer
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

routes = Routes("reservations", "Hold tickets, follow the log's verdict, give tickets back.")
internal = Routes("internal", "For this site's own services.")


@dataclass(frozen=True, slots=True)
class Wiring:
    """What `app.py` made."""

    site: Site
    submitter: Submitter
    waiting: Waiting
    access: AccessTokens
    broker: BrokerWatch

    def answer(self, standing: Standing, *, with_token: bool = False) -> Reservation:
        token = self.access.token(standing.reservation.id) if with_token else None
        return Reservation.of(standing, self.site.federation.topic, token)


@routes.post(
    "/api/reservations",
    answer=Reservation,
    status=201,
    limit="hold",
    raises=[
        SoldOut,
        TemporarilyUnavailable,
        PurchaseLimit,
        IdempotencyKeyReused,
        NotFound,
        BrokerUnavailable,
        DependencyUnavailable,
    ],
)
def create_reservation(wiring: Wiring, body: NewReservation, query: Wait, headers: IdempotencyHeaders) -> Response:
    """Hold tickets.

    The answer's status is `submitted` until the federation's log has decided; with `?wait=` the answer comes with
    the verdict: `held` (pay before `expiresAt`) or `lost` (another site was first). `accessToken` opens the
    reservation later.
    """
    wiring.broker.require()
    wish = _wish(body, headers.idempotency_key)
    standing = _submit_and_wait(wiring, wish, query.wait) if query.wait else wiring.submitter.submit(wish).standing()
    location = f"/api/reservations/{standing.reservation.id}"
    return json_answer(wiring.answer(standing, with_token=True), 201, [("Location", location)])


def _submit_and_wait(wiring: Wiring, wish: Submit, seconds: float) -> Standing:
    waiter = wiring.waiting.expect(wish.sale_id, State.SUBMITTED)
    try:
        ticket = wiring.submitter.submit(wish, waiter.event)
        sale = wiring.waiting.wait(waiter, seconds)
        standing = ticket.standing()
    finally:
        wiring.waiting.forget(waiter)
    if standing.sale.key.sale_id != wish.sale_id:
        # The key was used before: wait for what it made then.
        return _follow(wiring, standing, seconds) if standing.status is State.SUBMITTED else standing
    if sale is not None:
        return Standing(standing.reservation, sale)
    return _decided(wiring, wish) if standing.status is State.SUBMITTED else standing


def _wish(body: NewReservation, key: str | None) -> Submit:
    return Submit(
        str(uuid.uuid4()),
        str(uuid.uuid4()),
        body.email,
        Pool(body.match_number, body.category),
        body.quantity,
        key,
        body_hash(body) if key else b"",
        tracing.traceparent(),
    )


def _decided(wiring: Wiring, wish: Submit) -> Standing:
    """Where it stands after the wait. When the broker is away the hold is given back rather than left hanging."""
    standing = handlers.get(wiring.site, wish.id)
    if standing.status is State.SUBMITTED and wiring.broker.is_away():
        standing = handlers.give_back(wiring.site, wish.id, wish.key_scope, wish.key)
        if standing.status is State.CANCELLED:
            raise BrokerUnavailable("the federation's log is out of reach; the tickets were given back")
    return standing


@routes.get("/api/reservations", answer=Reservations, access=TOKEN, raises=[DependencyUnavailable])
def list_reservations(wiring: Wiring) -> Reservations:
    """The reservations that the access token opens: a guest's token opens one."""
    standing = handlers.get(wiring.site, wiring.access.opened())
    return Reservations(items=[wiring.answer(standing)])


@routes.get(
    "/api/reservations/{reservationId}",
    answer=Reservation,
    access=TOKEN,
    raises=[NotFound, Forbidden, DependencyUnavailable],
)
def get_reservation(wiring: Wiring, reservation_id: UUID, query: Wait) -> Reservation:
    """A reservation; with `?wait=` the answer comes when its status changes, or when the time is over."""
    wiring.access.check(str(reservation_id))
    standing = handlers.get(wiring.site, str(reservation_id))
    return wiring.answer(_follow(wiring, standing, query.wait) if query.wait else standing)


def _follow(wiring: Wiring, standing: Standing, seconds: float) -> Standing:
    """Where it stands once it has left the state in which it is known to be, or when the time is over."""
    waiter = wiring.waiting.expect(standing.reservation.sale_id, standing.status)
    try:
        now = handlers.get(wiring.site, standing.reservation.id)
        if now.status is standing.status:
            wiring.waiting.wait(waiter, seconds)
            now = handlers.get(wiring.site, standing.reservation.id)
    finally:
        wiring.waiting.forget(waiter)
    return now


@routes.delete(
    "/api/reservations/{reservationId}",
    answer=Reservation,
    access=TOKEN,
    raises=[NotFound, Forbidden, AlreadyReserved, DependencyUnavailable],
)
def cancel_reservation(wiring: Wiring, reservation_id: UUID) -> Reservation:
    """Give the tickets back. A reservation that has ended already is answered as it is."""
    wiring.access.check(str(reservation_id))
    return wiring.answer(handlers.cancel(wiring.site, str(reservation_id)))


@internal.get("/internal/reservations/{reservationId}", answer=Reservation, raises=[NotFound, DependencyUnavailable])
def get_reservation_internally(wiring: Wiring, reservation_id: UUID) -> Reservation:
    """A reservation, for this site's own services."""
    return wiring.answer(handlers.get(wiring.site, str(reservation_id)))


@internal.post(
    "/internal/reservations/{reservationId}/confirm",
    answer=Reservation,
    raises=[NotFound, NotHeld, HoldExpired, DependencyUnavailable],
)
def confirm_reservation(wiring: Wiring, reservation_id: UUID) -> Reservation:
    """The tickets are paid: sell them for good. Again has no further effect."""
    return wiring.answer(handlers.confirm(wiring.site, str(reservation_id)))


@internal.post(
    "/internal/reservations/{reservationId}/cancel",
    answer=Reservation,
    raises=[NotFound, AlreadyReserved, DependencyUnavailable],
)
def cancel_reservation_internally(wiring: Wiring, reservation_id: UUID) -> Reservation:
    """Give the tickets back for a buyer who cannot pay. Again has no further effect."""
    return wiring.answer(handlers.cancel(wiring.site, str(reservation_id)))
