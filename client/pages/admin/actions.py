"""Who changed what: the log of what admins and the operator did, at every service."""

from flask import Response

from client import admin_api
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.pages.admin.frame import ADMINS, draw, next_page, query_of

pages = Pages()


@pages.get("/admin/actions", access=ADMINS)
def show(visit: Visit) -> Response:
    """The latest first."""
    query = query_of("email", "service", "operation")
    found = admin_api.actions(visit.calls, query)
    further = next_page("/admin/actions", query, found["nextCursor"])
    return draw(visit, "actions.html", actions=found["items"], query=query, further=further)
