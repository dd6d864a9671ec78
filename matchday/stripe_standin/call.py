"""One request as the operations see it, and what they need of the rest: time, ids, events."""

import secrets
import string
import time
from dataclasses import dataclass
from typing import Any

from matchday.stripe_standin.errors import missing
from matchday.stripe_standin.form import Params
from matchday.stripe_standin.store import Object, Store
from matchday.stripe_standin.webhooks import Webhooks

API_VERSION = "2026-10-28.endive"
LETTERS = string.ascii_letters + string.digits


def new_id(prefix: str, length: int = 24) -> str:
    """An id as Stripe makes them."""
    return f"{prefix}_{''.join(secrets.choice(LETTERS) for _ in range(length))}"


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may be worked on: its parameters, and whether it came with the secret key."""

    store: Store
    webhooks: Webhooks
    params: Params
    request_id: str
    idempotency_key: str | None
    secret: bool
    base: str
    refund_seconds: float = 0.0

    def now(self) -> int:
        return int(time.time())

    def get(self, kind: str, object_id: str, param: str = "id") -> Object:
        """An object, or what Stripe answers when there is none."""
        found = self.store.find(kind, object_id)
        if found is None:
            raise missing(kind, object_id, param)
        return found

    def emit(self, kind: str, thing: Object) -> None:
        """An event on a thing, as it is now; posted to the webhook after the transaction."""
        event: Object = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now(),
            "data": {"object": shown(thing)},
            "livemode": False,
            "pending_webhooks": 1 if self.webhooks.url else 0,
            "request": {"id": self.request_id, "idempotency_key": self.idempotency_key},
            "type": kind,
        }
        self.store.add("event", event)
        self.webhooks.enqueue(event["id"])


def shown(value: Any) -> Any:
    """As answered: members that begin with an underscore are the stand-in's own."""
    if isinstance(value, dict):
        return {name: shown(inner) for name, inner in value.items() if not name.startswith("_")}
    return [shown(inner) for inner in value] if isinstance(value, list) else value
