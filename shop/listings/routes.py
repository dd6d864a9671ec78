"""HTTP of listings at the shop: parse, one use case, answer."""

from uuid import UUID

from shared.errors import DependencyUnavailable, NotFound
from shared.http import Routes
from shop.listings import handlers
from shop.listings.schemas import Listing, ListingEvent, ListingHeard, ListingQuery, Listings, encode_cursor
from shop.wiring import Wiring

listings = Routes("listings", "Tickets that their owners, or the site, sell again.")
listing_events = Routes("listing events", "For this site's own services.")


@listings.get("/api/listings", answer=Listings, raises=[DependencyUnavailable])
def list_listings(wiring: Wiring, query: ListingQuery) -> Listings:
    """What is offered now, sorted, in pages. What somebody holds is not shown until the hold ends.

    To buy, hold the listing at the service reservations, which has the last word.
    """
    page = handlers.search(wiring.database, query.search(), query.sort, query.place(), query.limit)
    cursor = None if page.next_place is None else encode_cursor(page.next_place, query.sort)
    return Listings(items=[Listing.of(each) for each in page.listings], next_cursor=cursor)


@listings.get("/api/listings/{listingId}", answer=Listing, raises=[NotFound, DependencyUnavailable])
def get_listing(wiring: Wiring, listing_id: UUID) -> Listing:
    """One listing that is offered now."""
    return Listing.of(handlers.find(wiring.database, str(listing_id)))


@listing_events.post("/internal/listings/events", answer=ListingHeard, raises=[DependencyUnavailable])
def hear_listing_event(wiring: Wiring, body: ListingEvent) -> ListingHeard:
    """Reservations tells what happened to a listing. Events may come late, twice, and in any order."""
    return ListingHeard(applied=handlers.hear(wiring.database, body.listing()))
