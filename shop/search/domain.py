"""From typed words to names, and from names to matches. No I/O: PostgreSQL says how well a word fits a name."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from shop.domain import Match

WORDS_MAX = 8  # of a query; further ones do not count
WORD_LONGEST = 30
PHRASE_WORDS_MAX = 4
SWAPPED_LENGTH_MIN = 3
# From this score on a word is spelled as in the name, wholly or in part; below, it is taken for a typing error.
RIGHT_SCORE = 0.6
_WORD = re.compile(r"[^\W_]+")
_PLACE = re.compile(r"[0-9][A-Z]|[WL][0-9]+")  # "1A", "W49": a team that is not known yet


class Kind(StrEnum):
    """What a name is the name of; also the parameter that filters matches by it."""

    TEAM = "team"
    STADIUM = "stadium"
    CITY = "city"
    GROUP = "group"
    STAGE = "stage"


WEIGHTS: Mapping[Kind, float] = {
    Kind.TEAM: 1.0,
    Kind.STADIUM: 0.9,
    Kind.CITY: 0.85,
    Kind.GROUP: 0.8,
    Kind.STAGE: 0.75,
}


class Name(NamedTuple):
    """A name as the catalogue writes it."""

    kind: Kind
    text: str


class Spelled(NamedTuple):
    """A name with one of the ways to write it, folded."""

    name: Name
    spelling: str


class How(StrEnum):
    """How a piece of a query is to fit: phrases exactly; words also in part, or nearly; swapped ones in part."""

    PHRASE = "phrase"
    WORD = "word"
    SWAPPED = "swapped"


class Piece(NamedTuple):
    """Words `begin` to `end` of a query as one text, for which names are looked for."""

    begin: int
    end: int
    text: str
    how: How


class Hit(NamedTuple):
    """A name that a piece fits; `score` is above 0, and 1 when the name is written like that."""

    begin: int
    end: int
    name: Name
    score: float


Unit = Mapping[Name, float]  # one thing that was typed → the names that it may mean, with their scores

# One Latin letter each, so that what PostgreSQL knows of Latin words (trigrams, distances) it knows of Arabic ones,
# whatever the database's locale. Letters that are often written one for the other have the same.
_ARABIC = str.maketrans(
    dict(zip("ابتثجحخدذرزسشصضطظعغفقكلمنهويىةءپچڤگی", "abttjhkddrzsssdttegfqklmnhwyyhapjfgy", strict=True)) | {"ـ": None}
)


def folded(text: str) -> str:
    """Text without case, accents and signs, its words separated by one space each."""
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(_WORD.findall(bare.casefold().translate(_ARABIC)))


def words_of(query: str) -> tuple[str, ...]:
    """The words that a query is looked for by; none when it has no letter and no digit."""
    return tuple(word[:WORD_LONGEST] for word in folded(query).split()[:WORDS_MAX])


def pieces_of(words: Sequence[str]) -> list[Piece]:
    """All that is asked about a query: each word, the same with two neighbours swapped, and each run of words."""
    count = len(words)
    pieces = [Piece(at, at + 1, word, How.WORD) for at, word in enumerate(words)]
    for at, word in enumerate(words):
        pieces += [Piece(at, at + 1, swapped, How.SWAPPED) for swapped in _swapped(word)]
    for begin in range(count):
        for end in range(begin + 2, min(count, begin + PHRASE_WORDS_MAX) + 1):
            pieces.append(Piece(begin, end, " ".join(words[begin:end]), How.PHRASE))
    return pieces


def _swapped(word: str) -> set[str]:
    if len(word) < SWAPPED_LENGTH_MIN:
        return set()
    return {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)} - {word}


def units_of(count: int, hits: Iterable[Hit]) -> list[Unit]:
    """What a query of so many words means: the longest known phrases, and single words.

    Of a word that is spelled as in some name, names that it only resembles do not count.
    """
    by_place: dict[tuple[int, int], dict[Name, float]] = {}
    for hit in hits:
        found = by_place.setdefault((hit.begin, hit.end), {})
        found[hit.name] = max(hit.score, found.get(hit.name, 0.0))
    units: list[Unit] = []
    at = 0
    while at < count:
        longest = range(min(count, at + PHRASE_WORDS_MAX), at, -1)
        end = next((end for end in longest if by_place.get((at, end))), at + 1)
        units.append(_meant(by_place.get((at, end), {})))
        at = end
    return units


def _meant(found: dict[Name, float]) -> Unit:
    right = {name: score for name, score in found.items() if score >= RIGHT_SCORE}
    return right or found


def names_of(match: Match) -> list[Name]:
    """The names by which a match is found."""
    names = [Name(Kind.TEAM, match.home_team), Name(Kind.TEAM, match.away_team), Name(Kind.STADIUM, match.location)]
    names += [Name(Kind.STAGE, match.stage)]
    if match.city:
        names.append(Name(Kind.CITY, match.city))
    # Organisers write a knock-out stage into the group.
    if match.group and match.group != match.stage:
        names.append(Name(Kind.GROUP, match.group))
    return names


def scores_of(matches: Iterable[Match], units: Sequence[Unit]) -> dict[int, float]:
    """The matches that fit each unit by one of their names, by number, with how well they do: up to 1."""
    return dict(_scored(matches, units)) if units else {}


def _scored(matches: Iterable[Match], units: Sequence[Unit]) -> Iterator[tuple[int, float]]:
    for match in matches:
        names = names_of(match)
        best = [max(unit.get(name, 0.0) * WEIGHTS[name.kind] for name in names) for unit in units]
        if all(best):
            yield match.match_number, round(sum(best) / len(best), 6)


class Suggestion(NamedTuple):
    """Something to offer to who is typing: a name, or a match."""

    name: Name | None
    match: Match | None
    leads_to: int  # how many matches


def suggestions(matches: Sequence[Match], units: Sequence[Unit], limit: int) -> list[Suggestion]:
    """Names that all units may mean, best first, then the best matches; at most `limit`, half of them names.

    Names that nothing is played under are not offered, nor teams that are not known yet.
    """
    meant = [name for name in (units[0] if units else ()) if all(name in unit for unit in units)]
    ranked = sorted(meant, key=lambda name: (-sum(unit[name] for unit in units) * WEIGHTS[name.kind], name))
    counts = {name: sum(name in names_of(match) for match in matches) for name in ranked}
    shown = [name for name in ranked if counts[name] and not _PLACE.fullmatch(name.text)]
    offered = [Suggestion(name, None, counts[name]) for name in shown[: max(1, limit // 2)]]
    scores = scores_of(matches, units)
    best = sorted((match for match in matches if match.match_number in scores), key=lambda m: _by_score(m, scores))
    return offered + [Suggestion(None, match, 1) for match in best[: limit - len(offered)]]


def _by_score(match: Match, scores: Mapping[int, float]) -> tuple[float, int]:
    return -scores[match.match_number], match.match_number
