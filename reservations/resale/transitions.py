"""What changes listings, in the caller's transaction: each change is written, told, and has all that follows with it.

The ticket, the lock and the transfer are one transaction. A listing is locked before its ticket, everywhere.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import Connection

from reservations import analytics
from reservations import store as all_reservations
from reservations.domain import MailDue, Reservation
from reservations.resale import domain, events, store
from reservations.resale.domain import Change, EndReason, Listing, ListingEnded, ListingHeld
from reservations.tables import deliveries
from reservations.telling import CREDITS, PAYMENTS, tell_ended
from reservations.tickets import store as tickets
from reservations.tickets.domain import Ticket
from shared import delivery
from shared.delivery import Delivery
from shared.site_events import EventKind
from shop.inventory.apply import tell_changes
from shop.inventory.catalogue import find_match
from shop.inventory.domain import State

log = structlog.get_logger(__name__)


def write(connection: Connection, listing: Listing, kind: Change, held_by: str | None = None) -> Listing:
    """A change of a listing that is locked, with its events; `held_by` is the reservation whose hold ends by it."""
    store.save(connection, listing)
    events.tell(connection, listing, kind)
    analytics.tell_listing(connection, listing, kind, held_by)
    return listing


def begins_at(connection: Connection, listing: Listing, ends_at_kick_off: bool) -> datetime | None:
    """When the match begins and selling ends; None when it does not end then."""
    match = find_match(connection, listing.pool.match_number) if ends_at_kick_off else None
    return None if match is None else match.date_utc


def check_ticket(
    connection: Connection, listing: Listing, now: datetime, ends_at_kick_off: bool
) -> tuple[Ticket, EndReason | None]:
    """The listing's ticket, locked, and why nobody can get it any more, if so. The listing is locked."""
    ticket = tickets.lock(connection, [listing.ticket_id])[listing.ticket_id]
    owner = all_reservations.find(connection, [ticket.reservation_id])[ticket.reservation_id]
    begin = begins_at(connection, listing, ends_at_kick_off)
    return ticket, domain.why_over(listing, ticket, owner.account_id, begin, now)


def end(connection: Connection, listing: Listing, reason: EndReason, now: datetime) -> None:
    """Ends a listing that is locked; who held it loses the hold, and gets the money back if it is paid all the same."""
    if not listing.is_live:
        return
    held_by = listing.held_by
    changed = domain.end(listing, reason, now)
    is_withdrawn = changed.state is domain.ListingState.WITHDRAWN
    write(connection, changed, Change.WITHDRAWN if is_withdrawn else Change.ENDED, held_by)
    if held_by is not None:
        _end_hold(connection, held_by, State.CANCELLED, now)
    log.info("listing_ended", listing=listing.id, reason=reason.value)


def _end_hold(connection: Connection, reservation_id: str, into: State, now: datetime) -> bool:
    sale_id = store.end_hold(connection, reservation_id, into)
    if sale_id is None:
        return False
    found = all_reservations.find(connection, [reservation_id])
    analytics.tell_end(connection, into, list(found.values()), now)
    tell_ended(connection, [reservation_id])
    tell_changes(connection, [sale_id])
    return True


def end_of_tickets(connection: Connection, ticket_ids: Sequence[str], reason: EndReason, now: datetime) -> None:
    """Ends what is live of these tickets' listings."""
    for listing in store.lock_live_of(connection, ticket_ids):
        end(connection, listing, reason, now)


def release(connection: Connection, listing_id: str, reservation_id: str, into: State, now: datetime) -> bool:
    """Ends a buyer's hold, and offers the ticket again; False when the hold had ended before."""
    listing = store.find(connection, listing_id, lock=True)
    assert listing is not None
    if not _end_hold(connection, reservation_id, into, now):
        return False
    changed = domain.release(listing, reservation_id, now)
    if changed is not listing:
        write(connection, changed, Change.RELEASED, reservation_id)
    return True


def sell(
    connection: Connection, reservation: Reservation, payment_id: str, now: datetime, ends_at_kick_off: bool
) -> str | None:
    """Hands the ticket over to who has paid for it; or the reason why not, and then the money goes back.

    In this one transaction the old code is void, the new ticket is there, and the seller's credit is on its way.
    Whoever admits with the old ticket at the same moment waits, or is waited for.
    """
    listing = store.find(connection, reservation.listing_id or "", lock=True)
    assert listing is not None
    try:
        sold = domain.sell(listing, reservation.id, reservation.amount, now)
    except (ListingHeld, ListingEnded) as error:
        return error.code
    ticket, over = check_ticket(connection, listing, now, ends_at_kick_off)
    if over is not None:
        end(connection, listing, over, now)
        return over.value
    _hand_over(connection, ticket, reservation, now)
    write(connection, sold, Change.SOLD)
    tell_changes(connection, [store.set_bought(connection, reservation.id)])
    if listing.seller_id is not None:
        _credit(connection, sold, listing.seller_id, ticket, reservation, payment_id)
    return None


def _hand_over(connection: Connection, ticket: Ticket, buyer: Reservation, now: datetime) -> None:
    tickets.issue(connection, buyer, now)
    (new,) = tickets.of_reservation(connection, buyer.id)
    tickets.replace(connection, ticket.id, new.id)
    if all_reservations.set_confirmed(connection, buyer.id, now):
        analytics.tell(connection, EventKind.RESERVATION_RESERVED, [buyer], now)
    all_reservations.set_mail_due(connection, buyer.id, MailDue.TICKETS)


def _credit(
    connection: Connection, sold: Listing, seller_id: str, ticket: Ticket, buyer: Reservation, payment_id: str
) -> None:
    owner = all_reservations.find(connection, [ticket.reservation_id])[ticket.reservation_id]
    credit = {
        "listingId": sold.id,
        "paymentId": payment_id,
        "reservationId": buyer.id,
        "sellerId": seller_id,
        "amount": sold.price,
        "currency": sold.currency,
        "soldReservationId": owner.id,
        "soldAmount": owner.amount // owner.quantity,
    }
    delivery.send(connection, deliveries, [Delivery(PAYMENTS, CREDITS, credit, buyer.id)])
