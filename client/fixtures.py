"""How a match is told: stages, groups, and the places of the knock-out that have no team yet.

Templates have this module as `fixture`.
"""

import re

from client.calls import Json
from client.kernel.words import N_, _, time_zone

STAGES = (
    N_("Group stage"),
    N_("Round of 16"),
    N_("Quarter-finals"),
    N_("Semi-finals"),
    N_("Third place"),
    N_("Final"),
)
GROUPS = ("A", "B", "C", "D", "E", "F", "G", "H")
_OF_GROUP = re.compile(r"([1-9])([A-Z])")
_OF_MATCH = re.compile(r"([WL])([0-9]{1,3})")


def team(name: str) -> str:
    """A team's name; for a place that nobody has yet, what will decide it."""
    if found := _OF_GROUP.fullmatch(name):
        words = {"1": N_("Winner of group %(group)s"), "2": N_("Second of group %(group)s")}.get(found[1])
        return _(words, group=found[2]) if words else name
    if found := _OF_MATCH.fullmatch(name):
        words = N_("Winner of match %(number)s") if found[1] == "W" else N_("Loser of match %(number)s")
        return _(words, number=found[2])
    return _("To be announced") if name == "TBA" else name


def pair(match: Json) -> str:
    """Both teams on one line."""
    return f"{team(match['homeTeam'])} – {team(match['awayTeam'])}"


def stage(match: Json) -> str:
    """The stage, with the group where there is one."""
    if match["group"] in GROUPS:
        return _("Group %(group)s", group=match["group"])
    name = str(match["stage"])
    return _(name) if name in STAGES else name


def place(match: Json) -> str:
    """Stadium and city."""
    return f"{match['location']}, {match['city']}" if match["city"] else str(match["location"])


def zone(match: Json) -> str | None:
    """The time zone that a kick-off is told in; None for UTC."""
    found = match.get("timeZone") or time_zone()
    return str(found) if found else None


def zone_words(match: Json) -> str:
    """Whose clocks a kick-off is told by."""
    return _("local time") if zone(match) else "UTC"


def best_price(match: Json) -> Json | None:
    """The cheapest category; None for a match without any."""
    pools: list[Json] = match["categories"]
    return min(pools, key=lambda pool: (pool["price"], pool["category"]), default=None)


def status(match: Json) -> str:
    """The best of its categories' statuses."""
    found = {pool["status"] for pool in match["categories"]}
    return next((name for name in ("available", "temporarily_unavailable") if name in found), "sold_out")


STATUS_WORDS = {
    "available": N_("Available"),
    "temporarily_unavailable": N_("Ticket is temporarily unavailable"),
    "sold_out": N_("Ticket is sold out"),
}


def status_words(name: str) -> str:
    """A pool's status in the visitor's language."""
    return _(STATUS_WORDS.get(name, name))
