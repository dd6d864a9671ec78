"""HTTP of resale: parse, one use case, answer. What is offered is read at the shop."""

import uuid
from uuid import UUID

from flask import Response

from reservations.domain import PurchaseLimit, Submit
from reservations.languages import chosen
from reservations.paging import PageQuery
from reservations.resale import handlers
from reservations.resale.domain import (
    AlreadyListed,
    ListingEnded,
    ListingHeld,
    NotResellable,
    OwnListing,
    PriceAboveCap,
)
from reservations.resale.handlers import Offer
from reservations.resale.schemas import (
    AnyListing,
    AnyListings,
    EndOfListing,
    ListingQuery,
    NewHold,
    NewListing,
    NewPrice,
    OwnListings,
)
from reservations.resale.schemas import OwnListing as OwnListingAnswer
from reservations.schemas import SPOKEN, ResaleHeaders, Reservation
from reservations.wiring import Wiring
from shared import tracing
from shared.errors import DependencyUnavailable, Forbidden, IdempotencyKeyReused, NotFound, ValidationFailed
from shared.http import LOCATION, SIGNED_IN, Account, Caller, IdempotencyHeaders, Routes, json_answer, roles
from shared.http.validation import violation
from shared.idempotency import body_hash
from shop.inventory.domain import Pool

listings = Routes("resale", "Sell a ticket to somebody else, and buy one.")

admin_listings = Routes("resale of all", "For admins.")

CHANGING = (NotFound, Forbidden, ListingHeld, ListingEnded, DependencyUnavailable)
NO_POOL = Pool(0, 0)  # of a wish that does not know yet what the listing is for


def _account(caller: Caller) -> Account:
    assert caller.account is not None, "the door lets nobody else in"
    return caller.account


@listings.post(
    "/api/resale/listings",
    answer=OwnListingAnswer,
    status=201,
    sends=LOCATION,
    access=SIGNED_IN,
    raises=[
        NotFound, Forbidden, NotResellable, AlreadyListed, PriceAboveCap, IdempotencyKeyReused, DependencyUnavailable
    ],
)  # fmt: skip
def create_listing(wiring: Wiring, caller: Caller, body: NewListing, headers: IdempotencyHeaders) -> Response:
    """Offer a ticket of one's own.

    The ticket stays valid until somebody has paid for it: then its code is void at once, and the buyer gets another.
    """
    key = headers.idempotency_key
    offer = Offer(_account(caller).id, str(body.ticket_id), body.minor(), key, body_hash(body) if key else b"")
    made = handlers.create(wiring.site, wiring.settings, offer)
    return json_answer(OwnListingAnswer.of(made), 201, [("Location", f"/api/listings/{made.id}")])


@listings.get("/api/resale/listings/mine", answer=OwnListings, access=SIGNED_IN, raises=[DependencyUnavailable])
def list_own_listings(wiring: Wiring, caller: Caller, query: PageQuery) -> OwnListings:
    """All that the account has ever offered, newest first."""
    page, place = handlers.listed(wiring.site, _account(caller).id, query.place(), query.limit)
    return OwnListings(
        items=[OwnListingAnswer.of(each) for each in page], next_cursor=place.cursor() if place else None
    )


@listings.patch(
    "/api/resale/listings/{listingId}", answer=OwnListingAnswer, access=SIGNED_IN, raises=[*CHANGING, PriceAboveCap]
)
def reprice_listing(wiring: Wiring, caller: Caller, listing_id: UUID, body: NewPrice) -> OwnListingAnswer:
    """Change the price, as long as nobody holds the listing."""
    changed = handlers.reprice(wiring.site, wiring.settings, _account(caller).id, str(listing_id), body.minor())
    return OwnListingAnswer.of(changed)


@listings.delete("/api/resale/listings/{listingId}", answer=OwnListingAnswer, access=SIGNED_IN, raises=CHANGING)
def withdraw_listing(wiring: Wiring, caller: Caller, listing_id: UUID) -> OwnListingAnswer:
    """Take the ticket off the market, as long as nobody holds it. One that is withdrawn is answered as it is."""
    return OwnListingAnswer.of(handlers.withdraw(wiring.site, _account(caller).id, str(listing_id)))


@admin_listings.get("/api/resale/listings", answer=AnyListings, access=roles("admin"), raises=[DependencyUnavailable])
def list_listings(wiring: Wiring, query: ListingQuery) -> AnyListings:
    """What anybody has ever offered, newest first, with who sells it."""
    page, place = handlers.found(wiring.site, query.search(), query.place(), query.limit)
    return AnyListings(items=[AnyListing.seen(each) for each in page], next_cursor=place.cursor() if place else None)


@admin_listings.post(
    "/api/resale/listings/{listingId}/end",
    answer=AnyListing,
    access=roles("admin"),
    fresh=True,
    raises=[NotFound, ListingHeld, ListingEnded, DependencyUnavailable],
)
def end_listing(wiring: Wiring, caller: Caller, listing_id: UUID, body: EndOfListing) -> AnyListing:
    """Take a listing off the market, whoever sells it, as long as nobody holds it.

    The ticket stays its owner's. What an admin has ended already is answered as it is.
    """
    return AnyListing.seen(handlers.end_by_admin(wiring.site, _account(caller).id, str(listing_id), body.note))


@listings.post(
    "/api/resale/listings/{listingId}/hold",
    answer=Reservation,
    status=201,
    sends=LOCATION,
    limit="hold",
    raises=[
        NotFound, OwnListing, ListingHeld, ListingEnded, PurchaseLimit, IdempotencyKeyReused, DependencyUnavailable
    ],
)  # fmt: skip
def hold_listing(wiring: Wiring, caller: Caller, listing_id: UUID, body: NewHold, headers: ResaleHeaders) -> Response:
    """Lock a listing for oneself, signed in or as a guest with an e-mail address.

    The answer is a reservation like any other, of kind `resale` and `held` at once: pay it before `expiresAt`, or give
    it back. Until then nobody else can have the listing.
    """
    wish = _wish(wiring, caller, listing_id, body, headers)
    standing = handlers.hold(wiring.site, wiring.settings, str(listing_id), wish)
    location = f"/api/reservations/{standing.reservation.id}"
    return json_answer(wiring.answer(standing, with_token=caller.account is None), 201, [("Location", location)])


def _wish(wiring: Wiring, caller: Caller, listing_id: UUID, body: NewHold, headers: ResaleHeaders) -> Submit:
    email = body.email or (caller.account.email if caller.account is not None else None)
    if email is None:
        wrong = violation("pointer", ["email"], "required", "is required unless you are signed in")
        raise ValidationFailed("the body is not valid", errors=[wrong])
    key = headers.idempotency_key
    return Submit(
        str(uuid.uuid4()),
        str(uuid.uuid4()),
        email,
        NO_POOL,
        1,
        key,
        body_hash(body, without=SPOKEN) + listing_id.bytes if key else b"",
        tracing.traceparent(),
        None if caller.account is None else caller.account.id,
        "resale",
        chosen(body.language, caller, headers.accept_language),
        wiring.country(caller),
    )
