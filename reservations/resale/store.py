"""SQL of listings and of the holds on them: connection first, domain objects in and out, never a commit."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, select, text, tuple_, update

from reservations.domain import Reservation
from reservations.resale.domain import EndReason, Found, Listing, ListingState, Search
from reservations.tables import LIVE_LISTING, listings, resale_holds, reservations, tickets
from shop.inventory.domain import Follows, Pool, Sale, SaleKey, State

NAMES = (
    "id", "ticket_id", "seller_id", "by_site", "match_number", "category", "price", "face_price", "currency",
    "created_at", "changed_at", "state", "reason", "held_by", "version", "ended_by", "note",
)  # fmt: skip
CHANGING = ("price", "changed_at", "state", "reason", "held_by", "version", "ended_by", "note")
COLUMNS = tuple(listings.c[name] for name in NAMES)


def _listing(row: Any) -> Listing:
    values = {name: row._mapping[name] for name in NAMES}
    pool = Pool(values.pop("match_number"), values.pop("category"))
    state, reason = ListingState(values.pop("state")), values.pop("reason")
    return Listing(**values, pool=pool, state=state, reason=None if reason is None else EndReason(reason))


def _values(listing: Listing) -> dict[str, Any]:
    named = {name: getattr(listing, name) for name in NAMES if name not in ("match_number", "category")}
    return {**named, "match_number": listing.pool.match_number, "category": listing.pool.category}


def insert(connection: Connection, listing: Listing) -> None:
    """Writes a new listing. Its ticket is locked, and has no other one that is live."""
    connection.execute(listings.insert().values(_values(listing)))


def save(connection: Connection, listing: Listing) -> None:
    """Writes what has changed of a listing that is locked."""
    changes = {name: getattr(listing, name) for name in CHANGING}
    connection.execute(update(listings).where(listings.c.id == listing.id).values(**changes))


def find(connection: Connection, listing_id: str, *, lock: bool = False) -> Listing | None:
    """A listing by its id; with `lock` whoever else would change it waits until the transaction ends.

    Of what is locked here, the order is: buyers' names, pool, listings by id, tickets by id.
    """
    query = select(*COLUMNS).where(listings.c.id == listing_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _listing(row)


def lock_live_of(connection: Connection, ticket_ids: Sequence[str]) -> list[Listing]:
    """The live listings of these tickets, locked."""
    return _lock(connection, listings.c.ticket_id.in_(ticket_ids))


def lock_live_of_seller(connection: Connection, account_id: str) -> list[Listing]:
    """The live listings of an account, locked."""
    return _lock(connection, listings.c.seller_id == account_id)


def _lock(connection: Connection, which: sa.ColumnElement[bool]) -> list[Listing]:
    query = select(*COLUMNS).where(LIVE_LISTING, which).order_by(listings.c.id).with_for_update()
    return [_listing(row) for row in connection.execute(query)]


def is_live(connection: Connection, ticket_id: str) -> bool:
    """Whether the ticket is offered or held by a buyer."""
    query = select(listings.c.id).where(LIVE_LISTING, listings.c.ticket_id == ticket_id)
    return connection.execute(query).first() is not None


def sold_of(connection: Connection, reservation_id: str) -> int:
    """How many of a reservation's tickets their owner has sold again; what the site sold of them does not count."""
    new = tickets.alias("new")
    sold = (
        select(sa.func.count())
        .select_from(tickets)
        .join(new, new.c.id == tickets.c.replaced_by)
        .join(reservations, reservations.c.id == new.c.reservation_id)
        .join(listings, listings.c.id == reservations.c.listing_id)
        .where(tickets.c.reservation_id == reservation_id, listings.c.by_site.is_(False))
    )
    return int(connection.execute(sold).scalar_one())


def of_seller(connection: Connection, account_id: str, after: tuple[datetime, str] | None, limit: int) -> list[Listing]:
    """An account's listings, the newest first, from behind `after` on (created at, id)."""
    query = select(*COLUMNS).where(listings.c.seller_id == account_id)
    if after is not None:
        query = query.where(tuple_(listings.c.created_at, listings.c.id) < after)
    rows = connection.execute(query.order_by(listings.c.created_at.desc(), listings.c.id.desc()).limit(limit))
    return [_listing(row) for row in rows]


def found(connection: Connection, search: Search, after: tuple[datetime, str] | None, limit: int) -> list[Found]:
    """Listings that fit, the newest first, from behind `after` on (created at, id), with their sellers' addresses."""
    email = sa.case((listings.c.seller_id.is_not(None), reservations.c.email)).label("email")
    query = (
        select(email, *COLUMNS)
        .join(tickets, tickets.c.id == listings.c.ticket_id)
        .join(reservations, reservations.c.id == tickets.c.reservation_id)
        .where(*_fits(search))
    )
    if after is not None:
        query = query.where(tuple_(listings.c.created_at, listings.c.id) < after)
    rows = connection.execute(query.order_by(listings.c.created_at.desc(), listings.c.id.desc()).limit(limit))
    return [Found(_listing(row), row.email) for row in rows]


def _fits(search: Search) -> list[sa.ColumnElement[bool]]:
    wanted = {
        "id": search.id,
        "state": None if search.state is None else search.state.value,
        "match_number": search.match_number,
        "seller_id": search.seller_id,
        "by_site": search.by_site,
    }
    return [listings.c[name] == value for name, value in wanted.items() if value is not None]


def forget_seller(connection: Connection, account_id: str) -> None:
    """Takes out of an account's listings whose they were."""
    connection.execute(update(listings).where(listings.c.seller_id == account_id).values(seller_id=None))


STALE = """
    SELECT l.id::text FROM reservations.listings l
      JOIN reservations.tickets t ON t.id = l.ticket_id
      JOIN reservations.reservations r ON r.id = t.reservation_id
      LEFT JOIN reservations.admissions a ON a.ticket_id = t.id AND NOT a.double_use
     WHERE l.state IN ('open', 'held')
       AND (l.match_number = ANY(CAST(:begun AS int[])) OR a.ticket_id IS NOT NULL
            OR CASE WHEN l.by_site THEN t.state <> 'void' OR t.replaced_by IS NOT NULL
                    ELSE t.state <> 'valid' OR r.account_id IS DISTINCT FROM l.seller_id END)
     ORDER BY l.id LIMIT :limit
"""


def stale(connection: Connection, begun: Sequence[int], limit: int) -> list[str]:
    """Ids of live listings by which nobody can get a ticket any more: the question of `domain.why_over`, asked of all
    at once; `begun` are the matches that have begun."""
    return list(connection.execute(text(STALE), {"begun": list(begun), "limit": limit}).scalars())


# Holds


def insert_hold(connection: Connection, reservation: Reservation, listing_id: str, expires_at: datetime) -> None:
    """Writes a resale's reservation and the hold that stands for its sale."""
    connection.execute(
        reservations.insert().values(
            id=reservation.id,
            sale_id=reservation.sale_id,
            buyer=reservation.buyer,
            email=reservation.email,
            match_number=reservation.pool.match_number,
            category=reservation.pool.category,
            quantity=reservation.quantity,
            price=reservation.price,
            amount=reservation.amount,
            currency=reservation.currency,
            created_at=reservation.created_at,
            account_id=reservation.account_id,
            listing_id=listing_id,
            language=reservation.language,
            country=reservation.country,
        )
    )
    connection.execute(
        resale_holds.insert().values(
            sale_id=reservation.sale_id,
            reservation_id=reservation.id,
            listing_id=listing_id,
            state=State.HELD.value,
            expires_at=expires_at,
        )
    )


def end_hold(connection: Connection, reservation_id: str, into: State) -> str | None:
    """Ends a hold that stands; the id that stands for its sale, or None when it had ended before."""
    query = update(resale_holds).where(
        resale_holds.c.reservation_id == reservation_id, resale_holds.c.state == State.HELD.value
    )
    return connection.execute(query.values(state=into.value).returning(resale_holds.c.sale_id)).scalar_one_or_none()


def set_bought(connection: Connection, reservation_id: str) -> str:
    """The ticket is paid, whether or not the hold still stood; the id that stands for the sale."""
    query = update(resale_holds).where(resale_holds.c.reservation_id == reservation_id)
    changed = query.values(state=State.RESERVED.value).returning(resale_holds.c.sale_id)
    return str(connection.execute(changed).scalar_one())


def sales(connection: Connection, client_id: str, sale_ids: Sequence[str]) -> dict[str, Sale]:
    """What stands for these sales, in the form that the counters' own sales have. The log has not seen any of them."""
    query = (
        select(
            resale_holds.c.sale_id,
            resale_holds.c.state,
            resale_holds.c.expires_at,
            listings.c.match_number,
            listings.c.category,
        )
        .join(listings, listings.c.id == resale_holds.c.listing_id)
        .where(resale_holds.c.sale_id.in_(sale_ids))
    )
    return {
        row[0]: Sale(
            SaleKey(client_id, row[0], Pool(row[3], row[4])), 1, Follows.SITE, State(row[1]), expires_at=row[2]
        )
        for row in connection.execute(query)
    }


def due(connection: Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Holds whose time is over, the oldest first, as (listing, reservation)."""
    query = (
        select(resale_holds.c.listing_id, resale_holds.c.reservation_id)
        .where(resale_holds.c.state == text("'held'"), resale_holds.c.expires_at <= now)
        .order_by(resale_holds.c.expires_at)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in connection.execute(query)]
