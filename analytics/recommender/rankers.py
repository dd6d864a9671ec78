"""Ways to rank matches that a model is measured beside: each gives greater numbers to what it would show first."""

from collections.abc import Callable

import numpy as np

from analytics.recommender.catalogue import Catalogue, Floats
from analytics.recommender.model import History, Scorer
from shared.regions import rank

# History, country, language → a score for each match.
Ranker = Callable[[History, str | None, str | None], Floats]


def by_model(scorer: Scorer) -> Ranker:
    return lambda history, country, language: scorer.score(history, country, language)[0]


def by_factors(scorer: Scorer) -> Ranker:
    """The factorisation alone; popularity for who has no history."""

    def score(history: History, _country: str | None, _language: str | None) -> Floats:
        if not history.matches.any():
            return scorer.model.popular
        return scorer.model.factors @ scorer.visitor(history.matches)

    return score


def by_popularity(popular: Floats) -> Ranker:
    return lambda _history, _country, _language: popular


def by_country_rule(popular: Floats, catalogue: Catalogue) -> Ranker:
    """Teams of the visitor's country, then those of its region, then all; popularity within each."""
    order = popular / (popular.max() + 1.0)

    def score(_history: History, country: str | None, _language: str | None) -> Floats:
        ranks = [rank((row.home_team, row.away_team), country) for row in catalogue.rows]
        return np.asarray([3.0 * first + second for first, second in ranks] + order)

    return score


def by_chance(seed: int, size: int) -> Ranker:
    chance = np.random.default_rng(seed)
    return lambda _history, _country, _language: chance.random(size)
