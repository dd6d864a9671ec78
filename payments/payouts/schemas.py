"""The HTTP models of credits and payouts."""

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import Field

from payments.payouts import domain
from payments.schemas import AMOUNT_MAX, CURRENCY
from shared.http import AnswerModel, BodyModel, QueryModel


class NewCredit(BodyModel):
    """A ticket that was sold again."""

    listing_id: UUID
    payment_id: UUID = Field(description="What its buyer paid with.")
    reservation_id: UUID = Field(description="The buyer's.")
    seller_id: UUID = Field(description="The seller's account.")
    amount: int = Field(ge=1, le=AMOUNT_MAX, description="The price, in minor units.")
    currency: str = Field(pattern=CURRENCY)
    sold_reservation_id: UUID = Field(description="The seller's own, which the ticket was part of.")
    sold_amount: int = Field(ge=0, le=AMOUNT_MAX, description="What the seller had paid for the ticket.")

    def credit(self) -> domain.Credit:
        """The same for the use case."""
        return domain.Credit(
            str(self.listing_id),
            str(self.payment_id),
            str(self.seller_id),
            self.amount,
            self.currency,
            str(self.sold_reservation_id),
            self.sold_amount,
        )


class Payout(AnswerModel):
    """What a seller gets for one ticket; money in minor units."""

    id: UUID
    listing_id: UUID
    status: Literal["due", "paid"]
    price: int = Field(description="What the buyer paid.")
    fee: int = Field(description="What the site keeps.")
    withheld: int = Field(
        description="What is kept back: a refund of the same tickets was on its way when they were sold."
    )
    amount: int = Field(description="What the seller gets: the price less the fee and what is withheld.")
    currency: str
    created_at: datetime = Field(description="When the ticket was sold.")
    paid_at: datetime | None

    @classmethod
    def of(cls, payout: domain.Payout) -> Self:
        """The payout as its seller sees it."""
        return cls(
            id=UUID(payout.id),
            listing_id=UUID(payout.listing_id),
            status="due" if payout.paid_at is None else "paid",
            price=payout.price,
            fee=payout.fee,
            withheld=payout.withheld,
            amount=payout.amount,
            currency=payout.currency,
            created_at=payout.created_at,
            paid_at=payout.paid_at,
        )


class SellersPayout(Payout):
    """A payout, with whose it is."""

    account_id: UUID
    payment_id: UUID
    paid_by: UUID | None = Field(description="The admin who said so.")
    note: str | None

    @classmethod
    def seen(cls, payout: domain.Payout) -> Self:
        """The payout as an admin sees it."""
        return cls(
            **dict(Payout.of(payout)),
            account_id=UUID(payout.account_id),
            payment_id=UUID(payout.payment_id),
            paid_by=UUID(payout.paid_by) if payout.paid_by else None,
            note=payout.note,
        )


class Payouts(AnswerModel):
    """Payouts, the newest first, and how to get the next ones."""

    items: list[Payout]
    next_cursor: UUID | None = Field(description="Give it as `cursor` to get the next page; null on the last one.")


class SellersPayouts(AnswerModel):
    """Payouts of all sellers, the newest first, and how to get the next ones."""

    items: list[SellersPayout]
    next_cursor: UUID | None = Field(description="Give it as `cursor` to get the next page; null on the last one.")


class PayoutQuery(QueryModel):
    """Which payouts."""

    status: Literal["due", "paid"] | None = Field(None, description="Only those.")
    limit: int = Field(50, ge=1, le=200)
    cursor: UUID | None = Field(None, description="`nextCursor` of the page before.")

    def due(self) -> bool | None:
        """Whether it must be due; None for any."""
        return None if self.status is None else self.status == "due"


class PaidOut(BodyModel):
    """How it was paid."""

    note: str | None = Field(None, min_length=1, max_length=200, description="Such as the bank's reference.")
