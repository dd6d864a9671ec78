"""Recommendations from memory: the current model, the catalogue and what subjects did, renewed beside requests."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

import numpy as np
import structlog
from deltalake.exceptions import DeltaError

from analytics.lake.lake import Lake, LakeUnavailable
from analytics.lake.tables import MATCHES, POOLS, SITE_EVENTS, TABLES
from analytics.recommender.catalogue import Catalogue, Floats, Ints, read_catalogue, summed
from analytics.recommender.dataset import Events, read_events
from analytics.recommender.domain import Recommendations, Recommended, Visitor
from analytics.recommender.model import History, Scorer
from analytics.recommender.reasons import reason_of
from analytics.recommender.registry import BadModel, Registry, Stored
from analytics.recommender.settings import ServingSettings
from shared.clock import Clock
from shared.errors import DependencyUnavailable, in_a_line

log = structlog.get_logger(__name__)


class NoModel(DependencyUnavailable):
    """No model has been promoted yet"""

    code: ClassVar[str] = "no_model"


@dataclass(frozen=True, slots=True)
class Shelf:
    """Everything an answer is made from, of one moment; subjects are places in the sorted events."""

    version: str
    synthetic: bool
    scorer: Scorer
    kick_offs: tuple[datetime, ...]
    subjects: Mapping[str, slice]
    match: Ints
    team: Ints
    weight: Floats

    def history(self, subject: str | None) -> History:
        catalogue, rows = self.scorer.catalogue, self.subjects.get(subject or "", slice(0, 0))
        match, team, weight = self.match[rows], self.team[rows], self.weight[rows]
        of_match, of_team = match >= 0, team >= 0
        return History(
            summed(match[of_match], weight[of_match], len(catalogue)),
            summed(team[of_team], weight[of_team], len(catalogue.teams)),
        )

    def recommend(self, visitor: Visitor, limit: int, now: datetime | None) -> Recommendations:
        """The best matches that begin after `now`, if it is given, each with the reason that counted most."""
        history = self.history(visitor.subject)
        scores, parts = self.scorer.score(history, visitor.country, visitor.language)
        order = (int(index) for index in np.argsort(-scores, kind="stable"))
        best = [index for index in order if now is None or self.kick_offs[index] > now][:limit]
        mean = parts.mean(axis=0)
        items = tuple(
            Recommended(
                int(self.scorer.catalogue.numbers[index]),
                float(scores[index]),
                reason_of(self.scorer, index, parts[index] - mean, history, visitor),
            )
            for index in best
        )
        return Recommendations(items, self.version, self.synthetic)


class Recommender:
    """Answers from the shelf that was made last; `start` lets a thread renew it."""

    def __init__(self, lake: Lake, registry: Registry, settings: ServingSettings, clock: Clock) -> None:
        self._lake = lake
        self._registry = registry
        self._settings = settings
        self._clock = clock
        self._shelf: Shelf | None = None
        self._made_from: object = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recommender", daemon=True)

    def recommend(self, visitor: Visitor, limit: int) -> Recommendations:
        """Raises `NoModel`."""
        if self._shelf is None:
            raise NoModel
        now = self._clock.now() if self._settings.recommendations_end_at_kick_off == "on" else None
        return self._shelf.recommend(visitor, limit, now)

    def renew(self) -> None:
        """Takes the current model and the lake as they are now; without a change, nothing is read.

        Raises `BadModel`, and then what was there before goes on being served.
        """
        version = self._registry.current()
        if version is None:
            self._shelf = self._made_from = None
            return
        made_from = (version, *(self._lake.open(table).version() for table in TABLES if table in USED))
        if made_from == self._made_from:
            return
        stored = self._registry.load_current()
        if stored is None:
            return
        since = self._clock.now() - timedelta(days=self._settings.recommender_history_days)
        catalogue = read_catalogue(self._lake)
        events = read_events(self._lake, catalogue, self._settings.recommender_events_max, since)
        self._shelf, self._made_from = shelf_of(stored, catalogue, events), made_from
        log.info("model_served", version=stored.version, subjects=len(events.subjects))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, in a bounded time."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.renew()
            except (BadModel, LakeUnavailable, DeltaError, OSError) as error:
                log.warning("model_not_renewed", error=in_a_line(error))
            except Exception:
                # Recommendations are no reason to end a service that has figures to give.
                log.exception("model_not_renewed")
            self._stopped.wait(self._settings.recommender_refresh_seconds)


USED = (SITE_EVENTS, MATCHES, POOLS)


def shelf_of(stored: Stored, catalogue: Catalogue, events: Events) -> Shelf:
    """A model over the catalogue of now; a subject's rows lie together."""
    known = np.flatnonzero(events.subject >= 0)
    order = known[np.argsort(events.subject[known], kind="stable")]
    numbers, first, counts = np.unique(events.subject[order], return_index=True, return_counts=True)
    subjects = {
        events.subjects[number]: slice(int(begin), int(begin + count))
        for number, begin, count in zip(numbers, first, counts, strict=True)
    }
    model = stored.model.aligned(stored.numbers, catalogue)
    kick_offs = tuple(row.kick_off for row in catalogue.rows)
    columns = (events.match[order], events.team[order], events.weight[order])
    return Shelf(stored.version, stored.synthetic, Scorer(model, catalogue), kick_offs, subjects, *columns)
