"""The matches: a list to look through, and each match with its categories and live numbers."""

from typing import Any

from flask import Response, request

from client import api, calendars
from client.calls import Json, Refused, new_key
from client.kernel.forms import Form
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.kernel.words import N_, _
from client.recommended import Recommended, recommended
from shared.errors import NotFound

pages = Pages()

PAGE_MATCHES = 24
# What the list may be asked for, by the shop's names; anything else in the address is passed over.
FILTERS = ("q", "group", "stage", "availability", "dateFrom", "dateTo", "category", "priceMax")
SORTS = {
    "dateUtc": N_("Date"),
    "price": N_("Price, lowest first"),
    "-price": N_("Price, highest first"),
    "matchNumber": N_("Match number"),
}
# How many tickets a hold may have.
QUANTITIES = (1, 2)
CALENDAR = "text/calendar; charset=utf-8"


@pages.get("/matches")
def list_matches(visit: Visit) -> Response:
    """Matches that fit what was asked for."""
    visit.form = Form({name: request.args.get(name, "") for name in (*FILTERS, "sort")})
    try:
        found = api.matches(visit.calls, _query(visit.form, request.args.get("cursor")))
    except Refused as refused:
        if refused.code != "validation_failed":
            raise
        visit.form.error = _("Something in the filter is not right.")
        found = {"items": [], "nextCursor": None}
    filtered, is_sorted = any(visit.form[name] for name in FILTERS), visit.form["sort"] not in ("", "dateUtc")
    looks_around = not filtered and not is_sorted and "cursor" not in request.args
    return visit.render(
        "matches.html",
        422 if visit.form.error else 200,
        matches=found["items"],
        next_page=_next_page(visit.form, found["nextCursor"]),
        filtered=filtered,
        further=any(visit.form[name] for name in FILTERS[1:]) or is_sorted,
        sorts=SORTS,
        recommended=recommended(visit) if looks_around else Recommended(),
    )


def _query(form: Form, cursor: str | None) -> dict[str, Any]:
    asked: dict[str, Any] = {name: form[name] for name in FILTERS if form[name]}
    asked |= {"sort": form["sort"] if form["sort"] in SORTS else "dateUtc", "limit": PAGE_MATCHES}
    return asked | ({"cursor": cursor} if cursor else {})


def _next_page(form: Form, cursor: str | None) -> dict[str, str] | None:
    if cursor is None:
        return None
    return {name: value for name, value in form.values.items() if value} | {"cursor": cursor}


@pages.get("/matches/<int:number>")
def show_match(visit: Visit, number: int) -> Response:
    """One match: what is left of each category, and a form to hold tickets."""
    return draw_match(visit, find_match(visit, number, viewed=True))


def find_match(visit: Visit, number: int, *, viewed: bool = False) -> Json:
    """The match; `viewed` on its own page, where somebody looks at it. Raises `NotFound`, `Refused`."""
    if number > 10**6:
        raise NotFound(f"there is no match {number}")
    return (api.viewed_match if viewed else api.match)(visit.calls, number)


def draw_match(visit: Visit, match: Json, status: int = 200) -> Response:
    """The page of a match, perhaps again with what is wrong with its form."""
    chosen = visit.form.number("category")
    available = [pool["category"] for pool in match["categories"] if pool["status"] == "available"]
    return visit.render(
        "match.html",
        status,
        match=match,
        chosen=chosen or next(iter(available), None),
        can_hold=bool(available),
        quantities=QUANTITIES,
        key=visit.form["key"] or new_key(),
    )


@pages.get("/matches/<int:number>/calendar.ics")
def calendar(visit: Visit, number: int) -> Response:
    """The match for a calendar."""
    match = find_match(visit, number)
    named = [("Content-Disposition", f'attachment; filename="match-{number}.ics"')]
    event = calendars.event(match, visit.settings.public_url)
    return Response(event, 200, named, content_type=CALENDAR)
