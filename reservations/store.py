"""SQL of the schema `reservations`: connection first, domain objects in and out, never a commit."""

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, text, tuple_, update

from reservations.domain import Reservation
from reservations.tables import reservations
from shop.inventory.domain import Pool

COLUMNS = (
    reservations.c.id,
    reservations.c.sale_id,
    reservations.c.buyer,
    reservations.c.email,
    reservations.c.match_number,
    reservations.c.category,
    reservations.c.quantity,
    reservations.c.price,
    reservations.c.amount,
    reservations.c.currency,
    reservations.c.created_at,
    reservations.c.confirmed_at,
)


def _reservation(row: Any) -> Reservation:
    return Reservation(row[0], row[1], row[2], row[3], Pool(row[4], row[5]), *row[6:12])


def insert_reservations(connection: Connection, made: Sequence[Reservation]) -> None:
    """Writes new reservations."""
    if made:
        connection.execute(
            insert(reservations),
            [
                {
                    "id": reservation.id,
                    "sale_id": reservation.sale_id,
                    "buyer": reservation.buyer,
                    "email": reservation.email,
                    "match_number": reservation.pool.match_number,
                    "category": reservation.pool.category,
                    "quantity": reservation.quantity,
                    "price": reservation.price,
                    "amount": reservation.amount,
                    "currency": reservation.currency,
                    "created_at": reservation.created_at,
                }
                for reservation in made
            ],
        )


def find(connection: Connection, ids: Sequence[str]) -> dict[str, Reservation]:
    """Reservations by id."""
    rows = connection.execute(select(*COLUMNS).where(reservations.c.id.in_(ids)))
    return {row[0]: _reservation(row) for row in rows}


def find_by_sales(connection: Connection, sale_ids: Sequence[str]) -> dict[str, Reservation]:
    """Reservations by the id of their sale."""
    rows = connection.execute(select(*COLUMNS).where(reservations.c.sale_id.in_(sale_ids)))
    return {row[1]: _reservation(row) for row in rows}


def lock_buyers(connection: Connection, names: Iterable[tuple[str, int]]) -> None:
    """Makes all who count the tickets of these (buyer, match) wait for each other, until the transaction ends."""
    keys = sorted({zlib.crc32(f"{buyer}/{match_number}".encode()) for buyer, match_number in names})
    connection.execute(
        text("SELECT pg_advisory_xact_lock(:space, k) FROM unnest(CAST(:keys AS int[])) AS k"),
        {"space": BUYERS_LOCK, "keys": [key - 2**31 for key in keys]},
    )


BUYERS_LOCK = 20_221_120  # the advisory locks' key space of this use


def of_buyers(connection: Connection, names: Iterable[tuple[str, int]]) -> list[Reservation]:
    """All reservations of these (buyer, match)."""
    buyer_and_match = tuple_(reservations.c.buyer, reservations.c.match_number)
    return [_reservation(row) for row in connection.execute(select(*COLUMNS).where(buyer_and_match.in_(list(names))))]


def set_confirmed(connection: Connection, reservation_id: str, moment: datetime) -> None:
    """Remembers when a reservation was paid first."""
    connection.execute(
        update(reservations)
        .where(reservations.c.id == reservation_id, reservations.c.confirmed_at.is_(None))
        .values(confirmed_at=moment)
    )


def replace_sale(connection: Connection, reservation_id: str, sale_id: str) -> None:
    """Lets another sale stand for the reservation: a paid one that asks again."""
    connection.execute(
        update(reservations).where(reservations.c.id == reservation_id).values(sale_id=sale_id, resubmitted=True)
    )


def settle_resubmitted(connection: Connection, ids: Sequence[str]) -> None:
    """The log has judged these again."""
    connection.execute(update(reservations).where(reservations.c.id.in_(ids)).values(resubmitted=False))


def resubmitted(connection: Connection, limit: int) -> list[Reservation]:
    """Paid reservations that have asked again and wait for the verdict."""
    rows = connection.execute(
        select(*COLUMNS).where(reservations.c.resubmitted).order_by(reservations.c.created_at).limit(limit)
    )
    return [_reservation(row) for row in rows]
