"""What is kept back of sellers' credits, because money goes back to them for the same tickets.

A ticket can be sold while a refund of it is on its way to Stripe: the refund is not stopped any more, and the buyer
keeps the ticket. Then the seller's credit is smaller by what would be given twice, and grows again if the refund fails.
"""

import structlog
from sqlalchemy import Connection

from payments import store as all_payments
from payments.domain import Account, Payment, move, seller
from payments.payouts import store
from payments.payouts.domain import Credit, Payout, given_twice

log = structlog.get_logger(__name__)


def of_credit(connection: Connection, told: Credit, credited: int) -> int:
    """What is to be kept back of a new credit of `credited`, in minor units. Locks the seller's own payment."""
    payment = all_payments.find_live(connection, told.sold_reservation_id, lock=True)
    if payment is None:
        return 0
    return min(credited, max(0, _given_twice(connection, payment, told.sold_amount) - _kept(connection, payment)))


def let_go(connection: Connection, payment: Payment, refund_id: str) -> None:
    """A refund of the payment, which is locked, has failed: what was kept back for it is the sellers' again."""
    free = _kept(connection, payment) - _given_twice(connection, payment)
    for payout in store.withheld_of(connection, payment.reservation_id):
        released = min(free, payout.withheld)
        if released <= 0:
            return
        free -= released
        _let_go(connection, payout, released, f"released:{refund_id}:{payout.id}")


def _let_go(connection: Connection, payout: Payout, released: int, reference: str) -> None:
    if payout.paid_by is not None:
        # The bank has paid the smaller amount; how the rest gets there, somebody has to decide.
        log.error("withheld_after_payout", payout=payout.id, amount=released)
        return
    store.release(connection, payout.id, released)
    entries = move(released, payout.currency, seller(payout.account_id), Account.SALES)
    all_payments.write_ledger(connection, reference, payout.payment_id, entries)


def _kept(connection: Connection, payment: Payment) -> int:
    return sum(payout.withheld for payout in store.withheld_of(connection, payment.reservation_id))


def _given_twice(connection: Connection, payment: Payment, sold_now: int = 0) -> int:
    resold = all_payments.resold(connection, payment.reservation_id) + sold_now
    return given_twice(payment.received, all_payments.refunded(connection, payment.id), resold)
