"""SQL of the schema `payments`: connection first, domain objects in and out, never a commit."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from payments.domain import (
    OPEN,
    Account,
    Difference,
    Doubt,
    Entry,
    Held,
    Outcome,
    Payment,
    Place,
    Refund,
    RefundStatus,
    Search,
    Status,
    StripeRefund,
    sums_to_zero,
)
from payments.tables import deliveries, differences, ledger_entries, ledger_transactions, payments, payouts, refunds

PAYMENT = [payments.c[name] for name in Payment.__dataclass_fields__]
REFUND = [refunds.c[name] for name in Refund.__dataclass_fields__]
FORGOTTEN = "deleted"


def _payment(row: Any) -> Payment:
    return _payment_of(dict(row._mapping))


def _payment_of(values: dict[str, Any]) -> Payment:
    values["status"] = Status(values["status"])
    values["outcome"] = None if values["outcome"] is None else Outcome(values["outcome"])
    return Payment(**values)


def _refund(row: Any) -> Refund:
    values = dict(row._mapping)
    return Refund(**{**values, "status": RefundStatus(values["status"])})


# Payments


def insert_payment(connection: Connection, payment_id: str, held: Held, payer: str | None) -> bool:
    """Writes a new payment; False when the reservation has one that is not cancelled."""
    row = insert(payments).values(
        id=payment_id,
        reservation_id=held.id,
        amount=held.amount,
        currency=held.currency,
        email=held.email,
        account_id=held.account_id,
        status=Status.NEW,
        intent_key=payment_id,
        expires_at=held.expires_at,
        payer=payer,
    )
    return connection.execute(row.on_conflict_do_nothing().returning(payments.c.id)).first() is not None


def find(connection: Connection, payment_id: str, *, lock: bool = False) -> Payment | None:
    """A payment by its id."""
    return _find(connection, payments.c.id == payment_id, lock=lock)


def find_by_intent(connection: Connection, intent_id: str, *, lock: bool = False) -> Payment | None:
    """A payment by Stripe's id of its intent."""
    return _find(connection, payments.c.intent_id == intent_id, lock=lock)


def find_live(connection: Connection, reservation_id: str, *, lock: bool = False) -> Payment | None:
    """The payment of a reservation that is not cancelled."""
    is_live = sa.and_(payments.c.reservation_id == reservation_id, payments.c.status != Status.CANCELED)
    return _find(connection, is_live, lock=lock)


def of_reservation(connection: Connection, reservation_id: str) -> list[Payment]:
    """All payments of a reservation, newest first."""
    rows = select(*PAYMENT).where(payments.c.reservation_id == reservation_id).order_by(payments.c.created_at.desc())
    return [_payment(row) for row in connection.execute(rows)]


def search(connection: Connection, wanted: Search, after: Place | None, limit: int) -> list[tuple[Payment, int]]:
    """Payments that fit, newest first, each with what has gone back or is on its way."""
    found = []
    for row in connection.execute(searching(wanted, after, limit)):
        values = dict(row._mapping)
        back_already = int(values.pop("back"))
        found.append((_payment_of(values), back_already))
    return found


def searching(wanted: Search, after: Place | None, limit: int) -> sa.Select[Any]:
    """The query of `search`; each of its forms has an index."""
    back = (
        select(sa.func.coalesce(sa.func.sum(refunds.c.amount), 0))
        .where(refunds.c.payment_id == payments.c.id, refunds.c.status != RefundStatus.FAILED)
        .scalar_subquery()
    )
    query = select(*PAYMENT, back.label("back")).order_by(payments.c.created_at.desc(), payments.c.id.desc())
    for name in ("id", "reservation_id", "intent_id", "status"):
        if getattr(wanted, name) is not None:
            query = query.where(payments.c[name] == getattr(wanted, name))
    if wanted.email is not None:
        query = query.where(sa.func.lower(payments.c.email) == wanted.email.lower())
    if after is not None:
        place = sa.tuple_(payments.c.created_at, payments.c.id)
        query = query.where(place < sa.tuple_(sa.literal(after.created_at), sa.literal(after.id, payments.c.id.type)))
    return query.limit(limit)


def _find(connection: Connection, where: sa.ColumnElement[bool], *, lock: bool = False) -> Payment | None:
    query = select(*PAYMENT).where(where)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _payment(row)


def change(connection: Connection, payment_id: str, **values: Any) -> None:
    """Sets columns of a payment."""
    connection.execute(update(payments).where(payments.c.id == payment_id).values(**values))


def set_paid(connection: Connection, payment_id: str) -> None:
    """Remembers when the money was taken."""
    change(connection, payment_id, paid_at=sa.func.now(), checked_at=sa.func.now())


def is_news(connection: Connection, payment_id: str, created: int) -> bool:
    """Whether nothing newer was heard of the payment's intent; remembers it if so."""
    newer = update(payments).where(payments.c.id == payment_id, payments.c.event_created <= created)
    return connection.execute(newer.values(event_created=created)).rowcount == 1


def declines(connection: Connection, reservation_id: str) -> int:
    """How many cards were declined for a reservation, whatever became of its payments."""
    total = select(sa.func.coalesce(sa.func.sum(payments.c.declines), 0))
    return int(connection.execute(total.where(payments.c.reservation_id == reservation_id)).scalar_one())


def count_decline(connection: Connection, payment_id: str) -> None:
    """One more card was declined."""
    change(connection, payment_id, declines=payments.c.declines + 1)


def next_confirm(connection: Connection, payment_id: str) -> int:
    """Counts an attempt to confirm on the server, and returns its number."""
    counted = update(payments).where(payments.c.id == payment_id).values(confirms=payments.c.confirms + 1)
    return int(connection.execute(counted.returning(payments.c.confirms)).scalar_one())


def want_cancelled(connection: Connection, reservation_id: str) -> int:
    """Marks the open payments of a reservation for the worker to cancel; returns how many."""
    where = (payments.c.reservation_id == reservation_id, payments.c.status.in_(OPEN))
    due_now = {"cancel_wanted": True, "checked_at": payments.c.created_at}
    return connection.execute(update(payments).where(*where).values(**due_now)).rowcount


def to_cancel(connection: Connection, ended: datetime, looked_at: datetime, limit: int) -> list[Payment]:
    """Open payments whose hold ended before a moment, or that are wanted cancelled; counts them as looked at."""
    due = sa.or_(
        sa.and_(payments.c.cancel_wanted, payments.c.checked_at == payments.c.created_at),
        sa.and_(sa.or_(payments.c.cancel_wanted, payments.c.expires_at < ended), payments.c.checked_at < looked_at),
    )
    return _looked_at(connection, sa.and_(payments.c.status.in_(OPEN), due), limit)


def to_check(connection: Connection, ended: datetime, before: datetime, limit: int) -> list[Payment]:
    """Open payments with an intent that were not looked at since a moment; counts them as looked at.

    Those that are to be cancelled are not among them, or looking would keep them from it.
    """
    still_payable = sa.and_(sa.not_(payments.c.cancel_wanted), payments.c.expires_at >= ended)
    where = sa.and_(
        payments.c.status.in_(OPEN), payments.c.intent_id.is_not(None), still_payable, payments.c.checked_at < before
    )
    return _looked_at(connection, where, limit)


def undecided(connection: Connection, before: datetime, limit: int) -> list[Payment]:
    """Payments that succeeded and whose tickets' fate is not known; counts them as looked at."""
    open_outcome = sa.or_(payments.c.outcome.is_(None), payments.c.outcome == Outcome.ASKING)
    where = sa.and_(payments.c.status == Status.SUCCEEDED, open_outcome, payments.c.checked_at < before)
    return _looked_at(connection, where, limit)


def _looked_at(connection: Connection, where: sa.ColumnElement[bool], limit: int) -> list[Payment]:
    query = select(payments.c.id).where(where).order_by(payments.c.checked_at).limit(limit)
    taken = query.with_for_update(skip_locked=True)
    rows = connection.execute(
        update(payments).where(payments.c.id.in_(taken)).values(checked_at=sa.func.now()).returning(*PAYMENT)
    )
    return [_payment(row) for row in rows]


def forget_account(connection: Connection, account_id: str) -> int:
    """Removes whose payments these were; the payments stay, as books must."""
    of_account = update(payments).where(payments.c.account_id == account_id)
    return connection.execute(of_account.values(email=FORGOTTEN, account_id=None)).rowcount


def was_refused(connection: Connection, payment: Payment) -> bool:
    """Whether reservations did not take what it was told of the payment."""
    row = select(deliveries.c.id).where(
        deliveries.c.subject == payment.reservation_id, deliveries.c.refused_at.is_not(None)
    )
    return connection.execute(row.limit(1)).first() is not None


def is_being_told(connection: Connection, payment: Payment) -> bool:
    """Whether reservations is still to be told of the payment."""
    row = select(deliveries.c.id).where(
        deliveries.c.subject == payment.reservation_id,
        deliveries.c.delivered_at.is_(None),
        deliveries.c.refused_at.is_(None),
    )
    return connection.execute(row.limit(1)).first() is not None


# Refunds


def refunded(connection: Connection, payment_id: str) -> int:
    """What has gone back of a payment, or is on its way."""
    total = select(sa.func.coalesce(sa.func.sum(refunds.c.amount), 0)).where(
        refunds.c.payment_id == payment_id, refunds.c.status != RefundStatus.FAILED
    )
    return int(connection.execute(total).scalar_one())


def taken_on(connection: Connection, payment_id: str) -> int:
    """What has gone back of a payment or is on its way, as far as Stripe knows of it."""
    total = select(sa.func.coalesce(sa.func.sum(refunds.c.amount), 0)).where(
        refunds.c.payment_id == payment_id, refunds.c.status != RefundStatus.FAILED, refunds.c.stripe_id.is_not(None)
    )
    return int(connection.execute(total).scalar_one())


def resold(connection: Connection, reservation_id: str) -> int:
    """What was paid for those of a reservation's tickets that were sold again."""
    total = select(sa.func.coalesce(sa.func.sum(payouts.c.sold_amount), 0))
    return int(connection.execute(total.where(payouts.c.sold_reservation_id == reservation_id)).scalar_one())


def given_back(connection: Connection, payment_id: str) -> int:
    """What has gone back of a payment, by Stripe's word."""
    total = select(sa.func.coalesce(sa.func.sum(refunds.c.amount), 0)).where(
        refunds.c.payment_id == payment_id, refunds.c.status == RefundStatus.SUCCEEDED
    )
    return int(connection.execute(total).scalar_one())


def insert_refund(connection: Connection, refund: Refund) -> bool:
    """Writes a new refund; False when it, or Stripe's refund that it stands for, is there."""
    row = insert(refunds).values(
        id=refund.id,
        payment_id=refund.payment_id,
        amount=refund.amount,
        currency=refund.currency,
        reason=refund.reason,
        status=refund.status,
        stripe_id=refund.stripe_id,
        stripe_key=refund.stripe_key,
        failure_reason=refund.failure_reason,
        created_at=refund.created_at,
    )
    return connection.execute(row.on_conflict_do_nothing().returning(refunds.c.id)).first() is not None


def find_refund(
    connection: Connection, refund_id: str | None = None, *, stripe_id: str | None = None, lock: bool = False
) -> Refund | None:
    """A refund by its id, or by Stripe's."""
    query = select(*REFUND).where(refunds.c.id == refund_id if refund_id else refunds.c.stripe_id == stripe_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _refund(row)


def refunds_of(connection: Connection, payment_id: str) -> list[Refund]:
    """A payment's refunds, oldest first."""
    rows = select(*REFUND).where(refunds.c.payment_id == payment_id).order_by(refunds.c.created_at, refunds.c.id)
    return [_refund(row) for row in connection.execute(rows)]


def change_refund(connection: Connection, refund_id: str, **values: Any) -> None:
    """Sets columns of a refund."""
    connection.execute(update(refunds).where(refunds.c.id == refund_id).values(**values))


def due_refunds(connection: Connection, lease: timedelta, limit: int) -> list[Refund]:
    """Refunds that Stripe must be asked about now; nobody else asks until the lease ends."""
    taken = (
        select(refunds.c.id)
        .where(refunds.c.status.in_([RefundStatus.NEW, RefundStatus.PENDING]), refunds.c.next_try_at <= sa.func.now())
        .order_by(refunds.c.next_try_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(
        update(refunds)
        .where(refunds.c.id.in_(taken))
        .values(next_try_at=sa.func.now() + lease, tries=refunds.c.tries + 1)
        .returning(*REFUND)
    )
    return [_refund(row) for row in rows]


def pause_refund(connection: Connection, refund_id: str, pause: timedelta) -> None:
    """Lets a refund that is still open wait before Stripe is asked about it again."""
    still_open = refunds.c.status.in_([RefundStatus.NEW, RefundStatus.PENDING])
    wait = update(refunds).where(refunds.c.id == refund_id, still_open)
    connection.execute(wait.values(next_try_at=sa.func.now() + pause))


def note_difference(connection: Connection, payment_id: str, told: StripeRefund, reason: Doubt) -> bool:
    """Writes down a refund that is not booked; False when it was written down before."""
    row = insert(differences).values(
        stripe_id=told.id, payment_id=payment_id, amount=told.amount, currency=told.currency, reason=reason
    )
    return connection.execute(row.on_conflict_do_nothing().returning(differences.c.stripe_id)).first() is not None


def forget_difference(connection: Connection, stripe_id: str) -> None:
    """It differs no more."""
    connection.execute(differences.delete().where(differences.c.stripe_id == stripe_id))


def differences_found(connection: Connection, limit: int) -> list[Difference]:
    """What somebody has to look at, newest first."""
    rows = connection.execute(select(differences).order_by(differences.c.found_at.desc()).limit(limit))
    return [Difference(**{**row._mapping, "reason": Doubt(row.reason)}) for row in rows]


# The ledger


def write_ledger(connection: Connection, reference: str, payment_id: str, entries: Sequence[Entry]) -> bool:
    """One transaction of the ledger, once for each reference; False when it is there. The entries sum to zero."""
    assert sums_to_zero(entries), entries
    made = insert(ledger_transactions).values(reference=reference, payment_id=payment_id)
    row = connection.execute(made.on_conflict_do_nothing().returning(ledger_transactions.c.id)).first()
    moved = [entry for entry in entries if entry.amount]
    if row is None or not moved:
        return row is not None
    connection.execute(
        ledger_entries.insert(),
        [
            {"transaction_id": row[0], "account": entry.account, "currency": entry.currency, "amount": entry.amount}
            for entry in moved
        ],
    )
    return True


def ledger_of(connection: Connection, reference: str) -> list[Entry]:
    """The entries of a transaction; none when there is no such."""
    columns = (ledger_entries.c.account, ledger_entries.c.currency, ledger_entries.c.amount)
    rows = select(*columns).join(ledger_transactions).where(ledger_transactions.c.reference == reference)
    return [Entry(account, currency, amount) for account, currency, amount in connection.execute(rows)]


def balance(connection: Connection, payment_id: str, account: str) -> int:
    """What one payment has left in an account."""
    total = (
        select(sa.func.coalesce(sa.func.sum(ledger_entries.c.amount), 0))
        .join(ledger_transactions)
        .where(ledger_transactions.c.payment_id == payment_id, ledger_entries.c.account == account)
    )
    return int(connection.execute(total).scalar_one())


def balances(connection: Connection) -> list[tuple[str, str, int]]:
    """Account, currency and balance of everything; the sellers, who may be many, are one."""
    is_seller = ledger_entries.c.account.startswith("seller:")
    account = sa.case((is_seller, sa.literal_column(f"'{Account.RESELLERS}'")), else_=ledger_entries.c.account)
    columns = (account.label("whose"), ledger_entries.c.currency, sa.func.sum(ledger_entries.c.amount))
    grouped = select(*columns).group_by("whose", ledger_entries.c.currency).order_by("whose", ledger_entries.c.currency)
    return [(account, currency, int(total)) for account, currency, total in connection.execute(grouped)]


def unbalanced(connection: Connection) -> int:
    """How many transactions do not sum to zero: none, as long as the trigger is there."""
    sums = select(ledger_entries.c.transaction_id).group_by(ledger_entries.c.transaction_id, ledger_entries.c.currency)
    wrong = sums.having(sa.func.sum(ledger_entries.c.amount) != 0).subquery()
    return int(connection.execute(select(sa.func.count()).select_from(wrong)).scalar_one())
