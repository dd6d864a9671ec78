"""From a wish to a ticket: hold, wait for the verdict, pay, and what becomes of it."""

from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from flask import Response, request

from client import api
from client.calls import Json, Refused
from client.kernel.pages import Pages
from client.kernel.problems import Trouble
from client.kernel.visits import Visit
from client.kernel.words import _
from client.pages import waiting
from client.pages.matches import draw_match, find_match
from client.paging import gather
from client.settings import STRIPE_JS

pages = Pages()

# What a form of a match can be told beside itself, in place of an error page.
TOLD_IN_FORM = frozenset({"sold_out", "temporarily_unavailable", "purchase_limit", "validation_failed"})
OPEN = frozenset({"submitted", "held"})
WAIT_SECONDS_MAX = 25.0
# Where Stripe's own script comes from and goes to, as Stripe's documentation lists it.
STRIPE_POLICY = {
    "script-src": ["https://js.stripe.com", "https://*.js.stripe.com"],
    "frame-src": ["https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com"],
    "connect-src": ["https://api.stripe.com"],
}


@pages.post("/matches/<int:number>/hold")
def hold(visit: Visit, number: int) -> Response:
    """Holds tickets, and waits a little for the verdict."""
    form = visit.form
    wish: Json = {"matchNumber": number, "category": form.number("category"), "quantity": form.number("quantity")}
    guest = visit.account is None
    if not form.require("category", "quantity", *(["email"] if guest else [])):
        return draw_match(visit, find_match(visit, number), 422)
    wish |= {"email": form["email"]} if guest else {}
    wish["language"] = visit.language.code
    key, place = form["key"] or form["csrf"], waiting.place_of(visit.jar, number)
    try:
        held = api.hold(visit.calls, wish, key, visit.settings.verdict_wait_seconds, place)
    except Refused as refused:
        if refused.code == "waiting_room":
            return waiting.line_up(visit, number, key)
        if refused.code not in TOLD_IN_FORM:
            raise
        return _not_held(visit, number, refused)
    if held.get("accessToken"):
        visit.jar.keep_hold(held["accessToken"])
    return visit.redirect(f"/reservations/{held['id']}")


def _not_held(visit: Visit, number: int, refused: Refused) -> Response:
    trouble = Trouble.of(refused)
    visit.form.refuse(refused, f"{_(trouble.title)}. {_(trouble.advice)}")
    visit.form.values.pop("key", None)  # what was refused is asked anew with another key
    return draw_match(visit, find_match(visit, number), refused.status)


def key_to(visit: Visit, reservation_id: UUID) -> str | None:
    """A guest's access token of a reservation; None where the account opens it."""
    return visit.jar.holds().get(str(reservation_id))


@pages.get("/reservations/<uuid:reservation_id>")
def show_reservation(visit: Visit, reservation_id: UUID) -> Response:
    """A reservation as it stands: to wait for, to pay, with its tickets, or over."""
    token = key_to(visit, reservation_id)
    # A browser without scripts that is told to look again waits here in place of its own time.
    waits = visit.settings.verdict_wait_seconds if "again" in request.args else 0
    reservation = api.reservation(visit.calls, str(reservation_id), token)
    if waits and reservation["status"] == "submitted":
        reservation = api.reservation(visit.calls, str(reservation_id), token, waits)
    return _draw(visit, reservation, token)


@pages.get("/reservations/<uuid:reservation_id>/result")
def show_result(visit: Visit, reservation_id: UUID) -> Response:
    """Where the payment's page leads back to. What counts is what we hear from Stripe, not what the address says."""
    token = key_to(visit, reservation_id)
    reservation = api.reservation(visit.calls, str(reservation_id), token)
    failed = request.args.get("redirect_status") == "failed"
    if reservation["status"] in OPEN and not failed:
        waits = visit.settings.verdict_wait_seconds
        reservation = api.reservation(visit.calls, str(reservation_id), token, waits)
    return _draw(visit, reservation, token, failed=failed, paying=reservation["status"] in OPEN and not failed)


def _draw(visit: Visit, reservation: Json, token: str | None, **how: bool) -> Response:
    tickets: list[Json] = []
    if reservation["status"] == "reserved":
        found, _further = gather(partial(api.tickets, visit.calls, token))
        tickets = [ticket for ticket in found if ticket["reservationId"] == reservation["id"]]
    return visit.render(
        "reservation.html",
        reservation=reservation,
        match=api.match(visit.calls, reservation["matchNumber"]),
        tickets=tickets,
        code=token,
        failed=how.get("failed", False),
        paying=how.get("paying", False),
    )


def status_of(visit: Visit, reservation_id: UUID, known: str | None) -> Json:
    """For the page's script: the reservation, as soon as its status is another than the one that is known."""
    token = key_to(visit, reservation_id)
    reservation = api.reservation(visit.calls, str(reservation_id), token)
    if reservation["status"] == known:
        reservation = api.reservation(visit.calls, str(reservation_id), token, WAIT_SECONDS_MAX)
    return reservation


@pages.post("/reservations/<uuid:reservation_id>/cancel")
def cancel(visit: Visit, reservation_id: UUID) -> Response:
    """Gives the tickets back."""
    cancelled = api.cancel(visit.calls, str(reservation_id), key_to(visit, reservation_id))
    return visit.redirect(f"/matches/{cancelled['matchNumber']}", notice="cancelled")


@pages.get("/reservations/<uuid:reservation_id>/pay")
def pay(visit: Visit, reservation_id: UUID) -> Response:
    """Where a card is given to Stripe, by Stripe's own script, or on a page of its own: never to us.

    A reservation has one payment however often this page is loaded, so that a GET may ask for it.
    """
    token = key_to(visit, reservation_id)
    back = f"/reservations/{reservation_id}"
    reservation = api.reservation(visit.calls, str(reservation_id), token)
    if reservation["status"] != "held":
        return visit.redirect(back)
    try:
        payment = api.payment(visit.calls, str(reservation_id), token)
    except Refused as refused:
        if refused.code not in ("not_held", "hold_expired", "already_paid"):
            raise
        return visit.redirect(back)
    _allow_stripe(visit)
    return_url = f"{visit.settings.public_url}{back}/result"
    return visit.render(
        "pay.html",
        reservation=reservation,
        match=api.match(visit.calls, reservation["matchNumber"]),
        payment=payment,
        return_url=return_url,
        payment_page=_payment_page(visit, payment, return_url),
    )


def _payment_page(visit: Visit, payment: Json, return_url: str) -> str | None:
    page = visit.settings.payment_page
    told: dict[str, Any] = {"client_secret": payment["clientSecret"], "return_url": return_url}
    return f"{page}?{urlencode(told)}" if page else None


def _allow_stripe(visit: Visit) -> None:
    """Lets Stripe's script, or what stands for it, onto this one page."""
    if visit.settings.stripe_js == STRIPE_JS:
        for directive, sources in STRIPE_POLICY.items():
            visit.allow(directive, *sources)
        return
    parts = urlsplit(visit.settings.stripe_js)
    for directive in ("script-src", "connect-src"):
        visit.allow(directive, f"{parts.scheme}://{parts.netloc}")
