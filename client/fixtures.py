"""How a match is told: teams, stages, groups and places, in the visitor's language.

Templates have this module as `fixture`.
"""

from markupsafe import Markup

from client.calls import Json
from client.kernel.words import N_, _, language, language_code, time_zone
from shared import names

STAGES = (
    N_("Group stage"),
    N_("Round of 16"),
    N_("Quarter-finals"),
    N_("Semi-finals"),
    N_("Third place"),
    N_("Final"),
)
GROUPS = ("A", "B", "C", "D", "E", "F", "G", "H")


def team(name: str) -> str:
    """A team's name; for a place that nobody has yet, what will decide it."""
    return names.team(language_code(), name)


def pair(match: Json) -> str:
    """Both teams on one line, where nothing can be marked up: titles, calendars."""
    return f"{team(match['homeTeam'])} – {team(match['awayTeam'])}"


def teams(match: Json) -> Markup:
    """Both teams on one line of a page: the home team comes first for who reads, in whatever letters they are."""
    return Markup("<bdi>{}</bdi> – <bdi>{}</bdi>").format(team(match["homeTeam"]), team(match["awayTeam"]))


def stage(match: Json) -> str:
    """The stage, with the group where there is one."""
    if match["group"] in GROUPS:
        return _("Group %(group)s", group=match["group"])
    name = str(match["stage"])
    return _(name) if name in STAGES else name


def place(match: Json) -> str:
    """Stadium and city."""
    return names.place(language_code(), match["location"], match["city"])


def zone(match: Json) -> str | None:
    """The time zone that a kick-off is told in; None for UTC."""
    found = match.get("timeZone") or time_zone()
    return str(found) if found else None


def kick_off(match: Json) -> str:
    """Day and time."""
    return _at(match, language().day(match["dateUtc"], zone(match)))


def short_kick_off(match: Json) -> str:
    """Day and time, short."""
    return _at(match, language().short_day(match["dateUtc"], zone(match)))


def _at(match: Json, day: str) -> str:
    return _("%(day)s, %(time)s", day=day, time=language().time(match["dateUtc"], zone(match)))


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
