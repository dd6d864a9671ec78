"""The matches as the model sees them: numbers in arrays, one row a match."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from analytics.lake.lake import Lake
from shared.masterlist import MATCHES_MAX
from shared.regions import HOME_OF, NEAR, OWN, closeness, country_of_team

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SQL = f"""
SELECT m.match_number, m.kick_off, m.home_team, m.away_team, coalesce(m.city, m.location, '') AS city,
    coalesce(m.stage, '') AS stage, coalesce(avg(p.price), 0) AS price
FROM matches m LEFT JOIN pools p USING (match_number)
WHERE m.home_team IS NOT NULL AND m.away_team IS NOT NULL AND m.kick_off IS NOT NULL
GROUP BY ALL ORDER BY m.match_number LIMIT {MATCHES_MAX}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One match of the catalogue; `price` is the mean of its categories in major units, `kick_off` is UTC."""

    match_number: int
    kick_off: datetime
    home_team: str
    away_team: str
    city: str
    stage: str
    price: float


class Catalogue:
    """All matches; `near(country)` and the like are made once for each country that asks."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = tuple(rows)
        self.numbers: Ints = np.array([row.match_number for row in rows], dtype=np.int64)
        self.index = {row.match_number: index for index, row in enumerate(rows)}
        # Only what the table of regions knows is a team: 1A and W49 are places.
        self.teams = sorted({team for row in rows for team in (row.home_team, row.away_team) if country_of_team(team)})
        self.team_index = {team: index for index, team in enumerate(self.teams)}
        self.plays: Floats = np.array(
            [[float(team in (row.home_team, row.away_team)) for team in self.teams] for row in rows]
        ).reshape(len(rows), len(self.teams))
        self.days: Floats = np.array([row.kick_off.timestamp() / 86_400 for row in rows])
        self.same_city = _same([row.city for row in rows])
        self.same_stage = _same([row.stage for row in rows])
        price = np.array([row.price for row in rows])
        self.price: Floats = (price - price.mean()) / (price.std() or 1.0) if len(rows) else price
        self.close_days: Floats = np.exp(-np.abs(self.days[:, None] - self.days[None, :]) / 4.0)
        self.own = lru_cache(512)(lambda country: self._closeness(country, OWN))
        self.near = lru_cache(512)(lambda country: self._closeness(country, NEAR))

    def __len__(self) -> int:
        return len(self.rows)

    def team_in(self, text: str) -> int | None:
        """The team that a search is about, by its place in `teams`; other names of a team count, too."""
        folded = f" {text.casefold()} "
        for index, team in enumerate(self.teams):
            if any(f" {name} " in folded for name in _names(team)):
                return index
        return None

    def _closeness(self, country: str | None, wanted: int) -> Floats:
        return np.asarray(
            [sum(closeness(team, country) == wanted for team in (row.home_team, row.away_team)) for row in self.rows],
            dtype=float,
        )


@lru_cache(512)
def _names(team: str) -> tuple[str, ...]:
    # England and Wales share a country: a name that stands for another team of the list is not taken.
    home = country_of_team(team)
    return (team.casefold(), *(name for name, country in HOME_OF.items() if country == home and country != "GB"))


def summed(place: Ints, weight: Floats, size: int) -> Floats:
    """The weights at each of `size` places, added up; 0 where there are none."""
    return np.bincount(place, weight, size).astype(np.float64)


def _same(values: Sequence[str]) -> Floats:
    column = np.array(values, dtype=str)
    return np.asarray(column[:, None] == column[None, :], dtype=float)


def read_catalogue(lake: Lake) -> Catalogue:
    """The catalogue as the lake has it now."""
    found = lake.query(SQL)
    return Catalogue([Row(**row | {"kick_off": row["kick_off"].replace(tzinfo=UTC)}) for row in found])
