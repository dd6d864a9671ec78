"""What is told of every change of a listing, in one form that others may consume: docs/resale.md describes it.

An event says how the listing stands after the change, and not who sells or buys. Events of one listing come in the
order of their `version`; who has seen a higher one may forget a lower one.
"""

from typing import Any

from sqlalchemy import Connection

from reservations.resale.domain import Change, Listing
from reservations.tables import deliveries
from shared import delivery, metrics
from shared.delivery import Delivery

SUBSCRIBERS = ("shop",)
PATH = "/internal/listings/events"


def form(listing: Listing, kind: Change) -> dict[str, Any]:
    """The event; money in minor units, times in RFC 3339."""
    return {
        "listingId": listing.id,
        "version": listing.version,
        "kind": kind.value,
        "state": listing.state.value,
        "reason": None if listing.reason is None else listing.reason.value,
        "matchNumber": listing.pool.match_number,
        "category": listing.pool.category,
        "amount": listing.price,
        "faceAmount": listing.face_price,
        "currency": listing.currency,
        "bySite": listing.by_site,
        "listedAt": listing.created_at.isoformat(),
        "changedAt": listing.changed_at.isoformat(),
    }


def tell(connection: Connection, listing: Listing, kind: Change) -> None:
    """Sends it to all who follow listings, when the transaction commits. The listing is locked: the order is right."""
    told = [Delivery(target, PATH, form(listing, kind), listing.id) for target in SUBSCRIBERS]
    delivery.send(connection, deliveries, told)
    metrics.LISTING_CHANGES.labels(kind.value).inc()
