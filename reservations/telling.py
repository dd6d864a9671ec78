"""What payments is told by more than one use case."""

from collections.abc import Sequence

from sqlalchemy import Connection

from reservations.tables import deliveries
from shared import delivery
from shared.delivery import Delivery

PAYMENTS = "payments"
CREDITS = "/internal/payments/credits"


def tell_ended(connection: Connection, reservation_ids: Sequence[str]) -> None:
    """Lets payments cancel what a buyer may have begun to pay."""
    ended = [
        Delivery(PAYMENTS, "/internal/payments/cancelled", {"reservationId": reservation_id}, reservation_id)
        for reservation_id in reservation_ids
    ]
    delivery.send(connection, deliveries, ended)
