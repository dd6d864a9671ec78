"""The HTTP models of listings."""

from datetime import datetime
from decimal import Decimal
from typing import Literal, Self
from uuid import UUID

from pydantic import Field

from reservations.resale import domain
from reservations.resale.domain import major
from reservations.schemas import EMAIL, LANGUAGE_ABOUT, Price
from shared.errors import ValidationFailed
from shared.http import AnswerModel, BodyModel, Language
from shared.http.validation import violation

PRICE_MAX = 10_000_000
PRICE_ABOUT = (
    "In the currency's major units, with two decimals at most: 82.5. Up to a cap in percent of the face value."
)


class _Priced(BodyModel):
    price: float = Field(ge=0.01, le=PRICE_MAX, description=PRICE_ABOUT)

    def minor(self) -> int:
        """The price in minor units, exactly. Raises `ValidationFailed` when it has more than two decimals."""
        price = Decimal(str(self.price)).scaleb(2)
        if price != price.to_integral_value():
            wrong = violation("pointer", ["price"], "invalid", "must have two decimals at most")
            raise ValidationFailed("the body is not valid", errors=[wrong])
        return int(price)


class NewListing(_Priced):
    """A ticket, and what its owner wants for it."""

    ticket_id: UUID = Field(description="A valid ticket of the caller's.")


class NewPrice(_Priced):
    """What the seller wants from now on."""


class NewHold(BodyModel):
    """Who wants to buy."""

    email: str | None = Field(
        None, max_length=254, pattern=EMAIL, description="A guest's address, or where to write an account instead."
    )
    language: Language | None = Field(None, description=LANGUAGE_ABOUT)


class OwnListing(AnswerModel):
    """A listing, as its seller sees it."""

    id: UUID
    ticket_id: UUID
    match_number: int
    category: int
    status: Literal["open", "held", "sold", "withdrawn", "ended"] = Field(
        description="open → held → sold; held → open when the hold ends; withdrawn by its seller; ended by others."
    )
    reason: str | None = Field(
        description="Why it ended: match_began, admitted, ticket_void, account_deleted or refund_failed."
    )
    price: Price = Field(description="In the currency's major units.")
    amount: int = Field(description="The same in the currency's minor units.")
    face_amount: int = Field(description="What the site sold the ticket for first, in minor units.")
    currency: str
    created_at: datetime
    changed_at: datetime
    version: int = Field(description="Counts the changes, from 1.")

    @classmethod
    def of(cls, listing: domain.Listing) -> Self:
        """The listing as its seller sees it; who holds it is nobody's business."""
        price = major(listing.price)
        return cls(
            id=UUID(listing.id),
            ticket_id=UUID(listing.ticket_id),
            match_number=listing.pool.match_number,
            category=listing.pool.category,
            status=listing.state.value,
            reason=None if listing.reason is None else listing.reason.value,
            price=int(price) if price == price.to_integral_value() else float(price),
            amount=listing.price,
            face_amount=listing.face_price,
            currency=listing.currency,
            created_at=listing.created_at,
            changed_at=listing.changed_at,
            version=listing.version,
        )


class OwnListings(AnswerModel):
    """The caller's listings, and how to get the next ones."""

    items: list[OwnListing]
    next_cursor: str | None = Field(description="Give it as `cursor` to get the next page; null on the last one.")
