"""The password, once more, before money or roles are changed."""

from flask import Response, request

from client import admin_api
from client.calls import Refused
from client.kernel.pages import Pages
from client.kernel.visits import Visit, own_path
from client.kernel.words import _
from client.pages.admin.frame import ADMINS, draw
from shared.http.callers import ACCESS_COOKIE

pages = Pages()


@pages.get("/admin/password", access=ADMINS)
def ask(visit: Visit) -> Response:
    """Asks for it."""
    return draw(visit, "password.html", next=own_path(request.args.get("next"), "/admin"))


@pages.post("/admin/password", access=ADMINS, limit="sign_in")
def give(visit: Visit) -> Response:
    """Takes it, and goes on to where the visitor came from."""
    following = own_path(visit.form["next"], "/admin")
    try:
        if not visit.form.require("password"):
            return draw(visit, "password.html", 422, next=following)
        proof = admin_api.reauthenticate(visit.calls, visit.form.values["password"])
    except Refused as refused:
        if refused.code != "wrong_credentials":
            raise
        visit.form.errors["password"] = _("This is not your password.")
        return draw(visit, "password.html", 401, next=following)
    visit.jar.keep(ACCESS_COOKIE, proof["accessToken"], int(proof["expiresIn"]))
    return visit.redirect(following, notice="password_taken")
