"""SQL of the schema `reservations`: connection first, domain objects in and out, never a commit."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from reservations.domain import Reservation
from reservations.tables import reservations
from shared.database import ask, tell
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


INSERT = """
    INSERT INTO reservations.reservations (id, sale_id, buyer, email, match_number, category, quantity, price, amount,
                                           currency, created_at)
    SELECT * FROM unnest(%(ids)s::uuid[], %(sale_ids)s::text[], %(buyers)s::text[], %(emails)s::text[],
        %(match_numbers)s::int[], %(categories)s::int[], %(quantities)s::int[], %(prices)s::numeric[],
        %(amounts)s::bigint[], %(currencies)s::text[], %(created_at)s::timestamptz[])
"""
OF_BUYERS = f"""
    SELECT {", ".join(f'r."{column.name}"' for column in COLUMNS)} FROM reservations.reservations r
      JOIN unnest(%(buyers)s::text[], %(match_numbers)s::int[]) AS k (buyer, match_number) USING (buyer, match_number)
"""


def insert_reservations(connection: Connection, made: Sequence[Reservation]) -> None:
    """Writes new reservations."""
    if made:
        values = {
            "ids": [reservation.id for reservation in made],
            "sale_ids": [reservation.sale_id for reservation in made],
            "buyers": [reservation.buyer for reservation in made],
            "emails": [reservation.email for reservation in made],
            "match_numbers": [reservation.pool.match_number for reservation in made],
            "categories": [reservation.pool.category for reservation in made],
            "quantities": [reservation.quantity for reservation in made],
            "prices": [reservation.price for reservation in made],
            "amounts": [reservation.amount for reservation in made],
            "currencies": [reservation.currency for reservation in made],
            "created_at": [reservation.created_at for reservation in made],
        }
        tell(connection, INSERT, values)


def find(connection: Connection, ids: Sequence[str]) -> dict[str, Reservation]:
    """Reservations by id."""
    rows = connection.execute(select(*COLUMNS).where(reservations.c.id.in_(ids)))
    return {row[0]: _reservation(row) for row in rows}


def find_by_sales(connection: Connection, sale_ids: Sequence[str]) -> dict[str, Reservation]:
    """Reservations by the id of their sale."""
    rows = connection.execute(select(*COLUMNS).where(reservations.c.sale_id.in_(sale_ids)))
    return {row[1]: _reservation(row) for row in rows}


BUYERS_LOCK = 20_221_120  # the advisory locks' key space of this use


def lock_buyers(connection: Connection, names: Iterable[tuple[str, int]]) -> None:
    """Makes all who count the tickets of these (buyer, match) wait for each other, until the transaction ends."""
    keys = sorted({zlib.crc32(f"{buyer}/{match_number}".encode()) - 2**31 for buyer, match_number in names})
    statement = "SELECT count(pg_advisory_xact_lock(%(space)s, k)) FROM unnest(%(keys)s::int[]) AS k"
    tell(connection, statement, {"space": BUYERS_LOCK, "keys": keys})


def of_buyers(connection: Connection, names: Iterable[tuple[str, int]]) -> Callable[[], list[Reservation]]:
    """All reservations of these (buyer, match)."""
    listed = list(names)
    values = {"buyers": [buyer for buyer, _ in listed], "match_numbers": [number for _, number in listed]}
    return ask(connection, OF_BUYERS, values, lambda rows: [_uuid_row(row) for row in rows])


def _uuid_row(row: tuple[Any, ...]) -> Reservation:
    return _reservation((str(row[0]), *row[1:]))


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
