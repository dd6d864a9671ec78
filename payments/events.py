"""What Stripe posts to the webhook: believed by its signature, then read so that nothing odd gets further than here.

An event that is signed and cannot be understood is no reason to have it sent again for three days: it is taken, kept in
the inbox with its problem, and told to the operator.
"""

import hashlib
import json
import re
import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import stripe
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from payments.domain import REFUND_STATUS, Event, Intent, InvalidSignature, RefundStatus, Status, StripeRefund
from shared.http.validation import json_pointer

SIGNATURE_HEADER = "Stripe-Signature"
SIGNATURES_MAX = 10
LONGEST = 255
WHOLE_MAX = 2**53
PROBLEM_LONGEST = 500
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_MOMENT = re.compile(r"[0-9]{1,12}")


def _storable(text: str) -> str:
    # PostgreSQL stores neither NUL nor half of a surrogate pair.
    if "\0" in text or text.encode("utf-8", "replace").decode() != text:
        raise ValueError("characters that cannot be stored")
    return text


Text = Annotated[str, StringConstraints(max_length=LONGEST), AfterValidator(_storable)]
Name = Annotated[Text, StringConstraints(min_length=1)]
Whole = Annotated[int, Field(ge=0, le=WHOLE_MAX)]
Currency = Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$")]


class _Told(BaseModel):
    """Something of Stripe's, of which we read some members; types are not guessed."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Head(_Told):
    id: Name
    type: Name
    created: Whole


class _Failure(_Told):
    code: Text | None = None
    decline_code: Text | None = None


class _Intent(_Told):
    id: Name
    status: Literal[
        "requires_payment_method", "requires_confirmation", "requires_action", "requires_capture", "processing",
        "succeeded", "canceled",
    ]  # fmt: skip
    amount: Whole
    amount_received: Whole | None = None
    currency: Currency
    client_secret: Text | None = None
    latest_charge: Text | None = None
    last_payment_error: _Failure | None = None
    metadata: dict[str, str] | None = None
    created: Whole


class _Refund(_Told):
    id: Name
    status: Literal["pending", "requires_action", "succeeded", "failed", "canceled"]
    amount: Annotated[int, Field(ge=1, le=WHOLE_MAX)]
    currency: Currency
    payment_intent: Text | None = None
    metadata: dict[str, str] | None = None
    failure_reason: Text | None = None


@dataclass(frozen=True, slots=True)
class EventReader:
    """Reads what Stripe posts, and believes only what it has signed; `site` marks what is of this site."""

    secret: str
    age_seconds: int
    site: str

    def may_be_signed(self, signature: str) -> bool:
        """Whether a header could be a signature of now; costs next to nothing."""
        parts = signature.split(",", SIGNATURES_MAX)[:SIGNATURES_MAX]
        named = [(name.strip(), value.strip()) for name, _, value in (part.partition("=") for part in parts)]
        moments = [int(value) for name, value in named if name == "t" and _MOMENT.fullmatch(value)]
        if not moments or not any(name == "v1" and _SIGNATURE.fullmatch(value) for name, value in named):
            return False
        return moments[-1] >= time.time() - self.age_seconds

    def is_signed(self, signature: str | None, payload: bytes) -> bool:
        """Whether Stripe has signed these bytes, not long ago."""
        try:
            stripe.WebhookSignature.verify_header(payload, signature, self.secret, self.age_seconds)
        except (stripe.SignatureVerificationError, ValueError, OverflowError):
            return False
        return True

    def read(self, payload: bytes, signature: str | None) -> Event:
        """The event; with a `problem` when it cannot be understood. Raises `InvalidSignature`."""
        if not self.is_signed(signature, payload):
            raise InvalidSignature("the event is not signed as it should be")
        unknown = Event("unread_" + hashlib.sha256(payload).hexdigest(), "unknown", 0)
        try:
            raw = json.loads(payload)
        except (ValueError, RecursionError):
            return _odd(unknown, "no JSON that could be read")
        try:
            head = _Head.model_validate(raw)
        except ValidationError as error:
            return _odd(unknown, _told(error))
        return self._about(Event(head.id, head.type, head.created), raw)

    def _about(self, event: Event, raw: dict[str, Any]) -> Event:
        data = raw.get("data")
        thing = data.get("object") if isinstance(data, dict) else None
        kind = thing.get("object") if isinstance(thing, dict) else None
        if not isinstance(thing, dict) or not isinstance(kind, str):
            return _odd(event, "/data/object is missing")
        if kind not in ("payment_intent", "refund") or self._is_anothers(thing):
            return event
        try:
            if kind == "refund":
                return Event(event.id, event.kind, event.created, refund=_refund(_Refund.model_validate(thing)))
            return Event(event.id, event.kind, event.created, intent=_intent(_Intent.model_validate(thing)))
        except ValidationError as error:
            return _odd(event, _told(error, ("data", "object")))

    def _is_anothers(self, thing: dict[str, Any]) -> bool:
        metadata = thing.get("metadata")
        site = metadata.get("site") if isinstance(metadata, dict) else None
        return isinstance(site, str) and site != self.site


def _odd(event: Event, problem: str) -> Event:
    return Event(event.id, event.kind, event.created, problem=problem[:PROBLEM_LONGEST])


def _told(error: ValidationError, before: tuple[str, ...] = ()) -> str:
    """What is wrong where; never the values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    text = "; ".join(f"{json_pointer((*before, *each['loc']))}: {each['type']}" for each in found)
    # The names of members are the sender's, too.
    return text.encode("ascii", "replace").decode().replace("\0", "?")


def _intent(told: _Intent) -> Intent:
    failure, metadata = told.last_payment_error, told.metadata or {}
    return Intent(
        id=told.id,
        status=Status(told.status),
        amount=told.amount,
        received=told.amount_received or 0,
        currency=told.currency.upper(),
        client_secret=told.client_secret,
        charge_id=told.latest_charge,
        failure_code=None if failure is None else failure.code,
        decline_code=None if failure is None else failure.decline_code,
        payment_id=metadata.get("paymentId"),
        site=metadata.get("site"),
        created=told.created,
    )


def _refund(told: _Refund) -> StripeRefund:
    return StripeRefund(
        id=told.id,
        status=RefundStatus(REFUND_STATUS.get(told.status, told.status)),
        amount=told.amount,
        currency=told.currency.upper(),
        intent_id=told.payment_intent,
        refund_id=(told.metadata or {}).get("refundId"),
        failure_reason=told.failure_reason,
    )
