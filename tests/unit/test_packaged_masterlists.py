"""The packaged lists are facts: whatever a tournament's own logic can check about them is checked here."""

import itertools
import json
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "matchday" / "masterlists"
QATAR = timezone(timedelta(hours=3))
PRICES = {"category1": 75, "category2": 125, "category3": 195}
SHARES_PERCENT = {"category1": 30, "category2": 18, "category3": 12}

Match = dict[str, Any]


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


@pytest.fixture(params=["world-cup-2022", "small"])
def matches(request: pytest.FixtureRequest) -> list[Match]:
    return list(load(request.param))


def kick_off(match: Match) -> datetime:
    return datetime.strptime(match["dateUtc"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def groups(matches: list[Match]) -> dict[str, list[Match]]:
    found: dict[str, list[Match]] = defaultdict(list)
    for match in matches:
        if match["roundNumber"] <= 3:
            found[match["group"]].append(match)
    return found


def test_the_64_matches_are_numbered_once_and_in_order(matches: list[Match]) -> None:
    assert [match["matchNumber"] for match in matches] == list(range(1, 65))


def test_every_match_has_exactly_the_keys_of_the_strict_format(matches: list[Match]) -> None:
    keys = {
        "matchNumber",
        "roundNumber",
        "dateUtc",
        "location",
        "availability",
        "homeTeam",
        "awayTeam",
        "group",
    }
    for match in matches:
        assert set(match) == keys
        assert set(match["availability"]) == set(PRICES)
        assert all(set(pool) == {"available", "pending", "price"} for pool in match["availability"].values())
        assert match["group"]


def test_each_category_has_its_price_and_nothing_pending(matches: list[Match]) -> None:
    for match in matches:
        assert {name: pool["price"] for name, pool in match["availability"].items()} == PRICES
        assert {pool["pending"] for pool in match["availability"].values()} == {0}


def test_the_rounds_have_their_sizes(matches: list[Match]) -> None:
    rounds = Counter(match["roundNumber"] for match in matches)
    assert rounds == {1: 16, 2: 16, 3: 16, 4: 8, 5: 4, 6: 2, 7: 2}


def test_rounds_follow_the_match_numbers(matches: list[Match]) -> None:
    numbers = [match["roundNumber"] for match in matches]
    assert numbers == sorted(numbers)


def test_the_opening_match_is_qatar_against_ecuador(matches: list[Match]) -> None:
    opening = matches[0]
    assert (opening["homeTeam"], opening["awayTeam"], opening["group"]) == ("Qatar", "Ecuador", "A")
    assert (opening["dateUtc"], opening["location"]) == ("2022-11-20T16:00:00Z", "Al Bayt Stadium")
    assert min(matches, key=kick_off) == opening


@pytest.mark.parametrize(
    ("number", "in_qatar", "location", "teams"),
    [
        (8, "2022-11-22 13:00", "Lusail Stadium", "Argentina - Saudi Arabia"),
        (20, "2022-11-25 22:00", "Al Bayt Stadium", "England - USA"),
        (43, "2022-12-01 22:00", "Khalifa International Stadium", "Japan - Spain"),
        (46, "2022-12-02 18:00", "Education City Stadium", "Korea Republic - Portugal"),
        (52, "2022-12-04 18:00", "Al Thumama Stadium", "1D - 2C"),
        (58, "2022-12-09 18:00", "Education City Stadium", "W53 - W54"),
        (64, "2022-12-18 18:00", "Lusail Stadium", "W61 - W62"),
    ],
)
def test_well_known_matches_stand_where_they_were_played(
    matches: list[Match], number: int, in_qatar: str, location: str, teams: str
) -> None:
    match = matches[number - 1]
    assert kick_off(match).astimezone(QATAR).strftime("%Y-%m-%d %H:%M") == in_qatar
    assert match["location"] == location
    assert f"{match['homeTeam']} - {match['awayTeam']}" == teams


def test_there_are_eight_groups_of_four_teams_and_each_pair_plays_once(matches: list[Match]) -> None:
    by_group = groups(matches)
    assert sorted(by_group) == list("ABCDEFGH")
    for played in by_group.values():
        teams = {match["homeTeam"] for match in played} | {match["awayTeam"] for match in played}
        pairs = [frozenset((match["homeTeam"], match["awayTeam"])) for match in played]
        assert len(teams) == 4
        assert set(pairs) == {frozenset(pair) for pair in itertools.combinations(teams, 2)}
        assert len(pairs) == 6


def test_the_groups_have_32_different_teams(matches: list[Match]) -> None:
    teams = {match[side] for match in matches[:48] for side in ("homeTeam", "awayTeam")}
    assert len(teams) == 32


def test_each_team_plays_once_in_each_group_round(matches: list[Match]) -> None:
    for number in (1, 2, 3):
        played = [match for match in matches if match["roundNumber"] == number]
        teams = [match[side] for match in played for side in ("homeTeam", "awayTeam")]
        assert len(teams) == len(set(teams)) == 32


def test_the_last_two_matches_of_a_group_begin_together(matches: list[Match]) -> None:
    for played in groups(matches).values():
        last = [match for match in played if match["roundNumber"] == 3]
        assert len({match["dateUtc"] for match in last}) == 1


def test_no_team_plays_twice_within_three_days(matches: list[Match]) -> None:
    by_team: dict[str, list[datetime]] = defaultdict(list)
    for match in sorted(matches[:48], key=kick_off):
        by_team[match["homeTeam"]].append(kick_off(match))
        by_team[match["awayTeam"]].append(kick_off(match))
    for played in by_team.values():
        assert len(played) == 3
        assert all(later - earlier > timedelta(days=3) for earlier, later in itertools.pairwise(played))


def test_all_eight_stadiums_are_used_as_often_as_they_were(matches: list[Match]) -> None:
    assert Counter(match["location"] for match in matches) == {
        "Lusail Stadium": 10,
        "Al Bayt Stadium": 9,
        "Khalifa International Stadium": 8,
        "Al Thumama Stadium": 8,
        "Education City Stadium": 8,
        "Ahmad bin Ali Stadium": 7,
        "Stadium 974": 7,
        "Al Janoub Stadium": 7,
    }
    assert {match["location"] for match in matches} == {stadium["location"] for stadium in load("stadiums")}


def test_a_stadium_has_one_match_a_day(matches: list[Match]) -> None:
    places = [(match["location"], kick_off(match).astimezone(QATAR).date()) for match in matches]
    assert len(set(places)) == len(places)


def test_kick_offs_are_within_the_tournament_at_its_hours(matches: list[Match]) -> None:
    hours = {
        1: {10, 13, 16, 19},
        2: {10, 13, 16, 19},
        3: {15, 19},
        4: {15, 19},
        5: {15, 19},
        6: {19},
        7: {15},
    }
    for match in matches:
        when = kick_off(match)
        assert datetime(2022, 11, 20, tzinfo=UTC) < when < datetime(2022, 12, 19, tzinfo=UTC)
        assert (when.minute, when.second) == (0, 0)
        assert when.hour in hours[match["roundNumber"]]


def test_a_day_of_the_first_two_rounds_has_four_matches_at_four_times(matches: list[Match]) -> None:
    days: dict[Any, list[int]] = defaultdict(list)
    for match in matches[:32]:
        days[kick_off(match).date()].append(kick_off(match).hour)
    assert sum(len(hours) for hours in days.values()) == 32
    assert all(sorted(hours) == [10, 13, 16, 19] for hours in list(days.values()) if len(hours) == 4)
    # The opening match was moved ahead to a day of its own, which left three for the next one.
    assert sorted(len(hours) for hours in days.values()) == [1, 3, 4, 4, 4, 4, 4, 4, 4]


def test_the_round_of_16_pairs_each_winner_with_a_second_of_the_neighbour_group(matches: list[Match]) -> None:
    pairs = {(match["homeTeam"], match["awayTeam"]) for match in matches[48:56]}
    neighbours = {"A": "B", "B": "A", "C": "D", "D": "C", "E": "F", "F": "E", "G": "H", "H": "G"}
    assert pairs == {(f"1{first}", f"2{second}") for first, second in neighbours.items()}


def test_each_winner_and_loser_goes_on_to_one_later_match(matches: list[Match]) -> None:
    places = [match[side] for match in matches[56:] for side in ("homeTeam", "awayTeam")]
    winners, losers = {f"W{number}" for number in range(49, 63)}, {"L61", "L62"}
    assert sorted(places) == sorted(winners | losers)


def test_a_knock_out_match_is_played_after_the_ones_it_waits_for(matches: list[Match]) -> None:
    for match in matches[56:]:
        for side in ("homeTeam", "awayTeam"):
            number = int(re.fullmatch(r"[WL](\d+)", match[side])[1])  # type: ignore[index]
            assert matches[number - 1]["roundNumber"] < match["roundNumber"]
            assert kick_off(matches[number - 1]) < kick_off(match)


def test_knock_out_matches_name_their_stage_as_group(matches: list[Match]) -> None:
    stages = [(match["matchNumber"], match["group"]) for match in matches[48:]]
    assert [stage for _, stage in stages] == (
        ["Round of 16"] * 8 + ["Quarter-finals"] * 4 + ["Semi-finals"] * 2 + ["Third place", "Final"]
    )


def test_winners_of_one_half_meet_only_in_the_final(matches: list[Match]) -> None:
    def groups_below(place: str) -> set[str]:
        if place[0] in "12":
            return {place}
        match = matches[int(place[1:]) - 1]
        return groups_below(match["homeTeam"]) | groups_below(match["awayTeam"])

    final = matches[63]
    left, right = groups_below(final["homeTeam"]), groups_below(final["awayTeam"])
    assert len(left) == len(right) == 8
    # The two teams that leave a group together can meet again only in the final (or for the third place).
    for group in "ABCDEFGH":
        out_of_group = {f"1{group}", f"2{group}"}
        assert out_of_group & left
        assert out_of_group & right


def test_real_capacities_follow_the_stated_share_of_the_stadiums_seats() -> None:
    seats = {stadium["location"]: stadium["seats"] for stadium in load("stadiums")}
    for match in load("world-cup-2022"):
        for name, pool in match["availability"].items():
            assert pool["available"] == seats[match["location"]] * SHARES_PERCENT[name] // 1000 * 10


def test_the_small_list_differs_only_in_having_20_tickets_a_category() -> None:
    small, real = load("small"), load("world-cup-2022")
    for match in small:
        assert {pool.pop("available") for pool in match["availability"].values()} == {20}
    for match in real:
        for pool in match["availability"].values():
            del pool["available"]
    assert small == real
