"""The messages that this site sends about its own sales."""

from dataclasses import dataclass
from datetime import datetime

from shared.outbox import OutboxMessage
from shared.wire import Action, ClientIdIn, encode_ticket_message, pool_key
from shop.inventory.domain import Counters


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends and where: the site's client id, where partners want it, and the sales log's topic."""

    client_id: str
    client_id_in: ClientIdIn
    topic: str


def message(
    sender: Sender,
    action: Action,
    sale_id: str,
    counters: Counters,
    quantity: int,
    *,
    not_after: datetime | None = None,
    traceparent: str | None = None,
) -> OutboxMessage:
    """One ticket message for the outbox; its key keeps the order of the pool."""
    pool = counters.pool
    value = encode_ticket_message(
        action,
        pool.match_number,
        pool.category,
        quantity,
        counters.price,
        client_id=sender.client_id,
        client_id_in=sender.client_id_in,
    )
    headers = {"clientId": sender.client_id, "saleId": sale_id}
    if traceparent:
        headers["traceparent"] = traceparent
    return OutboxMessage(sender.topic, pool_key(*pool), value, headers, not_after)


def cancelled(
    sender: Sender, sale_id: str, counters: Counters, quantity: int, traceparent: str | None = None
) -> OutboxMessage:
    """TICKET_CANCELLED: these tickets are given back."""
    return message(sender, Action.CANCELLED, sale_id, counters, quantity, traceparent=traceparent)
