"""How good a ranking is, measured on what visitors did after all that the model has learned from."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

from analytics.recommender.catalogue import Catalogue, Floats, Ints
from analytics.recommender.dataset import NOBODY, Bools, Events
from analytics.recommender.learning import Profiles, profiles
from analytics.recommender.model import name_or_none
from analytics.recommender.rankers import Ranker

SHOWN = 5
CONFIDENCE = 0.95
RESAMPLES = 1_000
DISCOUNTS: Floats = 1 / np.log2(np.arange(2, SHOWN + 2))


class Leak(ValueError):
    """What a model has learned from is not all before what it is tested on."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Visitors of the test, what was known of them before, and what they wanted after.

    `wanted` and `open` are visitors × matches; open are those that can still be recommended to a visitor.
    """

    subjects: Ints
    known: Profiles
    countries: tuple[str | None, ...]
    languages: tuple[str | None, ...]
    wanted: Bools
    open: Bools

    def __len__(self) -> int:
        return len(self.subjects)


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean and its confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What a ranking gave each visitor of the trial."""

    recall: Floats
    ndcg: Floats
    shown: Ints  # visitors × 5, indexes of matches


def trial(before: Events, after: Events, catalogue: Catalogue, visitors_max: int, seed: int) -> Trial:
    """Who did something after the cut, with what was known before it. Raises `Leak` when the two overlap in time."""
    if len(before) and len(after) and before.at.max() >= after.at.min():
        raise Leak("an event to learn from is not before all events to test on")
    about = after.where((after.match != NOBODY) & (after.subject != NOBODY))
    active = np.unique(about.subject)
    chance = np.random.default_rng(seed)
    chosen = np.sort(chance.choice(active, min(visitors_max, len(active)), replace=False))
    begun = catalogue.days <= (after.at.min() if len(after) else np.inf)
    has_already = before.bought(len(catalogue))[chosen].toarray() > 0
    is_open = ~begun[None, :] & ~has_already
    wanted = (after.matches_of(len(catalogue))[chosen].toarray() > 0) & is_open
    kept = wanted.any(axis=1)
    chosen, countries, languages = chosen[kept], *(column[chosen[kept]] for column in after.homes())
    return Trial(
        chosen,
        profiles(before, catalogue, chosen),
        tuple(name_or_none(after.countries, index) for index in countries),
        tuple(name_or_none(after.languages, index) for index in languages),
        wanted[kept],
        is_open[kept],
    )


def measure(trial: Trial, ranker: Ranker) -> Measured:
    """Recall@5 and NDCG@5 of each visitor, by what is wanted or not."""
    shown = np.full((len(trial), SHOWN), NOBODY, dtype=np.int64)
    for row in range(len(trial)):
        scores = ranker(trial.known.history(row), trial.countries[row], trial.languages[row])
        order = np.argsort(-np.where(trial.open[row], scores, -np.inf), kind="stable")[:SHOWN]
        order = order[trial.open[row][order]]
        shown[row, : len(order)] = order
    hits = np.take_along_axis(trial.wanted, np.maximum(shown, 0), axis=1) & (shown != NOBODY)
    possible = np.minimum(trial.wanted.sum(axis=1), SHOWN)
    ideal = np.array([DISCOUNTS[:count].sum() for count in possible])
    return Measured(hits.sum(axis=1) / possible, hits @ DISCOUNTS / ideal, shown)


def figures(measured: Measured, size: int, seed: int) -> dict[str, Figure]:
    """Means over the visitors; coverage is which share of the matches anybody is shown."""
    return {
        "recall@5": interval(measured.recall, seed),
        "ndcg@5": interval(measured.ndcg, seed),
        "coverage": _coverage(measured.shown, size, seed),
    }


def interval(values: Floats, seed: int) -> Figure:
    """The mean with its interval by resampling visitors (percentile bootstrap)."""
    if len(values) < 2 or np.ptp(values) == 0:
        mean = float(values.mean()) if len(values) else 0.0
        return Figure(mean, mean, mean)
    found = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, batch=100, confidence_level=CONFIDENCE, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Figure(float(values.mean()), float(found.low), float(found.high))


def _coverage(shown: Ints, size: int, seed: int) -> Figure:
    def share(rows: Ints) -> float:
        return len(set(np.unique(shown[rows]).tolist()) - {NOBODY}) / size

    chance, everyone = np.random.default_rng(seed), np.arange(len(shown))
    resampled = [share(chance.choice(everyone, len(everyone))) for _ in range(200)]
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Figure(share(everyone), float(low), float(high))


def compare(trial: Trial, rankers: Mapping[str, Ranker]) -> dict[str, Measured]:
    """Every ranking on the same visitors."""
    return {name: measure(trial, ranker) for name, ranker in rankers.items()}
