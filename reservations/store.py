"""SQL of the schema `reservations`: connection first, domain objects in and out, never a commit."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select, tuple_, update

from reservations.domain import REFUNDED, Charge, MailDue, Outcome, Reservation, Submit, buyer_of
from reservations.tables import charges, reservations
from shared.database import Rows, ask, tell
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
    reservations.c.account_id,
    reservations.c.resubmitted,
    reservations.c.listing_id,
    reservations.c.language,
    reservations.c.country,
)

STANDING = and_(charges.c.reservation_id == reservations.c.id, charges.c.outcome != Outcome.REFUSED.value)
WITH_REFUNDED = (*COLUMNS, exists().where(STANDING, charges.c.reason == REFUNDED))


def _reservation(row: Any) -> Reservation:
    return Reservation(row[0], row[1], row[2], row[3], Pool(row[4], row[5]), *row[6:17])


def _with_refunded(row: Any) -> Reservation:
    return replace(_reservation(row), refunded=row[17])


INSERT = """
    INSERT INTO reservations.reservations (id, sale_id, buyer, email, match_number, category, quantity, price, amount,
                                           currency, created_at, account_id, language, country)
    SELECT * FROM unnest(%(ids)s::uuid[], %(sale_ids)s::text[], %(buyers)s::text[], %(emails)s::text[],
        %(match_numbers)s::int[], %(categories)s::int[], %(quantities)s::int[], %(prices)s::numeric[],
        %(amounts)s::bigint[], %(currencies)s::text[], %(created_at)s::timestamptz[], %(account_ids)s::uuid[],
        %(languages)s::text[], %(countries)s::text[])
"""
# Who has the money back has no tickets of it.
NOT_REFUNDED = f"""NOT EXISTS (SELECT 1 FROM reservations.charges c WHERE c.reservation_id = r.id
                     AND c.outcome <> '{Outcome.REFUSED}' AND c.reason = '{REFUNDED}')"""
OF_BUYERS = f"""
    SELECT {", ".join(f'r."{column.name}"' for column in COLUMNS)} FROM reservations.reservations r
      JOIN unnest(%(buyers)s::text[], %(match_numbers)s::int[]) AS k (buyer, match_number) USING (buyer, match_number)
     WHERE {NOT_REFUNDED}
"""
OF_ACCOUNTS = f"""
    SELECT {", ".join(f'r."{column.name}"' for column in COLUMNS)} FROM reservations.reservations r
      JOIN unnest(%(accounts)s::uuid[], %(match_numbers)s::int[]) AS k (account_id, match_number)
        USING (account_id, match_number)
     WHERE {NOT_REFUNDED}
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
            "account_ids": [reservation.account_id for reservation in made],
            "languages": [reservation.language for reservation in made],
            "countries": [reservation.country for reservation in made],
        }
        tell(connection, INSERT, values)


def find(connection: Connection, ids: Sequence[str]) -> dict[str, Reservation]:
    """Reservations by id."""
    rows = connection.execute(select(*WITH_REFUNDED).where(reservations.c.id.in_(ids)))
    return {row[0]: _with_refunded(row) for row in rows}


def find_by_sales(connection: Connection, sale_ids: Sequence[str]) -> dict[str, Reservation]:
    """Reservations by the id of their sale."""
    rows = connection.execute(select(*COLUMNS).where(reservations.c.sale_id.in_(sale_ids)))
    return {row[1]: _reservation(row) for row in rows}


BUYERS_LOCK = 20_221_120  # the advisory locks' key space of this use


def lock_owners(connection: Connection, names: Iterable[tuple[str, int]]) -> None:
    """Makes all who count the tickets of these (address or account, match) wait in line until the transaction ends."""
    keys = sorted({zlib.crc32(f"{owner}/{match_number}".encode()) - 2**31 for owner, match_number in names})
    statement = "SELECT count(pg_advisory_xact_lock(%(space)s, k)) FROM unnest(%(keys)s::int[]) AS k"
    tell(connection, statement, {"space": BUYERS_LOCK, "keys": keys})


def of_buyers(connection: Connection, wishes: Iterable[Submit]) -> Callable[[], list[Reservation]]:
    """All reservations that count against the purchase limit of these wishes."""
    names = {(wish.buyer, wish.pool.match_number) for wish in wishes}
    accounts = {(wish.account_id, wish.pool.match_number) for wish in wishes if wish.account_id is not None}
    values = {"buyers": [buyer for buyer, _ in names], "match_numbers": [number for _, number in names]}
    by_address = ask(connection, OF_BUYERS, values, _rows)
    if not accounts:
        return by_address
    values = {"accounts": [account for account, _ in accounts], "match_numbers": [number for _, number in accounts]}
    by_account = ask(connection, OF_ACCOUNTS, values, _rows)
    return lambda: list({each.id: each for each in (*by_address(), *by_account())}.values())


def _rows(rows: Rows) -> list[Reservation]:
    """Of the driver's own rows, which have ids as `UUID`."""
    return [
        _reservation((str(row[0]), *row[1:12], _text(row[12]), row[13], _text(row[14]), *row[15:17])) for row in rows
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def set_confirmed(connection: Connection, reservation_id: str, moment: datetime) -> bool:
    """Remembers when a reservation was paid first; False when it was before."""
    first = update(reservations).where(reservations.c.id == reservation_id, reservations.c.confirmed_at.is_(None))
    return connection.execute(first.values(confirmed_at=moment)).rowcount == 1


def replace_sale(connection: Connection, reservation_id: str, sale_id: str) -> None:
    """Lets another sale stand for the reservation: a paid one that asks again."""
    connection.execute(
        update(reservations).where(reservations.c.id == reservation_id).values(sale_id=sale_id, resubmitted=True)
    )


def set_resubmitted(connection: Connection, reservation_id: str, waits: bool) -> None:
    """Whether it is paid and waits for the log's verdict."""
    connection.execute(update(reservations).where(reservations.c.id == reservation_id).values(resubmitted=waits))


def resubmitted(connection: Connection, limit: int) -> list[Reservation]:
    """Paid reservations that have asked again and wait for the verdict, or for somebody who acts on it."""
    rows = connection.execute(
        select(*COLUMNS).where(reservations.c.resubmitted).order_by(reservations.c.created_at).limit(limit)
    )
    return [_reservation(row) for row in rows]


def set_mail_due(connection: Connection, reservation_id: str, due: MailDue | None) -> None:
    """Remembers what its buyer is to be written."""
    connection.execute(update(reservations).where(reservations.c.id == reservation_id).values(mail_due=due))


def set_relist_due(connection: Connection, reservation_id: str, due: bool) -> None:
    """Remembers whether its tickets, which are void, are to be offered again."""
    connection.execute(update(reservations).where(reservations.c.id == reservation_id).values(relist_due=due))


def relist_due(connection: Connection, limit: int) -> list[str]:
    """Ids of reservations whose tickets are to be offered again, the oldest first."""
    query = select(reservations.c.id).where(reservations.c.relist_due).order_by(reservations.c.created_at).limit(limit)
    return list(connection.execute(query).scalars())


def lock_mail_due(connection: Connection) -> tuple[Reservation, MailDue] | None:
    """A reservation whose buyer is to be written, locked; None when there is none that nobody else works on."""
    row = connection.execute(
        select(*COLUMNS, reservations.c.mail_due)
        .where(reservations.c.mail_due.is_not(None))
        .order_by(reservations.c.created_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    return None if row is None else (_reservation(row), MailDue(row[-1]))


def of_account(
    connection: Connection, account_id: str, after: tuple[datetime, str] | None, limit: int
) -> list[Reservation]:
    """An account's reservations, newest first, from behind `after` on (created at, id)."""
    query = select(*WITH_REFUNDED).where(reservations.c.account_id == account_id)
    if after is not None:
        query = query.where(tuple_(reservations.c.created_at, reservations.c.id) < after)
    rows = connection.execute(query.order_by(reservations.c.created_at.desc(), reservations.c.id.desc()).limit(limit))
    return [_with_refunded(row) for row in rows]


def join_account(connection: Connection, account_id: str, email: str) -> int:
    """Gives an account the reservations that its owner made as a guest with this very address; returns how many."""
    guests = (
        reservations.c.buyer == buyer_of(email),  # what the index is of
        func.lower(reservations.c.email) == func.lower(email),
        reservations.c.account_id.is_(None),
    )
    return connection.execute(update(reservations).where(*guests).values(account_id=account_id)).rowcount


def forget_account(connection: Connection, account_id: str, placeholder: str) -> None:
    """Takes out of an account's reservations what tells whose they were."""
    own = reservations.c.account_id == account_id
    connection.execute(
        update(reservations).where(own).values(email=placeholder, buyer=placeholder, account_id=None, mail_due=None)
    )


def find_charge(connection: Connection, payment_id: str) -> Charge | None:
    """What payments has told of a payment before."""
    return _charge(connection, charges.c.payment_id == payment_id)


def standing_charge(connection: Connection, reservation_id: str) -> Charge | None:
    """The payment that stands for a reservation, if any."""
    return _charge(
        connection, and_(charges.c.reservation_id == reservation_id, charges.c.outcome != Outcome.REFUSED.value)
    )


def has_charge(connection: Connection, reservation_id: str) -> bool:
    """Whether a payment was ever told of, whatever became of it."""
    return connection.execute(select(exists().where(charges.c.reservation_id == reservation_id))).scalar_one()


def is_refunded(connection: Connection, reservation_id: str) -> bool:
    """Whether the payment that stands for a reservation has gone back in full."""
    charge = standing_charge(connection, reservation_id)
    return charge is not None and charge.reason == REFUNDED


def _charge(connection: Connection, which: ColumnElement[bool]) -> Charge | None:
    row = connection.execute(
        select(
            charges.c.payment_id,
            charges.c.reservation_id,
            charges.c.amount,
            charges.c.currency,
            charges.c.outcome,
            charges.c.reason,
        ).where(which)
    ).one_or_none()
    return None if row is None else Charge(*row[:4], Outcome(row[4]), row[5])


def insert_charge(connection: Connection, charge: Charge, now: datetime) -> None:
    """Writes down what payments has told, and what became of it."""
    connection.execute(
        charges.insert().values(
            payment_id=charge.payment_id,
            reservation_id=charge.reservation_id,
            amount=charge.amount,
            currency=charge.currency,
            outcome=charge.outcome.value,
            reason=charge.reason,
            told_at=now,
        )
    )


def settle_charge(connection: Connection, charge: Charge) -> None:
    """Something else became of it."""
    connection.execute(
        update(charges)
        .where(charges.c.payment_id == charge.payment_id)
        .values(outcome=charge.outcome.value, reason=charge.reason)
    )
