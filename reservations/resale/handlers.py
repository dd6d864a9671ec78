"""Use cases of resale: one function each, one transaction each. What they change, `transitions` changes."""

import uuid
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from reservations import analytics
from reservations import handlers as all_handlers
from reservations import store as all_reservations
from reservations.domain import Reservation, Standing, Submit, within_limit
from reservations.handlers import Site
from reservations.paging import Place
from reservations.resale import domain, store, transitions
from reservations.resale.domain import (
    AlreadyListed,
    Change,
    Found,
    Listing,
    ListingEnded,
    OwnListing,
    Search,
    Worth,
    check_price,
    check_resellable,
    major,
    price_cap,
)
from reservations.settings import ResaleSettings, ReservationsSettings
from reservations.tables import idempotency_keys
from reservations.tickets import store as tickets
from reservations.tickets.domain import Ticket, TicketState
from shared.errors import Forbidden, NotFound
from shared.idempotency import Claim, Verdict, claim
from shared.site_events import EventKind
from shop.inventory import holds
from shop.inventory.catalogue import begun_matches, find_match
from shop.inventory.domain import Pool, State

log = structlog.get_logger(__name__)

KEY_SCOPE = "listings"


@dataclass(frozen=True, slots=True)
class Offer:
    """An owner's wish to list a ticket at a price in minor units; `key` is an idempotency key, with its body's hash."""

    account_id: str
    ticket_id: str
    price: int
    key: str | None
    body_hash: bytes


# Selling


def create(site: Site, settings: ReservationsSettings, offer: Offer) -> Listing:
    """Lists a ticket of the account. Raises `NotFound`, `Forbidden`, `NotResellable`, `AlreadyListed`, `PriceAboveCap`,
    `IdempotencyKeyReused`."""
    now, listing_id = site.clock.now(), str(uuid.uuid4())
    with site.database.transaction() as connection:
        if known := _made_before(connection, offer, listing_id, now):
            return known
        ticket = tickets.lock(connection, [offer.ticket_id]).get(offer.ticket_id)
        if ticket is None:
            raise NotFound("there is no such ticket")
        owner = all_reservations.find(connection, [ticket.reservation_id])[ticket.reservation_id]
        if owner.account_id != offer.account_id:
            raise Forbidden("the ticket belongs to somebody else")
        begin = _begins_at(connection, owner.pool, settings)
        check_resellable(ticket, _is_settled(connection, site, owner), begin, now)
        if store.is_live(connection, ticket.id):
            raise AlreadyListed()
        made = _listing(connection, listing_id, ticket, owner, now, seller_id=offer.account_id, price=offer.price)
        check_price(made.price, made.face_price, settings.resale_price_cap_percent)
        return _insert(connection, made)


def _made_before(connection: Connection, offer: Offer, listing_id: str, now: datetime) -> Listing | None:
    if offer.key is None:
        return None
    wanted = Claim(f"{KEY_SCOPE}:{offer.account_id}", offer.key, offer.body_hash, listing_id)
    outcome = claim(connection, idempotency_keys, wanted, now)
    return store.find(connection, outcome.resource_id) if outcome.verdict is Verdict.REPLAY else None


def _begins_at(connection: Connection, pool: Pool, settings: ResaleSettings) -> datetime | None:
    match = find_match(connection, pool.match_number) if settings.resale_ends_at_kick_off == "on" else None
    return None if match is None else match.date_utc


def _is_settled(connection: Connection, site: Site, owner: Reservation) -> bool:
    """Whether the federation's log has the sale: then no late message can take it back. What was bought in a resale had
    to be so before."""
    if owner.is_resale:
        return True
    sale = holds.states(connection, site.federation, [owner.sale_id]).get(owner.sale_id)
    return sale is not None and sale.state is State.RESERVED and sale.log_state is State.RESERVED


def _listing(
    connection: Connection,
    listing_id: str,
    ticket: Ticket,
    owner: Reservation,
    now: datetime,
    *,
    seller_id: str | None,
    price: int | None = None,
) -> Listing:
    """A new listing of an account or, at face value, of the site."""
    face = _face_price(connection, owner)
    wanted = face if price is None else price
    return Listing(
        listing_id, ticket.id, seller_id, seller_id is None, owner.pool, wanted, face, owner.currency, now, now
    )


def _face_price(connection: Connection, owner: Reservation) -> int:
    """What the site took for the ticket first, however often it was sold since."""
    source = store.find(connection, owner.listing_id) if owner.listing_id is not None else None
    return owner.amount // owner.quantity if source is None else source.face_price


def worth(site: Site, settings: ResaleSettings, reservation_id: str) -> Worth:
    """What each ticket of a reservation was sold for first, and may be listed for."""
    with site.database.transaction() as connection:
        owner = all_reservations.find(connection, [reservation_id])[reservation_id]
        face = _face_price(connection, owner)
    return Worth(face, price_cap(face, settings.resale_price_cap_percent), owner.currency)


def _insert(connection: Connection, listing: Listing) -> Listing:
    store.insert(connection, listing)
    return transitions.write(connection, listing, Change.LISTED)


def _own(connection: Connection, account_id: str, listing_id: str) -> Listing:
    listing = store.find(connection, listing_id, lock=True)
    if listing is None:
        raise NotFound("there is no such listing")
    if listing.seller_id != account_id:
        raise Forbidden("the listing belongs to somebody else")
    return listing


def reprice(site: Site, settings: ResaleSettings, account_id: str, listing_id: str, price: int) -> Listing:
    """Another price. Raises `NotFound`, `Forbidden`, `ListingHeld`, `ListingEnded`, `PriceAboveCap`."""
    with site.database.transaction() as connection:
        listing = _own(connection, account_id, listing_id)
        changed = domain.reprice(listing, price, settings.resale_price_cap_percent, site.clock.now())
        return transitions.write(connection, changed, Change.REPRICED)


def withdraw(site: Site, account_id: str, listing_id: str) -> Listing:
    """Takes it off the market; again nothing changes. Raises `NotFound`, `Forbidden`, `ListingHeld`, `ListingEnded`."""
    with site.database.transaction() as connection:
        listing = _own(connection, account_id, listing_id)
        changed = domain.withdraw(listing, site.clock.now())
        return listing if changed is listing else transitions.write(connection, changed, Change.WITHDRAWN)


def listed(site: Site, account_id: str, after: Place | None, limit: int) -> tuple[list[Listing], Place | None]:
    """An account's listings, the newest first, and where the next page begins."""
    with site.database.transaction() as connection:
        found = store.of_seller(connection, account_id, after, limit + 1)
    page = found[:limit]
    return page, Place(page[-1].created_at, page[-1].id) if len(found) > limit else None


def resold(site: Site, reservation: Reservation) -> int:
    """What was paid, in minor units, for those of a reservation's tickets that their owner has sold again."""
    with site.database.transaction() as connection:
        return store.sold_of(connection, reservation.id) * (reservation.amount // reservation.quantity)


# Administrating


def found(site: Site, search: Search, after: Place | None, limit: int) -> tuple[list[Found], Place | None]:
    """Anybody's listings, the newest first, and where the next page begins."""
    with site.database.transaction() as connection:
        fit = store.found(connection, search, after, limit + 1)
    page = fit[:limit]
    return page, Place(page[-1].listing.created_at, page[-1].listing.id) if len(fit) > limit else None


def end_by_admin(site: Site, admin_id: str, listing_id: str, note: str) -> Found:
    """Takes anybody's listing off the market; again nothing changes.

    Raises `NotFound`, `ListingHeld`, `ListingEnded`.
    """
    with site.database.transaction() as connection:
        listing = store.find(connection, listing_id, lock=True)
        if listing is None:
            raise NotFound("there is no such listing")
        changed = domain.end_by_admin(listing, admin_id, note, site.clock.now())
        if changed is not listing:
            transitions.write(connection, changed, Change.ENDED)
            log.info("listing_ended", listing=listing.id, reason=domain.EndReason.BY_ADMIN.value, by=admin_id)
        (ended,) = store.found(connection, Search(id=listing_id), None, 1)
        return ended


# Buying


def hold(site: Site, settings: ReservationsSettings, listing_id: str, wish: Submit) -> Standing:
    """Locks a listing for a buyer, who has `hold_seconds` to pay. The wish's pool is filled in here.

    Raises `NotFound`, `OwnListing`, `ListingHeld`, `ListingEnded`, `PurchaseLimit`, `IdempotencyKeyReused`.
    """
    now = site.clock.now()
    with site.database.transaction() as connection:
        if wish.key is not None:
            wanted = Claim(wish.key_scope, wish.key, wish.body_hash, wish.id)
            made = claim(connection, idempotency_keys, wanted, now)
            if made.verdict is Verdict.REPLAY:
                return all_handlers.find(connection, site, made.resource_id)
        known = store.find(connection, listing_id)
        if known is None:
            raise NotFound("there is no such listing")
        wish = replace(wish, pool=known.pool)
        _check_limit(connection, site, settings, wish)
        listing = store.find(connection, listing_id, lock=True)
        assert listing is not None
        _lock_for(connection, settings, listing, wish, now)
        return all_handlers.find(connection, site, wish.id)


def _check_limit(connection: Connection, site: Site, settings: ReservationsSettings, wish: Submit) -> None:
    """Tickets that were sold again count for who had them, so that nobody trades in them without end."""
    number = wish.pool.match_number
    all_reservations.lock_owners(connection, {(owner, number) for owner in wish.owners})
    owned = all_handlers.owned(connection, site, all_reservations.of_buyers(connection, [wish])())
    within_limit(max(owned[owner, number] for owner in wish.owners), wish.quantity, settings.purchase_limit)


def _lock_for(
    connection: Connection, settings: ReservationsSettings, listing: Listing, wish: Submit, now: datetime
) -> None:
    if listing.seller_id is not None and listing.seller_id == wish.account_id:
        raise OwnListing()
    changed = domain.hold(listing, wish.id, now)
    at_kick_off = settings.resale_ends_at_kick_off == "on"
    over = transitions.check_ticket(connection, listing, now, at_kick_off)[1]
    if over is not None:
        # The worker ends the listing; here nothing may change, since the buyer is told of an error.
        raise ListingEnded(f"the ticket is not to be had any more: {over.value}")
    reservation = Reservation(
        wish.id, wish.sale_id, wish.buyer, wish.email, listing.pool, 1, major(listing.price), listing.price,
        listing.currency, now, None, wish.account_id, listing_id=listing.id,
        language=wish.language, country=wish.country,
    )  # fmt: skip
    store.insert_hold(connection, reservation, listing.id, now + timedelta(seconds=settings.hold_seconds))
    transitions.write(connection, changed, Change.HELD)
    analytics.tell(connection, EventKind.RESERVATION_SUBMITTED, [reservation], now)


# What happens by itself


def expire(site: Site, limit: int) -> int:
    """Ends holds whose time is over; returns how many."""
    now = site.clock.now()
    with site.database.transaction() as connection:
        due = store.due(connection, now, limit)
    outcomes = Counter(_expire(site, listing_id, reservation_id, now) for listing_id, reservation_id in due)
    return outcomes[True]


def _expire(site: Site, listing_id: str, reservation_id: str, now: datetime) -> bool:
    with site.database.transaction() as connection:
        return transitions.release(connection, listing_id, reservation_id, State.EXPIRED, now)


def end_stale(site: Site, settings: ResaleSettings, limit: int) -> int:
    """Ends listings of matches that have begun, and of tickets that are void, used, or another's; returns how many."""
    now = site.clock.now()
    at_kick_off = settings.resale_ends_at_kick_off == "on"
    with site.database.transaction() as connection:
        begun = begun_matches(connection, now) if at_kick_off else []
        found = store.stale(connection, begun, limit)
    for listing_id in found:
        with site.database.transaction() as connection:
            listing = store.find(connection, listing_id, lock=True)
            assert listing is not None
            over = transitions.check_ticket(connection, listing, now, at_kick_off)[1]
            if over is not None:
                transitions.end(connection, listing, over, now)
    return len(found)


def relist(site: Site, settings: ResaleSettings, limit: int) -> int:
    """Offers tickets whose money has gone back as the site's own, at face value; returns how many."""
    with site.database.transaction() as connection:
        due = all_reservations.relist_due(connection, limit)
    return sum(_relist(site, settings, reservation_id) for reservation_id in due)


def _relist(site: Site, settings: ResaleSettings, reservation_id: str) -> int:
    now = site.clock.now()
    with site.database.transaction() as connection:
        owner = all_reservations.find(connection, [reservation_id])[reservation_id]
        holds.lock(connection, [owner.pool])()
        standing = all_handlers.find(connection, site, reservation_id)
        if standing.status in (State.SUBMITTED, State.HELD):
            return 0  # it asks the log once more: whether there is a place to sell is not known yet
        is_sold = standing.status is State.RESERVED
        if is_sold and not _is_settled(connection, site, owner):
            return 0
        all_reservations.set_relist_due(connection, reservation_id, False)
        if not (is_sold and standing.reservation.refunded):
            return 0
        return _offer_again(connection, standing.reservation, _begins_at(connection, owner.pool, settings), now)


def _offer_again(connection: Connection, owner: Reservation, begins_at: datetime | None, now: datetime) -> int:
    ids = [ticket.id for ticket in tickets.of_reservation(connection, owner.id)]
    locked = sorted(tickets.lock(connection, ids).values(), key=lambda ticket: ticket.issued_at)
    # Of tickets with one number the last one has the place.
    last = {ticket.number: ticket for ticket in locked}.values()
    if begins_at is not None and begins_at <= now:
        return 0
    back = [ticket for ticket in last if _is_back(ticket) and not store.is_live(connection, ticket.id)]
    for ticket in back:
        listing = _listing(connection, str(uuid.uuid4()), ticket, owner, now, seller_id=None)
        if listing.price > 0:
            _insert(connection, listing)
    return len(back)


def _is_back(ticket: Ticket) -> bool:
    return ticket.state is TicketState.VOID and ticket.replaced_by is None and ticket.admitted_at is None


def forget_seller(connection: Connection, account_id: str, now: datetime) -> int:
    """An account is gone: what it offers is withdrawn, held or not; returns how much that was."""
    live = store.lock_live_of_seller(connection, account_id)
    for listing in live:
        transitions.end(connection, listing, domain.EndReason.ACCOUNT_DELETED, now)
    store.forget_seller(connection, account_id)
    return len(live)
