"""Other ways to write the names of a catalogue: codes, other languages, other names in use (`spellings.json`).

Each entry of the file is one thing; whichever of its names the master list uses, all of them find it.
"""

import json
from collections.abc import Iterable, Iterator
from importlib.resources import files

from shop.domain import Match
from shop.search.domain import Kind, Name, Spelled, folded, names_of

GROUP_WORDS = ("group", "grupo", "groupe", "المجموعة")
STADIUM_WORDS = ("stadium",)
SPELLING_LONGEST = 100


def _read() -> dict[tuple[Kind, str], list[str]]:
    found: dict[tuple[Kind, str], list[str]] = {}
    for kind, entries in json.loads((files(__package__) / "spellings.json").read_text("utf-8")).items():
        for entry in entries:
            found |= {(Kind(kind), folded(name)): entry for name in entry}
    return found


OTHERS = _read()


def spelled(matches: Iterable[Match]) -> frozenset[Spelled]:
    """Every name of these matches in all its spellings."""
    names = {name for match in matches for name in names_of(match)}
    return frozenset(Spelled(name, text) for name in names for text in _spellings(name))


def _spellings(name: Name) -> set[str]:
    written = {name.text, *OTHERS.get((name.kind, folded(name.text)), ())}
    if name.kind is Kind.GROUP:
        written |= {f"{word} {name.text}" for word in GROUP_WORDS}
    every = {text for raw in written for text in _shortened(name.kind, folded(raw))}
    return {text[:SPELLING_LONGEST] for text in every if text}


def _shortened(kind: Kind, text: str) -> Iterator[str]:
    """ "Al Bayt Stadium" is "Al Bayt" to most."""
    yield text
    for word in STADIUM_WORDS if kind is Kind.STADIUM else ():
        yield text.removesuffix(f" {word}")
