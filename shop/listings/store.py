"""SQL of the projection: connection first, domain objects in and out, never a commit."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from shop.domain import Offered
from shop.listings.domain import Listing, Place, Search, SortKey
from shop.listings.tables import IS_OPEN, listings

COLUMNS = tuple(listings.c[name] for name in Listing.__dataclass_fields__)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def put(connection: Connection, listing: Listing) -> bool:
    """Writes how a listing stands; False when something newer, or the same, is known."""
    values = {name: getattr(listing, name) for name in Listing.__dataclass_fields__}
    row = insert(listings).values(values)
    newer = row.on_conflict_do_update(
        index_elements=[listings.c.id], set_=values, where=listings.c.version < row.excluded.version
    )
    return connection.execute(newer.returning(listings.c.id)).first() is not None


def find_open(connection: Connection, listing_id: str) -> Listing | None:
    """A listing that is offered now."""
    row = connection.execute(select(*COLUMNS).where(IS_OPEN, listings.c.id == listing_id)).one_or_none()
    return None if row is None else Listing(*row)


def count_open(connection: Connection) -> dict[int, Offered]:
    """By match number, what is offered now."""
    return {number: Offered(count, lowest) for number, count, lowest in connection.execute(counting_open())}


def counting_open() -> sa.Select[int, int, int]:
    """The question of `count_open`, which an index answers alone."""
    query = select(listings.c.match_number, sa.func.count(), sa.func.min(listings.c.amount)).where(IS_OPEN)
    return query.group_by(listings.c.match_number)


def search(connection: Connection, wanted: Search, sort: SortKey, after: Place | None, limit: int) -> list[Listing]:
    """Listings that are offered now and fit, sorted, from behind `after` on."""
    column = listings.c.amount if sort.removeprefix("-") == SortKey.PRICE else listings.c.listed_at
    query = select(*COLUMNS).where(IS_OPEN, *_fitting(wanted))
    is_down = sort.startswith("-")
    if after is not None:
        value = after.value if column is listings.c.amount else EPOCH + after.value * MICROSECOND
        here, there = tuple_(column, listings.c.id), (value, after.id)
        query = query.where(here < there if is_down else here > there)
    order = [column.desc(), listings.c.id.desc()] if is_down else [column, listings.c.id]
    return [Listing(*row) for row in connection.execute(query.order_by(*order).limit(limit))]


def place_of(listing: Listing, sort: SortKey) -> Place:
    """Where a page that ends with this listing ends."""
    if sort.removeprefix("-") == SortKey.PRICE:
        return Place(listing.amount, listing.id)
    return Place((listing.listed_at - EPOCH) // MICROSECOND, listing.id)


def _fitting(wanted: Search) -> list[sa.ColumnElement[bool]]:
    fits: list[sa.ColumnElement[bool]] = []
    if wanted.match_number is not None:
        fits.append(listings.c.match_number == wanted.match_number)
    if wanted.category is not None:
        fits.append(listings.c.category == wanted.category)
    if wanted.amount_min is not None:
        fits.append(listings.c.amount >= wanted.amount_min)
    if wanted.amount_max is not None:
        fits.append(listings.c.amount <= wanted.amount_max)
    return fits
