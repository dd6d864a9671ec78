"""What the simulation tells: ticket messages as partners write them, and this site's events."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from shared.site_events import EventKind, SiteEvent
from shared.wire import Action, Line, TicketMessage, encode_ticket_message, pool_key


@dataclass(frozen=True, slots=True)
class TicketRecord:
    """One record of the sales log at its time; `price` is major units a ticket."""

    at: datetime
    client_id: str
    sale_id: str
    action: Action
    match_number: int
    category: int
    quantity: int
    price: Decimal

    @property
    def key(self) -> bytes:
        return pool_key(self.match_number, self.category)

    @property
    def value(self) -> bytes:
        return encode_ticket_message(self.action, self.match_number, self.category, self.quantity, self.price)

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        return [("clientId", self.client_id.encode()), ("saleId", self.sale_id.encode())]

    @property
    def message(self) -> TicketMessage:
        """What a reader understands of it."""
        line = Line(self.category, self.quantity, float(self.price))
        return TicketMessage(self.action, self.match_number, (line,), self.client_id, self.sale_id)


LISTING_KINDS = (
    EventKind.LISTING_OPENED,
    EventKind.LISTING_REPRICED,
    EventKind.LISTING_HELD,
    EventKind.LISTING_RELEASED,
    EventKind.LISTING_SOLD,
    EventKind.LISTING_WITHDRAWN,
    EventKind.LISTING_ENDED,
)

Told = TicketRecord | SiteEvent


def told_at(told: Told) -> datetime:
    """When it happened."""
    return told.at if isinstance(told, TicketRecord) else told.happened_at


def listing_event_id(sale_id: str, kind: EventKind) -> str:
    """The id of a listing's event, which does not name the sale that its ticket is from: only its id knows."""
    return str(uuid.uuid5(uuid.UUID(sale_id), kind.value))
