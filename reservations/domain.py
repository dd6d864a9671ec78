"""Reservations: what a buyer asked for and where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

from shared.errors import MatchdayError
from shop.inventory.domain import Pool, Sale, SaleKey, State

# Gmail passes over dots before the @, and its two names are one.
DOTLESS_DOMAINS = frozenset({"gmail.com", "googlemail.com"})


class PurchaseLimit(MatchdayError):
    """The buyer has as many tickets of this match as one buyer may have"""

    code: ClassVar[str] = "purchase_limit"
    status: ClassVar[int] = 409
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "limit": {"type": "integer", "description": "How many tickets of a match a buyer may have."}
    }


class PriceMismatch(MatchdayError):
    """The price is not the master list's"""

    code: ClassVar[str] = "price_mismatch"
    status: ClassVar[int] = 422


class CardDeclined(MatchdayError):
    """The card was declined, nothing was charged, and the tickets were given back"""

    code: ClassVar[str] = "card_declined"
    status: ClassVar[int] = 402
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "declineCode": {"type": ["string", "null"], "description": "Stripe's, such as insufficient_funds."}
    }


class PurchaseUndecided(MatchdayError):
    """It is not known yet how the purchase ends; the same request with the same Idempotency-Key will tell"""

    code: ClassVar[str] = "purchase_undecided"
    status: ClassVar[int] = 503
    retry_after_seconds: ClassVar[int | None] = 3


class MailDue(StrEnum):
    """What a buyer is to be written about a reservation."""

    TICKETS = "tickets"
    REFUND = "refund"  # paid, and there were no tickets (any more)
    GIVEN_BACK = "given_back"  # what was paid for tickets that the buyer had has gone back


class Outcome(StrEnum):
    """What becomes of a payment: kept, not decided yet since the log is asked once more, or to be given back."""

    RESERVED = "reserved"
    ASKING = "asking"
    REFUSED = "refused"


REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class Charge:
    """Money that payments has taken for a reservation, in the currency's minor units, and what becomes of it.

    A charge that stands and has the reason `REFUNDED` has gone back in full: its tickets count no more.
    """

    payment_id: str
    reservation_id: str
    amount: int
    currency: str
    outcome: Outcome = Outcome.ASKING
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Submit:
    """A buyer's wish. `id` and `sale_id` are new; `key` is the caller's idempotency key, `body_hash` what it covers.

    `language` is that of the letters about it, by its ISO 639 code; `country` where the buyer is from, if known.
    """

    id: str
    sale_id: str
    email: str
    pool: Pool
    quantity: int
    key: str | None
    body_hash: bytes
    traceparent: str | None
    account_id: str | None = None
    purpose: str = "reservations"
    language: str = "en"
    country: str | None = None

    @property
    def buyer(self) -> str:
        """Who the purchase limit counts for."""
        return buyer_of(self.email)

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose tickets of the match count: those of the address, and those of the account."""
        return (self.buyer,) if self.account_id is None else (self.buyer, self.account_id)

    @property
    def key_scope(self) -> str:
        """Whose idempotency key it is, and on which route: an account's keys are its own, and a guest's address's."""
        return f"{self.purpose}:{self.account_id or self.email.casefold()}"

    @property
    def repetition(self) -> str:
        """The same for a request that is repeated with its idempotency key, for this buyer; empty without a key."""
        return f"{self.key_scope} {self.key}" if self.key else ""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation; money as in the master list (`price`, major units a ticket) and in minor units (`amount`).

    `language` is that of all letters about it, by its ISO 639 code; `country` where its buyer was from, if known.
    """

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
    account_id: str | None = None
    resubmitted: bool = False
    listing_id: str | None = None
    language: str = "en"
    country: str | None = None
    refunded: bool = False

    @property
    def is_resale(self) -> bool:
        """Whether it is for a ticket that somebody else had: no counter moves, and the log hears nothing of it."""
        return self.listing_id is not None

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose it is, for the purchase limit."""
        return (self.buyer,) if self.account_id is None else (self.buyer, self.account_id)

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


def buyer_of(email: str) -> str:
    """Whose address it is: the same in any case of its letters, and whatever tag stands behind a plus (RFC 5233).

    Where a provider is known to pass over dots, so does this. Two people whose addresses differ in nothing else share
    their limit; mail goes to the address as it was given.
    """
    name, _, domain = email.casefold().rpartition("@")
    name = name.partition("+")[0] or name
    return f"{name.replace('.', '')}@gmail.com" if domain in DOTLESS_DOMAINS else f"{name}@{domain}"


def amount_minor(price: Decimal, quantity: int) -> int:
    """The total in the currency's minor units (two decimals)."""
    return int(price * 100 * quantity)


def within_limit(owned: int, quantity: int, limit: int) -> None:
    """Raises `PurchaseLimit` when a buyer would have more tickets of a match than allowed.

    How many there are it does not tell: anybody may give anybody's address.
    """
    if owned + quantity > limit:
        raise PurchaseLimit(f"at most {limit} tickets of a match a buyer, held or bought", limit=limit)
