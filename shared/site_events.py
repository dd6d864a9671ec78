"""What happens at one site, told to its own analytics: no personal data, at least once, each with an id of its own.

Services write events in the transaction that makes them true (`shared.event_outbox`) or, what nobody would miss, into
memory (`shared.event_buffer`); from there they come to this site's own topic. The federation's are not concerned.
"""

import base64
import hashlib
import hmac
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson
from pydantic import SecretStr

PSEUDONYM_BYTES = 16
TEXT_CHARS_MAX = 80


class EventKind(StrEnum):
    """What happened. That a real reservation was held or lost is in the federation's log; a simulation says it here."""

    RESERVATION_SUBMITTED = "reservation_submitted"
    RESERVATION_HELD = "reservation_held"
    RESERVATION_LOST = "reservation_lost"
    RESERVATION_RESERVED = "reservation_reserved"
    RESERVATION_CANCELLED = "reservation_cancelled"
    RESERVATION_EXPIRED = "reservation_expired"
    PAYMENT_SUCCEEDED = "payment_succeeded"
    PAYMENT_FAILED = "payment_failed"
    REFUND_MADE = "refund_made"
    LISTING_OPENED = "listing_opened"
    LISTING_REPRICED = "listing_repriced"
    LISTING_HELD = "listing_held"
    LISTING_RELEASED = "listing_released"
    LISTING_SOLD = "listing_sold"
    LISTING_WITHDRAWN = "listing_withdrawn"
    LISTING_ENDED = "listing_ended"
    MATCH_VIEWED = "match_viewed"
    SEARCHED = "searched"


@dataclass(frozen=True, slots=True)
class SiteEvent:
    """One event. `amount` is the total in the currency's minor units; `subject` is a pseudonym of an account."""

    kind: EventKind
    happened_at: datetime
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    subject: str | None = None
    country: str | None = None
    language: str | None = None
    match_number: int | None = None
    category: int | None = None
    quantity: int | None = None
    amount: int | None = None
    currency: str | None = None
    reservation_id: str | None = None
    text: str | None = None
    synthetic: bool = False


def key_of(event: SiteEvent) -> bytes:
    """The record's key: what is told of one visitor, or else of one reservation, stays in its order."""
    return (event.subject or event.reservation_id or event.event_id).encode()


def encode_event(event: SiteEvent) -> bytes:
    """The record's value: a JSON object in camelCase without the members that are null."""
    return orjson.dumps({_camel(name): value for name, value in asdict(event).items() if value is not None})


def decode_event(value: bytes | None) -> SiteEvent:
    """The event in a record. Unknown members are passed over. Raises `ValueError` for what is no event."""
    try:
        document = orjson.loads(value or b"")
        known = {_snake[name]: found for name, found in document.items() if name in _snake}
        known["kind"] = EventKind(known["kind"])
        known["happened_at"] = _moment(known["happened_at"])
        event = SiteEvent(**known)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"no event of a site: {error}") from error
    for name, type_ in _TYPES.items():
        if (found := getattr(event, name)) is not None and type(found) is not type_:
            raise ValueError(f"no event of a site: {_camel(name)} is a {type(found).__name__}")
    return event


def _moment(text: str) -> datetime:
    """In UTC. Raises `OverflowError` when that is beyond what a date can be."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("happenedAt has no offset from UTC")
    return moment.astimezone(UTC)


def pseudonym(secret: SecretStr, account_id: str) -> str:
    """A name for an account that only who has the secret can make; the same account always has the same."""
    digest = hmac.digest(secret.get_secret_value().encode(), account_id.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:PSEUDONYM_BYTES]).decode().rstrip("=")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


_snake: dict[str, str] = {_camel(name): name for name in SiteEvent.__dataclass_fields__}
_TYPES: dict[str, type[Any]] = {
    "event_id": str,
    "subject": str,
    "country": str,
    "language": str,
    "match_number": int,
    "category": int,
    "quantity": int,
    "amount": int,
    "currency": str,
    "reservation_id": str,
    "text": str,
    "synthetic": bool,
}
