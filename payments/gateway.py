"""Stripe, through its official library: the one place that knows its words.

Every request that makes something or moves money has an idempotency key of ours, so that repeating it is safe. What
Stripe did when no answer came is never guessed: the caller asks again.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import stripe
import structlog
from stripe import StripeClient

from payments.domain import (
    REFUND_STATUS,
    Card,
    CardDeclined,
    Intent,
    Payment,
    Refund,
    RefundStatus,
    Status,
    StripeRefund,
    StripeRefused,
    StripeStuck,
    StripeUnavailable,
)
from payments.settings import StripeSettings

log = structlog.get_logger(__name__)
stripe.enable_telemetry = False  # what a request took concerns nobody else

PAGE = 100
PAGES_MAX = 10_000
CONNECT_SECONDS_MAX = 3.0
# Cards and wallets that are cards decide at once; methods that take days do not fit a hold of minutes.
METHODS = ["card"]
T = TypeVar("T")
# When whoever waits for the present work stops waiting, on the monotonic clock.
_ends_at: ContextVar[float | None] = ContextVar("ends_at", default=None)


class BoundedClient(stripe.RequestsClient):
    """Waits for one answer no longer than is left of the work that it is for."""

    def __init__(self, connect_seconds: float, read_seconds: float) -> None:
        self._longest = (connect_seconds, read_seconds)
        super().__init__(timeout=self._longest)

    @property
    def _timeout(self) -> Any:
        left = _left()
        return self._longest if left is None else tuple(min(seconds, left) for seconds in self._longest)

    @_timeout.setter
    def _timeout(self, _: Any) -> None:
        """The library sets what it was given; it is asked for at each request instead."""

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **more: Any) -> Any:
        left = _left()
        if left is not None and left <= 0:
            raise stripe.APIConnectionError("no time is left", should_retry=False)  # type: ignore[no-untyped-call]
        return super().request(method, url, headers, post_data, **more)


def _left() -> float | None:
    ends_at = _ends_at.get()
    return None if ends_at is None else ends_at - time.monotonic()


class Gateway:
    """Requests to Stripe for one site; `site` marks its intents, as several may share an account."""

    def __init__(self, settings: StripeSettings, site: str, http: stripe.HTTPClient | None = None) -> None:
        self._site = site
        self._client = StripeClient(
            settings.stripe_secret_key.get_secret_value(),
            base_addresses={"api": settings.stripe_api_base},
            max_network_retries=settings.stripe_retries,
            http_client=http or BoundedClient(CONNECT_SECONDS_MAX, settings.stripe_seconds_max),
        )
        self._card_seconds_max = settings.stripe_card_seconds_max

    @contextmanager
    def card_time(self) -> Iterator[None]:
        """All that is asked inside ends in time for who waits for a card to be charged; then: `StripeUnavailable`."""
        token = _ends_at.set(time.monotonic() + self._card_seconds_max)
        try:
            yield
        finally:
            _ends_at.reset(token)

    @property
    def _v1(self) -> Any:
        # The library's parameter types are closed dictionaries; the contract test checks what we send instead.
        return self._client.v1

    def ping(self) -> None:
        """Readiness: Stripe answers, and takes our key."""
        _asked(lambda: self._v1.payment_intents.list({"limit": 1}))

    def create_intent(self, payment: Payment) -> Intent:
        """Makes the payment's intent, or finds the one made before. Raises `StripeUnavailable`, `StripeRefused`."""
        told = {
            "amount": payment.amount,
            "currency": payment.currency.lower(),
            "payment_method_types": METHODS,
            "description": f"Tickets, reservation {payment.reservation_id}",
            "metadata": {"site": self._site, "paymentId": payment.id, "reservationId": payment.reservation_id},
        }
        return _intent(_asked(lambda: self._v1.payment_intents.create(told, {"idempotency_key": payment.intent_key})))

    def intent(self, intent_id: str) -> Intent:
        """An intent as it stands."""
        return _intent(_asked(lambda: self._v1.payment_intents.retrieve(intent_id)))

    def confirm(self, intent_id: str, card: Card, key: str) -> Intent:
        """Charges a card. Raises `CardDeclined` also for what is no card, `StripeUnavailable`, `StripeRefused`."""
        # Two requests: Stripe's schema takes a card's number for a PaymentMethod only.
        data = {
            "type": "card",
            "card": {
                "number": card.number,
                "exp_month": card.expiration_month,
                "exp_year": card.expiration_year,
                "cvc": card.cvc,
            },
        }
        method = _asked(lambda: self._v1.payment_methods.create(data, {"idempotency_key": f"{key}-card"}))
        told = {"payment_method": method.id}
        return _intent(_asked(lambda: self._v1.payment_intents.confirm(intent_id, told, {"idempotency_key": key})))

    def cancel(self, intent_id: str) -> Intent:
        """Lets an intent take no money any more. Raises `StripeRefused` when it cannot be cancelled (now)."""
        # Without a key of ours: under one, Stripe would repeat a refusal long after its reason has gone.
        told = {"cancellation_reason": "abandoned"}
        return _intent(_asked(lambda: self._v1.payment_intents.cancel(intent_id, told)))

    def refund(self, refund: Refund, intent_id: str) -> StripeRefund:
        """Gives money back. Raises `StripeRefused` when there is not so much left."""
        told = {
            "payment_intent": intent_id,
            "amount": refund.amount,
            "metadata": {"site": self._site, "refundId": refund.id, "paymentId": refund.payment_id},
        }
        return _refund(_asked(lambda: self._v1.refunds.create(told, {"idempotency_key": refund.stripe_key})))

    def refunds_of(self, intent_id: str) -> list[StripeRefund]:
        """The refunds of an intent, newest first; a hundred at most."""
        listed = _asked(lambda: self._v1.refunds.list({"payment_intent": intent_id, "limit": PAGE}))
        return [_refund(found) for found in listed.data]

    def intents_since(self, created: int) -> Iterator[Intent]:
        """This site's intents that were made since a moment (seconds since the epoch), newest first."""
        found = map(_intent, self._pages(self._v1.payment_intents.list, created))
        return (intent for intent in found if intent.site == self._site)

    def refunds_since(self, created: int) -> Iterator[StripeRefund]:
        """The account's refunds that were made since a moment, newest first."""
        return map(_refund, self._pages(self._v1.refunds.list, created))

    def _pages(self, listed: Callable[[dict[str, Any]], Any], created: int) -> Iterator[Any]:
        told: dict[str, Any] = {"created": {"gte": created}, "limit": PAGE}
        for _ in range(PAGES_MAX):
            page = _asked(lambda: listed(told))  # noqa: B023 - asked before it changes
            yield from page.data
            if not page.has_more or not page.data:
                return
            told = {**told, "starting_after": page.data[-1].id}
        log.warning("stripe_list_too_long", pages=PAGES_MAX)


def _asked(ask: Callable[[], T]) -> T:
    """Asks Stripe, and says in our words what went wrong. Its messages may repeat what was sent, so they go nowhere."""
    try:
        return ask()
    except stripe.CardError as error:
        found = error.error
        decline = getattr(found, "decline_code", None) or error.code or "unknown"
        raise CardDeclined("the card was declined", declineCode=decline) from None
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise StripeUnavailable(f"Stripe does not answer: {type(error).__name__}") from None
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("stripe_key_refused", error=type(error).__name__)
        raise StripeUnavailable("Stripe does not take the key of this site") from None
    except (stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        reason = error.code or type(error).__name__
        log.warning("stripe_refused", reason=reason, request=error.request_id)
        raise StripeRefused("Stripe refuses this request", reason=reason) from None
    except stripe.StripeError as error:
        if error.http_status == 409:
            raise StripeUnavailable("the same request is being worked on") from None
        log.warning("stripe_failed", status=error.http_status, request=error.request_id)
        raise StripeStuck("Stripe failed") from None


def _intent(found: Any) -> Intent:
    failure = found.last_payment_error
    metadata = found.metadata.to_dict() if found.metadata else {}
    return Intent(
        id=found.id,
        status=Status(found.status),
        amount=found.amount,
        received=found.amount_received or 0,
        currency=found.currency.upper(),
        client_secret=found.client_secret,
        charge_id=found.latest_charge,
        failure_code=None if not failure else failure.code,
        decline_code=None if not failure else getattr(failure, "decline_code", None),
        payment_id=metadata.get("paymentId"),
        site=metadata.get("site"),
        created=found.created,
    )


def _refund(found: Any) -> StripeRefund:
    metadata = found.metadata.to_dict() if found.metadata else {}
    return StripeRefund(
        id=found.id,
        status=RefundStatus(REFUND_STATUS.get(found.status, found.status)),
        amount=found.amount,
        currency=found.currency.upper(),
        intent_id=found.payment_intent,
        refund_id=metadata.get("refundId"),
        failure_reason=getattr(found, "failure_reason", None),
    )
