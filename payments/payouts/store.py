"""SQL of payouts: connection first, domain objects in and out, never a commit."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from payments.payouts.domain import Credit, Payout
from payments.tables import payouts

COLUMNS = tuple(payouts.c[name] for name in Payout.__dataclass_fields__)


def insert_payout(connection: Connection, payout: Payout, credit: Credit) -> bool:
    """Writes a new payout; False when there is one for the listing."""
    row = insert(payouts).values(
        id=payout.id,
        account_id=payout.account_id,
        listing_id=payout.listing_id,
        payment_id=payout.payment_id,
        sold_reservation_id=credit.sold_reservation_id,
        sold_amount=credit.sold_amount,
        price=payout.price,
        fee=payout.fee,
        amount=payout.amount,
        currency=payout.currency,
        created_at=payout.created_at,
        withheld=payout.withheld,
        paid_at=payout.paid_at,
    )
    return connection.execute(row.on_conflict_do_nothing().returning(payouts.c.id)).first() is not None


def find(connection: Connection, payout_id: str, *, lock: bool = False) -> Payout | None:
    """A payout by its id."""
    return _one(connection, payouts.c.id == payout_id, lock=lock)


def of_listing(connection: Connection, listing_id: str) -> Payout | None:
    """The payout for a listing."""
    return _one(connection, payouts.c.listing_id == listing_id)


def _one(connection: Connection, which: sa.ColumnElement[bool], *, lock: bool = False) -> Payout | None:
    query = select(*COLUMNS).where(which)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else Payout(*row)


def withheld_of(connection: Connection, reservation_id: str) -> list[Payout]:
    """Payouts for tickets of a seller's reservation of which something is withheld, locked, the newest first."""
    query = select(*COLUMNS).where(payouts.c.sold_reservation_id == reservation_id, payouts.c.withheld > 0)
    newest = query.order_by(payouts.c.created_at.desc(), payouts.c.id.desc())
    return [Payout(*row) for row in connection.execute(newest.with_for_update())]


def release(connection: Connection, payout_id: str, released: int) -> None:
    """Makes a part of what is withheld the seller's: the payout is due, also when there was nothing to pay before."""
    grown = {"withheld": payouts.c.withheld - released, "amount": payouts.c.amount + released, "paid_at": None}
    connection.execute(update(payouts).where(payouts.c.id == payout_id).values(grown))


def listed(
    connection: Connection, account_id: str | None, due: bool | None, after: str | None, limit: int
) -> list[Payout]:
    """Payouts of an account or of all, the newest first, from behind the payout `after` on."""
    query = select(*COLUMNS)
    if account_id is not None:
        query = query.where(payouts.c.account_id == account_id)
    if due is not None:
        query = query.where(payouts.c.paid_at.is_(None) if due else payouts.c.paid_at.is_not(None))
    if after is not None:
        last = payouts.alias("last")
        place = select(last.c.created_at, last.c.id).where(last.c.id == after).scalar_subquery()
        query = query.where(tuple_(payouts.c.created_at, payouts.c.id) < place)
    rows = connection.execute(query.order_by(payouts.c.created_at.desc(), payouts.c.id.desc()).limit(limit))
    return [Payout(*row) for row in rows]


def set_paid(connection: Connection, payout_id: str, by: str, note: str | None, now: datetime) -> None:
    """Remembers that it was paid, by which admin's word."""
    paid = update(payouts).where(payouts.c.id == payout_id).values(paid_at=now, paid_by=by, note=note)
    connection.execute(paid)
