"""What a visitor has: tickets, reservations, and the way to a guest's reservation by its code."""

import re
from collections.abc import Callable
from functools import partial
from uuid import UUID

from flask import Response, request

from client import api
from client.calls import Calls, Json, Refused
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.kernel.words import _
from client.pages.holds import key_to
from client.paging import gather

pages = Pages()

# What a guest's reservation is opened with: its id, and a signature.
CODE = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.[A-Za-z0-9_-]{20,100}")
NOT_OPEN = frozenset({401, 403, 404})
KINDS = {"png": "image/png", "pdf": "application/pdf"}


@pages.get("/tickets")
def my_tickets(visit: Visit) -> Response:
    """Tickets of the account, and of what was reserved in this browser as a guest."""
    cursor = request.args.get("cursor")
    tickets, further = _tickets(visit, cursor)
    reservations = [] if cursor else _reservations(visit)
    return visit.render(
        "tickets.html",
        groups=_by_match(visit.calls, tickets),
        waiting=[(each, api.match(visit.calls, each["matchNumber"])) for each in reservations],
        next_cursor=further,
    )


def _tickets(visit: Visit, cursor: str | None) -> tuple[list[Json], str | None]:
    """All tickets, and where the account's go on if they are more than one page shows. Behind a cursor only those."""
    found, further = gather(partial(api.tickets, visit.calls, None), cursor) if visit.account else ([], None)
    if cursor is None:
        found += _of_guests(visit, api.tickets)
    return list({ticket["id"]: ticket for ticket in found}.values()), further


def _reservations(visit: Visit) -> list[Json]:
    """The reservations that are neither paid nor over."""
    found, _further = gather(partial(api.reservations, visit.calls, None)) if visit.account else ([], None)
    found += _of_guests(visit, api.reservations)
    return list({each["id"]: each for each in found if each["status"] in ("submitted", "held")}.values())


def _of_guests(visit: Visit, ask: Callable[[Calls, str | None, str | None], Json]) -> list[Json]:
    """What was reserved in this browser as a guest."""
    found: list[Json] = []
    for token in visit.jar.holds().values():
        try:
            found += gather(partial(ask, visit.calls, token))[0]
        except Refused as refused:
            if refused.status not in NOT_OPEN:
                raise
            continue  # the code of another site, or of one that was set up anew
    return found


def _by_match(calls: Calls, tickets: list[Json]) -> list[tuple[Json, list[Json]]]:
    numbers = sorted({ticket["matchNumber"] for ticket in tickets})
    matches = sorted((api.match(calls, number) for number in numbers), key=lambda match: str(match["dateUtc"]))
    return [
        (match, [ticket for ticket in tickets if ticket["matchNumber"] == match["matchNumber"]]) for match in matches
    ]


@pages.get("/tickets/<uuid:reservation_id>/<uuid:ticket_id>.<any(png, pdf):kind>")
def ticket_file(visit: Visit, reservation_id: UUID, ticket_id: UUID, kind: str) -> Response:
    """A ticket to print, or its code to show."""
    content = api.ticket_file(visit.calls, str(ticket_id), kind, key_to(visit, reservation_id))
    headers = [("Content-Disposition", f'inline; filename="ticket-{ticket_id}.{kind}"')]
    return Response(content, 200, headers, content_type=KINDS[kind])


@pages.post("/reservations/open")
def open_reservation(visit: Visit) -> Response:
    """Opens a guest's reservation by the code that its page showed, in another browser, say."""
    code = visit.form["code"]
    found = CODE.fullmatch(code)
    if found is not None:
        try:
            api.reservation(visit.calls, found[1], code)
        except Refused as refused:
            if refused.status not in NOT_OPEN:
                raise
        else:
            visit.jar.keep_hold(code)
            return visit.redirect(f"/reservations/{found[1]}", notice="opened")
    visit.form.errors["code"] = _("There is no reservation with this code. Copy all of it.")
    return visit.render("open.html", 422)


@pages.get("/reservations/open")
def ask_for_code(visit: Visit) -> Response:
    """Asks for the code."""
    return visit.render("open.html")
