"""Who the buyers are: drawn once from the seed. What they like is hidden in numbers that no message tells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.generator.parameters import Parameters
from analytics.generator.tournament import Floats, Tournament
from analytics.generator.world import COUNTRIES

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Buyers:
    """One row a buyer. `country` and `site` are indexes; `liking` (buyers × matches) is the exponent of a choice."""

    country: Ints
    site: Ints
    is_guest: Bools
    circle: Ints
    favourite: Ints  # index of a team
    liking: Floats
    thrift: Floats  # 0 pays any price, 1 the lowest
    hour: Floats  # of the day, UTC
    looks: Floats  # matches looked at in a visit, mean
    visits: Ints

    def __len__(self) -> int:
        return len(self.country)

    def language(self, buyer: int) -> str:
        return COUNTRIES[self.country[buyer]].language

    def country_code(self, buyer: int) -> str:
        return COUNTRIES[self.country[buyer]].code


def draw(tournament: Tournament, parameters: Parameters, chance: np.random.Generator) -> Buyers:
    """The same tournament, parameters and state of `chance` give the same buyers."""
    count = parameters.buyers
    weights = np.array([country.weight for country in COUNTRIES])
    country = chance.choice(len(COUNTRIES), count, p=weights / weights.sum())
    circle = chance.integers(parameters.circles, size=count)
    love, favourite = _love(tournament, parameters, country, circle, chance)
    local_hour = chance.normal(20.0, 3.0, count)
    abroad = np.array([one.utc_hours for one in COUNTRIES], dtype=float)[country]
    shares = np.array([share for _, share in parameters.sites])
    return Buyers(
        country=country,
        site=chance.choice(len(shares), count, p=shares / shares.sum()),
        is_guest=chance.random(count) < parameters.guest_share,
        circle=circle,
        favourite=favourite,
        liking=_liking(tournament, parameters, love, country, chance),
        thrift=chance.beta(2.0, 2.0, count),
        hour=(local_hour - abroad) % 24,
        looks=1 + chance.gamma(2.0, (parameters.looks_mean - 1) / 2, count),
        visits=np.minimum(1 + chance.poisson(parameters.visits_mean - 1, count), parameters.visits_max),
    )


def _love(
    tournament: Tournament, parameters: Parameters, country: Ints, circle: Ints, chance: np.random.Generator
) -> tuple[Floats, Ints]:
    """How fond each buyer is of each team (buyers × teams), and the one team that is a buyer's own choice."""
    teams, count = tournament.teams, len(country)
    of_country = np.zeros((len(COUNTRIES), len(teams)))
    for index, one in enumerate(COUNTRIES):
        of_country[index] = [parameters.region_weight * (team.region == one.region) for team in tournament.about]
        if one.team in teams:
            of_country[index, teams.index(one.team)] += parameters.home_weight
    appeal = np.array([team.appeal for team in tournament.about])
    members = np.zeros((parameters.circles, len(teams)))
    for row in members:
        # Circles are fond of the less known teams, too: nothing else would tell of them.
        row[chance.choice(len(teams), min(parameters.circle_teams, len(teams)), replace=False)] = 1.0
    favourite = chance.choice(len(teams), count, p=appeal / appeal.sum())
    love = of_country[country] + parameters.circle_weight * members[circle]
    love *= chance.gamma(4.0, 0.25, (count, 1))  # some care little for any team
    love[np.arange(count), favourite] += parameters.favourite_weight
    return love, favourite


def _liking(
    tournament: Tournament, parameters: Parameters, love: Floats, country: Ints, chance: np.random.Generator
) -> Floats:
    count = len(love)
    host = np.array([one.code == parameters.host_country for one in COUNTRIES])[country]
    is_resident = host & (chance.random(count) < parameters.resident_share)
    is_tourist = ~is_resident & (chance.random(count) < parameters.tourist_share)
    arrives = chance.uniform(tournament.kick_offs.min() - 1, tournament.kick_offs.max(), count)
    since = tournament.kick_offs[None, :] - arrives[:, None]
    is_there = ~is_tourist[:, None] | ((since >= 0) & (since <= parameters.stay_days))
    base = chance.integers(len(tournament.matches), size=count)  # stays near that match's stadium
    near = np.exp(-tournament.km[base] / parameters.near_km) * chance.uniform(0, 1, count)[:, None]
    general = parameters.appeal_weight * tournament.appeal + parameters.stage_weight * tournament.stage
    return np.asarray(
        love @ tournament.chances.T
        + general[None, :] * chance.uniform(0.5, 1.5, count)[:, None]
        + parameters.near_weight * near
        + parameters.stay_weight * is_there
    )
