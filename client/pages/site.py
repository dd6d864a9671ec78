"""What belongs to no part: the first page, static files, the language, the challenge."""

from flask import Response

from client import api
from client.calls import Refused
from client.kernel.assets import FOREVER
from client.kernel.cookies import LANGUAGE_COOKIE, YEAR_SECONDS
from client.kernel.languages import NAMES
from client.kernel.pages import Pages
from client.kernel.visits import Visit, own_path
from shared.errors import NotFound

pages = Pages()


@pages.get("/")
def first_page(visit: Visit) -> Response:
    """The matches are the first page."""
    return visit.redirect("/matches")


@pages.get("/static/<name>", limit="none")
def static_file(visit: Visit, name: str) -> Response:
    """A file of ours, for good: another content has another name."""
    asset = visit.site.assets.find(name)
    if asset is None:
        raise NotFound("there is no such file")
    return Response(asset.content, 200, [("Cache-Control", FOREVER)], content_type=asset.media_type)


@pages.get("/robots.txt", limit="none")
def robots(_visit: Visit) -> Response:
    """Matches may be found; what is somebody's own need not be tried."""
    lines = ["User-agent: *", *(f"Disallow: /{path}" for path in ("account", "api", "reservations", "tickets")), ""]
    return Response("\n".join(lines), content_type="text/plain; charset=utf-8")


@pages.post("/language")
def choose_language(visit: Visit) -> Response:
    """The language of all pages from now on; of an account, also of its mails."""
    chosen = visit.form["language"]
    if chosen in NAMES:
        visit.jar.keep(LANGUAGE_COOKIE, chosen, YEAR_SECONDS)
        if visit.account is not None:
            try:
                api.change_me(visit.calls, {"language": chosen})
            except Refused as refused:
                # The choice counts in this browser all the same.
                if refused.status < 500 and refused.status != 401:
                    raise
    return visit.redirect(own_path(visit.form["next"]))


@pages.post("/challenge", limit="challenge")
def solve_challenge(visit: Visit) -> Response:
    """A solved challenge earns a pass, with which the request that was challenged goes on."""
    api.earn_pass(visit.calls, visit.form["challenge-solution"])
    target = own_path(visit.form["challenge-next"])
    if visit.form["challenge-method"] == "post":
        # The browser sends the same fields again, to where they were meant to go.
        return Response("", 307, [("Location", target)])
    return visit.redirect(target)
