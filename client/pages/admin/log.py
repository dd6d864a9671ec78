"""The log's trouble: records that were refused, with replay, and what was flagged."""

from flask import Response

from client import admin_api
from client.calls import Refused
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.pages.admin.frame import ADMINS, draw, next_page, query_of, told

pages = Pages()


@pages.get("/admin/refused", access=ADMINS)
def show_refused(visit: Visit) -> Response:
    """Refused records, the oldest first."""
    return _draw(visit)


def _draw(visit: Visit, status: int = 200) -> Response:
    query = query_of("reason", "replayed")
    if query["replayed"] not in ("true", "false"):
        query["replayed"] = ""
    found = admin_api.refused(visit.calls, query["cursor"], query["reason"], query["replayed"])
    further = next_page("/admin/refused", query, found["nextCursor"])
    return draw(visit, "refused.html", status, records=found["items"], query=query, further=further)


@pages.post("/admin/refused/<int:refused_id>/replay", access=ADMINS)
def replay(visit: Visit, refused_id: int) -> Response:
    """Lets a record count after all."""
    try:
        admin_api.replay(visit.calls, refused_id)
    except Refused as refused:
        if not told(visit, refused):
            raise
        return _draw(visit, refused.status)
    return visit.redirect("/admin/refused", notice="replayed")


@pages.get("/admin/evidence", access=ADMINS)
def show_evidence(visit: Visit) -> Response:
    """What was flagged, the oldest first."""
    query = query_of("kind")
    found = admin_api.evidence(visit.calls, query["cursor"], query["kind"])
    further = next_page("/admin/evidence", query, found["nextCursor"])
    return draw(visit, "evidence.html", items=found["items"], query=query, further=further)
