"""The matches as the model sees them: who may play, how well liked they are, how far apart, what is on offer."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from analytics.generator.admission import Pool
from analytics.generator.parameters import Parameters
from analytics.generator.world import TEAMS, UNKNOWN_TEAM, VENUES, Team
from shared.masterlist import MatchEntry, PoolEntry

PLACE = re.compile(r"(?P<place>[12])(?P<group>[A-Z])|(?P<way>[WL])(?P<match>[0-9]+)")
KM_PER_DEGREE = 111.2
ALLOTMENT_MIN = 2
GROUP_SHARES = {"1": 1.5, "2": 1.0}  # how much a team's appeal counts for each place of its group

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tournament:
    """Matches in the order of their numbers; arrays have a row a match.

    `chances` (matches × teams) is how likely each team plays there, `appeal` and `stage` are from 0 to 1, `km`
    (matches × matches) lies between the stadiums, `kick_offs` are days since `opens`.
    """

    matches: tuple[MatchEntry, ...]
    teams: tuple[str, ...]
    about: tuple[Team, ...]
    chances: Floats
    appeal: Floats
    stage: Floats
    km: Floats
    kick_offs: Floats
    offer: dict[Pool, int]
    pools: tuple[dict[int, PoolEntry], ...]
    opens: datetime
    sale_days: float


def see(masterlist: Sequence[MatchEntry], parameters: Parameters) -> Tournament:
    """The tournament of a master list. Raises `ValueError` for an empty one."""
    if not masterlist:
        raise ValueError("a master list without matches has nothing to sell")
    matches = tuple(sorted(masterlist, key=lambda match: match.match_number))
    teams = tuple(sorted({name for match in matches for name in _teams_of(match) if not PLACE.fullmatch(name)}))
    about = tuple(TEAMS.get(name, UNKNOWN_TEAM) for name in teams)
    appeal_of_teams = np.array([team.appeal for team in about])
    chances = _chances(matches, teams, appeal_of_teams)
    rounds = np.array([match.round_number for match in matches], dtype=float)
    stage = np.maximum(0.0, rounds - 3) / max(1.0, rounds.max() - 3)
    opens = min(match.date_utc for match in matches) - timedelta(weeks=parameters.weeks)
    return Tournament(
        matches,
        teams,
        about,
        chances,
        chances @ appeal_of_teams / 2,
        stage,
        _distances(matches),
        np.array([(match.date_utc - opens) / timedelta(days=1) for match in matches]),
        _offer(matches, parameters),
        tuple({pool.category: pool for pool in match.pools} for match in matches),
        opens,
        parameters.weeks * 7,
    )


def _teams_of(match: MatchEntry) -> tuple[str, str]:
    return match.home_team, match.away_team


def _chances(matches: Sequence[MatchEntry], teams: Sequence[str], appeal: Floats) -> Floats:
    """How likely each team plays in each match; the better known one of two is taken for the stronger."""
    column = {team: index for index, team in enumerate(teams)}
    row = {match.match_number: index for index, match in enumerate(matches)}
    groups = _groups(matches, column)
    sides = np.zeros((len(matches), 2, len(teams)))
    for index, match in sorted(enumerate(matches), key=lambda entry: (entry[1].round_number, entry[1].match_number)):
        for side, name in enumerate(_teams_of(match)):
            place = PLACE.fullmatch(name)
            if place is None:
                sides[index, side, column[name]] = 1.0
            elif place["group"] in groups:
                sides[index, side] = _of_group(groups[place["group"]], appeal, GROUP_SHARES[place["place"]])
            elif place["match"] and (before := row.get(int(place["match"]), index)) != index:
                sides[index, side] = _of_match(sides[before], appeal, loses=place["way"] == "L")
    return np.asarray(sides.sum(axis=1).clip(0.0, 1.0))


def _groups(matches: Sequence[MatchEntry], column: dict[str, int]) -> dict[str, list[int]]:
    found: dict[str, set[int]] = {}
    for match in matches:
        if match.group:
            found.setdefault(match.group, set()).update(column[name] for name in _teams_of(match) if name in column)
    return {name: sorted(members) for name, members in found.items() if members}


def _of_group(members: list[int], appeal: Floats, power: float) -> Floats:
    shares = np.zeros(len(appeal))
    shares[members] = appeal[members] ** (2 * power)
    return np.asarray(shares / shares.sum())


def _of_match(sides: Floats, appeal: Floats, *, loses: bool) -> Floats:
    """The distribution of who wins, or loses, a match between two uncertain sides."""
    home, away = sides
    strength = appeal**2 + 0.05
    wins = strength[:, None] / (strength[:, None] + strength[None, :])  # of the row over the column
    if loses:
        wins = 1 - wins
    found = home * (wins @ away) + away * (wins @ home)
    total = found.sum()
    return np.asarray(found / total if total > 0 else found)


def _distances(matches: Sequence[MatchEntry]) -> Floats:
    """Kilometres between the stadiums; ones that are not known are at the place of the first that is."""
    known = next((VENUES[match.location] for match in matches if match.location in VENUES), None)
    venues = [VENUES.get(match.location, known) for match in matches]
    places = np.array([(venue.latitude, venue.longitude) if venue else (0.0, 0.0) for venue in venues])
    scale = np.array([KM_PER_DEGREE, KM_PER_DEGREE * math.cos(math.radians(places[0, 0]))])
    apart = (places[:, None, :] - places[None, :, :]) * scale
    return np.asarray(np.sqrt((apart**2).sum(axis=2)))


def _offer(matches: Sequence[MatchEntry], parameters: Parameters) -> dict[Pool, int]:
    """What the simulated sites may sell: as many tickets as suit the buyers, so that what is liked sells out."""
    capacities = {Pool(match.match_number, pool.category): pool.capacity for match in matches for pool in match.pools}
    share = parameters.buyers * parameters.offered_per_buyer / max(1, sum(capacities.values()))
    return {pool: min(capacity, max(ALLOTMENT_MIN, round(capacity * share))) for pool, capacity in capacities.items()}
