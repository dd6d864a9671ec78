"""The master list as it travels: strict in what is sent, liberal in what is read.

The organiser puts one match in one record. Partners have been seen to wrap the list, to send it as one array,
to write numbers as text and to leave the group of a knock-out match out. `parse_masterlist` understands all
that and refuses the rest with a reason code that is the same at every site, since it depends on the bytes
alone. A record counts whole or not at all.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from shared.wire import MATCH_NUMBER_MAX, Refused, shown, whole_number

RECORD_BYTES_MAX = 1_048_576
MATCHES_MAX = 1_000
CATEGORIES_MAX = 32
CATEGORY_NUMBER_MAX = 999
ROUND_NUMBER_MAX = 100
CAPACITY_MAX = 1_000_000
PRICE_MAX = Decimal(1_000_000)
CENT = Decimal("0.01")
TEXT_CHARS_MAX = 200
YEARS = range(1900, 2200)

WRAPPERS = ("body", "masterlist")
WRAPPERS_MAX = 3
CATEGORY_KEY = re.compile(r"category([1-9][0-9]{0,2})")
WHOLE = re.compile(r"[0-9]{1,9}")
DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
# Narrower than `datetime.fromisoformat`, whose grammar grew between Python versions: sites must agree.
ISO_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([Tt ]([01][0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?)?"
)

STAGES = {
    1: "Group stage",
    2: "Group stage",
    3: "Group stage",
    4: "Round of 16",
    5: "Quarter-finals",
    6: "Semi-finals",
    7: "Final",
}
THIRD_PLACE = "Third place"
PLACE_OF_LOSER = re.compile(r"L[0-9]+")


class InvalidMasterlist(Refused):
    """A master list record that no site applies; the detail begins with the JSON pointer of what is wrong."""


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """One category of a match: `capacity` in tickets, `price` in major units a ticket with two decimals."""

    category: int
    capacity: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class MatchEntry:
    """One match; `date_utc` is aware and in UTC to the second; `pools` are sorted by category."""

    match_number: int
    round_number: int
    date_utc: datetime
    location: str
    home_team: str
    away_team: str
    group: str | None
    pools: tuple[PoolEntry, ...]


def stage_name(entry: MatchEntry) -> str:
    """What the match belongs to, never empty: its group, else the stage that its round and its teams tell."""
    if entry.group:
        return entry.group
    if entry.round_number == 7 and PLACE_OF_LOSER.fullmatch(entry.home_team):
        return THIRD_PLACE
    return STAGES.get(entry.round_number, f"Round {entry.round_number}")


def encode_match(entry: MatchEntry) -> bytes:
    """The record value of one match: the keys that the strictest partner accepts and no other."""
    return orjson.dumps(
        {
            "matchNumber": entry.match_number,
            "roundNumber": entry.round_number,
            "dateUtc": entry.date_utc.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "location": entry.location,
            "availability": {f"category{pool.category}": _availability(pool) for pool in entry.pools},
            "homeTeam": entry.home_team,
            "awayTeam": entry.away_team,
            "group": stage_name(entry),
        }
    )


def match_key(entry: MatchEntry) -> bytes:
    """The record key: the match number keeps the lists of one match in the order they were sent in."""
    return b"%d" % entry.match_number


def _availability(pool: PoolEntry) -> dict[str, Any]:
    price = int(pool.price) if pool.price == pool.price.to_integral_value() else float(pool.price)
    return {"available": pool.capacity, "pending": 0, "price": price}


def parse_masterlist(value: bytes | None) -> list[MatchEntry]:
    """The matches in one record, in their order; raises `InvalidMasterlist` when any of them is wrong."""
    matches = _unwrap(_document(value))
    if not 0 < len(matches) <= MATCHES_MAX:
        raise InvalidMasterlist("no_matches", f"{len(matches)} matches, expected 1 to {MATCHES_MAX}")
    entries = [match_entry(match, place) for place, match in matches]
    numbers: set[int] = set()
    for (place, _), entry in zip(matches, entries, strict=True):
        if entry.match_number in numbers:
            raise _wrong("duplicate_match", place, "a match number given once in a list", entry.match_number)
        numbers.add(entry.match_number)
    return entries


def match_entry(match: Any, place: str = "") -> MatchEntry:
    """One match out of a decoded document at JSON pointer `place`, or `InvalidMasterlist`."""
    if not isinstance(match, dict):
        raise _wrong("not_a_match", place, "an object", match)

    def read(reader: Callable[[Any, str], Any], name: str) -> Any:
        return reader(match.get(name), f"{place}/{name}")

    return MatchEntry(
        match_number=read(_match_number, "matchNumber"),
        round_number=read(_round_number, "roundNumber"),
        date_utc=read(_date, "dateUtc"),
        location=read(_text, "location"),
        home_team=read(_text, "homeTeam"),
        away_team=read(_text, "awayTeam"),
        group=read(_group, "group"),
        pools=read(_pools, "availability"),
    )


def _document(value: bytes | None) -> Any:
    if not value:
        raise InvalidMasterlist("not_json", "the record is empty")
    if len(value) > RECORD_BYTES_MAX:
        raise InvalidMasterlist("body_too_large", f"{len(value)} bytes, at most {RECORD_BYTES_MAX} are read")
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidMasterlist("not_json", str(error)) from None
    if not isinstance(document, dict | list):
        raise InvalidMasterlist("not_json", "the record is neither a JSON object nor an array")
    return document


def _unwrap(document: Any) -> list[tuple[str, Any]]:
    """Each match with its JSON pointer, taken out of whatever the sender put around it."""
    place = ""
    for _ in range(WRAPPERS_MAX):
        if not isinstance(document, dict) or "matchNumber" in document:
            break
        wrapper = next((name for name in WRAPPERS if name in document), None)
        if wrapper is None:
            break
        place, document = f"{place}/{wrapper}", document[wrapper]
    if isinstance(document, list):
        return [(f"{place}/{index}", match) for index, match in enumerate(document)]
    return [(place, document)]


def _wrong(reason: str, place: str, expected: str, given: Any) -> InvalidMasterlist:
    return InvalidMasterlist(reason, f"{place or '/'}: expected {expected}, is {shown(given)}")


def _whole(value: Any, reason: str, place: str, least: int, most: int) -> int:
    if isinstance(value, str) and WHOLE.fullmatch(value):
        value = int(value)
    number = whole_number(value)
    if number is None or not least <= number <= most:
        raise _wrong(reason, place, f"a whole number from {least} to {most}", value)
    return number


def _match_number(value: Any, place: str) -> int:
    return _whole(value, "bad_match_number", place, 1, MATCH_NUMBER_MAX)


def _round_number(value: Any, place: str) -> int:
    return _whole(value, "bad_round_number", place, 1, ROUND_NUMBER_MAX)


def _date(value: Any, place: str) -> datetime:
    """ISO 8601; without an offset it is UTC, as the field's name says; fractions of a second are dropped."""
    try:
        if not isinstance(value, str) or not ISO_DATE.fullmatch(value):
            raise ValueError
        date = datetime.fromisoformat(value.upper())
        date = (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _wrong("bad_date", place, "an ISO 8601 date and time", value) from None
    if date.year not in YEARS:
        raise _wrong("bad_date", place, f"a year from {YEARS.start} to {YEARS.stop - 1}", value)
    return date.replace(microsecond=0)


def _text(value: Any, place: str) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not 0 < len(text) <= TEXT_CHARS_MAX or "\x00" in text:
        raise _wrong("bad_text", place, f"a text of 1 to {TEXT_CHARS_MAX} characters without NUL", value)
    return text


def _group(value: Any, place: str) -> str | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return _text(value, place)


def _pools(value: Any, place: str) -> tuple[PoolEntry, ...]:
    found: dict[int, str] = {}
    for name in value if isinstance(value, dict) else ():
        key = CATEGORY_KEY.fullmatch(name)
        if key is not None:
            found[int(key[1])] = name
    if not 0 < len(found) <= CATEGORIES_MAX:
        expected = f"an object with 1 to {CATEGORIES_MAX} keys category1 to category{CATEGORY_NUMBER_MAX}"
        raise _wrong("no_categories", place, expected, value)
    return tuple(_pool(number, value[found[number]], f"{place}/{found[number]}") for number in sorted(found))


def _pool(category: int, value: Any, place: str) -> PoolEntry:
    if not isinstance(value, dict):
        raise _wrong("bad_capacity", place, "an object", value)
    # `pending` is the sender's own view of holds; holds are counted from the sales log: it adds nothing.
    name = "count" if value.get("available") is None and "count" in value else "available"
    capacity = _whole(value.get(name), "bad_capacity", f"{place}/{name}", 0, CAPACITY_MAX)
    return PoolEntry(category, capacity, _price(value.get("price"), f"{place}/price"))


def _price(value: Any, place: str) -> Decimal:
    price = price_of(value)
    if price is None:
        raise _wrong("bad_price", place, f"0 to {PRICE_MAX} with at most two decimals", value)
    return price


def price_of(value: Any) -> Decimal | None:
    """A number or a number's text as major units with two decimals; None when it is no price."""
    if type(value) in (int, float):
        value = repr(value)
    elif not (isinstance(value, str) and DECIMAL.fullmatch(value)):
        return None
    price = Decimal(value)
    # `quantize` overflows far outside the bounds, so they are looked at first.
    if not 0 <= price <= PRICE_MAX or price != price.quantize(CENT):
        return None
    return abs(price.quantize(CENT))
