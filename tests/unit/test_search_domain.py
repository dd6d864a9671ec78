"""What typed words mean, once PostgreSQL has said which names they fit."""

import json
import re
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.domain import Match
from shop.search.domain import (
    PHRASE_WORDS_MAX,
    WORD_LONGEST,
    WORDS_MAX,
    Hit,
    How,
    Kind,
    Name,
    folded,
    names_of,
    pieces_of,
    scores_of,
    suggestions,
    units_of,
    words_of,
)
from shop.search.spellings import OTHERS, spelled

ARGENTINA, MEXICO = Name(Kind.TEAM, "Argentina"), Name(Kind.TEAM, "Mexico")
LUSAIL, CITY = Name(Kind.STADIUM, "Lusail Stadium"), Name(Kind.CITY, "Lusail")
GROUP_A, GROUP_C = Name(Kind.GROUP, "A"), Name(Kind.GROUP, "C")


def _match(number: int, home: str, away: str, stadium: str = "Lusail Stadium", group: str | None = "C") -> Match:
    city = "Lusail" if stadium == "Lusail Stadium" else "Doha"
    return Match(number, 1, "Group stage", datetime(2022, 11, 22, tzinfo=UTC), stadium, city, home, away, group, ())


MATCHES = (
    _match(8, "Argentina", "Saudi Arabia"),
    _match(24, "Argentina", "Mexico"),
    _match(39, "Poland", "Argentina", "Stadium 974"),
    _match(49, "1A", "2B", "Stadium 974", None),
)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  CÔTE d'Ivoire ", "cote d ivoire"),
        ("Quarter-finals", "quarter finals"),
        ("Straße", "strasse"),
        ("México!!", "mexico"),
        ("إيران", "ayran"),
        ("ايران", "ayran"),
        ("السعوديّة", "alsewdyh"),
        ("السعوديه", "alsewdyh"),
        ("قطــر", "qtr"),
        ("100% _", "100"),
        ("", ""),
    ],
)
def test_case_accents_signs_and_look_alike_letters_make_no_difference(text: str, plain: str) -> None:
    assert folded(text) == plain


@given(st.text(max_size=200))
def test_words_are_few_short_and_hold_nothing_that_sql_takes_for_a_pattern(query: str) -> None:
    words = words_of(query)
    assert len(words) <= WORDS_MAX
    assert all(re.fullmatch(r"[^\W_]+", word) and len(word) <= WORD_LONGEST for word in words)
    assert words_of(" ".join(words)) == words
    assert len(pieces_of(words)) <= WORDS_MAX * (WORD_LONGEST + PHRASE_WORDS_MAX)


def test_a_query_is_asked_as_words_as_phrases_and_with_neighbours_swapped() -> None:
    asked = {(piece.text, piece.how) for piece in pieces_of(("usa", "vs"))}
    assert asked == {
        ("usa", How.WORD), ("vs", How.WORD), ("usa vs", How.PHRASE), ("sua", How.SWAPPED), ("uas", How.SWAPPED),
    }  # fmt: skip


def test_the_longest_phrase_counts_and_its_words_do_not() -> None:
    hits = [Hit(0, 1, GROUP_A, 0.9), Hit(0, 1, GROUP_C, 0.9), Hit(1, 2, ARGENTINA, 0.8), Hit(0, 2, GROUP_A, 1.0)]
    assert units_of(3, [*hits, Hit(2, 3, LUSAIL, 0.9)]) == [{GROUP_A: 1.0}, {LUSAIL: 0.9}]


def test_what_is_spelled_right_leaves_out_what_only_looks_alike() -> None:
    assert units_of(1, [Hit(0, 1, ARGENTINA, 0.8), Hit(0, 1, MEXICO, 0.5)]) == [{ARGENTINA: 0.8}]
    assert units_of(1, [Hit(0, 1, MEXICO, 0.5), Hit(0, 1, MEXICO, 0.3)]) == [{MEXICO: 0.5}]


def test_a_match_must_fit_all_that_was_typed() -> None:
    both = scores_of(MATCHES, [{ARGENTINA: 1.0}, {LUSAIL: 0.9, CITY: 1.0}])
    assert both.keys() == {8, 24}
    assert scores_of(MATCHES, [{ARGENTINA: 1.0}, {}]) == {}
    assert scores_of(MATCHES, []) == {}


def test_a_better_name_makes_a_better_match() -> None:
    scores = scores_of(MATCHES, [{ARGENTINA: 0.8, MEXICO: 1.0}])
    assert scores == {8: 0.8, 24: 1.0, 39: 0.8}


@given(st.dictionaries(st.sampled_from([ARGENTINA, MEXICO, LUSAIL, CITY, GROUP_C]), st.floats(0.01, 1), max_size=5))
def test_scores_are_between_nothing_and_one(unit: dict[Name, float]) -> None:
    assert all(0 < score <= 1 for score in scores_of(MATCHES, [unit, unit]).values())


def test_suggestions_are_names_first_and_then_matches_without_teams_that_nobody_knows() -> None:
    unknown = Name(Kind.TEAM, "1A")
    offered = suggestions(MATCHES, [{ARGENTINA: 0.8, unknown: 0.8, Name(Kind.TEAM, "Nobody"): 1.0}], 4)
    assert [each.name or (each.match and each.match.match_number) for each in offered] == [ARGENTINA, 8, 24, 39]
    assert offered[0].leads_to == 3


def test_every_other_name_belongs_to_one_thing_only() -> None:
    entries = json.loads((files("shop.search") / "spellings.json").read_text("utf-8"))
    for kind, groups in entries.items():
        names = [name for group in groups for name in {folded(each) for each in group}]
        assert len(names) == len(set(names)), kind
        assert all((Kind(kind), name) in OTHERS for name in names)


def test_a_name_of_the_master_list_that_we_do_not_know_is_found_by_itself() -> None:
    (unknown,) = {each.spelling for each in spelled([_match(1, "Curaçao", "Curaçao")]) if each.name.text == "Curaçao"}
    assert unknown == "curacao"


def test_a_stage_that_stands_in_the_group_is_a_stage_once() -> None:
    final = _match(64, "W61", "W62", group="Final")._replace(stage="Final")
    assert [name.kind for name in names_of(final)] == [Kind.TEAM, Kind.TEAM, Kind.STADIUM, Kind.STAGE, Kind.CITY]
