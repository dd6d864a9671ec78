"""Accounts and what they may do."""

from uuid import UUID

from flask import Response

from client import admin_api
from client.calls import Refused
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.pages.admin.frame import ADMINS, draw, next_page, query_of, told, with_password

pages = Pages()

ROLES = ("gate", "partner", "admin")


@pages.get("/admin/people", access=ADMINS)
def show(visit: Visit) -> Response:
    """Accounts, found by address or role."""
    return _draw(visit)


def _draw(visit: Visit, status: int = 200) -> Response:
    query = query_of("begins", "role")
    if query["role"] not in ROLES:
        query["role"] = ""
    found = admin_api.accounts(visit.calls, query)
    further = next_page("/admin/people", query, found["nextCursor"])
    return draw(visit, "people.html", status, people=found["items"], query=query, further=further, roles=ROLES)


@pages.post("/admin/people/<uuid:account_id>/roles", access=ADMINS)
@with_password("/admin/people")
def set_roles(visit: Visit, account_id: UUID) -> Response:
    """Gives an account exactly the roles that are ticked."""
    try:
        admin_api.set_roles(visit.calls, str(account_id), [role for role in ROLES if visit.form[role]])
    except Refused as refused:
        if not told(visit, refused):
            raise
        return _draw(visit, refused.status)
    return visit.redirect("/admin/people", notice="roles_set")
