"""What the shop shows and finds."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.domain import (
    MESSAGES,
    Availability,
    Match,
    Place,
    Search,
    ShownPool,
    SortKey,
    find,
    plain,
    shown,
    stage_of,
)
from shop.inventory.domain import Counters, Pool
from shop.schemas import MatchAnswer, MatchQuery, _decode_cursor, encode_cursor, encode_match
from shop.store import CITIES


def _counters(capacity: int, held: int, sold: int) -> Counters:
    return Counters(Pool(1, 2), Decimal("125.00"), [(0, capacity)], held, sold)


@pytest.mark.parametrize(
    ("capacity", "held", "sold", "releasable", "expected"),
    [
        (20, 0, 0, 0, (20, 20, Availability.AVAILABLE)),
        (20, 3, 5, 0, (12, 15, Availability.AVAILABLE)),
        (20, 15, 5, 0, (0, 15, Availability.TEMPORARILY_UNAVAILABLE)),
        (20, 15, 5, 2, (2, 15, Availability.AVAILABLE)),
        (20, 0, 20, 0, (0, 0, Availability.SOLD_OUT)),
        (20, 5, 20, 0, (0, 0, Availability.SOLD_OUT)),
        (20, 30, 0, 0, (0, 20, Availability.TEMPORARILY_UNAVAILABLE)),
        (20, 0, 30, 0, (0, 0, Availability.SOLD_OUT)),
        (0, 0, 0, 0, (0, 0, Availability.SOLD_OUT)),
    ],
)
def test_numbers_are_shown_as_the_federation_defines_them(
    capacity: int, held: int, sold: int, releasable: int, expected: tuple[int, int, Availability]
) -> None:
    pool = shown(_counters(capacity, held, sold), releasable)
    assert (pool.pending, pool.reserved, pool.status) == expected


@given(*[st.integers(0, 50)] * 4)
def test_what_is_shown_is_never_below_zero_nor_more_than_is_unsold(
    capacity: int, held: int, sold: int, releasable: int
) -> None:
    pool = shown(_counters(capacity, held, sold), releasable)
    assert 0 <= pool.pending <= pool.reserved <= max(capacity, 0)


def test_buyers_are_told_in_the_agreed_words() -> None:
    assert MESSAGES == {
        Availability.AVAILABLE: None,
        Availability.TEMPORARILY_UNAVAILABLE: "Ticket is temporarily unavailable",
        Availability.SOLD_OUT: "Ticket is sold out",
    }


@pytest.mark.parametrize(
    ("round_number", "group", "home", "stage"),
    [
        (1, "A", "Qatar", "Group stage"),
        (3, None, "Qatar", "Group stage"),
        (4, "Round of 16", "1A", "Round of 16"),
        (4, None, "1A", "Round of 16"),
        (5, "", "W49", "Quarter-finals"),
        (7, None, "L61", "Third place"),
        (7, "Third place", "Croatia", "Third place"),
        (7, "Final", "Argentina", "Final"),
        (7, None, "W61", "Final"),
        (9, None, "X", "Round 9"),
    ],
)
def test_the_stage_is_told_by_group_round_or_places(
    round_number: int, group: str | None, home: str, stage: str
) -> None:
    assert stage_of(round_number, group, home) == stage


def test_every_stadium_of_the_packaged_lists_has_its_city() -> None:
    lists = Path(__file__).parents[2] / "matchday" / "masterlists"
    stadiums = json.loads((lists / "stadiums.json").read_text("utf-8"))
    assert {stadium["location"]: stadium["city"] for stadium in stadiums} == CITIES


def _match(number: int, **changes: Any) -> Match:
    pools = changes.pop("pools", ((1, 75, 5, Availability.AVAILABLE),))
    made = tuple(ShownPool(category, 20, left, 20, Decimal(price), status) for category, price, left, status in pools)
    fields: dict[str, Any] = {
        "round_number": 1,
        "stage": "Group stage",
        "date_utc": datetime(2022, 11, 20, 16, tzinfo=UTC),
        "location": "Al Bayt Stadium",
        "city": "Al Khor",
        "home_team": "Qatar",
        "away_team": "Ecuador",
        "group": "A",
        "pools": made,
    }
    return Match(match_number=number, **(fields | changes))


GONE = Availability.TEMPORARILY_UNAVAILABLE
SHELF = (
    _match(1, pools=((1, 75, 0, GONE), (2, 125, 5, Availability.AVAILABLE))),
    _match(
        2, home_team="Côte d'Ivoire", away_team="Türkiye", group="B", date_utc=datetime(2022, 11, 20, 0, tzinfo=UTC)
    ),
    _match(3, location="Stadium 974", city="Doha", date_utc=datetime(2022, 11, 21, 23, 59, tzinfo=UTC)),
    _match(4, round_number=4, stage="Round of 16", group="Round of 16", pools=((3, 195, 0, Availability.SOLD_OUT),)),
)


def _found(search: Search, sort: SortKey = SortKey.MATCH_NUMBER) -> list[int]:
    return [match.match_number for match in find(SHELF, search, sort, None, 100).matches]


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (Search(), [1, 2, 3, 4]),
        (Search(team="qatar"), [1, 3, 4]),
        (Search(team="Qat"), []),
        (Search(team="turkiye"), [2]),
        (Search(scores={3: 0.5, 2: 1.0}), [2, 3]),
        (Search(scores={3: 0.5, 2: 1.0}, city="doha"), [3]),
        (Search(scores={}), []),
        (Search(group="a"), [1, 3]),
        (Search(round_number=4), [4]),
        (Search(stadium="stadium 974"), [3]),
        (Search(city="Al Khor", group="B"), [2]),
        (Search(stage="round of 16"), [4]),
        (Search(date_from=date(2022, 11, 21)), [3]),
        (Search(date_to=date(2022, 11, 20)), [1, 2, 4]),
        (Search(date_from=date(2022, 11, 20), date_to=date(2022, 11, 21)), [1, 2, 3, 4]),
        (Search(category=2), [1]),
        (Search(price_max=Decimal(100)), [1, 2, 3]),
        (Search(price_min=Decimal("124.99"), price_max=Decimal("125.00")), [1]),
        (Search(availability=Availability.AVAILABLE), [1, 2, 3]),
        (Search(availability=Availability.AVAILABLE, category=1), [2, 3]),
        (Search(availability=Availability.AVAILABLE, category=1, scores={1: 1.0, 2: 1.0}), [2]),
        (Search(availability=Availability.SOLD_OUT), [4]),
        (Search(availability=GONE, price_min=Decimal(100)), []),
    ],
)
def test_matches_are_found_by(search: Search, expected: list[int]) -> None:
    assert _found(search) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (SortKey.MATCH_NUMBER, [1, 2, 3, 4]),
        (SortKey.MATCH_NUMBER_DOWN, [4, 3, 2, 1]),
        (SortKey.DATE, [2, 1, 4, 3]),
        (SortKey.DATE_DOWN, [3, 1, 4, 2]),
        (SortKey.PRICE, [1, 2, 3, 4]),
        (SortKey.PRICE_DOWN, [4, 1, 2, 3]),
    ],
)
def test_matches_are_sorted_by(sort: SortKey, expected: list[int]) -> None:
    assert _found(Search(), sort) == expected


def test_what_fits_the_words_best_comes_first_and_of_alike_ones_the_earlier_match() -> None:
    scores = {1: 0.5, 2: 0.9, 4: 0.5}
    assert _found(Search(scores=scores), SortKey.RELEVANCE) == [2, 1, 4]
    assert _found(Search(), SortKey.RELEVANCE) == [1, 2, 3, 4]


def test_the_price_that_counts_for_sorting_is_one_that_fits_the_search() -> None:
    assert _found(Search(price_min=Decimal(100)), SortKey.PRICE) == [1, 4]


@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.integers(0, 3), st.integers(50, 53)), max_size=30, unique_by=lambda x: x[0]
    ),
    st.sampled_from(SortKey),
    st.integers(1, 7),
)
def test_pages_hold_every_match_once_and_in_order(drawn: list[tuple[int, int, int]], sort: SortKey, limit: int) -> None:
    shelf = [
        _match(
            number,
            date_utc=datetime(2022, 11, 20 + day, tzinfo=UTC),
            pools=((1, price, 1, Availability.AVAILABLE),),
        )
        for number, day, price in drawn
    ]
    whole = [match.match_number for match in find(shelf, Search(), sort, None, 1000).matches]
    gathered: list[int] = []
    place: Place | None = None
    for _ in range(len(shelf) + 1):
        page = find(shelf, Search(), sort, place, limit)
        gathered += [match.match_number for match in page.matches]
        if page.next_place is None:
            break
        place = _decode_cursor(encode_cursor(page.next_place, sort), sort)
        assert len(page.matches) == limit
    assert gathered == whole
    assert sorted(gathered) == sorted(number for number, _, _ in drawn)


def test_names_are_compared_without_case_and_accents() -> None:
    assert plain("  CÔTE d'Ivoire ") == "cote d'ivoire"
    assert plain("Straße") == plain("STRASSE")


def test_a_match_is_written_as_agreed() -> None:
    written = json.loads(encode_match(SHELF[0], "USD"))
    assert list(written) == [
        "matchNumber", "roundNumber", "stage", "dateUtc", "location", "city", "homeTeam", "awayTeam", "group",
        "categories", "resale",
    ]  # fmt: skip
    assert written["dateUtc"] == "2022-11-20T16:00:00Z"
    assert written["categories"][0] == {
        "category": 1,
        "capacity": 20,
        "pending": 0,
        "reserved": 20,
        "price": 75,
        "currency": "USD",
        "status": "temporarily_unavailable",
        "message": "Ticket is temporarily unavailable",
    }
    assert MatchAnswer.model_validate(written)


def test_a_price_with_a_fraction_keeps_it() -> None:
    match = _match(1, pools=((1, "75.50", 1, Availability.AVAILABLE),))
    assert json.loads(encode_match(match, "USD"))["categories"][0]["price"] == 75.5


def test_a_query_becomes_a_search_with_every_field() -> None:
    query = MatchQuery.model_validate({
        "q": "a", "team": "b", "group": "c", "round": 1, "stadium": "d", "city": "e", "stage": "f",
        "dateFrom": "2022-11-20", "dateTo": "2022-11-20", "category": 1, "priceMin": "1", "priceMax": "1",
        "availability": "sold_out",
    })  # fmt: skip
    search = query.search({1: 0.5})
    assert None not in [getattr(search, name) for name in Search.__slots__]
