"""Which region of the world a country and a team belong to: a table (`regions.json`), and what follows from it.

Regions are those by which people follow teams of their neighbours: the federations' continents, of which Spanish- and
Portuguese-speaking America and the Middle East are kept apart. A team that the table lacks has no home.
"""

import json
from collections.abc import Mapping
from importlib.resources import files

_TABLE = json.loads((files(__package__) / "regions.json").read_text("utf-8"))
REGION_OF: Mapping[str, str] = {
    country: region for region, countries in _TABLE["regions"].items() for country in countries
}
HOME_OF: Mapping[str, str] = {team.casefold(): country for team, country in _TABLE["teams"].items()}
OWN, NEAR, FAR = 2, 1, 0


def region_of_country(country: str | None) -> str | None:
    """The region of an ISO 3166-1 alpha-2 code."""
    return REGION_OF.get(country or "")


def country_of_team(team: str) -> str | None:
    """The country that a team plays for; None for a place such as 1A, and for a team that the table lacks."""
    return HOME_OF.get(team.casefold())


def closeness(team: str, country: str | None) -> int:
    """`OWN` for the team of the visitor's country, `NEAR` for one of its region, `FAR` for all others."""
    home = country_of_team(team)
    if home is None or country is None:
        return FAR
    if home == country:
        return OWN
    return NEAR if REGION_OF[home] == region_of_country(country) else FAR


def rank(teams: tuple[str, str], country: str | None) -> tuple[int, int]:
    """How close a match is to a visitor: its closer team first, then the other one. Greater is closer."""
    first, second = (closeness(team, country) for team in teams)
    return max(first, second), min(first, second)
