"""Charges: made by an intent, and what refunds are taken from."""

from matchday.stripe_standin.call import Call, new_id
from matchday.stripe_standin.cards import Decline
from matchday.stripe_standin.store import Object


def add(call: Call, intent: Object, method: Object, decline: Decline | None) -> Object:
    """One attempt to take the money."""
    taken = decline is None
    charge = {
        "id": new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if taken else 0,
        "amount_refunded": 0,
        "balance_transaction": new_id("txn") if taken else None,
        "billing_details": method["billing_details"],
        "captured": taken,
        "created": call.now(),
        "currency": intent["currency"],
        "customer": None,
        "description": intent["description"],
        "disputed": False,
        "failure_code": None if decline is None else decline.code,
        "failure_message": None if decline is None else decline.message,
        "livemode": False,
        "metadata": intent["metadata"],
        "outcome": {
            "network_status": "approved_by_network" if taken else "declined_by_network",
            "reason": None if decline is None else decline.decline_code,
            "risk_level": "normal",
            "type": "authorized" if taken else "issuer_declined",
        },
        "paid": taken,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"card": method["card"], "type": "card"},
        "receipt_email": intent["receipt_email"],
        "refunded": False,
        "status": "succeeded" if taken else "failed",
        "_refunds": method["_refunds"],
    }
    return call.store.add("charge", charge, intent["id"])


def retrieve(call: Call, charge_id: str) -> Object:
    """GET /v1/charges/{id}"""
    return call.get("charge", charge_id, "charge")
