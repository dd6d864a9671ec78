"""Use cases of what is paid: keeping it, asking the log again for what was paid too late, giving up; and of refunds.

A payment is told once or many times; what becomes of it is decided once. Whoever decides about a reservation holds the
lock of its pool, so that two cannot decide at once.
"""

import uuid
from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy import Connection

from reservations import handlers, store
from reservations.domain import REFUNDED, Charge, MailDue, Outcome, Reservation, Standing
from reservations.handlers import Site
from reservations.resale import store as resale
from reservations.resale import transitions
from reservations.resale.domain import EndReason
from reservations.settings import HoldSettings
from reservations.tables import deliveries, inbox
from reservations.telling import PAYMENTS
from reservations.tickets import store as tickets
from reservations.tickets.domain import TicketState
from shared import delivery, outbox
from shared import inbox as inbox_of
from shared.delivery import Delivery
from shared.errors import Conflict, MatchdayError, NotFound
from shop.inventory import holds
from shop.inventory.domain import HoldExpired, Sale, State
from shop.inventory.holds import Held, HoldRequest
from shop.inventory.tables import outbox as outbox_table

log = structlog.get_logger(__name__)


def paid(site: Site, settings: HoldSettings, told: Charge) -> Charge:
    """What becomes of a payment: the tickets are sold, the log is asked again, or the money is to be given back.

    Told again, the answer is how it stands by now. Raises `Conflict` when the payment was told for something else.
    """
    now = site.clock.now()
    with site.database.transaction() as connection:
        standing = _locked(connection, site, told.reservation_id)
        if standing is None:
            return replace(told, outcome=Outcome.REFUSED, reason=NotFound.code)
        known = store.find_charge(connection, told.payment_id)
        if known is not None:
            return _same(known, told)
        decided = _decide(connection, site, settings, standing, told, now)
        store.insert_charge(connection, decided, now)
        if decided.outcome is Outcome.REFUSED:
            _tell(connection, decided)
        return decided


def _locked(connection: Connection, site: Site, reservation_id: str) -> Standing | None:
    found = store.find(connection, [reservation_id]).get(reservation_id)
    if found is None:
        return None
    holds.lock(connection, [found.pool])()
    return handlers.find(connection, site, reservation_id)


def _same(known: Charge, told: Charge) -> Charge:
    if replace(told, outcome=known.outcome, reason=known.reason) != known:
        raise Conflict("this payment was told for another reservation or amount")
    return known


def _decide(
    connection: Connection, site: Site, settings: HoldSettings, standing: Standing, told: Charge, now: datetime
) -> Charge:
    reservation = standing.reservation
    if (told.amount, told.currency) != (reservation.amount, reservation.currency):
        return replace(told, outcome=Outcome.REFUSED, reason="wrong_amount")
    if store.standing_charge(connection, reservation.id) is not None:
        return replace(told, outcome=Outcome.REFUSED, reason="already_paid")
    if standing.status is State.RESERVED:
        return replace(told, outcome=Outcome.RESERVED)
    if reservation.is_resale:
        return _decide_resale(connection, settings, reservation, told, now)
    if standing.status is State.SUBMITTED:
        store.set_resubmitted(connection, reservation.id, True)
        return replace(told, outcome=Outcome.ASKING)
    if standing.status is State.HELD and _sells(connection, site, reservation, now):
        return replace(told, outcome=Outcome.RESERVED)
    answer = _ask_again(connection, site, settings, reservation, now)
    if isinstance(answer, MatchdayError):
        store.set_mail_due(connection, reservation.id, MailDue.REFUND)
        return replace(told, outcome=Outcome.REFUSED, reason=answer.code)
    return replace(told, outcome=Outcome.ASKING)


def _decide_resale(
    connection: Connection, settings: HoldSettings, reservation: Reservation, told: Charge, now: datetime
) -> Charge:
    """The ticket changes hands now, also for who paid late while nobody else came; or the money goes back."""
    ends_at_kick_off = settings.resale_ends_at_kick_off == "on"
    reason = transitions.sell(connection, reservation, told.payment_id, now, ends_at_kick_off)
    if reason is None:
        return replace(told, outcome=Outcome.RESERVED)
    store.set_mail_due(connection, reservation.id, MailDue.REFUND)
    return replace(told, outcome=Outcome.REFUSED, reason=reason)


def _sells(connection: Connection, site: Site, reservation: Reservation, now: datetime) -> bool:
    """Sells what is held; False when the hold ends in the log before others could read of the sale."""
    try:
        handlers.sell(connection, site, reservation, now)
    except HoldExpired:
        holds.release(connection, site.federation, [reservation.sale_key(site.federation.client_id)], State.EXPIRED)
        return False
    return True


def _ask_again(
    connection: Connection, site: Site, settings: HoldSettings, reservation: Reservation, now: datetime
) -> Sale | MatchdayError:
    """Submits a new sale for what is paid; the error when there are no tickets left for it."""
    request = HoldRequest(str(uuid.uuid4()), reservation.pool, reservation.quantity, settings.hold_seconds)
    pools = holds.lock(connection, [reservation.pool])()
    decision = holds.decide(connection, site.federation, pools, [request], now)[0]
    if not isinstance(decision, Held):
        return decision
    holds.write_holds(connection, site.federation, [decision], [None])
    store.replace_sale(connection, reservation.id, request.sale_id)
    return decision.sale


def resubmit(site: Site, settings: HoldSettings, outbox_id: int, sale_id: str) -> Sale | MatchdayError | None:
    """Asks the log again for a paid sale whose TICKET_RESERVED came too late to be sent (and stands in the outbox).

    The new sale, or the error why there is none (then the buyer has been given the money back); None when there is
    nothing to do. Until the log has answered, its tickets open no gate.
    """
    now = site.clock.now()
    with site.database.transaction() as connection:
        if not outbox.forget(connection, outbox_table, outbox_id):
            return None
        reservation = store.find_by_sales(connection, [sale_id]).get(sale_id)
        if reservation is None:
            return None
        holds.take_back(connection, site.federation, reservation.sale_key(site.federation.client_id))
        answer = _ask_again(connection, site, settings, reservation, now)
        if isinstance(answer, MatchdayError):
            _give_up(connection, reservation, answer.code)
        else:
            tickets.set_state(connection, reservation.id, TicketState.SUSPENDED)
            _settle_charge(connection, reservation, Outcome.ASKING, None)
        return answer


def settle_resubmitted(site: Site, limit: int) -> list[tuple[str, State]]:
    """Acts on the log's second word on paid sales: the reservations decided, and how.

    Those that are not `reserved` now are lost, and their buyers' money is given back.
    """
    with site.database.transaction() as connection:
        waiting = store.resubmitted(connection, limit)
    decided = [(reservation.id, _settle(site, reservation.id)) for reservation in waiting]
    return [(reservation_id, state) for reservation_id, state in decided if state is not None]


def _settle(site: Site, reservation_id: str) -> State | None:
    """One of them; None when the log has not judged yet, or somebody else has acted."""
    now = site.clock.now()
    with site.database.transaction() as connection:
        standing = _locked(connection, site, reservation_id)
        if standing is None or not standing.reservation.resubmitted or standing.status is State.SUBMITTED:
            return None
        reservation = standing.reservation
        store.set_resubmitted(connection, reservation.id, False)
        if standing.status is State.RESERVED or (
            standing.status is State.HELD and _sells(connection, site, reservation, now)
        ):
            _settle_charge(connection, reservation, Outcome.RESERVED, None)
            return State.RESERVED
        state = handlers.find(connection, site, reservation.id).status
        _give_up(connection, reservation, state.value)
        return state


def _give_up(connection: Connection, reservation: Reservation, reason: str) -> None:
    tickets.set_state(connection, reservation.id, TicketState.VOID)
    store.set_mail_due(connection, reservation.id, MailDue.REFUND)
    _settle_charge(connection, reservation, Outcome.REFUSED, reason)


def _settle_charge(connection: Connection, reservation: Reservation, outcome: Outcome, reason: str | None) -> None:
    """Changes what becomes of the payment that stands, and tells payments unless there is nothing to do there."""
    charge = store.standing_charge(connection, reservation.id)
    if charge is None:
        return
    # What has gone back in full stays so, also while the log is asked again.
    decided = replace(charge, outcome=outcome, reason=reason if outcome is Outcome.REFUSED else charge.reason)
    store.settle_charge(connection, decided)
    if outcome is not Outcome.ASKING:
        _tell(connection, decided)


def _tell(connection: Connection, charge: Charge) -> None:
    told = {"reservationId": charge.reservation_id, "outcome": charge.outcome.value, "reason": charge.reason}
    path = f"/internal/payments/{charge.payment_id}/outcome"
    delivery.send(connection, deliveries, [Delivery(PAYMENTS, path, told, charge.reservation_id)])


def refunded(site: Site, reservation_id: str, payment_id: str, message_id: str | None) -> int:
    """All that was paid has gone back: the tickets are void, unless somebody has gone in with one. The sale stays sold,
    and the other sites hear nothing: the seat is this site's own.

    Returns how many of the reservation's tickets are void then. Raises `NotFound` for a payment that it was never told.
    """
    return _hear_refund(site, reservation_id, payment_id, message_id, back=True)


def refund_failed(site: Site, reservation_id: str, payment_id: str, message_id: str | None) -> int:
    """The refund that was told has failed after all: the same tickets count again. As `refunded`."""
    return _hear_refund(site, reservation_id, payment_id, message_id, back=False)


def _hear_refund(site: Site, reservation_id: str, payment_id: str, message_id: str | None, *, back: bool) -> int:
    with site.database.transaction() as connection:
        standing = _locked(connection, site, reservation_id)
        charge = store.find_charge(connection, payment_id)
        if standing is None or charge is None or charge.reservation_id != reservation_id:
            raise NotFound("no such payment was told of this reservation")
        new = inbox_of.claim(connection, inbox, message_id, PAYMENTS)
        if new and charge.outcome is not Outcome.REFUSED and back is not (charge.reason == REFUNDED):
            store.settle_charge(connection, replace(charge, reason=REFUNDED if back else None))
            # When a refund has failed after all, the buyer is sent the tickets that count again.
            store.set_mail_due(connection, reservation_id, MailDue.GIVEN_BACK if back else MailDue.TICKETS)
            now = site.clock.now()
            _void(connection, reservation_id, now) if back else _revive(connection, standing, now)
        states = [ticket.state for ticket in tickets.of_reservation(connection, reservation_id)]
        return states.count(TicketState.VOID)


def _void(connection: Connection, reservation_id: str, now: datetime) -> None:
    """Whoever admits with one of these tickets at the same time waits, or is waited for. The site offers them again."""
    found = tickets.of_reservation(connection, reservation_id)
    ids = [ticket.id for ticket in found if ticket.state is not TicketState.VOID]
    offered = resale.lock_live_of(connection, ids)
    locked = tickets.lock(connection, ids)
    admitted = [ticket.id for ticket in locked.values() if ticket.admitted_at is not None]
    if admitted:
        log.warning("refunded_after_admission", reservation_id=reservation_id, tickets=admitted)
        return
    tickets.set_state(connection, reservation_id, TicketState.VOID)
    for listing in offered:
        transitions.end(connection, listing, EndReason.TICKET_VOID, now)
    store.set_relist_due(connection, reservation_id, True)


def _revive(connection: Connection, standing: Standing, now: datetime) -> None:
    """The tickets count again. What the site has sold to somebody else meanwhile is that one's."""
    reservation_id = standing.reservation.id
    found = tickets.of_reservation(connection, reservation_id)
    transitions.end_of_tickets(connection, [ticket.id for ticket in found], EndReason.REFUND_FAILED, now)
    store.set_relist_due(connection, reservation_id, False)
    sold = standing.status is State.RESERVED
    tickets.revive(connection, reservation_id, TicketState.VALID if sold else TicketState.SUSPENDED)
    if gone := [ticket.id for ticket in found if ticket.replaced_by is not None]:
        log.error("refund_failed_after_resale", reservation_id=reservation_id, tickets=gone)
