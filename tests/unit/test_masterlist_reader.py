"""What the master list reader understands, what it refuses, and by which name."""

import copy
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.masterlist import (
    CAPACITY_MAX,
    CATEGORIES_MAX,
    MATCHES_MAX,
    RECORD_BYTES_MAX,
    TEXT_CHARS_MAX,
    InvalidMasterlist,
    MatchEntry,
    PoolEntry,
    encode_match,
    match_key,
    parse_masterlist,
)
from shared.wire import MATCH_NUMBER_MAX

OPENING: dict[str, Any] = {
    "matchNumber": 1,
    "roundNumber": 1,
    "dateUtc": "2022-11-20T16:00:00Z",
    "location": "Al Bayt Stadium",
    "availability": {
        "category1": {"available": 20, "pending": 0, "price": 75},
        "category2": {"available": 20, "pending": 0, "price": 125},
        "category3": {"available": 20, "pending": 0, "price": 195},
    },
    "homeTeam": "Qatar",
    "awayTeam": "Ecuador",
    "group": "A",
}
ENTRY = MatchEntry(
    1,
    1,
    datetime(2022, 11, 20, 16, tzinfo=UTC),
    "Al Bayt Stadium",
    "Qatar",
    "Ecuador",
    "A",
    (PoolEntry(1, 20, Decimal(75)), PoolEntry(2, 20, Decimal(125)), PoolEntry(3, 20, Decimal(195))),
)
MISSING = object()


def changed(**fields: Any) -> dict[str, Any]:
    match = copy.deepcopy(OPENING) | fields
    return {name: value for name, value in match.items() if value is not MISSING}


def with_pool(**fields: Any) -> dict[str, Any]:
    return changed(availability={"category1": {"available": 20, "pending": 0, "price": 75} | fields})


def read(document: Any) -> list[MatchEntry]:
    return parse_masterlist(json.dumps(document).encode())


def reason(document: Any) -> str:
    with pytest.raises(InvalidMasterlist) as refused:
        read(document)
    return refused.value.reason


def test_one_match_in_the_strict_form_is_read() -> None:
    assert read(OPENING) == [ENTRY]


@pytest.mark.parametrize("group", [None, MISSING, "", "  "])
def test_group_null_missing_or_empty_is_no_group(group: Any) -> None:
    assert read(changed(group=group))[0].group is None


@pytest.mark.parametrize(("home", "away"), [("1A", "2B"), ("TBA", "TBA"), ("W49", "L61")])
def test_places_and_tba_are_teams(home: str, away: str) -> None:
    entry = read(changed(homeTeam=home, awayTeam=away))[0]
    assert (entry.home_team, entry.away_team) == (home, away)


def test_count_stands_for_available() -> None:
    entry = read(changed(availability={"category1": {"count": 20, "price": 75}}))[0]
    assert entry.pools == (PoolEntry(1, 20, Decimal(75)),)


def test_available_wins_over_count() -> None:
    assert read(with_pool(available=7, count=9))[0].pools[0].capacity == 7


def test_numbers_may_be_written_as_text() -> None:
    pools = {
        name: {"available": "20", "pending": "0", "price": str(pool["price"])}
        for name, pool in OPENING["availability"].items()
    }
    assert read(changed(matchNumber="1", roundNumber="1", availability=pools)) == [ENTRY]


@pytest.mark.parametrize("number", [20.0, "20", "0020"])
def test_a_number_without_a_fraction_is_whole_however_it_is_written(number: Any) -> None:
    assert read(with_pool(available=number))[0].pools[0].capacity == 20


@pytest.mark.parametrize("pending", [5, -2, 295.79999, "x", None, MISSING])
def test_what_a_list_says_is_pending_changes_nothing(pending: Any) -> None:
    match = with_pool(pending=pending)
    if pending is MISSING:
        del match["availability"]["category1"]["pending"]
    assert read(match)[0].pools == (PoolEntry(1, 20, Decimal(75)),)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda matches: matches,
        lambda matches: {"body": matches},
        lambda matches: {"body": {"masterlist": matches}},
        lambda matches: {"masterlist": matches},
        lambda matches: {"meta": {"action": "MASTERLIST"}, "body": {"masterlist": matches, "id": 7}},
    ],
)
def test_a_list_is_found_in_any_wrapping(wrap: Any) -> None:
    matches = [changed(matchNumber=number) for number in (1, 2, 3)]
    assert [entry.match_number for entry in read(wrap(matches))] == [1, 2, 3]


def test_one_match_in_body_is_found() -> None:
    assert read({"meta": {}, "body": OPENING}) == [ENTRY]


def test_extra_keys_are_ignored_anywhere() -> None:
    match = with_pool(currency="USD")
    match["availability"]["vip"] = {"available": 1}
    match["homeTeamScore"] = None
    assert read(match)[0].pools == (PoolEntry(1, 20, Decimal(75)),)


def test_any_number_of_categories_is_read_and_sorted_by_number() -> None:
    pools = {f"category{number}": {"available": number, "price": 1} for number in (12, 1, 4)}
    assert [pool.category for pool in read(changed(availability=pools))[0].pools] == [1, 4, 12]


@pytest.mark.parametrize(
    "text",
    [
        "2022-11-20T16:00:00Z",
        "2022-11-20T16:00:00.000Z",
        "2022-11-20 16:00:00Z",
        "2022-11-20T16:00Z",
        "2022-11-20t16:00:00z",
        "2022-11-20T16:00:00",
        "2022-11-20T19:00:00+03:00",
        "2022-11-20T19:00:00+0300",
        "2022-11-20T16:00:00.123456789Z",
    ],
)
def test_iso_dates_are_read_as_utc_to_the_second(text: str) -> None:
    assert read(changed(dateUtc=text))[0].date_utc == datetime(2022, 11, 20, 16, tzinfo=UTC)


def test_a_date_without_a_time_is_midnight() -> None:
    assert read(changed(dateUtc="2022-11-20"))[0].date_utc == datetime(2022, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(("price", "expected"), [(75.5, "75.50"), ("75.25", "75.25"), ("75.500", "75.50"), (0, "0")])
def test_prices_have_up_to_two_decimals(price: Any, expected: str) -> None:
    assert read(with_pool(price=price))[0].pools[0].price == Decimal(expected)


@pytest.mark.parametrize("value", [None, b"", b"{", b"null", b"7", b'"text"', b"\xff", b"[NaN]"])
def test_what_is_no_json_object_or_array_is_refused_as_not_json(value: bytes | None) -> None:
    with pytest.raises(InvalidMasterlist) as refused:
        parse_masterlist(value)
    assert refused.value.reason == "not_json"


def test_a_record_over_the_size_limit_is_refused_unread() -> None:
    with pytest.raises(InvalidMasterlist) as refused:
        parse_masterlist(b" " * (RECORD_BYTES_MAX + 1))
    assert refused.value.reason == "body_too_large"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], "no_matches"),
        ({"body": {"masterlist": []}}, "no_matches"),
        ([{"matchNumber": 1}] * (MATCHES_MAX + 1), "no_matches"),
        ([1], "not_a_match"),
        ({"body": 7}, "not_a_match"),
        ([OPENING, OPENING], "duplicate_match"),
        ({}, "bad_match_number"),
        (changed(matchNumber=MISSING), "bad_match_number"),
        (changed(matchNumber=0), "bad_match_number"),
        (changed(matchNumber=-1), "bad_match_number"),
        (changed(matchNumber=1.5), "bad_match_number"),
        (changed(matchNumber=True), "bad_match_number"),
        (changed(matchNumber="one"), "bad_match_number"),
        (changed(matchNumber="\u0661"), "bad_match_number"),
        (changed(matchNumber=MATCH_NUMBER_MAX + 1), "bad_match_number"),
        (changed(matchNumber=10**40), "bad_match_number"),
        (changed(roundNumber=0), "bad_round_number"),
        (changed(roundNumber=None), "bad_round_number"),
        (changed(dateUtc=None), "bad_date"),
        (changed(dateUtc=1668960000), "bad_date"),
        (changed(dateUtc="TBA"), "bad_date"),
        (changed(dateUtc="20.11.2022"), "bad_date"),
        (changed(dateUtc="2022-02-30T16:00:00Z"), "bad_date"),
        (changed(dateUtc="2022-11-20T24:00:00Z"), "bad_date"),
        (changed(dateUtc="2022-11-20T16:00:00+99:00"), "bad_date"),
        (changed(dateUtc="0001-01-01T00:00:00+14:00"), "bad_date"),
        (changed(dateUtc="9999-12-31T23:59:59-14:00"), "bad_date"),
        (changed(location=MISSING), "bad_text"),
        (changed(location=""), "bad_text"),
        (changed(location="A\x00B"), "bad_text"),
        (changed(homeTeam=None), "bad_text"),
        (changed(awayTeam="x" * (TEXT_CHARS_MAX + 1)), "bad_text"),
        (changed(group=1), "bad_text"),
        (changed(availability=MISSING), "no_categories"),
        (changed(availability={}), "no_categories"),
        (changed(availability=[]), "no_categories"),
        (changed(availability={"category0": {"available": 1, "price": 1}}), "no_categories"),
        (changed(availability={f"category{n + 1}": 0 for n in range(CATEGORIES_MAX + 1)}), "no_categories"),
        (changed(availability={"category1": 20}), "bad_capacity"),
        (changed(availability={"category1": {"price": 75}}), "bad_capacity"),
        (with_pool(available=-1), "bad_capacity"),
        (with_pool(available=1.5), "bad_capacity"),
        (with_pool(available=True), "bad_capacity"),
        (with_pool(available="-1"), "bad_capacity"),
        (with_pool(available=CAPACITY_MAX + 1), "bad_capacity"),
        (with_pool(price=None), "bad_price"),
        (with_pool(price=True), "bad_price"),
        (with_pool(price=-1), "bad_price"),
        (with_pool(price=75.001), "bad_price"),
        (with_pool(price="75,00"), "bad_price"),
        (with_pool(price=1e300), "bad_price"),
        (with_pool(price=1e-300), "bad_price"),
    ],
)
def test_each_error_has_its_reason_code(document: Any, expected: str) -> None:
    assert reason(document) == expected


def test_a_list_with_one_bad_match_is_refused_whole_and_names_the_place() -> None:
    second = changed(matchNumber=2)
    second["availability"]["category2"]["price"] = "cheap"
    with pytest.raises(InvalidMasterlist) as refused:
        read({"body": {"masterlist": [OPENING, second]}})
    assert refused.value.detail.startswith("/body/masterlist/1/availability/category2/price: expected ")


def test_deep_nesting_is_refused_and_does_not_end_the_reader() -> None:
    with pytest.raises(InvalidMasterlist):
        parse_masterlist(b'{"body":' * 900 + b"{}" + b"}" * 900)


def test_the_encoder_gives_the_strict_form() -> None:
    assert json.loads(encode_match(ENTRY)) == OPENING


def test_the_key_is_the_match_number() -> None:
    assert match_key(ENTRY) == b"1"


@pytest.mark.parametrize(
    ("round_number", "home", "stage"),
    [
        (1, "Qatar", "Group stage"),
        (4, "1A", "Round of 16"),
        (5, "W49", "Quarter-finals"),
        (6, "W57", "Semi-finals"),
        (7, "L61", "Third place"),
        (7, "W61", "Final"),
        (9, "TBA", "Round 9"),
    ],
)
def test_a_match_without_a_group_goes_out_with_its_stage(round_number: int, home: str, stage: str) -> None:
    entry = read(changed(roundNumber=round_number, homeTeam=home, group=None))[0]
    assert json.loads(encode_match(entry))["group"] == stage


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40).filter(
    lambda text: text == text.strip() != ""
)
POOLS = st.builds(
    PoolEntry,
    st.integers(1, 999),
    st.integers(0, CAPACITY_MAX),
    st.decimals(0, 1_000_000, places=2, allow_nan=False, allow_infinity=False),
)
ENTRIES = st.builds(
    MatchEntry,
    match_number=st.integers(1, MATCH_NUMBER_MAX),
    round_number=st.integers(1, 100),
    date_utc=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)).map(
        lambda when: when.replace(microsecond=0, tzinfo=UTC)
    ),
    location=TEXTS,
    home_team=TEXTS,
    away_team=TEXTS,
    group=TEXTS,
    pools=st.lists(POOLS, min_size=1, max_size=5, unique_by=lambda pool: pool.category).map(
        lambda pools: tuple(sorted(pools, key=lambda pool: pool.category))
    ),
)


@given(ENTRIES)
def test_what_is_encoded_is_read_back_unchanged(entry: MatchEntry) -> None:
    assert parse_masterlist(encode_match(entry)) == [entry]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*OPENING, "body", "masterlist", "category1", "available", "count", "price"]),
            inner,
        )
    ),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_any_json_is_either_read_or_refused_with_a_reason(document: Any) -> None:
    outcome: object
    try:
        outcome = read(document)
    except InvalidMasterlist as refused:
        outcome = refused.reason
    assert outcome
