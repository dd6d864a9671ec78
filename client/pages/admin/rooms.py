"""Waiting rooms: on, off or by themselves, match by match."""

from flask import Response

from client import admin_api
from client.calls import Json, Refused
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.kernel.words import _
from client.pages.admin.frame import ADMINS, draw, told

pages = Pages()

MODES = ("off", "auto", "on")


@pages.get("/admin/waiting-rooms", access=ADMINS)
def show(visit: Visit) -> Response:
    """All rooms that were spoken of, and a form for any match."""
    return _draw(visit)


def _draw(visit: Visit, status: int = 200) -> Response:
    return draw(visit, "rooms.html", status, rooms=admin_api.waiting_rooms(visit.calls)["items"], modes=MODES)


@pages.post("/admin/waiting-rooms", access=ADMINS)
def change(visit: Visit) -> Response:
    """Opens or closes a match's room."""
    form = visit.form
    number = form.number("matchNumber")
    if number is None or form["mode"] not in MODES:
        form.errors["matchNumber"] = _("Please give the number of a match.")
        return _draw(visit, 422)
    rate = form.number("ratePerSecond")
    wanted: Json = {"mode": form["mode"]} | ({} if rate is None else {"ratePerSecond": rate})
    try:
        admin_api.set_waiting_room(visit.calls, number, wanted)
    except Refused as refused:
        if not told(visit, refused):
            raise
        return _draw(visit, refused.status)
    return visit.redirect("/admin/waiting-rooms", notice="room_changed")
