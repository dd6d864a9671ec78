"""The waiting room of a match: a place in the line, how long it takes, and the way on."""

from datetime import timedelta

from babel.dates import format_timedelta
from flask import Response

from client import market
from client.calls import Json, Refused, new_key
from client.kernel.cookies import Jar
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.pages.matches import find_match

pages = Pages()

PLACES_COOKIE = "matchday_places"
VISITOR_COOKIE = "matchday_visitor"  # by the name that the service itself gives it
PLACES_SECONDS = 6 * 3600  # as long as a place's token can count
PLACES_MAX = 4  # matches for which one browser waits at once
VISITOR_SECONDS = 86_400
# What becomes of a place that the service does not take: one asks for another.
NOT_THERE = frozenset({403, 404, 422})


def place_of(jar: Jar, number: int) -> str | None:
    """The token of this browser's place for a match."""
    return _places(jar).get(str(number))


def _places(jar: Jar) -> dict[str, str]:
    tokens = (jar.get(PLACES_COOKIE) or "").split("~")
    return {token.partition(".")[0]: token for token in tokens if token.count(".") == 4}


def _keep(jar: Jar, number: int, token: str | None) -> None:
    kept = {name: text for name, text in _places(jar).items() if name != str(number)}
    tokens = [*kept.values(), *([token] if token else [])][-PLACES_MAX:]
    if tokens:
        jar.keep(PLACES_COOKIE, "~".join(tokens), PLACES_SECONDS)
    elif jar.get(PLACES_COOKIE):
        jar.forget(PLACES_COOKIE)


def line_up(visit: Visit, number: int, key: str) -> Response:
    """Takes a place, or one's own again, and goes to the page that shows it. Raises `Refused`."""
    jar = visit.jar
    made = market.take_place(visit.calls, number, place_of(jar, number), jar.get(VISITOR_COOKIE), key)
    _keep(jar, number, made["token"])
    if made.get("visitor"):
        jar.keep(VISITOR_COOKIE, made["visitor"], VISITOR_SECONDS)
    return visit.redirect(f"/matches/{number}/wait")


@pages.post("/matches/<int:number>/wait", limit="hold")
def take_place(visit: Visit, number: int) -> Response:
    """A place in the line; an account, and a guest's browser, has one however often it asks."""
    find_match(visit, number)
    return line_up(visit, number, visit.form["key"] or new_key())


@pages.get("/matches/<int:number>/wait")
def show_place(visit: Visit, number: int) -> Response:
    """Where one stands in the line. A page that is loaded again finds the same place."""
    match = find_match(visit, number)
    found = find_place(visit, number)
    state = found["state"] if found else "none"
    if found is None and market.room(visit.calls, number)["open"]:
        state = "open"
    told = estimate(visit, found["estimateSeconds"]) if found else None
    response = visit.render("wait.html", match=match, place=found, state=state, estimate=told, key=new_key())
    response.headers["Cache-Control"] = "no-store"
    return response


def find_place(visit: Visit, number: int) -> Json | None:
    """The visitor's place; None without one that counts. Raises `Refused`."""
    token = place_of(visit.jar, number)
    if token is None:
        return None
    try:
        return market.place(visit.calls, number, token)
    except Refused as refused:
        if refused.status not in NOT_THERE:
            raise
        _keep(visit.jar, number, None)
        return None


def estimate(visit: Visit, seconds: int) -> str:
    """How long it takes in words, rounded up: by the minute, or by ten seconds when it is less."""
    step = 10 if seconds < 60 else 60
    rounded = timedelta(seconds=max(step, -(-seconds // step) * step))
    return format_timedelta(rounded, threshold=2, locale=visit.language.locale)
