"""Names that the master list has, in the languages of visitors and buyers: teams, the places that no team has yet,
stadiums and cities.

Nothing here knows a tournament. A name is looked up in the catalogues (`translations/<language>.po`), a team then among
the countries of CLDR by its English name; one that neither has is shown as it comes.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from babel import Locale

from shared.texts import SOURCE, Texts

TEXTS = Texts(Path(__file__).parent / "translations")
_OF_GROUP = re.compile(r"([1-9])([A-Z])")
_OF_MATCH = re.compile(r"([WL])([0-9]{1,3})")


def N_(text: str) -> str:
    """Marks a text for the catalogues."""
    return text


BY_GROUP: Mapping[str, str] = {"1": N_("Winner of group {group}"), "2": N_("Second of group {group}")}
BY_MATCH: Mapping[str, str] = {"W": N_("Winner of match {number}"), "L": N_("Loser of match {number}")}
NOT_DRAWN = N_("To be announced")
STADIUM_AND_CITY = N_("{stadium}, {city}")


def team(language: str, name: str) -> str:
    """A team's name; for a place that nobody has yet (`1A`, `W49`, `TBA`), what will decide it."""
    if (found := _OF_GROUP.fullmatch(name)) and found[1] in BY_GROUP:
        return _say(language, BY_GROUP[found[1]], group=found[2])
    if found := _OF_MATCH.fullmatch(name):
        return _say(language, BY_MATCH[found[1]], number=found[2])
    if name == "TBA":
        return _say(language, NOT_DRAWN)
    known = _known(language, name)
    return _country(language, name) if known == name else known


def place(language: str, stadium: str, city: str | None) -> str:
    """Stadium and city; the stadium alone where nobody knows its city."""
    here = _known(language, stadium)
    return _say(language, STADIUM_AND_CITY, stadium=here, city=_known(language, city)) if city else here


def _say(language: str, text: str, **values: str) -> str:
    return TEXTS.in_language(language, text).format(**values)


def _known(language: str, name: str) -> str:
    # To gettext the empty text is the catalogue's head.
    return TEXTS.in_language(language, name) if name else name


def _country(language: str, name: str) -> str:
    """A country's name; `name` itself when it is none, or is shown as it is written."""
    if language == SOURCE:
        return name
    code = _codes().get(name)
    return str(Locale.parse(language).territories.get(code, name)) if code else name


@cache
def _codes() -> dict[str, str]:
    """The code of each country (ISO 3166-1 alpha-2) by its English name."""
    named = Locale.parse(SOURCE).territories.items()
    return {str(name): code for code, name in named if len(code) == 2}
