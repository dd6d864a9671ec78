"""Money: payments and their refunds, the books, and what sellers are owed."""

from decimal import Decimal
from uuid import UUID

from flask import Response

from client import admin_api
from client.calls import Json, Refused, new_key
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.kernel.words import _
from client.pages.admin.frame import ADMINS, draw, next_page, query_of, told, with_password
from shared.errors import NotFound

pages = Pages()

STATUSES = ("succeeded", "requires_payment_method", "requires_action", "processing", "canceled")
REASONS = ("goodwill", "duplicate", "cancelled_match", "fraud", "operator")
CENTS = 100


@pages.get("/admin/payments", access=ADMINS)
def find(visit: Visit) -> Response:
    """Payments, found by what a buyer can tell."""
    query = query_of("q", "status")
    found = admin_api.payments(visit.calls, {**search_of(query["q"]), **{n: query[n] for n in ("status", "cursor")}})
    further = next_page("/admin/payments", query, found["nextCursor"])
    return draw(visit, "payments.html", payments=found["items"], query=query, further=further, statuses=STATUSES)


def search_of(text: str) -> dict[str, str]:
    """What somebody typed: an address, Stripe's id, or the id of a reservation."""
    if "@" in text:
        return {"email": text}
    if text.startswith("pi_"):
        return {"intentId": text}
    try:
        return {"reservationId": str(UUID(text))} if text else {}
    except ValueError:
        return {"email": text}


@pages.get("/admin/payments/<uuid:payment_id>", access=ADMINS)
def show(visit: Visit, payment_id: UUID) -> Response:
    """One payment with its refunds."""
    return _draw(visit, str(payment_id))


def _draw(visit: Visit, payment_id: str, status: int = 200) -> Response:
    found = admin_api.payments(visit.calls, {"id": payment_id})["items"]
    if not found:
        raise NotFound("there is no such payment")
    (payment,) = found
    return draw(
        visit,
        "payment.html",
        status,
        payment=payment,
        left=payment["received"] - payment["refunded"],
        refunds=admin_api.refunds(visit.calls, payment_id)["items"],
        reasons=REASONS,
        key=visit.form["key"] or new_key(),
    )


@pages.post("/admin/payments/<uuid:payment_id>/refunds", access=ADMINS)
@with_password("/admin/payments/{payment_id}")
def refund(visit: Visit, payment_id: UUID) -> Response:
    """Gives back a part, or all that is left."""
    form = visit.form
    amount = minor_units(form["amount"])
    if form["amount"] and amount is None:
        form.errors["amount"] = _("This is no amount of money.")
        return _draw(visit, str(payment_id), 422)
    reason = form["reason"] if form["reason"] in REASONS else "operator"
    try:
        admin_api.refund(visit.calls, str(payment_id), amount, reason, form["key"] or new_key())
    except Refused as refused:
        if not told(visit, refused):
            raise
        return _draw(visit, str(payment_id), refused.status)
    return visit.redirect(f"/admin/payments/{payment_id}", notice="refunded")


def minor_units(text: str) -> int | None:
    """An amount as people write it, such as `12.50`, in minor units; None for anything else."""
    try:
        cents = Decimal(text.replace(",", ".")) * CENTS
        return int(cents) if cents == cents.to_integral_value() and 0 < cents < 10**9 else None
    except ArithmeticError:  # what is no number, and what is too large for one
        return None


@pages.get("/admin/ledger", access=ADMINS)
def ledger(visit: Visit) -> Response:
    """The books' balances; they sum to zero in each currency."""
    books = admin_api.ledger(visit.calls)
    sums: dict[str, int] = {}
    for item in books["items"]:
        sums[item["currency"]] = sums.get(item["currency"], 0) + item["amount"]
    return draw(visit, "ledger.html", books=books, sums=sums)


@pages.get("/admin/payouts", access=ADMINS)
def payouts(visit: Visit) -> Response:
    """What sellers of tickets are owed, and what they got."""
    query = query_of("status")
    if query["status"] not in ("due", "paid"):
        query["status"] = ""
    found: Json = admin_api.payouts(visit.calls, query["status"], query["cursor"])
    further = next_page("/admin/payouts", query, found["nextCursor"])
    return draw(visit, "payouts.html", payouts=found["items"], query=query, further=further)


@pages.post("/admin/payouts/<uuid:payout_id>/paid", access=ADMINS)
@with_password("/admin/payouts")
def pay_out(visit: Visit, payout_id: UUID) -> Response:
    """A seller was paid."""
    admin_api.pay_out(visit.calls, str(payout_id), visit.form["note"])
    return visit.redirect("/admin/payouts", notice="paid_out")
