"""Payments, refunds and the double entries of the ledger. Money is in the currency's minor units, always whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from shared.errors import Conflict, DependencyUnavailable, MatchdayError


class NotHeld(Conflict):
    """The tickets are not on hold for the buyer, so they cannot be paid."""

    code: ClassVar[str] = "not_held"


class HoldExpired(Conflict):
    """The hold has ended."""

    code: ClassVar[str] = "hold_expired"


class AlreadyPaid(Conflict):
    """The reservation is paid."""

    code: ClassVar[str] = "already_paid"


class WrongAmount(Conflict):
    """The reservation costs something else."""

    code: ClassVar[str] = "wrong_amount"


class NotPaid(Conflict):
    """There is nothing to refund: the payment has not succeeded."""

    code: ClassVar[str] = "not_paid"


class RefundTooLarge(Conflict):
    """More than is left of the payment."""

    code: ClassVar[str] = "refund_too_large"
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "left": {"type": "integer", "description": "What may go back still, in minor units."}
    }


class TooManyDeclines(Conflict):
    """So many cards were declined for the reservation that no other is taken."""

    code: ClassVar[str] = "too_many_declines"


class CardDeclined(MatchdayError):
    """The card was declined."""

    code: ClassVar[str] = "card_declined"
    status: ClassVar[int] = 402
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "declineCode": {"type": ["string", "null"], "description": "Stripe's, such as insufficient_funds."}
    }


class InvalidSignature(MatchdayError):
    """The event is not signed by Stripe, or too long ago."""

    code: ClassVar[str] = "invalid_signature"
    status: ClassVar[int] = 400


class StripeUnavailable(DependencyUnavailable):
    """Stripe does not answer, or not as it should; what happened there is found out by asking again."""


class StripeStuck(StripeUnavailable):
    """Stripe has answered 500, and answers a repetition with the same idempotency key from its memory."""


class StripeRefused(MatchdayError):
    """Stripe does not do this."""

    code: ClassVar[str] = "stripe_refused"
    status: ClassVar[int] = 502
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "reason": {"type": "string", "description": "Stripe's code, such as amount_too_small."}
    }

    def __init__(self, detail: str | None = None, *, reason: str = "") -> None:
        super().__init__(detail, reason=reason)
        self.reason = reason


class Status(StrEnum):
    """Stripe's words for an intent, and `new` before there is one."""

    NEW = "new"
    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    REQUIRES_CAPTURE = "requires_capture"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


DECLINED = "payment_intent.payment_failed"  # the event of a card that was declined
FINAL = (Status.SUCCEEDED, Status.CANCELED)
OPEN = tuple(status for status in Status if status not in FINAL)


class Outcome(StrEnum):
    """What became of the tickets of a payment that succeeded."""

    ASKING = "asking"  # paid too late: the log has been asked again
    RESERVED = "reserved"
    REFUSED = "refused"  # the money goes back


class RefundStatus(StrEnum):
    """Where a refund stands; `new`: Stripe has not answered yet."""

    NEW = "new"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


# Stripe's words for a refund that are not ours.
REFUND_STATUS = {"requires_action": "pending", "canceled": "failed"}


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation as the service reservations tells it."""

    id: str
    status: str
    amount: int
    currency: str
    expires_at: datetime
    email: str
    account_id: str | None
    resold: int = 0  # what was paid for those of its tickets that others have bought since


@dataclass(frozen=True, slots=True)
class Payment:
    """What one buyer pays for one reservation, with one intent."""

    id: str
    reservation_id: str
    amount: int
    currency: str
    email: str
    account_id: str | None
    status: Status
    intent_id: str | None
    intent_key: str
    client_secret: str | None
    charge_id: str | None
    received: int
    failure_code: str | None
    decline_code: str | None
    outcome: Outcome | None
    outcome_reason: str | None
    expires_at: datetime
    created_at: datetime
    confirms: int
    declines: int = 0
    payer: str | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """Which payments an operator looks for; `email` in any case of letters."""

    id: str | None = None
    reservation_id: str | None = None
    intent_id: str | None = None
    email: str | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the list of payments, newest first: behind this one."""

    created_at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Refund:
    """Money on its way back to the buyer."""

    id: str
    payment_id: str
    amount: int
    currency: str
    reason: str
    status: RefundStatus
    stripe_id: str | None
    stripe_key: str
    failure_reason: str | None
    created_at: datetime
    tries: int


@dataclass(frozen=True, slots=True)
class Intent:
    """An intent as Stripe tells it; `created` in seconds since the epoch."""

    id: str
    status: Status
    amount: int
    received: int
    currency: str
    client_secret: str | None
    charge_id: str | None
    failure_code: str | None
    decline_code: str | None
    payment_id: str | None
    site: str | None
    created: int


@dataclass(frozen=True, slots=True)
class StripeRefund:
    """A refund as Stripe tells it."""

    id: str
    status: RefundStatus
    amount: int
    currency: str
    intent_id: str | None
    refund_id: str | None
    failure_reason: str | None


class Doubt(StrEnum):
    """Why a refund at Stripe is not taken into the books."""

    CURRENCY = "currency"  # another one than was paid in
    AMOUNT = "amount"  # with the others it is more than was paid


@dataclass(frozen=True, slots=True)
class Difference:
    """A refund at Stripe that is not in the books."""

    stripe_id: str
    payment_id: str
    amount: int
    currency: str
    reason: Doubt
    found_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """A verified event: one of intent and refund, or neither when it does not concern us or has a `problem`."""

    id: str
    kind: str
    created: int
    intent: Intent | None = None
    refund: StripeRefund | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A card, on its way to Stripe. It is never stored and says nothing of itself."""

    number: str
    expiration_month: int
    expiration_year: int
    cvc: str

    def __repr__(self) -> str:
        return "Card(…)"


# The ledger


class Account(StrEnum):
    """Whose money it is. Stripe's is positive, what we owe or have earned negative."""

    STRIPE = "stripe"  # what Stripe holds for us
    DEPOSITS = "deposits"  # paid, and neither tickets nor refund yet
    SALES = "sales"
    FEES = "fees"  # what sellers leave to the site
    BANK = "bank"  # what the site has paid to sellers from its own bank account
    RESELLERS = "resellers"  # in balances: what we owe to all who sold tickets again


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a ledger transaction; the account is an `Account`, or a seller's own."""

    account: str
    currency: str
    amount: int


def seller(account_id: str) -> str:
    """The account of the books that one seller has."""
    return f"seller:{account_id}"


def move(amount: int, currency: str, out_of: str, into: str) -> list[Entry]:
    """Two entries that sum to zero."""
    return [Entry(out_of, currency, -amount), Entry(into, currency, amount)]


def sums_to_zero(entries: Sequence[Entry]) -> bool:
    """Whether a transaction is balanced, in each currency."""
    sums: dict[str, int] = {}
    for entry in entries:
        sums[entry.currency] = sums.get(entry.currency, 0) + entry.amount
    return not any(sums.values())


def check_payable(held: Held, now: datetime) -> None:
    """Raises `AlreadyPaid`, `NotHeld`, `HoldExpired` unless the buyer may pay now."""
    if held.status == "reserved":
        raise AlreadyPaid("the reservation is paid")
    if held.status == "submitted":
        raise NotHeld("the federation's log has not decided on the hold yet")
    if held.status != "held" or held.expires_at <= now:
        raise HoldExpired(f"the reservation is {held.status}")


def check_refund(payment: Payment, refunded: int, amount: int | None, resold: int = 0) -> int:
    """The amount of a refund; all that is left without an `amount`. Raises `NotPaid`, `RefundTooLarge`.

    `resold` was paid for tickets that the buyer has sold again: that money is not the buyer's any more.
    """
    if payment.status is not Status.SUCCEEDED:
        raise NotPaid(f"the payment is {payment.status}")
    left = max(0, payment.received - refunded - resold)
    wanted = left if amount is None else amount
    if wanted > left or left == 0:
        raise RefundTooLarge(f"{left} is left of the payment", left=left)
    return wanted


def doubt(payment: Payment, taken_on: int, told: StripeRefund) -> Doubt | None:
    """Why a refund that was made at Stripe cannot be of this payment; `taken_on` is what else Stripe gives back."""
    if told.currency != payment.currency:
        return Doubt.CURRENCY
    return Doubt.AMOUNT if taken_on + told.amount > payment.received else None


def is_paid_in_full(payment: Payment, intent: Intent) -> bool:
    """Whether what Stripe has taken is exactly what was to be paid."""
    return (intent.received, intent.currency) == (payment.amount, payment.currency)
