"""Credits of sellers and their payouts. Money is in the currency's minor units, always whole."""

from dataclasses import dataclass
from datetime import datetime

from payments.domain import Account, Entry, move, seller


@dataclass(frozen=True, slots=True)
class Credit:
    """A ticket that was sold again, as reservations tells it: who sold it, and which payment bought it.

    `sold_amount` is what the seller had paid for the ticket, as part of `sold_reservation_id`.
    """

    listing_id: str
    payment_id: str
    account_id: str
    price: int
    currency: str
    sold_reservation_id: str
    sold_amount: int


@dataclass(frozen=True, slots=True)
class Payout:
    """What a seller has to get for one listing: `amount` is the price less the fee and what is withheld, since
    money went back to the seller for the same tickets. It is due until it is paid; of nothing, never."""

    id: str
    account_id: str
    listing_id: str
    payment_id: str
    price: int
    fee: int
    amount: int
    currency: str
    created_at: datetime
    withheld: int = 0
    paid_at: datetime | None = None
    paid_by: str | None = None
    note: str | None = None


def fee_of(price: int, percent: int) -> int:
    """What the site keeps of a price, rounded half up to whole minor units; never more than the price."""
    return (price * percent + 50) // 100


def given_twice(received: int, refunded: int, resold: int) -> int:
    """What a seller would have twice of `received`: as refunds, and by selling what `resold` was paid for."""
    return max(0, refunded + resold - received)


def credit_entries(price: int, fee: int, currency: str, account_id: str) -> list[Entry]:
    """The price, or what is not withheld of it, leaves the site's sales: the seller gets it, and leaves the fee."""
    whose = seller(account_id)
    return [*move(price, currency, whose, Account.SALES), *move(fee, currency, Account.FEES, whose)]


def payout_entries(payout: Payout) -> list[Entry]:
    """What was owed is paid from the site's bank account."""
    return move(payout.amount, payout.currency, Account.BANK, seller(payout.account_id))
