"""Listings: tickets that somebody sells again. No I/O; `now` is an argument; money is in the currency's minor units.

open → held → sold; held → open when the hold ends; open → withdrawn by the seller; open → ended by an admin; open or
held → ended by what happens to the ticket, its match or its owner. What is sold, withdrawn or ended stays so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

from reservations.tickets.domain import Ticket, TicketState
from shared.errors import Conflict, MatchdayError
from shop.inventory.domain import Pool


class ListingState(StrEnum):
    """Where a listing stands."""

    OPEN = "open"
    HELD = "held"
    SOLD = "sold"
    WITHDRAWN = "withdrawn"
    ENDED = "ended"


LIVE = (ListingState.OPEN, ListingState.HELD)


class Change(StrEnum):
    """What happened to a listing: the kind of its event."""

    LISTED = "listed"
    REPRICED = "repriced"
    HELD = "held"
    RELEASED = "released"
    SOLD = "sold"
    WITHDRAWN = "withdrawn"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why a listing ended though nobody bought it and its seller did not take it back."""

    MATCH_BEGAN = "match_began"
    ADMITTED = "admitted"
    TICKET_VOID = "ticket_void"
    ACCOUNT_DELETED = "account_deleted"
    REFUND_FAILED = "refund_failed"
    BY_ADMIN = "by_admin"


class ListingHeld(Conflict):
    """Somebody holds the listing"""

    code: ClassVar[str] = "listing_held"


class ListingEnded(Conflict):
    """The listing is not offered any more"""

    code: ClassVar[str] = "listing_ended"


class OwnListing(Conflict):
    """The seller cannot buy the own ticket"""

    code: ClassVar[str] = "own_listing"


class AlreadyListed(Conflict):
    """The ticket is listed already"""

    code: ClassVar[str] = "already_listed"


class NotResellable(Conflict):
    """The ticket cannot be sold again"""

    code: ClassVar[str] = "ticket_not_resellable"
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "reason": {"type": "string", "description": "admitted, void, suspended, match_began or not_settled."}
    }


class PriceAboveCap(MatchdayError):
    """The price is above what a ticket may be sold again for"""

    code: ClassVar[str] = "price_above_cap"
    status: ClassVar[int] = 422
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cap": {"type": "integer", "description": "The highest price, in minor units."}
    }


@dataclass(frozen=True, slots=True)
class Listing:
    """A ticket for sale. `face_price` is what the site sold it for first; `seller_id` is None for the site's own and
    when the seller's account is gone; `held_by` is the reservation of who holds or has bought it. `ended_by` is the
    account of the admin who has ended it, `note` what that one wrote about it.

    `version` counts its changes from 1: of two events the one with the higher version is the later one.
    """

    id: str
    ticket_id: str
    seller_id: str | None
    by_site: bool
    pool: Pool
    price: int
    face_price: int
    currency: str
    created_at: datetime
    changed_at: datetime
    state: ListingState = ListingState.OPEN
    reason: EndReason | None = None
    held_by: str | None = None
    version: int = 1
    ended_by: str | None = None
    note: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether it is offered, or held by somebody who may still pay."""
        return self.state in LIVE


@dataclass(frozen=True, slots=True)
class Search:
    """What an admin looks for; None means anything."""

    id: str | None = None
    state: ListingState | None = None
    match_number: int | None = None
    seller_id: str | None = None
    by_site: bool | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A listing as admins see it. `seller_email` is what the seller had the ticket with; None for the site's own, and
    when the seller's account is gone."""

    listing: Listing
    seller_email: str | None


def price_cap(face_price: int, cap_percent: int) -> int:
    """The highest price for a ticket of this face value, rounded down to whole minor units."""
    return face_price * cap_percent // 100


@dataclass(frozen=True, slots=True)
class Worth:
    """What a ticket was sold for first, and the most that a listing of it may ask, in minor units."""

    face: int
    most: int
    currency: str


def check_price(price: int, face_price: int, cap_percent: int) -> None:
    """Raises `PriceAboveCap`. That a price is above zero is the schema's to check."""
    assert price > 0
    cap = price_cap(face_price, cap_percent)
    if price > cap:
        raise PriceAboveCap(f"at most {cap} minor units, {cap_percent} % of the face value", cap=cap)


def major(minor: int) -> Decimal:
    """Minor units as the master list writes prices (two decimals)."""
    return Decimal(minor).scaleb(-2)


def check_resellable(ticket: Ticket, is_settled: bool, begins_at: datetime | None, now: datetime) -> None:
    """Raises `NotResellable` unless the ticket may be listed.

    `is_settled`: the federation's log has the ticket's sale, so that nothing can take it back any more but a refund.
    """
    if reason := _why_not(ticket, is_settled, begins_at, now):
        raise NotResellable(f"the ticket cannot be listed: {reason}", reason=reason)


def _why_not(ticket: Ticket, is_settled: bool, begins_at: datetime | None, now: datetime) -> str | None:
    if ticket.admitted_at is not None:
        return "admitted"
    if ticket.state is not TicketState.VALID:
        return ticket.state.value
    if begins_at is not None and begins_at <= now:
        return "match_began"
    return None if is_settled else "not_settled"


def why_over(
    listing: Listing, ticket: Ticket, owner_id: str | None, begins_at: datetime | None, now: datetime
) -> EndReason | None:
    """Why nobody can get the ticket by this listing any more; None while one can. `owner_id`: whose the ticket is."""
    if begins_at is not None and begins_at <= now:
        return EndReason.MATCH_BEGAN
    if ticket.admitted_at is not None:
        return EndReason.ADMITTED
    if listing.by_site:
        is_back = ticket.state is TicketState.VOID and ticket.replaced_by is None
        return None if is_back else EndReason.REFUND_FAILED
    if ticket.state is not TicketState.VALID:
        return EndReason.TICKET_VOID
    return None if owner_id == listing.seller_id else EndReason.ACCOUNT_DELETED


def reprice(listing: Listing, price: int, cap_percent: int, now: datetime) -> Listing:
    """Another price. Raises `ListingHeld`, `ListingEnded`, `PriceAboveCap`."""
    _check_open(listing)
    check_price(price, listing.face_price, cap_percent)
    return _changed(replace(listing, price=price), now)


def withdraw(listing: Listing, now: datetime) -> Listing:
    """Takes it off the market. Raises `ListingHeld`, `ListingEnded`; withdrawn once more it stays as it is."""
    if listing.state is ListingState.WITHDRAWN:
        return listing
    _check_open(listing)
    return _changed(replace(listing, state=ListingState.WITHDRAWN), now)


def hold(listing: Listing, reservation_id: str, now: datetime) -> Listing:
    """Locks it for one buyer. Raises `ListingHeld`, `ListingEnded`."""
    _check_open(listing)
    return _changed(replace(listing, state=ListingState.HELD, held_by=reservation_id), now)


def release(listing: Listing, reservation_id: str, now: datetime) -> Listing:
    """Offers it again when this buyer's hold has ended; somebody else's hold stays."""
    if listing.state is not ListingState.HELD or listing.held_by != reservation_id:
        return listing
    return _changed(replace(listing, state=ListingState.OPEN, held_by=None), now)


def sell(listing: Listing, reservation_id: str, price: int, now: datetime) -> Listing:
    """Sold to who has paid this price, with a hold or, when the hold is over and nobody came since, without.

    Raises `ListingHeld` when another buyer holds it, `ListingEnded` when it is not offered any more, or not at the
    price that was paid.
    """
    if listing.state is ListingState.HELD and listing.held_by == reservation_id:
        return _changed(replace(listing, state=ListingState.SOLD), now)
    _check_open(listing)
    if listing.price != price:
        raise ListingEnded("the price has changed since")
    return _changed(replace(listing, state=ListingState.SOLD, held_by=reservation_id), now)


def end(listing: Listing, reason: EndReason, now: datetime) -> Listing:
    """Ends what is live, held or not; what is over stays as it is."""
    if not listing.is_live:
        return listing
    state = ListingState.WITHDRAWN if reason is EndReason.ACCOUNT_DELETED else ListingState.ENDED
    return _changed(replace(listing, state=state, reason=reason, held_by=None), now)


def end_by_admin(listing: Listing, admin_id: str, note: str, now: datetime) -> Listing:
    """Takes it off the market for good. Raises `ListingHeld`, `ListingEnded`; what an admin has ended stays as it is.

    Who holds it was promised the ticket until the hold ends: that promise is kept.
    """
    if listing.reason is EndReason.BY_ADMIN:
        return listing
    _check_open(listing)
    ended = replace(listing, state=ListingState.ENDED, reason=EndReason.BY_ADMIN, ended_by=admin_id, note=note)
    return _changed(ended, now)


def _check_open(listing: Listing) -> None:
    if listing.state is ListingState.HELD:
        raise ListingHeld("somebody holds it; it is offered again if that one does not pay in time")
    if listing.state is not ListingState.OPEN:
        raise ListingEnded(f"the listing is {listing.state.value}")


def _changed(listing: Listing, now: datetime) -> Listing:
    return replace(listing, version=listing.version + 1, changed_at=now)
