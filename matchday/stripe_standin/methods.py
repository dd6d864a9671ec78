"""PaymentMethods: cards, of which only brand, last digits and behaviour are kept."""

import dataclasses
import time
from typing import Any

from matchday.stripe_standin import cards, form
from matchday.stripe_standin.call import Call, new_id
from matchday.stripe_standin.cards import Card, Decline
from matchday.stripe_standin.errors import invalid, missing
from matchday.stripe_standin.form import Params
from matchday.stripe_standin.store import Object


def create(call: Call) -> Object:
    """POST /v1/payment_methods"""
    form.known(call.params, "type", "card", "billing_details", "metadata", "allow_redisplay")
    return add(call, call.params)


def retrieve(call: Call, method_id: str) -> Object:
    """GET /v1/payment_methods/{id}"""
    return call.get("payment_method", method_id, "payment_method")


def add(call: Call, data: Params) -> Object:
    """A PaymentMethod from raw card data."""
    if form.required(data, "type") != "card":
        raise invalid("The stand-in knows the type card only.", param="type")
    card = form.hash_of(data, "card")
    known = cards.read_number(str(form.required(card, "number")))
    month, year = form.whole(card, "exp_month"), form.whole(card, "exp_year")
    if month is None or year is None:
        raise invalid("Missing required param: card[exp_month].", code="parameter_missing", param="card[exp_month]")
    today = time.gmtime(call.now())
    cards.check_dates(month, year, today.tm_year, today.tm_mon)
    if "cvc" in card:
        cards.check_cvc(str(card["cvc"]), known.brand)
    full_year = year + 2000 if year < 100 else year
    details = form.hash_of(data, "billing_details")
    return call.store.add("payment_method", _method(call, new_id("pm"), known, month, full_year, details))


def use(call: Call, method_id: str) -> Object:
    """The PaymentMethod of an id; a pm_card_… becomes one of its own, as at Stripe."""
    card = cards.BY_METHOD.get(method_id)
    if card is not None:
        year = time.gmtime(call.now()).tm_year + 1
        return call.store.add("payment_method", _method(call, new_id("pm"), card, 12, year, {}))
    found = call.store.find("payment_method", method_id)
    if found is None:
        raise missing("PaymentMethod", method_id, "payment_method")
    return found


def _method(call: Call, method_id: str, card: Card, month: int, year: int, details: Params) -> Object:
    return {
        "id": method_id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, **details},
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "unchecked"},
            "country": "US",
            "exp_month": month,
            "exp_year": year,
            "funding": card.funding,
            "last4": card.number[-4:],
            "three_d_secure_usage": {"supported": card.brand != "amex"},
            "wallet": None,
        },
        "created": call.now(),
        "customer": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
        "_asks": card.asks,
        "_refunds": card.refunds,
        "_decline": None if card.decline is None else dataclasses.asdict(card.decline),
    }


def decline_of(method: Object) -> Decline | None:
    """Why a charge of it fails, if it does."""
    found: dict[str, Any] | None = method["_decline"]
    return None if found is None else Decline(**found)
