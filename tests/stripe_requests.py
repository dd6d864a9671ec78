"""Every kind of request that payments sends to Stripe, as it goes over the wire.

`python -m tests.stripe_requests` writes them into tests/contract/golden/stripe_requests.json; a test compares.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import stripe

from payments.domain import Card, Payment, Refund, RefundStatus, Status
from payments.gateway import Gateway
from payments.settings import StripeSettings
from shared.settings import load

GOLDEN = Path(__file__).parent / "contract" / "golden" / "stripe_requests.json"
INTENT = {
    "id": "pi_123", "object": "payment_intent", "status": "succeeded", "amount": 25_000, "amount_received": 25_000,
    "currency": "usd", "client_secret": "pi_123_secret_456", "latest_charge": "ch_123", "last_payment_error": None,
    "metadata": {"site": "matchday"}, "created": 1_669_000_000,
}  # fmt: skip
REFUND = {
    "id": "re_123", "object": "refund", "status": "succeeded", "amount": 10_000, "currency": "usd",
    "payment_intent": "pi_123", "metadata": {},
}  # fmt: skip
PAYMENT_ID = "1b9a3c1e-7c7e-4f0e-9d59-5d3c0b7a9f11"
MOMENT = datetime(2022, 11, 20, 16, tzinfo=UTC)


class Recorder(stripe.HTTPClient):
    """Writes requests down and answers what they wait for."""

    name = "recorder"

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[dict[str, Any]] = []
        self.what = ""

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        parts = urlsplit(url)
        raw = post_data if isinstance(post_data, str) else parts.query
        keyed = "Idempotency-Key" in (headers or {})
        self.requests.append(
            {
                "what": self.what,
                "method": method.upper(),
                "path": parts.path,
                "params": dict(parse_qsl(raw, keep_blank_values=True)),
                "idempotencyKey": keyed,
            }
        )
        found: dict[str, Any] = REFUND if "refunds" in parts.path else INTENT
        if parts.path.endswith("/payment_methods"):
            found = {"id": "pm_123", "object": "payment_method"}
        answer = found
        if method == "get" and parts.path.endswith(("/payment_intents", "/refunds")):
            last = "starting_after" in parts.query
            answer = {"object": "list", "data": [found], "has_more": not last, "url": parts.path}
        return json.dumps(answer), 200, {}

    def close(self) -> None:
        pass


def payment() -> Payment:
    """A payment that begins."""
    return Payment(
        PAYMENT_ID, "e2c56db5-dffb-48d2-b060-d0f5a71096e0", 25_000, "USD", "ada@example.org", None, Status.NEW,
        None, PAYMENT_ID, None, None, 0, None, None, None, None, MOMENT, MOMENT, 0,
    )  # fmt: skip


def record() -> list[dict[str, Any]]:
    """The requests, one of each kind, in order."""
    recorder = Recorder()
    settings = load(StripeSettings, {"STRIPE_SECRET_KEY": "sk_test_123"})
    gateway = Gateway(settings, "matchday", recorder)
    refund = Refund(
        "7a1c2d3e-4f50-4617-8293-a4b5c6d7e8f9", PAYMENT_ID, 10_000, "USD", "operator", RefundStatus.NEW, None,
        "7a1c2d3e-4f50-4617-8293-a4b5c6d7e8f9", None, MOMENT, 0,
    )  # fmt: skip
    since = int(MOMENT.timestamp())
    calls: dict[str, Callable[[], Any]] = {
        "ready": gateway.ping,
        "create an intent": lambda: gateway.create_intent(payment()),
        "look at an intent": lambda: gateway.intent("pi_123"),
        "charge a card": lambda: gateway.confirm("pi_123", Card("4242424242424242", 12, 2034, "123"), "key"),
        "cancel an intent": lambda: gateway.cancel("pi_123"),
        "refund": lambda: gateway.refund(refund, "pi_123"),
        "refunds of an intent": lambda: gateway.refunds_of("pi_123"),
        "list intents": lambda: list(gateway.intents_since(since)),
        "list refunds": lambda: list(gateway.refunds_since(since)),
    }
    for recorder.what, call in calls.items():
        call()
    return recorder.requests


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(record(), indent=2) + "\n", "utf-8")
