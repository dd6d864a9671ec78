"""The master list as other organisers have been seen to write it, and lists that come again."""

import itertools
import json
from typing import Any

import pytest

from tests.system.federation.members import Federation, raw_value
from tests.system.federation.partner import (
    PENDING,
    RESERVED,
    match_record,
    message,
    tickets,
)

NUMBERS = itertools.count(101)


@pytest.fixture
def number() -> int:
    """A match that no list has named yet."""
    return next(NUMBERS)


def described(federation: Federation, number: int) -> dict[str, Any]:
    """The match as both sites describe it."""
    federation.settle()
    rows = [member.rows("SELECT * FROM shop.matches WHERE match_number = %s", number) for member in federation.members]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 1, f"match {number} is not known"
    return rows[0][0]


def pools(available: Any = 20, **more: Any) -> dict[str, Any]:
    return {f"category{c}": {"available": available, "price": p, **more} for c, p in ((1, 75), (2, 125), (3, 195))}


def test_an_organisers_record_is_a_match_with_its_pools(federation: Federation, number: int) -> None:
    federation.publish(match_record(number))
    match = described(federation, number)
    assert match["date_utc"].isoformat() == "2022-11-20T16:00:00+00:00"
    assert [match[name] for name in ("round_number", "location", "home_team", "away_team", "group")] == [
        1,
        "Al Bayt Stadium",
        "Qatar",
        "Ecuador",
        "A",
    ]
    federation.expect(number)


@pytest.mark.parametrize("group", [None, "", "  ", "missing"])
def test_a_knock_out_match_may_come_without_a_group(federation: Federation, number: int, group: str | None) -> None:
    record = match_record(number, roundNumber=4, group=group)
    if group == "missing":
        del record["group"]
    federation.publish(record)
    assert described(federation, number)["group"] is None
    federation.expect(number)


def test_teams_may_be_places(federation: Federation, number: int) -> None:
    federation.publish(match_record(number, homeTeam="1A", awayTeam="TBA"))
    match = described(federation, number)
    assert (match["home_team"], match["away_team"]) == ("1A", "TBA")


def test_capacity_may_come_as_a_count(federation: Federation, number: int) -> None:
    availability = {f"category{c}": {"count": 20, "price": p} for c, p in ((1, 75), (2, 125), (3, 195))}
    federation.publish(match_record(number, availability=availability))
    federation.expect(number)


def test_numbers_may_be_text(federation: Federation, number: int) -> None:
    prices = {"category1": "75", "category2": "125.00", "category3": "195.0"}
    availability = {name: {"available": "20", "pending": "0", "price": price} for name, price in prices.items()}
    federation.publish(match_record(number, matchNumber=str(number), roundNumber="3", availability=availability))
    assert described(federation, number)["round_number"] == 3
    federation.send(message(PENDING, number, tickets(2, 2)))
    federation.expect(number, c2=(20, 18, 20))
    assert federation.ours.flags(number) == []


def test_pending_of_a_list_adds_no_tickets(federation: Federation, number: int) -> None:
    federation.publish(match_record(number, availability=pools(pending=5)))
    federation.expect(number)


@pytest.mark.parametrize("wrap", ["array", "body", "masterlist", "body.masterlist", "one match in body"])
def test_the_list_may_be_wrapped(federation: Federation, number: int, wrap: str) -> None:
    records = [match_record(number), match_record(next(NUMBERS), homeTeam="TBA")]
    value: Any = {
        "array": records,
        "body": {"body": records},
        "masterlist": {"masterlist": records},
        "body.masterlist": {"meta": {"action": "MASTER_LIST"}, "body": {"masterlist": records}},
        "one match in body": {"body": records[0]},
    }[wrap]
    federation.publish(value)
    federation.expect(number)
    if wrap != "one match in body":
        assert described(federation, records[1]["matchNumber"])["home_team"] == "TBA"
        federation.expect(records[1]["matchNumber"])


def test_the_same_list_again_after_sales_resets_nothing(federation: Federation, match: int) -> None:
    federation.send(message(PENDING, match, tickets(1, 2)))
    federation.send(message(PENDING, match, tickets(2, 1)))
    federation.send(message(RESERVED, match, tickets(2, 1)))
    for _ in range(2):
        federation.publish(match_record(match))
        federation.expect(match, c1=(20, 18, 20), c2=(20, 19, 19))
    assert described(federation, match)["home_team"] == "Qatar"


def test_a_later_list_describes_the_match_anew(federation: Federation, number: int) -> None:
    federation.publish(match_record(number, homeTeam="1A", awayTeam="2B", group=None))
    federation.send(message(PENDING, number, tickets(1, 2)))
    federation.expect(number, c1=(20, 18, 20))
    federation.publish(
        match_record(number, homeTeam="Netherlands", awayTeam="USA", group="Round of 16", location="Khalifa")
    )
    match = described(federation, number)
    assert [match[name] for name in ("home_team", "away_team", "group", "location")] == [
        "Netherlands",
        "USA",
        "Round of 16",
        "Khalifa",
    ]
    federation.expect(number, c1=(20, 18, 20))


@pytest.mark.parametrize(("capacity", "pending", "reserved"), [(25, 22, 23), (10, 7, 8), (1, -2, -1), (0, -3, -2)])
def test_a_changed_capacity_moves_by_its_difference(
    federation: Federation, number: int, capacity: int, pending: int, reserved: int
) -> None:
    federation.publish(match_record(number))
    for action, quantity in ((PENDING, 2), (RESERVED, 2), (PENDING, 1)):
        federation.send(message(action, number, tickets(1, quantity)))
    federation.expect(number, c1=(20, 17, 18))
    federation.publish(match_record(number, availability=pools() | {"category1": {"available": capacity, "price": 75}}))
    federation.expect(number, c1=(capacity, pending, reserved))


def test_a_price_may_change_and_sales_at_the_new_one_are_right(federation: Federation, number: int) -> None:
    federation.publish(match_record(number))
    federation.settle()
    federation.publish(match_record(number, availability=pools() | {"category1": {"available": 20, "price": 99.5}}))
    federation.settle()
    federation.send(message(PENDING, number, tickets(1, 1, price=99.5)))
    federation.send(message(PENDING, number, tickets(1, 1, price=75)))
    federation.expect(number, c1=(20, 18, 20))
    assert federation.ours.flags(number) == federation.other.flags(number) == ["price_mismatch"]


def test_a_wrong_list_is_refused_whole_kept_to_the_byte_and_the_next_one_counts(
    federation: Federation, number: int
) -> None:
    wrong = json.dumps([match_record(number), match_record(number + 100_000, location=None)]).encode()
    place = federation.publish(wrong)
    unreadable = federation.publish(b"\xff")
    federation.publish(match_record(next(NUMBERS)))
    federation.settle()
    for member in federation.members:
        assert member.counted(number) == {}
        (item,) = member.refused(place)
        assert (item["reason"], raw_value(item)) == ("bad_text", wrong)
        assert item["detail"].startswith("/1/location")
        assert [kept["reason"] for kept in member.refused(unreadable)] == ["not_json"]


def test_a_list_of_other_categories_is_understood(federation: Federation, number: int) -> None:
    availability = {"category1": {"available": 5, "price": 10}, "category7": {"available": 3, "price": 20}}
    federation.publish(match_record(number, availability=availability, note="extra keys are passed over"))
    federation.send(message(PENDING, number, {"category": 7, "quantity": 2, "price": 20}))
    federation.settle()
    for member in federation.members:
        assert member.counted(number) == {1: (5, 5, 5), 7: (3, 1, 3)}
