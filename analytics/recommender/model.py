"""The model: hints about a visitor and a match, and a learned weight for each.

Hints are what the visitor's history says (teams, alternating least squares on what others with such a history did,
place, stage, price and days) and what is known without any history: popularity, the country's, the region's and the
language's taste, and the table of regions. Two logistic regressions weigh them, one for visitors with a history and one
for those without, so that what is right for a regular is not forced on a stranger.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from analytics.recommender.catalogue import Catalogue, Floats, Ints
from analytics.recommender.dataset import NOBODY
from shared.regions import region_of_country

HINTS = (
    "popularity", "country", "region", "language", "home", "neighbours",
    "team", "factors", "seen", "city", "stage", "price", "days",
)  # fmt: skip
STRANGER_HINTS = HINTS[:6]
FIRST = 1_000.0  # more than all hints together can make
SMOOTHING = 30.0  # a group's own counts weigh as much as its wider group's when it has so many


@dataclass(frozen=True, slots=True)
class Model:
    """All that is learned; rows of the arrays are the catalogue's matches.

    Counts are of weights; `factors` is matches × f. `regular` and `stranger` are a weight for each hint.
    """

    countries: tuple[str, ...]
    regions: tuple[str, ...]
    languages: tuple[str, ...]
    popular: Floats
    by_country: Floats
    by_region: Floats
    by_language: Floats
    factors: Floats
    regularization: float
    alpha: float
    regular: Floats
    stranger: Floats

    def aligned(self, known: Ints, catalogue: Catalogue) -> "Model":
        """The same for another catalogue: `known` are the numbers that the rows were made for; new matches get 0."""
        place = {int(number): index for index, number in enumerate(known)}
        rows = np.array([place.get(int(number), len(known)) for number in catalogue.numbers], dtype=np.int64)
        return replace(
            self,
            popular=np.append(self.popular, 0.0)[rows],
            factors=np.vstack([self.factors, np.zeros((1, self.factors.shape[1]))])[rows],
            by_country=_padded(self.by_country)[:, rows],
            by_region=_padded(self.by_region)[:, rows],
            by_language=_padded(self.by_language)[:, rows],
        )

    def weighted(self, regular: Floats, stranger: Floats) -> "Model":
        return replace(self, regular=regular, stranger=stranger)


def _padded(counts: Floats) -> Floats:
    return np.hstack([counts, np.zeros((counts.shape[0], 1))])


@dataclass(frozen=True, slots=True)
class History:
    """What one visitor did: a weight for each match, and for each team that was searched for."""

    matches: Floats
    teams: Floats

    @property
    def is_empty(self) -> bool:
        return not (self.matches.any() or self.teams.any())


class Scorer:
    """Scores a model's matches. What depends on the country or language only is made once."""

    def __init__(self, model: Model, catalogue: Catalogue) -> None:
        self.model = model
        self.catalogue = catalogue
        self._gram = model.factors.T @ model.factors + model.regularization * np.eye(model.factors.shape[1])
        self._popular = _shares(model.popular)
        self._places: dict[tuple[str | None, str | None], Floats] = {}

    def score(self, history: History, country: str | None, language: str | None) -> tuple[Floats, Floats]:
        """The scores (matches), and what each hint adds to them (matches × hints)."""
        hints = self.hints(history, country, language)
        parts = hints * (self.model.stranger if history.is_empty else self.model.regular)
        if history.is_empty:
            # The rule for who is not known: the own team and those of the region first, the model's order within.
            own, near = hints[:, HINTS.index("home")] > 0, hints[:, HINTS.index("neighbours")] > 0
            parts[own, HINTS.index("home")] += FIRST
            parts[near & ~own, HINTS.index("neighbours")] += FIRST
        return parts.sum(axis=1), parts

    def hints(self, history: History, country: str | None, language: str | None) -> Floats:
        """All hints (matches × hints); those of a history are 0 without one."""
        hints = np.zeros((len(self.catalogue), len(HINTS)))
        hints[:, :6] = self._of_place(country, language)
        if not history.is_empty:
            hints[:, 6:] = self._of_history(history)
        return hints

    def affinity(self, history: History) -> Floats:
        """Which share of a history is about each team."""
        about = history.teams + history.matches @ self.catalogue.plays
        return np.asarray(about / (about.sum() + 1.0))

    def _of_place(self, country: str | None, language: str | None) -> Floats:
        model = self.model
        country = country if region_of_country(country) else None
        language = language if language in model.languages else None
        kept = self._places.get((country, language))
        if kept is None:
            region = self._smoothed(model.by_region, model.regions, region_of_country(country), self._popular)
            own = self._smoothed(model.by_country, model.countries, country, region)
            spoken = self._smoothed(model.by_language, model.languages, language, self._popular)
            general = np.log(self._popular)
            kept = np.column_stack(
                [
                    general - general.mean(), np.log(own) - np.log(region), np.log(region) - general,
                    np.log(spoken) - general, self.catalogue.own(country), self.catalogue.near(country),
                ]
            )  # fmt: skip
            self._places[country, language] = kept  # bounded: countries of the table × languages of the model
        return kept

    def _smoothed(self, counts: Floats, names: tuple[str, ...], name: str | None, wider: Floats) -> Floats:
        if name not in names:
            return wider
        row = counts[names.index(name)]
        return np.asarray((row + SMOOTHING * wider) / (row.sum() + SMOOTHING))

    def _of_history(self, history: History) -> Floats:
        seen, catalogue = history.matches, self.catalogue
        total = seen.sum() + 1.0
        price = seen @ catalogue.price / total
        return np.column_stack(
            [
                catalogue.plays @ self.affinity(history),
                self.model.factors @ self.visitor(seen),
                np.log1p(seen),
                catalogue.same_city @ seen / total,
                catalogue.same_stage @ seen / total,
                -np.abs(catalogue.price - price) * bool(seen.any()),
                catalogue.close_days @ seen / total,
            ]
        )

    def visitor(self, seen: Floats) -> Floats:
        """The visitor's factors for fixed factors of matches: the least squares of one row.

        Y. Hu, Y. Koren, C. Volinsky, Collaborative Filtering for Implicit Feedback Datasets, 2008, equation 4.
        """
        rows = np.flatnonzero(seen)
        if not len(rows):
            return np.zeros(self.model.factors.shape[1])
        trust, factors = self.model.alpha * seen[rows], self.model.factors[rows]
        return np.asarray(np.linalg.solve(self._gram + (factors.T * (trust - 1.0)) @ factors, factors.T @ trust))


def _shares(counts: Floats) -> Floats:
    return np.asarray((counts + 1.0) / (counts.sum() + len(counts)))


ARRAYS = tuple(one.name for one in fields(Model) if one.type is Floats or "Floats" in str(one.type))


def name_or_none(names: tuple[str, ...], index: int) -> str | None:
    return None if index == NOBODY else names[index]


def plain(model: Model) -> dict[str, Any]:
    """What is no array, for JSON."""
    return {one.name: getattr(model, one.name) for one in fields(Model) if one.name not in ARRAYS}
