"""What happens to money, told to this site's analytics. What was bought it knows by the reservation."""

from datetime import UTC, datetime

from sqlalchemy import Connection

from payments.domain import Payment
from payments.tables import site_events
from shared import event_outbox
from shared.event_outbox import Happening
from shared.site_events import EventKind


def tell(connection: Connection, kind: EventKind, payment: Payment, amount: int) -> None:
    """Writes an event about a payment; `amount` in the currency's minor units."""
    happened = Happening(
        kind,
        datetime.now(UTC),
        account_id=payment.account_id,
        amount=amount,
        currency=payment.currency,
        reservation_id=payment.reservation_id,
    )
    event_outbox.write(connection, site_events, [happened])
