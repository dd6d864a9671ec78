"""The HTTP models."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, WithJsonSchema

from reservations.domain import Standing
from shared.http import AnswerModel, BodyModel, QueryModel

Price = Annotated[int | float, WithJsonSchema({"type": "number"})]
# As HTML's own e-mail fields take it, with a dot in the domain.
LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = rf"^[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{LABEL}(?:\.{LABEL})+$"


class NewReservation(BodyModel):
    """What a buyer wants."""

    match_number: int = Field(ge=1, le=1_000_000, description="The match, as in the master list.")
    category: int = Field(ge=1, le=100, description="The price category.")
    quantity: int = Field(ge=1, le=2, description="How many tickets.")
    email: str = Field(max_length=254, pattern=EMAIL, description="The guest's address.")


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
    status: str = Field(description="submitted, held, reserved, cancelled, expired or lost.")
    match_number: int
    category: int
    quantity: int
    price: Price = Field(description="Of one ticket, in the currency's major units, as in the master list.")
    amount: int = Field(description="Of all tickets, in the currency's minor units.")
    currency: str
    email: str
    created_at: datetime
    expires_at: datetime = Field(description="When the hold ends unless it is paid.")
    log_position: LogPosition | None = Field(description="The record that proves its place in the log.")
    access_token: str | None = Field(None, description="Opens this reservation; given to its maker alone.")

    @classmethod
    def of(cls, standing: Standing, topic: str, access_token: str | None = None) -> Self:
        """The reservation as its buyer sees it."""
        reservation, sale = standing.reservation, standing.sale
        seen = sale.log_state is not None
        return cls(
            id=UUID(reservation.id),
            status=sale.state.value,
            match_number=reservation.pool.match_number,
            category=reservation.pool.category,
            quantity=reservation.quantity,
            price=_number(reservation.price),
            amount=reservation.amount,
            currency=reservation.currency,
            email=reservation.email,
            created_at=reservation.created_at,
            expires_at=sale.expires_at or reservation.created_at,
            log_position=LogPosition(topic=topic, partition=sale.partition, offset=sale.offset) if seen else None,
            access_token=access_token,
        )


def _number(price: Decimal) -> int | float:
    return int(price) if price == price.to_integral_value() else float(price)


class Reservations(AnswerModel):
    """The caller's reservations."""

    items: list[Reservation]
    next_cursor: None = None
