"""The JSON of listings at the shop."""

import base64
import binascii
import datetime
import math
import re
from decimal import Decimal
from typing import Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, ValidationInfo, field_validator

from shared.errors import ValidationFailed
from shared.http import AnswerModel, BodyModel, QueryModel
from shared.http.models import PATH_INT_MAX, not_below
from shared.http.validation import violation
from shop.listings import domain
from shop.listings.domain import Place, Search, SortKey
from shop.schemas import Price, PriceLimit

AMOUNT_MAX = 1_000_000_000
VERSION_MAX = 2**31 - 1
_PLACE = re.compile(r"(-?listedAt|-?price):(\d{1,18}):([0-9a-f-]{36})")


class Listing(AnswerModel):
    """A ticket that somebody sells."""

    id: UUID
    match_number: int
    category: int
    price: Price = Field(description="In the currency's major units.")
    amount: int = Field(description="The same in the currency's minor units: what the buyer pays.")
    face_amount: int = Field(description="What the site sold the ticket for first, in minor units.")
    currency: str = Field(description="ISO 4217.")
    by_site: bool = Field(description="Whether the site itself sells it: a ticket that came back.")
    listed_at: datetime.datetime
    changed_at: datetime.datetime

    @classmethod
    def of(cls, listing: domain.Listing) -> Self:
        """The listing as anybody sees it."""
        return cls(
            id=UUID(listing.id),
            match_number=listing.match_number,
            category=listing.category,
            price=Decimal(listing.amount).scaleb(-2),
            amount=listing.amount,
            face_amount=listing.face_amount,
            currency=listing.currency,
            by_site=listing.by_site,
            listed_at=listing.listed_at,
            changed_at=listing.changed_at,
        )


class Listings(AnswerModel):
    """What is offered now, and how to get the next ones."""

    items: list[Listing]
    next_cursor: str | None = Field(description="Give it as `cursor` to get the next page; null on the last one.")


class ListingQuery(QueryModel):
    """What is looked for."""

    match_number: int | None = Field(None, ge=1, le=PATH_INT_MAX)
    category: int | None = Field(None, ge=1, le=100)
    price_min: PriceLimit | None = Field(None, description="In major units, as shown.")
    price_max: PriceLimit | None = Field(None, description="In major units, as shown.")
    sort: SortKey = Field(SortKey.PRICE, description="A minus in front turns the order round.")
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=120, description="`nextCursor` of the page before, with the same sort.")

    @field_validator("price_max")
    @classmethod
    def _not_below(cls, value: object, info: ValidationInfo) -> object:
        return not_below(value, info, "price_min")

    def search(self) -> Search:
        """The same for the use case; a price between two minor units is rounded to the inside."""
        low = None if self.price_min is None else math.ceil(self.price_min * 100)
        high = None if self.price_max is None else math.floor(self.price_max * 100)
        return Search(self.match_number, self.category, low, high)

    def place(self) -> Place | None:
        """Where the page begins. Raises `ValidationFailed` when the cursor is not one of ours for this sort."""
        if self.cursor is None:
            return None
        try:
            raw = base64.b64decode(self.cursor + "=" * (-len(self.cursor) % 4), altchars=b"-_", validate=True)
            found = _PLACE.fullmatch(raw.decode())
            if found is None or found[1] != self.sort or int(found[2]) > VALUE_MAX:
                raise ValueError("not as we write it")
            return Place(int(found[2]), str(UUID(found[3])))
        except (binascii.Error, ValueError):
            wrong = violation("parameter", ["cursor"], "invalid", "must be a nextCursor of the same sort")
            raise ValidationFailed("the request has wrong parameters", errors=[wrong]) from None


VALUE_MAX = 4_102_444_800_000_000  # the year 2100 in microseconds; prices are far below


def encode_cursor(place: Place, sort: SortKey) -> str:
    """A place as text that means nothing to the caller."""
    return base64.urlsafe_b64encode(f"{sort.value}:{place.value}:{place.id}".encode()).decode().rstrip("=")


class ListingEvent(BodyModel):
    """What happened to a listing, and how it stands since."""

    listing_id: UUID
    version: int = Field(ge=1, le=VERSION_MAX, description="Counts the listing's changes.")
    kind: Literal["listed", "repriced", "held", "released", "sold", "withdrawn", "ended"]
    state: Literal["open", "held", "sold", "withdrawn", "ended"]
    reason: str | None = Field(max_length=50, description="Of what ended.")
    match_number: int = Field(ge=1, le=PATH_INT_MAX)
    category: int = Field(ge=1, le=100)
    amount: int = Field(ge=1, le=AMOUNT_MAX, description="The price, in minor units.")
    face_amount: int = Field(ge=0, le=AMOUNT_MAX)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    by_site: bool
    listed_at: AwareDatetime
    changed_at: AwareDatetime

    def listing(self) -> domain.Listing:
        """How the listing stands."""
        return domain.Listing(
            str(self.listing_id),
            self.version,
            self.state,
            self.match_number,
            self.category,
            self.amount,
            self.face_amount,
            self.currency,
            self.by_site,
            self.listed_at,
            self.changed_at,
        )


class ListingHeard(AnswerModel):
    """What came of it."""

    applied: bool = Field(description="False: this, or something newer, was known.")
