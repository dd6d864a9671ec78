"""The HTTP models of listings."""

from datetime import datetime
from decimal import Decimal
from typing import Literal, Self
from uuid import UUID

from pydantic import Field

from reservations.paging import PageQuery
from reservations.resale import domain
from reservations.resale.domain import major
from reservations.schemas import EMAIL, LANGUAGE_ABOUT, Price
from shared.errors import ValidationFailed
from shared.http import AnswerModel, BodyModel, Language
from shared.http.models import PATH_INT_MAX
from shared.http.validation import violation

PRICE_MAX = 10_000_000
PRICE_ABOUT = (
    "In the currency's major units, with two decimals at most: 82.5. Up to a cap in percent of the face value."
)


ListingStatus = Literal["open", "held", "sold", "withdrawn", "ended"]


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


class ListingQuery(PageQuery):
    """Which listings."""

    id: UUID | None = Field(None, description="Only this one.")
    status: ListingStatus | None = Field(None, description="Only those.")
    match_number: int | None = Field(None, ge=1, le=PATH_INT_MAX, description="Only those for this match.")
    seller_id: UUID | None = Field(None, description="Only those of this account.")
    by_site: bool | None = Field(None, description="Only the site's own, or only those of others.")

    def search(self) -> domain.Search:
        """The same for the use case."""
        return domain.Search(
            None if self.id is None else str(self.id),
            None if self.status is None else domain.ListingState(self.status),
            self.match_number,
            None if self.seller_id is None else str(self.seller_id),
            self.by_site,
        )


class EndOfListing(BodyModel):
    """Why an admin ends a listing."""

    note: str = Field(min_length=1, max_length=200, description="For other admins; the seller does not see it.")


class OwnListing(AnswerModel):
    """A listing, as its seller sees it."""

    id: UUID
    ticket_id: UUID
    match_number: int
    category: int
    status: ListingStatus = Field(
        description="open → held → sold; held → open when the hold ends; withdrawn by its seller; ended by others."
    )
    reason: str | None = Field(
        description="Why it ended: match_began, admitted, ticket_void, account_deleted, refund_failed or by_admin."
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


class AnyListing(OwnListing):
    """A listing, as admins see it."""

    by_site: bool = Field(description="Whether the site itself sells a ticket that was given back.")
    seller_id: UUID | None = Field(description="The seller's account; null for the site's own, and when it is deleted.")
    seller_email: str | None = Field(description="What the seller had the ticket with.")
    held_by: UUID | None = Field(description="The reservation of who holds or has bought it.")
    ended_by: UUID | None = Field(description="The admin who has ended it.")
    note: str | None = Field(description="What that admin wrote about it.")

    @classmethod
    def seen(cls, found: domain.Found) -> Self:
        """The listing with who sells, holds and has ended it."""
        listing = found.listing
        return cls(
            **dict(OwnListing.of(listing)),
            by_site=listing.by_site,
            seller_id=None if listing.seller_id is None else UUID(listing.seller_id),
            seller_email=found.seller_email,
            held_by=None if listing.held_by is None else UUID(listing.held_by),
            ended_by=None if listing.ended_by is None else UUID(listing.ended_by),
            note=listing.note,
        )


class AnyListings(AnswerModel):
    """Listings of all, the newest first, and how to get the next ones."""

    items: list[AnyListing]
    next_cursor: str | None = Field(description="Give it as `cursor` to get the next page; null on the last one.")


class OwnListings(AnswerModel):
    """The caller's listings, and how to get the next ones."""

    items: list[OwnListing]
    next_cursor: str | None = Field(description="Give it as `cursor` to get the next page; null on the last one.")
