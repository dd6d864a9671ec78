"""Use cases of sellers' credits and payouts: one function each, one transaction each."""

import uuid
from datetime import datetime

import structlog

from payments import store as all_payments
from payments.handlers import Site
from payments.payouts import store, withholding
from payments.payouts.domain import Credit, Payout, credit_entries, fee_of, payout_entries
from payments.reservations import TARGET
from payments.tables import inbox
from shared import inbox as inbox_of
from shared.errors import Conflict, NotFound

log = structlog.get_logger(__name__)


def credit(site: Site, fee_percent: int, told: Credit, message_id: str | None) -> Payout:
    """A ticket was sold again: its seller is credited, once for each listing, less the fee of that moment and
    what has to be withheld.

    Raises `NotFound` for a payment that is none of ours, `Conflict` when the listing was credited otherwise.
    """
    with site.database.transaction() as connection:
        if all_payments.find(connection, told.payment_id, lock=True) is None:
            raise NotFound("there is no such payment")
        fee = fee_of(told.price, fee_percent)
        withheld = withholding.of_credit(connection, told, told.price - fee)
        due = _due(told, fee, withheld, site.clock.now())
        new = inbox_of.claim(connection, inbox, message_id, TARGET)
        if new and store.insert_payout(connection, due, told):
            entries = credit_entries(due.price - withheld, due.fee, due.currency, due.account_id)
            all_payments.write_ledger(connection, f"credit:{due.listing_id}", due.payment_id, entries)
            log.info("seller_credited", listing=due.listing_id, amount=due.amount, fee=due.fee, withheld=withheld)
            return due
        known = store.of_listing(connection, told.listing_id)
        if known is None or (known.payment_id, known.account_id) != (told.payment_id, told.account_id):
            raise Conflict("this listing was credited to somebody else, or for another payment")
        return known


def _due(told: Credit, fee: int, withheld: int, now: datetime) -> Payout:
    amount = told.price - fee - withheld
    return Payout(
        str(uuid.uuid4()), told.account_id, told.listing_id, told.payment_id, told.price, fee, amount, told.currency,
        now, withheld, paid_at=None if amount else now,
    )  # fmt: skip


def listed(site: Site, account_id: str | None, due: bool | None, after: str | None, limit: int) -> list[Payout]:
    """Payouts of an account or of all, the newest first; `due`: only those that are, or are not."""
    with site.database.transaction() as connection:
        return store.listed(connection, account_id, due, after, limit)


def pay_out(site: Site, payout_id: str, by: str, note: str | None) -> Payout:
    """An admin has paid it, by the site's bank: the books say so, once. Told again, it is answered as it is.

    Raises `NotFound`.
    """
    now = site.clock.now()
    with site.database.transaction() as connection:
        payout = store.find(connection, payout_id, lock=True)
        if payout is None:
            raise NotFound("there is no such payout")
        if payout.paid_at is None:
            store.set_paid(connection, payout.id, by, note, now)
            all_payments.write_ledger(connection, f"payout:{payout.id}", payout.payment_id, payout_entries(payout))
            log.info("payout_paid", payout=payout.id, amount=payout.amount, by=by)
        paid = store.find(connection, payout_id)
        assert paid is not None
        return paid
