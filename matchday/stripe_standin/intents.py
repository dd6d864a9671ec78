"""PaymentIntents: https://docs.stripe.com/payments/paymentintents/lifecycle, automatic capture, cards."""

from typing import Any
from urllib.parse import urlencode

from matchday.stripe_standin import charges, form, methods
from matchday.stripe_standin.call import Call, new_id
from matchday.stripe_standin.cards import Decline
from matchday.stripe_standin.errors import StripeError, card_error, invalid, unexpected_state
from matchday.stripe_standin.form import Params
from matchday.stripe_standin.store import Object

AMOUNT_MIN, AMOUNT_MAX = 50, 99_999_999
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
REASONS = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
CHANGES = ("amount", "currency", "metadata", "description", "receipt_email", "payment_method", "payment_method_data")
CONFIRMS = ("payment_method", "payment_method_data", "return_url", "receipt_email", "off_session", "client_secret")


def create(call: Call) -> Object:
    """POST /v1/payment_intents"""
    params = call.params
    form.known(
        params, *CHANGES, *CONFIRMS, "confirm", "payment_method_types", "automatic_payment_methods", "capture_method",
        "confirmation_method", "statement_descriptor_suffix",
    )  # fmt: skip
    form.required(params, "amount")
    form.required(params, "currency")
    confirm = form.truth(params, "confirm")
    if params.get("capture_method", "automatic") not in ("automatic", "automatic_async"):
        raise invalid("The stand-in captures automatically only.", param="capture_method")
    intent_id = new_id("pi")
    intent: Object = {
        "id": intent_id,
        "object": "payment_intent",
        "amount": _amount(params),
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "automatic_payment_methods": _automatic(params),
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method", "automatic_async"),
        "client_secret": f"{intent_id}_secret_{new_id('', 25)[1:]}",
        "confirmation_method": "automatic",
        "created": call.now(),
        "currency": _currency(params),
        "customer": None,
        "description": params.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": form.metadata(params),
        "next_action": None,
        "payment_method": None,
        "payment_method_types": params.get("payment_method_types", ["card"]),
        "processing": None,
        "receipt_email": params.get("receipt_email"),
        "setup_future_usage": None,
        "status": "requires_payment_method",
    }
    method = _method(call, params)
    call.store.add("payment_intent", intent)
    if method is not None:
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
        call.store.put(intent)
    call.emit("payment_intent.created", intent)
    return _confirm(call, intent) if confirm else intent


def _automatic(params: Params) -> Object | None:
    if "payment_method_types" in params:
        return None
    given = form.hash_of(params, "automatic_payment_methods")
    return {"allow_redirects": given.get("allow_redirects", "always"), "enabled": True}


def _amount(params: Params) -> int:
    amount = form.whole(params, "amount") or 0
    if amount < 1:
        raise invalid(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    if amount < AMOUNT_MIN:
        raise invalid("Amount must be at least $0.50 usd", code="amount_too_small", param="amount")
    if amount > AMOUNT_MAX:
        raise invalid("Amount must be no more than $999,999.99", code="amount_too_large", param="amount")
    return amount


def _currency(params: Params) -> str:
    currency = str(params["currency"]).lower()
    if len(currency) != 3 or not currency.isalpha():
        raise invalid(f"Invalid currency: {currency}.", param="currency")
    return currency


def _method(call: Call, params: Params) -> Object | None:
    if "payment_method_data" in params:
        return methods.add(call, form.hash_of(params, "payment_method_data"))
    given = params.get("payment_method")
    return methods.use(call, str(given)) if given else None


def retrieve(call: Call, intent_id: str) -> Object:
    """GET /v1/payment_intents/{id}"""
    form.known(call.params, "client_secret")
    return find(call, intent_id)


def find(call: Call, intent_id: str) -> Object:
    """The intent; with a publishable key only for who knows its client secret."""
    intent = call.get("payment_intent", intent_id, "intent")
    given = call.params.get("client_secret")
    if (given is not None or not call.secret) and given != intent["client_secret"]:
        raise invalid(f"No such payment_intent: '{intent_id}'", status=404, code="resource_missing", param="intent")
    return intent


def update(call: Call, intent_id: str) -> Object:
    """POST /v1/payment_intents/{id}"""
    form.known(call.params, *CHANGES)
    intent = find(call, intent_id)
    if intent["status"] not in CONFIRMABLE:
        raise unexpected_state(f"This PaymentIntent could not be updated: it is {intent['status']}.", intent)
    if "amount" in call.params:
        intent["amount"] = _amount(call.params)
    intent["metadata"] |= form.metadata(call.params)
    intent |= {name: call.params[name] for name in ("description", "receipt_email") if name in call.params}
    method = _method(call, call.params)
    if method is not None:
        intent |= {"payment_method": method["id"], "status": "requires_confirmation", "next_action": None}
    return call.store.put(intent)


def confirm(call: Call, intent_id: str) -> Object:
    """POST /v1/payment_intents/{id}/confirm"""
    form.known(call.params, *CONFIRMS)
    intent = find(call, intent_id)
    if intent["status"] == "succeeded":
        raise unexpected_state(
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.",
            intent,
        )
    if intent["status"] not in CONFIRMABLE:
        raise unexpected_state(
            f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}.", intent
        )
    method = _method(call, call.params)
    if method is not None:
        intent["payment_method"] = method["id"]
    if intent["payment_method"] is None:
        raise unexpected_state(
            "You cannot confirm this PaymentIntent because it's missing a payment method. "
            "Update the PaymentIntent with a payment method and then confirm it again.",
            intent,
        )
    return _confirm(call, intent)


def _confirm(call: Call, intent: Object) -> Object:
    automatic = intent["automatic_payment_methods"]
    if automatic is not None and automatic["allow_redirects"] == "always" and "return_url" not in call.params:
        raise invalid("This PaymentIntent may redirect the customer: provide a `return_url`.", param="return_url")
    if intent["payment_method"] is None:
        raise invalid("Provide a payment method to confirm with.", code="parameter_missing", param="payment_method")
    method = call.get("payment_method", intent["payment_method"])
    intent |= {"next_action": None, "last_payment_error": None}
    if not method["_asks"]:
        return finish(call, intent, method)
    intent |= {"status": "requires_action", "next_action": _ask(call, intent)}
    call.store.put(intent)
    call.emit("payment_intent.requires_action", intent)
    return intent


def _ask(call: Call, intent: Object) -> Object:
    intent["_challenge"] = new_id("challenge")
    url = f"{call.base}/standin/authenticate/{intent['id']}?{urlencode({'challenge': intent['_challenge']})}"
    intent["_return_url"] = call.params.get("return_url")
    if intent["_return_url"]:
        return {"type": "redirect_to_url", "redirect_to_url": {"return_url": intent["_return_url"], "url": url}}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}


def answer_challenge(call: Call, intent_id: str, challenge: str, passed: bool) -> Object:
    """The customer has answered the bank's question, on the stand-in's page."""
    intent = call.get("payment_intent", intent_id, "intent")
    if intent["status"] != "requires_action" or challenge != intent.get("_challenge"):
        raise unexpected_state("There is nothing to authenticate.", intent)
    intent["next_action"] = None
    if passed:
        try:
            return finish(call, intent, call.get("payment_method", intent["payment_method"]))
        except StripeError:
            return intent
    error = {
        "code": "payment_intent_authentication_failure",
        "message": "We are unable to authenticate your payment method. "
        "Please choose a different payment method and try again.",
        "type": "invalid_request_error",
    }
    return _fail(call, intent, error)


def finish(call: Call, intent: Object, method: Object) -> Object:
    """Charges; raises the card's error when it declines, after everything was written down."""
    decline = methods.decline_of(method)
    charge = charges.add(call, intent, method, decline)
    intent["latest_charge"] = charge["id"]
    if decline is None:
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
        call.store.put(intent)
        call.emit("charge.succeeded", charge)
        call.emit("payment_intent.succeeded", intent)
        return intent
    call.emit("charge.failed", charge)
    error = _error(decline, charge, method)
    _fail(call, intent, error)
    raise card_error(**error, payment_intent=intent)


def _error(decline: Decline, charge: Object, method: Object) -> dict[str, Any]:
    error: dict[str, Any] = {"code": decline.code, "message": decline.message, "charge": charge["id"]}
    if decline.decline_code is not None:
        error["decline_code"] = decline.decline_code
    return error | {"payment_method": method}


def _fail(call: Call, intent: Object, error: dict[str, Any]) -> Object:
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "last_payment_error": {"type": "card_error", **error},
    }
    call.store.put(intent)
    call.emit("payment_intent.payment_failed", intent)
    return intent


def cancel(call: Call, intent_id: str) -> Object:
    """POST /v1/payment_intents/{id}/cancel"""
    form.known(call.params, "cancellation_reason")
    reason = call.params.get("cancellation_reason")
    if reason is not None and reason not in REASONS:
        raise invalid(f"Invalid cancellation_reason: must be one of {', '.join(REASONS)}", param="cancellation_reason")
    intent = find(call, intent_id)
    if intent["status"] not in CONFIRMABLE:
        raise unexpected_state(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. "
            f"Only a PaymentIntent with one of the following statuses may be canceled: {', '.join(CONFIRMABLE)}.",
            intent,
        )
    intent |= {
        "status": "canceled",
        "canceled_at": call.now(),
        "cancellation_reason": reason,
        "next_action": None,
    }
    call.store.put(intent)
    call.emit("payment_intent.canceled", intent)
    return intent
