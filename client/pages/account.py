"""One's own account: profile, password, sessions, one's data, and its end."""

import json
from collections.abc import Callable
from functools import partial
from uuid import UUID

from flask import Response

from client import api, market
from client.calls import Json, Refused
from client.kernel.cookies import LANGUAGE_COOKIE, YEAR_SECONDS
from client.kernel.languages import NAMES
from client.kernel.pages import Pages
from client.kernel.problems import Trouble
from client.kernel.sessions import forget_session
from client.kernel.visits import Visit
from client.kernel.words import _
from client.paging import gather
from shared.http.callers import SIGNED_IN

pages = Pages()

# The first sign that is found tells: nearly all say that they are Safari, too.
BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip

EXPORT_PAGES_MAX = 200  # of 20 reservations or 50 tickets each


@pages.get("/account", access=SIGNED_IN)
def show_account(visit: Visit) -> Response:
    """Everything about the account on one page."""
    return _draw(visit)


def _draw(visit: Visit, status: int = 200) -> Response:
    return visit.render(
        "account.html",
        status,
        user=api.me(visit.calls),
        sessions=api.sessions(visit.calls)["items"],
        countries=visit.language.territories(),
        names=NAMES,
        device_words=device_words,
    )


def device_words(user_agent: str) -> str:
    """A browser and its system, as far as the user agent tells them; what it says itself otherwise."""
    browser = next((name for sign, name in BROWSERS if sign in user_agent), None)
    system = next((name for sign, name in SYSTEMS if sign in user_agent), None)
    if browser is None:
        return user_agent or _("Unknown")
    return f"{browser}, {system}" if system else browser


@pages.post("/account/profile", access=SIGNED_IN)
def save_profile(visit: Visit) -> Response:
    """Country and language."""
    chosen = visit.form["language"]
    change: Json = {"country": visit.form["country"] or None, "language": chosen or None}
    try:
        api.change_me(visit.calls, change)
    except Refused as refused:
        if refused.status != 422:
            raise
        visit.form.refuse(refused, _(Trouble.of(refused).title))
        return _draw(visit, 422)
    if chosen in NAMES:
        visit.jar.keep(LANGUAGE_COOKIE, chosen, YEAR_SECONDS)
    return visit.redirect("/account", notice="profile_saved")


@pages.post("/account/password", access=SIGNED_IN)
def change_password(visit: Visit) -> Response:
    """A new password; all other sessions end."""
    form = visit.form
    try:
        if not form.require("currentPassword", "newPassword"):
            return _draw(visit, 422)
        api.change_password(visit.calls, form.values["currentPassword"], form.values["newPassword"])
    except Refused as refused:
        if refused.code == "wrong_credentials":
            form.errors["currentPassword"] = _("This is not your present password.")
        elif refused.status == 422:
            form.refuse(refused, _(Trouble.of(refused).title))
        else:
            raise
        return _draw(visit, refused.status)
    return visit.redirect("/account", notice="password_changed")


@pages.post("/account/verification", access=SIGNED_IN)
def send_verification(visit: Visit) -> Response:
    """The mail that verifies the address, once more."""
    api.ask_to_verify(visit.calls)
    return visit.redirect("/account", notice="mail_sent")


@pages.post("/account/sessions/end", access=SIGNED_IN)
def end_others(visit: Visit) -> Response:
    """Signs out everywhere but here."""
    api.end_other_sessions(visit.calls)
    return visit.redirect("/account", notice="session_ended")


@pages.post("/account/sessions/<uuid:session_id>/end", access=SIGNED_IN)
def end_one(visit: Visit, session_id: UUID) -> Response:
    """Ends one session."""
    api.end_session(visit.calls, str(session_id))
    return visit.redirect("/account", notice="session_ended")


@pages.get("/account/export", access=SIGNED_IN)
def export(visit: Visit) -> Response:
    """All that this site knows of the account, in one file."""
    known = {
        "account": api.export(visit.calls),
        "reservations": _all(partial(api.reservations, visit.calls, None)),
        "tickets": _all(partial(api.tickets, visit.calls, None)),
        "listings": _all(partial(market.own_listings, visit.calls)),
        "payouts": _all(partial(market.payouts, visit.calls)),
    }
    named = [("Content-Disposition", 'attachment; filename="matchday-export.json"')]
    return Response(json.dumps(known, ensure_ascii=False, indent=2), 200, named, content_type="application/json")


def _all(ask: Callable[[str | None], Json]) -> list[Json]:
    return gather(ask, pages_max=EXPORT_PAGES_MAX)[0]


@pages.get("/account/delete", access=SIGNED_IN)
def ask_to_delete(visit: Visit) -> Response:
    """Asks once more."""
    return visit.render("delete_account.html")


@pages.post("/account/delete", access=SIGNED_IN)
def delete(visit: Visit) -> Response:
    """The account's end. Needs a sign-in of the last minutes."""
    try:
        api.delete_me(visit.calls)
    except Refused as refused:
        if refused.code != "recent_sign_in_required":
            raise
        return visit.redirect("/sign-in?next=/account/delete", notice="sign_in_again")
    forget_session(visit.jar)
    return visit.redirect("/matches", notice="account_deleted")
