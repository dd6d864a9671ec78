"""Use cases of listings at the shop: one function each, one transaction each."""

from dataclasses import dataclass

from shared.database import Database
from shared.errors import NotFound
from shop.listings import store
from shop.listings.domain import Listing, Place, Search, SortKey


@dataclass(frozen=True, slots=True)
class Page:
    """Part of what was found, and where the next part begins."""

    listings: list[Listing]
    next_place: Place | None


def hear(database: Database, listing: Listing) -> bool:
    """How a listing stands, as reservations tells it; False when that, or something newer, was known."""
    with database.transaction() as connection:
        return store.put(connection, listing)


def find(database: Database, listing_id: str) -> Listing:
    """A listing that is offered now. Raises `NotFound`, also while somebody holds it."""
    with database.transaction() as connection:
        found = store.find_open(connection, listing_id)
    if found is None:
        raise NotFound("no such listing is offered now")
    return found


def search(database: Database, wanted: Search, sort: SortKey, after: Place | None, limit: int) -> Page:
    """What is offered now and fits, sorted, from behind `after` on."""
    with database.transaction() as connection:
        found = store.search(connection, wanted, sort, after, limit + 1)
    page = found[:limit]
    return Page(page, store.place_of(page[-1], sort) if len(found) > limit else None)
