"""Refunds: never more than was taken; most at once, some later, some fail after all."""

import time

from matchday.stripe_standin import form
from matchday.stripe_standin.call import Call, new_id
from matchday.stripe_standin.errors import invalid
from matchday.stripe_standin.store import Object

REASONS = ("duplicate", "fraudulent", "requested_by_customer")
AT_FIRST = {"succeed": "succeeded", "pend": "pending", "fail": "succeeded"}
IN_THE_END = {"pend": "succeeded", "fail": "failed"}


def create(call: Call) -> Object:
    """POST /v1/refunds"""
    params = call.params
    form.known(params, "payment_intent", "charge", "amount", "reason", "metadata")
    if params.get("reason") is not None and params["reason"] not in REASONS:
        raise invalid(f"Invalid reason: must be one of {', '.join(REASONS)}", param="reason")
    metadata = form.metadata(params)
    charge = _charge(call)
    rest = charge["amount"] - charge["amount_refunded"]
    if rest == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", saved=True, code="charge_already_refunded")
    amount = form.whole(params, "amount", rest) or 0
    if amount < 1:
        raise invalid("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount > rest:
        raise invalid(
            f"Refund amount ({_money(amount)}) is greater than unrefunded amount on charge ({_money(rest)})",
            saved=True,
            param="amount",
        )
    refund = {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": new_id("txn"),
        "charge": charge["id"],
        "created": call.now(),
        "currency": charge["currency"],
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "reason": params.get("reason"),
        "receipt_number": None,
        "status": AT_FIRST[charge["_refunds"]],
    }
    call.store.add("refund", refund, charge["payment_intent"])
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    call.store.put(charge)
    call.emit("refund.created", refund)
    call.emit("charge.refunded", charge)
    if charge["_refunds"] in IN_THE_END:
        _later(call, refund, IN_THE_END[charge["_refunds"]])
    return refund


def _charge(call: Call) -> Object:
    params = call.params
    if "charge" in params:
        return call.get("charge", str(params["charge"]), "charge")
    intent_id = str(form.required(params, "payment_intent"))
    intent = call.get("payment_intent", intent_id, "payment_intent")
    if intent["status"] != "succeeded":
        raise invalid(
            f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.", param="payment_intent"
        )
    return call.get("charge", intent["latest_charge"])


def _money(amount: int) -> str:
    return f"${amount / 100:,.2f}"


def _later(call: Call, refund: Object, status: str) -> None:
    call.store.sql.execute(
        "INSERT INTO later (id, due, status) VALUES (?, ?, ?)",
        (refund["id"], time.time() + call.refund_seconds, status),
    )
    call.webhooks.wake()


def settle_due(call: Call) -> None:
    """Settles refunds whose time has come; in a transaction."""
    due = call.store.sql.execute("SELECT id, status FROM later WHERE due <= ?", (time.time(),)).fetchall()
    for refund_id, status in due:
        call.store.sql.execute("DELETE FROM later WHERE id = ?", (refund_id,))
        _settle(call, call.get("refund", refund_id), status)


def _settle(call: Call, refund: Object, status: str) -> None:
    refund["status"] = status
    if status == "failed":
        refund |= {"failure_reason": "expired_or_canceled_card", "failure_balance_transaction": new_id("txn")}
        charge = call.get("charge", refund["charge"])
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        call.store.put(charge)
    call.store.put(refund)
    call.emit("refund.updated", refund)
    if status == "failed":
        call.emit("refund.failed", refund)


def retrieve(call: Call, refund_id: str) -> Object:
    """GET /v1/refunds/{id}"""
    return call.get("refund", refund_id, "refund")
