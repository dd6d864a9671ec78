"""What people sell again: all listings, and the end of one that should not be there."""

from uuid import UUID

from flask import Response

from client import admin_api
from client.calls import Json, Refused
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.kernel.words import N_, _
from client.pages.admin.frame import ADMINS, draw, next_page, query_of, told, with_password
from client.pages.resale import REASONS, STATUS_WORDS
from shared.errors import NotFound

pages = Pages()

# Why one is over: as sellers are told, and what they never see.
ALL_REASONS = REASONS | {
    "account_deleted": N_("The seller’s account is deleted."),
    "refund_failed": N_("The refund of the ticket has failed: it is its first buyer’s again."),
}


@pages.get("/admin/resale", access=ADMINS)
def find(visit: Visit) -> Response:
    """All listings, newest first, or those that fit."""
    query = query_of("status", "matchNumber", "seller")
    if query["status"] not in STATUS_WORDS:
        query["status"] = ""
    found = _found(visit, query)
    return draw(
        visit,
        "resale.html",
        422 if visit.form.errors else 200,
        listings=found["items"],
        query=query,
        further=next_page("/admin/resale", query, found["nextCursor"]),
        status_words=STATUS_WORDS,
        reasons=ALL_REASONS,
    )


def _found(visit: Visit, query: dict[str, str]) -> Json:
    nothing: Json = {"items": [], "nextCursor": None}
    asked = {name: query[name] for name in ("status", "matchNumber", "cursor")}
    if query["seller"]:
        seller = _seller(visit, query["seller"])
        if seller is None:
            return nothing
        asked["sellerId"] = seller
    try:
        return admin_api.listings(visit.calls, asked)
    except Refused as refused:
        if refused.code != "validation_failed":
            raise
        visit.form.errors["matchNumber"] = visit.form.error = _("Something in the filter is not right.")
        return nothing


def _seller(visit: Visit, text: str) -> str | None:
    """The account that somebody means, by its id or its address; None when there is none.

    Several may claim an address: then it is the one that has verified it.
    """
    try:
        return str(UUID(text))
    except ValueError:
        accounts = admin_api.accounts(visit.calls, {"email": text})["items"]
    return str(max(accounts, key=lambda each: bool(each["emailVerified"]))["id"]) if accounts else None


@pages.get("/admin/resale/<uuid:listing_id>", access=ADMINS)
def show(visit: Visit, listing_id: UUID) -> Response:
    """One listing, with the form to end it."""
    return _draw(visit, str(listing_id))


def _draw(visit: Visit, listing_id: str, status: int = 200) -> Response:
    found = admin_api.listings(visit.calls, {"id": listing_id})["items"]
    if not found:
        raise NotFound("there is no such listing")
    (listing,) = found
    return draw(visit, "listing.html", status, listing=listing, status_words=STATUS_WORDS, reasons=ALL_REASONS)


@pages.post("/admin/resale/<uuid:listing_id>/end", access=ADMINS)
@with_password("/admin/resale/{listing_id}")
def end(visit: Visit, listing_id: UUID) -> Response:
    """Takes it off the market: with a reason, and confirmed."""
    form = visit.form
    if not form.require("note", "sure"):
        return _draw(visit, str(listing_id), 422)
    try:
        admin_api.end_listing(visit.calls, str(listing_id), form["note"])
    except Refused as refused:
        if not told(visit, refused):
            raise
        return _draw(visit, str(listing_id), refused.status)
    return visit.redirect(f"/admin/resale/{listing_id}", notice="listing_ended")
