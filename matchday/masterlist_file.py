"""A master list file, read as strictly as the strictest partner reads the messages that are made of it.

Everything that is wrong with a file is said at once, each error with its line and its JSON pointer; a file
with one error is refused whole.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from re import compile as pattern
from typing import Any, NamedTuple

from matchday.errors import RunnerError
from shared.masterlist import (
    CAPACITY_MAX,
    MATCHES_MAX,
    PRICE_MAX,
    ROUND_NUMBER_MAX,
    TEXT_CHARS_MAX,
    MatchEntry,
    match_entry,
    price_of,
)
from shared.wire import MATCH_NUMBER_MAX

PACKAGED = ("world-cup-2022", "small")
FILE_BYTES_MAX = 4_194_304
SHOWN_CHARS_MAX = 40
CATEGORIES = ("category1", "category2", "category3")
BETWEEN_ELEMENTS = pattern(r"[\s,]*")


class WrongMasterlist(RunnerError):
    """The file is no master list; `problems` has one sentence for each error in it."""

    def __init__(self, problems: list[str]) -> None:
        count = f"{len(problems)} errors" if len(problems) > 1 else "1 error"
        super().__init__("\n".join([*problems, f"{count}: the file is refused"]))
        self.problems = problems


class Problem(NamedTuple):
    """What is wrong at a JSON pointer."""

    pointer: str
    sentence: str


class Rule(NamedTuple):
    """What a value must be, in words and as a test."""

    expected: str
    accepts: Callable[[Any], bool]


class JsonObject(dict[str, Any]):
    """An object that remembers which of its keys the file gives more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs)
        self.repeated = [name for name, count in counts.items() if count > 1]


def whole(least: int, most: int) -> Rule:
    return Rule(f"a whole number from {least} to {most}", lambda value: type(value) is int and least <= value <= most)


def is_text(value: Any) -> bool:
    return (
        isinstance(value, str) and value == value.strip() and value.isprintable() and 0 < len(value) <= TEXT_CHARS_MAX
    )


def is_kick_off(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").isoformat() + "Z" == value
    except ValueError:
        return False


OBJECT = Rule("an object", lambda value: isinstance(value, dict))
TEXT = Rule(f"a text of 1 to {TEXT_CHARS_MAX} printable characters without spaces around it", is_text)
MATCH_RULES = {
    "matchNumber": whole(1, MATCH_NUMBER_MAX),
    "roundNumber": whole(1, ROUND_NUMBER_MAX),
    "dateUtc": Rule("a time in UTC like 2022-11-20T16:00:00Z", is_kick_off),
    "location": TEXT,
    "availability": OBJECT,
    "homeTeam": TEXT,
    "awayTeam": TEXT,
    "group": Rule(f"{TEXT.expected} (for a knock-out match its stage)", is_text),
}
AVAILABILITY_RULES = dict.fromkeys(CATEGORIES, OBJECT)
POOL_RULES = {
    "available": whole(0, CAPACITY_MAX),
    "pending": Rule("0, since nothing is on hold before the sale", lambda value: type(value) is int and value == 0),
    "price": Rule(
        f"a number from 0 to {PRICE_MAX} with at most two decimals",
        lambda value: not isinstance(value, str) and price_of(value) is not None,
    ),
}


def load_file(name: str | Path) -> list[MatchEntry]:
    """The matches of the file at that path, or of the packaged list of that name.

    Raises `WrongMasterlist` with every error in it, `RunnerError` when there is no such file.
    """
    text = _read(_find(name))
    document = _decode(text, str(name))
    if not isinstance(document, list) or not 0 < len(document) <= MATCHES_MAX:
        raise WrongMasterlist([f"{name}: must be an array of 1 to {MATCHES_MAX} matches"])
    problems = list(problems_in_list(document))
    if problems:
        lines = _lines(text)
        raise WrongMasterlist([_sentence(str(name), problem, lines) for problem in problems])
    return [match_entry(match, f"/{index}") for index, match in enumerate(document)]


def _find(name: str | Path) -> Traversable:
    path = Path(name)
    if not path.exists() and str(name) in PACKAGED:
        return resources.files("matchday") / "masterlists" / f"{name}.json"
    if not path.is_file():
        raise RunnerError(f"{name}: no such file, and no packaged list either ({', '.join(PACKAGED)})")
    return path


def _read(source: Traversable) -> str:
    try:
        with source.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise WrongMasterlist([f"{source}: larger than {FILE_BYTES_MAX} bytes"])
        return data.decode("utf-8-sig")
    except OSError as error:
        raise RunnerError(f"{source}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise WrongMasterlist([f"{source}: is not UTF-8 (byte {error.start})"]) from error


def _decode(text: str, name: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=JsonObject, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise WrongMasterlist([f"{name}, {place}: is not JSON ({error.msg})"]) from error
    except RecursionError as error:
        raise WrongMasterlist([f"{name}: is nested too deeply for a master list"]) from error
    except ValueError as error:
        raise WrongMasterlist([f"{name}: is not JSON ({error})"]) from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def problems_in_list(matches: list[Any]) -> Iterator[Problem]:
    """Everything that is wrong with the matches, in the order of the file."""
    seen: dict[int, int] = {}
    for index, match in enumerate(matches):
        pointer = f"/{index}"
        yield from _problems_in_match(match, pointer)
        number = match.get("matchNumber") if isinstance(match, dict) else None
        if type(number) is int and seen.setdefault(number, index) != index:
            yield Problem(f"{pointer}/matchNumber", f"is {number}, as /{seen[number]}/matchNumber is already")


def _problems_in_match(match: Any, pointer: str) -> Iterator[Problem]:
    if not isinstance(match, JsonObject):
        yield Problem(pointer, f"must be an object, is {_shown(match)}")
        return
    yield from _problems_in_object(match, MATCH_RULES, pointer)
    availability = match.get("availability")
    if not isinstance(availability, JsonObject):
        return
    yield from _problems_in_object(availability, AVAILABILITY_RULES, f"{pointer}/availability")
    for name in CATEGORIES:
        if isinstance(pool := availability.get(name), JsonObject):
            yield from _problems_in_object(pool, POOL_RULES, f"{pointer}/availability/{name}")


def _problems_in_object(document: JsonObject, rules: Mapping[str, Rule], pointer: str) -> Iterator[Problem]:
    for name in document.repeated:
        yield Problem(_below(pointer, name), "is given more than once")
    for name in document:
        if name not in rules:
            yield Problem(_below(pointer, name), "is not part of the format; strict partners refuse such a message")
    for name, rule in rules.items():
        if name not in document:
            yield Problem(_below(pointer, name), f"is missing; must be {rule.expected}")
        elif not rule.accepts(document[name]):
            yield Problem(_below(pointer, name), f"must be {rule.expected}, is {_shown(document[name])}")


def _below(pointer: str, name: str) -> str:
    escaped = name[:SHOWN_CHARS_MAX].replace("~", "~0").replace("/", "~1")
    return f"{pointer}/{escaped if escaped.isprintable() else ascii(escaped)}"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"


def _lines(text: str) -> list[int]:
    """The line on which each element of the file's array begins."""
    decoder = json.JSONDecoder()
    position, lines = text.index("[") + 1, list[int]()
    while True:
        position = _end_of_gap(text, position)
        if text[position] == "]":
            return lines
        lines.append(text.count("\n", 0, position) + 1)
        _, position = decoder.raw_decode(text, position)


def _end_of_gap(text: str, position: int) -> int:
    gap = BETWEEN_ELEMENTS.match(text, position)
    return position if gap is None else gap.end()


def _sentence(name: str, problem: Problem, lines: list[int]) -> str:
    element = int(problem.pointer.split("/")[1])
    return f"{name}, match at line {lines[element]}: {problem.pointer} {problem.sentence}"
