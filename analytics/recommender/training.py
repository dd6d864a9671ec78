"""One training: read, cut in time, learn, measure beside the simple rules, keep, and promote what is better."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import structlog
from threadpoolctl import threadpool_limits

from analytics.lake.lake import Lake
from analytics.recommender.catalogue import Catalogue, read_catalogue
from analytics.recommender.dataset import Events, cut_at, positions, read_events
from analytics.recommender.evaluation import Measured, Trial, compare, figures, interval, trial
from analytics.recommender.learning import Parameters, learn
from analytics.recommender.model import Model, Scorer
from analytics.recommender.rankers import Ranker, by_chance, by_country_rule, by_factors, by_model, by_popularity
from analytics.recommender.registry import BadModel, Registry, Stored
from analytics.recommender.trainer_settings import TrainerSettings

log = structlog.get_logger(__name__)

TEST_SHARE = 0.2
TRIAL_VISITORS_MAX = 3_000
MODEL, CURRENT, POPULARITY = "model", "current", "popularity"


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a training: the version, its report, and whether it is the current one now."""

    version: str
    report: Mapping[str, Any]
    promoted: bool


def train(lake: Lake, registry: Registry, settings: TrainerSettings, now: datetime) -> Trained | None:
    """Trains a model of the lake as it is; None when there is too little in it."""
    with threadpool_limits(settings.trainer_threads):
        source = positions(lake)
        catalogue = read_catalogue(lake)
        events = read_events(lake, catalogue, settings.trainer_events_max) if len(catalogue) else None
        if events is None or len(events) < settings.trainer_events_min:
            log.info("too_little_to_learn_from", events=0 if events is None else len(events))
            return None
        return _train(events, catalogue, registry, settings, now, source)


def _train(
    events: Events,
    catalogue: Catalogue,
    registry: Registry,
    settings: TrainerSettings,
    now: datetime,
    source: Mapping[str, Any],
) -> Trained:
    parameters = Parameters(threads=settings.trainer_threads, seed=settings.trainer_seed)
    cut = cut_at(events, 1 - TEST_SHARE)
    before, after = events.before(cut), events.since(cut)
    model = learn(before, catalogue, parameters)
    tried = trial(before, after, catalogue, TRIAL_VISITORS_MAX, parameters.seed)
    measured = compare(tried, _rankers(model, catalogue, _current(registry), parameters.seed))
    verdict = judge(measured, settings, parameters.seed)
    version = f"{now:%Y%m%dT%H%M%SZ}-{_fingerprint(model)}"
    report = {
        "version": version,
        "trainedAt": now.isoformat(),
        "lake": dict(source),
        "cutAt": _moment(cut),
        "events": {"train": len(before), "test": len(after)},
        "visitors": _visitors(tried),
        "parameters": asdict(parameters),
        "synthetic": events.synthetic,
        "figures": {name: _plain(one, catalogue, parameters.seed) for name, one in measured.items()},
        "verdict": verdict,
    }
    registry.save(Stored(version, model, catalogue.numbers, events.synthetic), report)
    if verdict["promoted"]:
        registry.promote(version)
    registry.prune(settings.model_versions_max)
    log.info("model_trained", version=version, **verdict)
    return Trained(version, report, bool(verdict["promoted"]))


def judge(measured: Mapping[str, Measured], settings: TrainerSettings, seed: int) -> dict[str, Any]:
    """Whether a model may become the current one.

    It must beat popularity: the interval of the difference in NDCG@5, visitor by visitor, lies above 0. And it must
    not be worse than the current one by more than the margin: the same interval does not begin below it.
    """
    ours = measured[MODEL].ndcg
    gain = interval(ours - measured[POPULARITY].ndcg, seed)
    verdict: dict[str, Any] = {"promoted": False, "beyondPopularity": asdict(gain)}
    if len(ours) < settings.trainer_visitors_min:
        return verdict | {"reason": "too_few_visitors"}
    if gain.low <= 0:
        return verdict | {"reason": "not_better_than_popularity"}
    if CURRENT in measured:
        step = interval(ours - measured[CURRENT].ndcg, seed)
        verdict |= {"beyondCurrent": asdict(step)}
        if step.low < -settings.model_margin:
            return verdict | {"reason": "worse_than_current"}
    return verdict | {"promoted": True, "reason": "better"}


def _rankers(model: Model, catalogue: Catalogue, current: Stored | None, seed: int) -> dict[str, Ranker]:
    scorer = Scorer(model, catalogue)
    rankers = {
        MODEL: by_model(scorer),
        "factors": by_factors(scorer),
        POPULARITY: by_popularity(model.popular),
        "country_rule": by_country_rule(model.popular, catalogue),
        "random": by_chance(seed, len(catalogue)),
    }
    if current is not None:
        rankers[CURRENT] = by_model(Scorer(current.model.aligned(current.numbers, catalogue), catalogue))
    return rankers


def _current(registry: Registry) -> Stored | None:
    try:
        return registry.load_current()
    except BadModel as error:
        log.error("current_model_unusable", error=str(error))
        return None


def _visitors(tried: Trial) -> dict[str, int]:
    strangers = int(np.sum([tried.known.history(row).is_empty for row in range(len(tried))]))
    return {"tested": len(tried), "strangers": strangers}


def _plain(measured: Measured, catalogue: Catalogue, seed: int) -> dict[str, Any]:
    return {name: asdict(figure) for name, figure in figures(measured, len(catalogue), seed).items()}


def _fingerprint(model: Model) -> str:
    return hashlib.sha256(model.regular.tobytes() + model.factors.tobytes() + model.popular.tobytes()).hexdigest()[:8]


def _moment(day: float) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).isoformat()
