"""Reservations: what a buyer asked for and where it stands."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from shared.errors import MatchdayError
from shop.inventory.domain import Pool, Sale, SaleKey, State


class PurchaseLimit(MatchdayError):
    """The buyer has as many tickets of this match as one buyer may have"""

    code: ClassVar[str] = "purchase_limit"
    status: ClassVar[int] = 409


@dataclass(frozen=True, slots=True)
class Submit:
    """A buyer's wish. `id` and `sale_id` are new; `key` is the caller's idempotency key, `body_hash` what it covers."""

    id: str
    sale_id: str
    email: str
    pool: Pool
    quantity: int
    key: str | None
    body_hash: bytes
    traceparent: str | None

    @property
    def buyer(self) -> str:
        """Who the purchase limit counts for: an address means the same in any case of its letters."""
        return self.email.casefold()


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation; money as in the master list (`price`, major units a ticket) and in minor units (`amount`)."""

    id: str
    sale_id: str
    buyer: str
    email: str
    pool: Pool
    quantity: int
    price: Decimal
    amount: int
    currency: str
    created_at: datetime
    confirmed_at: datetime | None

    def sale_key(self, client_id: str) -> SaleKey:
        """What stands for it in the counters."""
        return SaleKey(client_id, self.sale_id, self.pool)


@dataclass(frozen=True, slots=True)
class Standing:
    """A reservation with its sale: the status and the place in the log are the sale's."""

    reservation: Reservation
    sale: Sale

    @property
    def status(self) -> State:
        return self.sale.state


def amount_minor(price: Decimal, quantity: int) -> int:
    """The total in the currency's minor units (two decimals)."""
    return int(price * 100 * quantity)


def within_limit(owned: int, quantity: int, limit: int) -> None:
    """Raises `PurchaseLimit` when a buyer would have more tickets of a match than allowed."""
    if owned + quantity > limit:
        raise PurchaseLimit(f"at most {limit} tickets of a match a buyer; {owned} held or bought", limit=limit)
