"""Tickets that people sell again: what is offered, how to buy it, and one's own on offer."""

from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from babel.numbers import format_decimal
from flask import Response, request

from client import api, market
from client.calls import Calls, Json, Refused, new_key
from client.kernel.forms import Form
from client.kernel.pages import Pages
from client.kernel.problems import Trouble
from client.kernel.visits import Visit
from client.kernel.words import N_, _
from client.paging import gather
from shared.errors import NotFound
from shared.http.callers import SIGNED_IN

pages = Pages()

PAGE_LISTINGS = 24
FILTERS = ("matchNumber", "category", "priceMax")
SORTS = {
    "price": N_("Price, lowest first"),
    "-price": N_("Price, highest first"),
    "-listedAt": N_("Newest first"),
}
# What the form to buy is told beside itself, in place of an error page.
TOLD_TO_BUYER = frozenset({"listing_held", "listing_ended", "own_listing", "purchase_limit", "validation_failed"})
TOLD_TO_SELLER = frozenset(
    {"price_above_cap", "listing_held", "listing_ended", "already_listed", "ticket_not_resellable", "validation_failed"}
)
STATUS_WORDS = {
    "open": N_("On offer"),
    "held": N_("Somebody is about to pay"),
    "sold": N_("Sold"),
    "withdrawn": N_("Withdrawn"),
    "ended": N_("Over"),
}
REASONS = {
    "match_began": N_("The match has begun."),
    "admitted": N_("Somebody has gone in with the ticket."),
    "ticket_void": N_("The ticket is not valid any more."),
    "by_admin": N_("The site has ended this offer."),
}
WHY_NOT = {
    "admitted": N_("Somebody has gone in with this ticket."),
    "void": N_("This ticket is not valid any more."),
    "suspended": N_("We are asking for this ticket once more. Try again in a moment."),
    "match_began": N_("The match has begun."),
    "not_settled": N_("The sale of this ticket is not settled yet. Try again in a moment."),
}


# Buying


@pages.get("/resale")
def list_offers(visit: Visit) -> Response:
    """What is offered, for all matches or one."""
    visit.form = Form({name: request.args.get(name, "") for name in (*FILTERS, "sort")})
    try:
        found = market.listings(visit.calls, _query(visit.form, request.args.get("cursor")))
    except Refused as refused:
        if refused.code != "validation_failed":
            raise
        visit.form.error = _("Something in the filter is not right.")
        found = {"items": [], "nextCursor": None}
    items: list[Json] = found["items"]
    return visit.render(
        "resale.html",
        422 if visit.form.error else 200,
        listings=items,
        matches=_matches(visit.calls, items),
        next_page=_next_page(visit.form, found["nextCursor"]),
        filtered=any(visit.form[name] for name in FILTERS),
        sorts=SORTS,
    )


def _query(form: Form, cursor: str | None) -> dict[str, Any]:
    asked: dict[str, Any] = {name: form[name] for name in FILTERS if form[name]}
    asked |= {"sort": form["sort"] if form["sort"] in SORTS else "price", "limit": PAGE_LISTINGS}
    return asked | ({"cursor": cursor} if cursor else {})


def _next_page(form: Form, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    return urlencode({name: value for name, value in form.values.items() if value} | {"cursor": cursor})


def _matches(calls: Calls, listings: list[Json]) -> dict[int, Json]:
    return {number: api.match(calls, number) for number in {each["matchNumber"] for each in listings}}


@pages.get("/resale/<uuid:listing_id>")
def show_offer(visit: Visit, listing_id: UUID) -> Response:
    """One offer, and a form to hold it."""
    return _draw_offer(visit, market.listing(visit.calls, str(listing_id)))


def _draw_offer(visit: Visit, listing: Json, status: int = 200) -> Response:
    match = api.match(visit.calls, listing["matchNumber"])
    return visit.render("offer.html", status, listing=listing, match=match, key=visit.form["key"] or new_key())


@pages.post("/resale/<uuid:listing_id>/hold", limit="hold")
def hold_offer(visit: Visit, listing_id: UUID) -> Response:
    """Locks the offer for the visitor; from there it is a reservation like any other."""
    form = visit.form
    guest = visit.account is None
    if guest and not form.require("email"):
        return _draw_offer(visit, market.listing(visit.calls, str(listing_id)), 422)
    wish: Json = {"language": visit.language.code} | ({"email": form["email"]} if guest else {})
    try:
        held = market.hold_listing(visit.calls, str(listing_id), wish, form["key"] or new_key())
    except Refused as refused:
        if refused.code not in TOLD_TO_BUYER:
            raise
        return _not_held(visit, listing_id, refused)
    if held.get("accessToken"):
        visit.jar.keep_hold(held["accessToken"])
    return visit.redirect(f"/reservations/{held['id']}")


def _not_held(visit: Visit, listing_id: UUID, refused: Refused) -> Response:
    trouble = Trouble.of(refused)
    visit.form.refuse(refused, f"{_(trouble.title)}. {_(trouble.advice)}")
    visit.form.values.pop("key", None)
    try:
        listing = market.listing(visit.calls, str(listing_id))
    except Refused:
        raise refused from None  # it is not shown any more: an error page says why
    return _draw_offer(visit, listing, refused.status)


# Selling


@pages.get("/tickets/<uuid:ticket_id>/sell", access=SIGNED_IN)
def ask_price(visit: Visit, ticket_id: UUID) -> Response:
    """What the owner wants for a ticket."""
    return _draw_sale(visit, str(ticket_id))


def _draw_sale(visit: Visit, ticket_id: str, status: int = 200) -> Response:
    ticket = market.ticket(visit.calls, ticket_id)
    match = api.match(visit.calls, ticket["matchNumber"])
    return visit.render(
        "sell.html",
        status,
        ticket=ticket,
        match=match,
        face=Decimal(ticket["faceAmount"]).scaleb(-2),
        cap=Decimal(ticket["amountMax"]).scaleb(-2),
        key=visit.form["key"] or new_key(),
    )


@pages.post("/tickets/<uuid:ticket_id>/sell", access=SIGNED_IN)
def sell(visit: Visit, ticket_id: UUID) -> Response:
    """Offers it."""
    price = _price(visit.form)
    if price is None:
        return _draw_sale(visit, str(ticket_id), 422)
    try:
        market.offer(visit.calls, str(ticket_id), price, visit.form["key"] or new_key())
    except Refused as refused:
        if refused.code not in TOLD_TO_SELLER:
            raise
        _tell_seller(visit, refused)
        visit.form.values.pop("key", None)
        return _draw_sale(visit, str(ticket_id), refused.status)
    return visit.redirect("/resale/mine", notice="listed")


def _price(form: Form) -> float | None:
    """The price of the form, with a point or a comma; None, and told in the form, for what is none."""
    if not form.require("price"):
        return None
    try:
        price = Decimal(form["price"].replace(",", "."))
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or not 0 < price < 10**7 or price != round(price, 2):
        form.errors["price"] = _("Please write a price, such as 80 or 82.50.")
        return None
    return float(price)


def _tell_seller(visit: Visit, refused: Refused) -> None:
    form, trouble, reason = visit.form, Trouble.of(refused), refused.problem.get("reason")
    if refused.code == "price_above_cap" and "cap" in refused.problem:
        cap = Decimal(refused.problem["cap"]).scaleb(-2)
        most = format_decimal(cap, format="#,##0.00", locale=visit.language.locale)
        form.errors["price"] = _("At most %(price)s for this ticket.", price=most)
    elif refused.code == "ticket_not_resellable" and reason in WHY_NOT:
        form.error = _(WHY_NOT[reason])
    else:
        form.refuse(refused, f"{_(trouble.title)}. {_(trouble.advice)}")


@pages.get("/resale/mine", access=SIGNED_IN)
def own_offers(visit: Visit) -> Response:
    """What the account has on offer, has sold, and gets for it."""
    return _draw_own(visit)


def _draw_own(visit: Visit, status: int = 200, wrong: str | None = None) -> Response:
    page = market.own_listings(visit.calls, request.args.get("cursor"))
    items: list[Json] = page["items"]
    return visit.render(
        "own_offers.html",
        status,
        listings=items,
        matches=_matches(visit.calls, items),
        payouts=_payouts(visit.calls),
        next_cursor=page["nextCursor"],
        wrong=wrong,
        status_words=STATUS_WORDS,
        reasons=REASONS,
    )


def _payouts(calls: Calls) -> dict[str, Json] | None:
    """Listing → what its seller gets; None when that cannot be told at present."""
    try:
        found, _further = gather(partial(market.payouts, calls))
        return {each["listingId"]: each for each in found}
    except Refused as refused:
        if refused.status < 500:
            raise
        return None


@pages.post("/resale/<uuid:listing_id>/price", access=SIGNED_IN)
def reprice(visit: Visit, listing_id: UUID) -> Response:
    """Another price."""
    price = _price(visit.form)
    if price is None:
        return _draw_own(visit, 422, str(listing_id))
    try:
        market.reprice(visit.calls, str(listing_id), price)
    except Refused as refused:
        if refused.code not in TOLD_TO_SELLER:
            raise
        _tell_seller(visit, refused)
        return _draw_own(visit, refused.status, str(listing_id))
    return visit.redirect("/resale/mine", notice="repriced")


@pages.post("/resale/<uuid:listing_id>/withdraw", access=SIGNED_IN)
def withdraw(visit: Visit, listing_id: UUID) -> Response:
    """Off the market."""
    try:
        market.withdraw(visit.calls, str(listing_id))
    except Refused as refused:
        if refused.code not in TOLD_TO_SELLER:
            raise
        _tell_seller(visit, refused)
        return _draw_own(visit, refused.status, str(listing_id))
    return visit.redirect("/resale/mine", notice="unlisted")


@pages.get("/matches/<int:number>/resale")
def offers_of_match(visit: Visit, number: int) -> Response:
    """The offers of one match, by an address that one can guess."""
    if number > 10**6:
        raise NotFound(f"there is no match {number}")
    return visit.redirect(f"/resale?matchNumber={number}")
