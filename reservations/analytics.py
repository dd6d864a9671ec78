"""What happens to reservations and listings, told to this site's analytics in the transaction that makes it true."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from reservations.domain import Reservation
from reservations.resale.domain import Change, Listing
from reservations.tables import site_events
from shared import event_outbox
from shared.event_outbox import Happening
from shared.site_events import EventKind
from shop.inventory.domain import State

ENDS = {State.CANCELLED: EventKind.RESERVATION_CANCELLED, State.EXPIRED: EventKind.RESERVATION_EXPIRED}
CHANGES = {
    Change.LISTED: EventKind.LISTING_OPENED,
    Change.REPRICED: EventKind.LISTING_REPRICED,
    Change.HELD: EventKind.LISTING_HELD,
    Change.RELEASED: EventKind.LISTING_RELEASED,
    Change.SOLD: EventKind.LISTING_SOLD,
    Change.WITHDRAWN: EventKind.LISTING_WITHDRAWN,
    Change.ENDED: EventKind.LISTING_ENDED,
}


def tell(connection: Connection, kind: EventKind, told: Sequence[Reservation], now: datetime) -> None:
    """Writes an event about each of these reservations."""
    event_outbox.write(connection, site_events, [_of(kind, reservation, now) for reservation in told])


def tell_end(connection: Connection, into: State, told: Sequence[Reservation], now: datetime) -> None:
    """The same of reservations whose holds have ended, by their buyers or by time; of other ends the log knows."""
    if into in ENDS:
        tell(connection, ENDS[into], told, now)


def tell_listing(connection: Connection, listing: Listing, change: Change, held_by: str | None = None) -> None:
    """Writes an event about a listing: its price, its seller, and the reservation of who holds, held or has bought it.

    `held_by` is whose hold has ended by this change, if anybody's.
    """
    happened = Happening(
        CHANGES[change],
        listing.changed_at,
        account_id=listing.seller_id,
        match_number=listing.pool.match_number,
        category=listing.pool.category,
        quantity=1,
        amount=listing.price,
        currency=listing.currency,
        reservation_id=listing.held_by or held_by,
    )
    event_outbox.write(connection, site_events, [happened])


def _of(kind: EventKind, reservation: Reservation, now: datetime) -> Happening:
    return Happening(
        kind,
        now,
        reservation.account_id,
        reservation.country,
        reservation.language,
        reservation.pool.match_number,
        reservation.pool.category,
        reservation.quantity,
        reservation.amount,
        reservation.currency,
        reservation.id,
    )
