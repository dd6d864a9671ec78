"""Names of teams and places in other languages: none is missing, and what visitors read, the search finds."""

from string import Formatter

import pytest
from babel.messages.pofile import read_po

from client.kernel.languages import NAMES
from matchday.masterlist_file import load_file
from shared import names
from shared.names import BY_GROUP, BY_MATCH, NOT_DRAWN, STADIUM_AND_CITY, TEXTS
from shared.venues import VENUES
from shop.search.domain import Kind, folded
from shop.search.spellings import OTHERS

LANGUAGES = sorted(NAMES.keys() - {"en"})
MATCHES = load_file("world-cup-2022")
PLAYING = {name for match in MATCHES if match.round_number <= 3 for name in (match.home_team, match.away_team)}
PLACES = {name for match in MATCHES for name in (match.home_team, match.away_team)} - PLAYING
WORDS = {*BY_GROUP.values(), *BY_MATCH.values(), NOT_DRAWN, STADIUM_AND_CITY}


def catalogue(language: str) -> dict[str, str]:
    with (TEXTS.folder / f"{language}.po").open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id and not message.fuzzy}


def fields(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


def found_by(kind: Kind, name: str, text: str) -> bool:
    """Whether the search takes the text for the name."""
    return folded(text) in {folded(each) for each in (name, *OTHERS.get((kind, folded(name)), ()))}


def test_the_languages_are_those_of_the_pages() -> None:
    assert TEXTS.languages == NAMES.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogues_have_all_words_and_each_its_fields(language: str) -> None:
    known = catalogue(language)
    assert known.keys() >= WORDS
    for text, words in known.items():
        assert words, text
        assert fields(words) == fields(text)


def test_what_is_no_country_of_cldr_is_named_in_every_language() -> None:
    known = [set(catalogue(language)) for language in LANGUAGES]
    assert known[0] >= known[1] == known[2]
    assert {"England", "Scotland", "Wales", "USA", "Korea Republic"} <= known[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_team_has_a_name_that_the_search_finds(language: str) -> None:
    assert len(PLAYING) == 32
    assert [team for team in PLAYING if not found_by(Kind.TEAM, team, names.team(language, team))] == []


def test_arabic_names_are_in_arabic_letters_stadiums_and_cities_too() -> None:
    for team in PLAYING:
        assert "\u0600" <= names.team("ar", team)[0] <= "\u06ff", team
    for stadium, venue in VENUES.items():
        here, _, city = names.place("ar", stadium, venue.city).partition("، ")
        assert here.startswith("استاد ")
        assert found_by(Kind.STADIUM, stadium, here)
        assert found_by(Kind.CITY, venue.city, city)


@pytest.mark.parametrize(
    ("language", "named"),
    [("en", "USA, England, Netherlands"), ("es", "Estados Unidos, Inglaterra, Países Bajos"),
     ("fr", "États-Unis, Angleterre, Pays-Bas"), ("ar", "الولايات المتحدة, إنجلترا, هولندا")],
)  # fmt: skip
def test_teams_are_called_as_their_language_does(language: str, named: str) -> None:
    assert ", ".join(names.team(language, name) for name in ("USA", "England", "Netherlands")) == named


@pytest.mark.parametrize(("name", "named"), [("Norway", "Norvège"), ("Scotland", "Écosse"), ("Algeria", "Algérie")])
def test_another_tournaments_teams_have_names_too(name: str, named: str) -> None:
    assert names.team("fr", name) == named


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
@pytest.mark.parametrize("name", ["Real Madrid", "3C", "W", "", "{0}", "{group}", "%(x)s", "GB", "1a", "\u202eevil"])
def test_what_has_no_translation_comes_as_it_is(language: str, name: str) -> None:
    assert names.team(language, name) == name
    assert names.place(language, name, None) == name


def test_places_say_what_decides_them() -> None:
    assert names.team("en", "1A") == "Winner of group A"
    assert names.team("es", "2B") == "Segundo del grupo B"
    assert names.team("fr", "W49") == "Vainqueur du match 49"
    assert names.team("ar", "L61") == "الخاسر من المباراة 61"
    for language in ("en", *LANGUAGES):
        assert len({names.team(language, place) for place in PLACES}) == len(PLACES) == 32
        assert not {names.team(language, place) for place in PLACES} & PLACES
