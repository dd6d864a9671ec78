"""The HTTP models."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, WithJsonSchema

from reservations import domain
from reservations.cashier import Card
from reservations.domain import Standing
from reservations.waiting_room.schemas import BuyerHeaders
from shared.http import AnswerModel, BodyModel, HeadersModel, IdempotencyHeaders, Language, QueryModel
from shop.inventory.domain import State

Price = Annotated[int | float, WithJsonSchema({"type": "number"})]
# As HTML's own e-mail fields take it, with a dot in the domain.
LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = rf"^[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{LABEL}(?:\.{LABEL})+$"

# Who asks again in another language asks for the same.
SPOKEN = frozenset({"language"})
CARD_NUMBER = r"^[0-9]([ -]?[0-9]){11,18}$"

LANGUAGE_ABOUT = (
    "Of the letters and the printed tickets, such as `ar` or `es-MX`. Without one, or when there are none in it: the"
    " account's, else the first of Accept-Language, else `en`."
)


class SpokenHeaders(HeadersModel):
    """What the buyer reads."""

    accept_language: str | None = Field(
        None, alias="Accept-Language", max_length=1000, description="As browsers send it; `language` goes before it."
    )


class HoldHeaders(BuyerHeaders, SpokenHeaders):
    """For a POST that holds tickets and leads to letters."""


class ResaleHeaders(IdempotencyHeaders, SpokenHeaders):
    """The same for a ticket of somebody else's."""


class NewReservation(BodyModel):
    """What a buyer wants."""

    match_number: int = Field(ge=1, le=1_000_000, description="The match, as in the master list.")
    category: int = Field(ge=1, le=100, description="The price category.")
    quantity: int = Field(ge=1, le=2, description="How many tickets.")
    email: str | None = Field(
        None, max_length=254, pattern=EMAIL, description="A guest's address, or where to write an account instead."
    )
    language: Language | None = Field(None, description=LANGUAGE_ABOUT)


class TicketsWanted(BodyModel):
    """Tickets of one category, at the price that the buyer knows."""

    category: int = Field(ge=1, le=100, description="The price category.")
    quantity: int = Field(ge=1, le=2, description="How many tickets.")
    price: float = Field(ge=0, le=1_000_000, description="Of one ticket, in the currency's major units.")


class CardBody(BodyModel):
    """A card. Handed on to Stripe, never stored or logged."""

    number: str = Field(pattern=CARD_NUMBER, max_length=37, repr=False, description="With or without blanks.")
    expiration_month: int = Field(ge=1, le=12, repr=False)
    expiration_year: int = Field(ge=0, le=2100, repr=False, description="With two or four digits.")
    cvc: str = Field(pattern=r"^[0-9]{3,4}$", max_length=4, repr=False)

    def card(self) -> Card:
        """The same for payments."""
        return Card(
            self.number.replace(" ", "").replace("-", ""), self.expiration_month, self.expiration_year, self.cvc
        )


class NewPurchase(BodyModel):
    """What a partner's buyer wants, with the card that pays."""

    email: str = Field(max_length=254, pattern=EMAIL, description="Where the tickets are sent.")
    match_number: int = Field(ge=1, le=1_000_000, description="The match, as in the master list.")
    tickets: TicketsWanted
    card: CardBody
    language: Language | None = Field(None, description=LANGUAGE_ABOUT)


class Purchase(AnswerModel):
    """The tickets are bought and on their way by e-mail."""

    message: Literal["Ticket Purchase Successful"] = "Ticket Purchase Successful"
    id: UUID = Field(description="Of the reservation.")
    email: str
    match_number: int
    category: int
    quantity: int
    price: Price = Field(description="Of one ticket, in the currency's major units.")

    @classmethod
    def of(cls, reservation: domain.Reservation) -> Self:
        """What the partners' known contract answers."""
        return cls(
            id=UUID(reservation.id),
            email=reservation.email,
            match_number=reservation.pool.match_number,
            category=reservation.pool.category,
            quantity=reservation.quantity,
            price=_number(reservation.price),
        )


class Paid(BodyModel):
    """What payments tells of a payment that succeeded."""

    payment_id: str = Field(min_length=1, max_length=64, pattern=r"^[!-~]+$", description="Of payments; told once.")
    amount: int = Field(ge=0, le=2**53, description="In the currency's minor units.")
    currency: str = Field(pattern=r"^[A-Z]{3}$", max_length=3)


class PaidAnswer(AnswerModel):
    """What becomes of a payment."""

    outcome: Literal["reserved", "asking", "refused"] = Field(
        description="reserved: the tickets are sold. asking: it came too late, the log is asked again, and payments is"
        " told later. refused: to be refunded."
    )
    reason: str | None = Field(description="Why it is refused; `refunded` when it was kept and went back later.")

    @classmethod
    def of(cls, charge: domain.Charge) -> Self:
        """The answer to payments."""
        return cls(outcome=charge.outcome.value, reason=charge.reason)


class Refund(BodyModel):
    """Which payment has gone back in full, or has not after all."""

    payment_id: str = Field(min_length=1, max_length=64, pattern=r"^[!-~]+$", description="As it was told to be paid.")


class RefundHeard(AnswerModel):
    """What became of the tickets."""

    void: int = Field(description="How many of the reservation's tickets are void now.")


class AccountVerified(BodyModel):
    """An account has proved that an address is its own."""

    account_id: UUID
    email: str = Field(min_length=3, max_length=254)


class AccountDeleted(BodyModel):
    """An account is gone; `email` is the address that it had verified."""

    account_id: UUID
    email: str | None = Field(None, min_length=3, max_length=254)


class Joined(AnswerModel):
    """How many reservations the account has got."""

    reservations: int


class CallerHeaders(HeadersModel):
    """On whose behalf a service asks."""

    caller_authorization: str | None = Field(
        None,
        alias="X-Caller-Authorization",
        max_length=4200,
        pattern=r"^[ -~]+$",
        description="The Authorization of who must own the reservation: an account's or a guest's token.",
    )


class Wait(QueryModel):
    """How long to wait for a change."""

    wait: float = Field(0, ge=0, le=30, description="Seconds to wait at most for the status to change.")


class LogPosition(AnswerModel):
    """A place in the sales log."""

    topic: str
    partition: int
    offset: int


class Reservation(AnswerModel):
    """A reservation."""

    id: UUID
    status: State = Field(description="submitted → held → reserved, cancelled or expired; or submitted → lost.")
    match_number: int
    category: int
    quantity: int
    price: Price = Field(description="Of one ticket, in the currency's major units, as in the master list.")
    amount: int = Field(description="Of all tickets, in the currency's minor units.")
    currency: str
    email: str
    language: str = Field(description="Of the letters and the printed tickets.")
    created_at: datetime
    expires_at: datetime = Field(description="When the hold ends unless it is paid.")
    log_position: LogPosition | None = Field(description="The record that proves its place in the log.")
    refunded: bool = Field(
        False, description="What was paid has gone back in full: the tickets are void, unless one had been used."
    )
    kind: Literal["sale", "resale"] = Field("sale", description="resale: of a ticket that somebody else had.")
    listing_id: UUID | None = Field(None, description="Of a resale: which listing it holds.")
    access_token: str | None = Field(None, description="Opens this reservation; given to its maker alone.")

    @classmethod
    def of(cls, standing: Standing, topic: str, access_token: str | None = None) -> Self:
        """The reservation as its buyer sees it."""
        reservation, sale = standing.reservation, standing.sale
        seen = sale.log_state is not None
        return cls(
            id=UUID(reservation.id),
            status=sale.state,
            match_number=reservation.pool.match_number,
            category=reservation.pool.category,
            quantity=reservation.quantity,
            price=_number(reservation.price),
            amount=reservation.amount,
            currency=reservation.currency,
            email=reservation.email,
            language=reservation.language,
            created_at=reservation.created_at,
            expires_at=sale.expires_at or reservation.created_at,
            log_position=LogPosition(topic=topic, partition=sale.partition, offset=sale.offset) if seen else None,
            refunded=reservation.refunded,
            kind="resale" if reservation.is_resale else "sale",
            listing_id=UUID(reservation.listing_id) if reservation.listing_id else None,
            access_token=access_token,
        )


def _number(price: Decimal) -> int | float:
    return int(price) if price == price.to_integral_value() else float(price)


class Reservations(AnswerModel):
    """The caller's reservations."""

    items: list[Reservation]
    next_cursor: str | None = Field(None, description="Give it as `cursor` to get the next page; null on the last one.")


class OwnedReservation(Reservation):
    """A reservation, with whose it is."""

    account_id: UUID | None = Field(description="Of users; null for a guest's.")
    resold: int = Field(
        description="What was paid for those of its tickets that the buyer has sold again, in minor units."
    )

    @classmethod
    def owned(cls, standing: Standing, resold: int, topic: str) -> Self:
        """The reservation as this site's services see it."""
        account_id = standing.reservation.account_id
        seen = Reservation.of(standing, topic)
        return cls(**dict(seen), account_id=UUID(account_id) if account_id else None, resold=resold)
