"""Stripe's errors: a type, a code, a message, and the HTTP status."""

from typing import Any


class StripeError(Exception):
    """An answer that is an error; `saved` says whether an idempotency key keeps it."""

    def __init__(self, status: int, kind: str, message: str, *, saved: bool = False, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.saved = saved
        self.body = {"error": {"message": message, "type": kind, **more}}


def invalid(message: str, *, status: int = 400, saved: bool = False, **more: Any) -> StripeError:
    """A request that makes no sense, or not now."""
    return StripeError(status, "invalid_request_error", message, saved=saved, **more)


def missing(kind: str, object_id: str, param: str = "id") -> StripeError:
    """There is no such object."""
    words = kind.replace(".", " ")
    return invalid(f"No such {words}: '{object_id}'", status=404, code="resource_missing", param=param)


def unexpected_state(message: str, intent: dict[str, Any]) -> StripeError:
    """The intent's status does not allow this."""
    return invalid(message, saved=True, code="payment_intent_unexpected_state", payment_intent=intent)


def card_error(code: str, message: str, **more: Any) -> StripeError:
    """The card was not taken."""
    return StripeError(402, "card_error", message, saved=True, code=code, **more)
