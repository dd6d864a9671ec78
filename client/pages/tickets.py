"""What a visitor has: tickets, reservations, and the way to a guest's reservation by its code."""

import re
from uuid import UUID

from flask import Response

from client import api
from client.calls import Calls, Json, Refused
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.kernel.words import _
from client.pages.holds import key_to

pages = Pages()

# What a guest's reservation is opened with: its id, and a signature.
CODE = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.[A-Za-z0-9_-]{20,100}")
NOT_OPEN = frozenset({401, 403, 404})
KINDS = {"png": "image/png", "pdf": "application/pdf"}


@pages.get("/tickets")
def my_tickets(visit: Visit) -> Response:
    """Tickets of the account, and of what was reserved in this browser as a guest."""
    tickets, reservations = _found(visit)
    return visit.render(
        "tickets.html",
        groups=_by_match(visit.calls, tickets),
        waiting=[(each, api.match(visit.calls, each["matchNumber"])) for each in reservations],
    )


def _found(visit: Visit) -> tuple[list[Json], list[Json]]:
    """All tickets, and the reservations that are neither paid nor over."""
    tickets: list[Json] = []
    reservations: list[Json] = []
    openers: list[str | None] = [*([None] if visit.account else []), *visit.jar.holds().values()]
    for token in openers:
        try:
            own = api.tickets(visit.calls, token)["items"]
            open_ones = api.reservations(visit.calls, token)["items"]
        except Refused as refused:
            if token is None or refused.status not in NOT_OPEN:
                raise
            continue  # the code of another site, or of one that was set up anew
        tickets += own
        reservations += [each for each in open_ones if each["status"] in ("submitted", "held")]
    unique = {ticket["id"]: ticket for ticket in tickets}
    return list(unique.values()), list({each["id"]: each for each in reservations}.values())


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
