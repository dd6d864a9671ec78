"""Learns a model from events: counts and factors from the earlier ones, the weights of hints from those after them.

The hints that a weight is learned from never include what it is to foretell: that would be a leak, and the history
would seem to be worth more than it is.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from analytics.recommender.catalogue import Catalogue, Floats, Ints, summed
from analytics.recommender.dataset import NOBODY, Events, cut_at
from analytics.recommender.model import HINTS, STRANGER_HINTS, History, Model, Scorer, name_or_none
from shared.regions import region_of_country


@dataclass(frozen=True, slots=True)
class Parameters:
    """How to learn. `label_share` is which part of the events, the latest, teaches the weights of hints."""

    factors: int = 16
    iterations: int = 15
    regularization: float = 1.0
    alpha: float = 4.0
    label_share: float = 0.25
    visitors_max: int = 3_000
    threads: int = 1
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Profiles:
    """What was known of each subject at a moment."""

    matches: Floats
    teams: Floats
    country: Ints
    language: Ints

    def history(self, subject: int) -> History:
        return History(self.matches[subject], self.teams[subject])


def profiles(events: Events, catalogue: Catalogue, chosen: Ints) -> Profiles:
    """The histories of the chosen subjects; row i is that of `chosen[i]`."""
    country, language = events.homes()
    return Profiles(
        events.matches_of(len(catalogue))[chosen].toarray(),
        events.teams_of(len(catalogue.teams))[chosen].toarray(),
        country[chosen],
        language[chosen],
    )


def learn(events: Events, catalogue: Catalogue, parameters: Parameters) -> Model:
    """A model of these events, all of them before what it will be tested on."""
    cut = cut_at(events, 1 - parameters.label_share)
    earlier, later = events.before(cut), events.since(cut)
    regular, stranger = _weights(_counted(earlier, catalogue, parameters), earlier, later, catalogue, parameters)
    return _counted(events, catalogue, parameters).weighted(regular, stranger)


def _counted(events: Events, catalogue: Catalogue, parameters: Parameters) -> Model:
    size = len(catalogue)
    about = events.where(events.match != NOBODY)
    of_region = [region_of_country(country) or "" for country in events.countries]
    regions = tuple(sorted(set(of_region)))
    by_country = _counts(about.country, len(events.countries), about, size)
    by_region = np.zeros((len(regions), size))
    for row, region in zip(by_country, of_region, strict=True):
        by_region[regions.index(region)] += row
    return Model(
        countries=events.countries,
        regions=regions,
        languages=events.languages,
        popular=summed(about.match, about.weight, size),
        by_country=by_country,
        by_region=by_region,
        by_language=_counts(about.language, len(events.languages), about, size),
        factors=_factors(events, size, parameters),
        regularization=parameters.regularization,
        alpha=parameters.alpha,
        regular=np.zeros(len(HINTS)),
        stranger=np.zeros(len(HINTS)),
    )


def _counts(group: Ints, groups: int, about: Events, size: int) -> Floats:
    known = group != NOBODY
    flat = group[known] * size + about.match[known]
    return summed(flat, about.weight[known], groups * size).reshape(groups, size)


def _factors(events: Events, size: int, parameters: Parameters) -> Floats:
    table = events.matches_of(size)
    table = table[np.diff(table.indptr) > 0]
    if table.shape[0] < parameters.factors:
        return np.zeros((size, parameters.factors))
    with warnings.catch_warnings(), threadpool_limits(parameters.threads):
        warnings.simplefilter("ignore", RuntimeWarning)  # its advice on threads, which are limited here
        learner = AlternatingLeastSquares(
            parameters.factors, parameters.regularization, parameters.alpha, iterations=parameters.iterations,
            num_threads=parameters.threads, random_state=parameters.seed, dtype=np.float64,
        )  # fmt: skip
        learner.fit(table, show_progress=False)
    return np.asarray(learner.item_factors, dtype=float)


def _weights(
    model: Model, earlier: Events, later: Events, catalogue: Catalogue, parameters: Parameters
) -> tuple[Floats, Floats]:
    chance = np.random.default_rng(parameters.seed)
    about = later.where((later.match != NOBODY) & (later.subject != NOBODY))
    active = np.unique(about.subject)
    chosen = np.sort(chance.choice(active, min(parameters.visitors_max, len(active)), replace=False))
    known = profiles(earlier, catalogue, chosen)
    wanted = later.matches_of(len(catalogue))[chosen].toarray() > 0
    # Who was not seen before is known by country and language only, as told by what came later.
    countries, languages = (column[chosen] for column in later.homes())
    scorer = Scorer(model, catalogue)
    has_past = known.matches.any(axis=1) | known.teams.any(axis=1)
    hints = np.stack(
        [
            scorer.hints(
                known.history(row),
                name_or_none(earlier.countries, countries[row]),
                name_or_none(earlier.languages, languages[row]),
            )
            for row in range(len(chosen))
        ]
    ) if len(chosen) else np.zeros((0, len(catalogue), len(HINTS)))  # fmt: skip
    everyone = _regression(hints, wanted, len(STRANGER_HINTS))
    return _regression(hints[has_past], wanted[has_past], len(HINTS)), everyone


def _regression(hints: Floats, wanted: Floats, width: int) -> Floats:
    """A weight for each of the first `width` hints and 0 for the rest; without examples popularity alone counts."""
    weights = np.zeros(len(HINTS))
    weights[0] = 1.0
    rows, target = hints[:, :, :width].reshape(-1, width), wanted.reshape(-1)
    if not target.any() or target.all():
        return weights
    scale = rows.std(axis=0)
    scale[scale == 0] = 1.0
    found = LogisticRegression(C=1.0, max_iter=300).fit(rows / scale, target)
    weights[:width] = found.coef_[0] / scale
    return weights
