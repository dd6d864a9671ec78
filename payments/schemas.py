"""The HTTP models."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, SecretStr, StringConstraints

from payments import domain
from shared.http import AnswerModel, BodyModel, HeadersModel, QueryModel

AMOUNT_MAX = 1_000_000_000
CURRENCY = r"^[A-Z]{3}$"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NewPayment(BodyModel):
    """What is to be paid."""

    reservation_id: UUID = Field(description="The reservation; the caller's credential must open it.")


class Failure(AnswerModel):
    """Why the last attempt failed; the buyer may try again, with another card."""

    code: str = Field(description="Stripe's error code, such as card_declined.")
    decline_code: str | None = Field(None, description="Stripe's decline code, such as insufficient_funds.")


class Payment(AnswerModel):
    """A payment."""

    id: UUID
    reservation_id: UUID
    status: domain.Status = Field(description="Stripe's words, and `new` before Stripe has answered.")
    amount: int = Field(description="In the currency's minor units.")
    currency: str
    client_secret: str | None = Field(description="What the page hands to Stripe.js, with which the buyer pays.")
    intent_id: str | None = Field(description="Stripe's id of the PaymentIntent.")
    outcome: domain.Outcome | None = Field(
        description="Of what is paid: reserved; asking, when it was paid too late and the log has been asked again;"
        " refused, when there are no tickets and the money goes back."
    )
    failure: Failure | None
    expires_at: datetime = Field(description="When the hold ends.")
    created_at: datetime

    @classmethod
    def of(cls, payment: domain.Payment) -> Self:
        """The payment as its buyer sees it."""
        failure = (
            Failure(code=payment.failure_code, decline_code=payment.decline_code) if payment.failure_code else None
        )
        return cls(
            id=UUID(payment.id),
            reservation_id=UUID(payment.reservation_id),
            status=payment.status,
            amount=payment.amount,
            currency=payment.currency,
            client_secret=payment.client_secret,
            intent_id=payment.intent_id,
            outcome=payment.outcome,
            failure=failure,
            expires_at=payment.expires_at,
            created_at=payment.created_at,
        )


class FoundPayment(AnswerModel):
    """A payment as an operator sees it."""

    id: UUID
    reservation_id: UUID
    status: domain.Status
    amount: int = Field(description="In the currency's minor units.")
    received: int = Field(description="What Stripe has taken.")
    refunded: int = Field(description="What has gone back, or is on its way.")
    currency: str
    email: str = Field(description="The buyer's; `deleted` when the account is gone.")
    account_id: UUID | None
    intent_id: str | None
    charge_id: str | None
    outcome: domain.Outcome | None
    outcome_reason: str | None
    failure: Failure | None
    expires_at: datetime
    created_at: datetime

    @classmethod
    def of(cls, payment: domain.Payment, refunded: int) -> Self:
        """The payment, and what has gone back of it."""
        names = ("status", "amount", "received", "currency", "email", "intent_id", "charge_id", "outcome")
        times = ("outcome_reason", "expires_at", "created_at")
        failed = payment.failure_code is not None
        return cls(
            id=UUID(payment.id),
            reservation_id=UUID(payment.reservation_id),
            refunded=refunded,
            account_id=None if payment.account_id is None else UUID(payment.account_id),
            failure=Failure(code=payment.failure_code or "", decline_code=payment.decline_code) if failed else None,
            **{name: getattr(payment, name) for name in (*names, *times)},
        )


class FoundPayments(AnswerModel):
    """Payments, newest first."""

    items: list[FoundPayment]
    next_cursor: str | None


PLACE = r"^[0-9]{1,16}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
Cursor = Annotated[str, StringConstraints(max_length=80, pattern=PLACE)]


class PaymentQuery(QueryModel):
    """Which payments."""

    id: UUID | None = None
    reservation_id: UUID | None = None
    intent_id: str | None = Field(None, max_length=200, pattern=r"^[A-Za-z0-9_]+$", description="Stripe's id.")
    email: str | None = Field(None, max_length=254, description="The buyer's, in any case of letters.")
    status: domain.Status | None = None
    cursor: Cursor | None = Field(None, description="`nextCursor` of the page before.")
    limit: int = Field(50, ge=1, le=200)

    def search(self) -> domain.Search:
        """The same for the domain."""
        ids = {name: str(value) for name in ("id", "reservation_id") if (value := getattr(self, name)) is not None}
        return domain.Search(**ids, intent_id=self.intent_id, email=self.email, status=self.status)

    def place(self) -> domain.Place | None:
        """Behind which payment the page begins."""
        if self.cursor is None:
            return None
        microseconds, _, payment_id = self.cursor.partition(".")
        return domain.Place(EPOCH + timedelta(microseconds=int(microseconds)), str(UUID(payment_id)))


def cursor_behind(payment: domain.Payment) -> str:
    """The cursor of the page that follows this payment."""
    return f"{(payment.created_at - EPOCH) // timedelta(microseconds=1)}.{payment.id}"


class NewRefund(BodyModel):
    """How much goes back."""

    amount: int | None = Field(
        None, ge=1, le=AMOUNT_MAX, description="In minor units; all that is left when it is not given."
    )
    reason: str = Field("operator", min_length=1, max_length=100, pattern=r"^[a-z0-9_]+$", description="Why, one word.")


class Refund(AnswerModel):
    """A refund."""

    id: UUID
    payment_id: UUID
    amount: int = Field(description="In the currency's minor units.")
    currency: str
    reason: str
    status: domain.RefundStatus = Field(description="`new`: Stripe has not answered yet.")
    failure_reason: str | None
    created_at: datetime

    @classmethod
    def of(cls, refund: domain.Refund) -> Self:
        """The refund as an operator sees it."""
        return cls(
            id=UUID(refund.id),
            payment_id=UUID(refund.payment_id),
            amount=refund.amount,
            currency=refund.currency,
            reason=refund.reason,
            status=refund.status,
            failure_reason=refund.failure_reason,
            created_at=refund.created_at,
        )


class Refunds(AnswerModel):
    """A payment's refunds."""

    items: list[Refund]
    next_cursor: None = None


class WebhookHeaders(HeadersModel):
    """What Stripe sends with an event."""

    signature: str | None = Field(
        None, alias="Stripe-Signature", max_length=2000, description="Time and signature of the body."
    )


class Heard(AnswerModel):
    """The event was understood."""

    received: bool = True


class OutcomeTold(BodyModel):
    """What became of the tickets of a payment."""

    reservation_id: UUID
    outcome: Literal["asking", "reserved", "refused"]
    reason: str | None = Field(None, max_length=200)


class ReservationEnded(BodyModel):
    """A hold that has ended without being paid."""

    reservation_id: UUID


class Cancelled(AnswerModel):
    """How many open payments will be cancelled at Stripe."""

    payments: int


class AccountDeleted(BodyModel):
    """An account that exists no more."""

    account_id: UUID


class Forgotten(AnswerModel):
    """How many payments are nobody's now."""

    payments: int


class Card(BodyModel):
    """A card. It goes to Stripe, and is neither stored nor logged."""

    number: SecretStr = Field(min_length=12, max_length=30)
    expiration_month: int = Field(ge=0, le=99)
    expiration_year: int = Field(ge=0, le=9999)
    cvc: SecretStr = Field(min_length=1, max_length=8)


class CardPayment(BodyModel):
    """A reservation that is paid by a card, on the server."""

    reservation_id: UUID
    amount: int = Field(ge=1, le=AMOUNT_MAX, description="In minor units; must be the reservation's own.")
    currency: str = Field(pattern=CURRENCY)
    email: str = Field(max_length=254)
    card: Card


class Balance(AnswerModel):
    """What one account of the books holds."""

    account: str
    currency: str
    amount: int = Field(description="In minor units; what we owe or have earned is negative.")


class Difference(AnswerModel):
    """A refund at Stripe that cannot be right, so that the books do not take it."""

    stripe_id: str
    payment_id: UUID
    amount: int = Field(description="In minor units.")
    currency: str
    reason: domain.Doubt = Field(description="Another currency than was paid in, or more than was paid.")
    found_at: datetime

    @classmethod
    def of(cls, found: domain.Difference) -> Self:
        """The difference as an operator sees it."""
        return cls(
            stripe_id=found.stripe_id,
            payment_id=UUID(found.payment_id),
            amount=found.amount,
            currency=found.currency,
            reason=found.reason,
            found_at=found.found_at,
        )


class Ledger(AnswerModel):
    """The books: the balances sum to zero in each currency."""

    items: list[Balance]
    unbalanced: int = Field(description="Transactions that do not sum to zero; more than none is a bug.")
    differences: list[Difference] = Field(description="What Stripe says and the books do not, newest first.")
    next_cursor: None = None
