"""The recommender without HTTP: a model of simulated buyers, and how long it takes to rank for one visitor."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from analytics.generator import files
from analytics.generator.parameters import SIZES
from analytics.generator.simulation import simulate
from analytics.lake.lake import Lake
from analytics.recommender.catalogue import read_catalogue
from analytics.recommender.dataset import read_events
from analytics.recommender.domain import Visitor
from analytics.recommender.registry import Registry
from analytics.recommender.serving import Shelf, shelf_of
from analytics.recommender.settings import ServingSettings
from benchmarks.figures import percentile
from matchday.masterlist_file import load_file
from matchday.paths import CHECKOUT

SEED = 1
TRAINING_SECONDS_MAX = 900
LIMIT = 200  # as the shop asks: some of the best may be sold out
EVENTS_MAX = ServingSettings.model_fields["recommender_events_max"].default
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model that is served, and what it has cost. Memory is the whole process's, libraries within."""

    buyers: int
    matches: int
    version: str
    events: int
    seconds: float
    bytes_before: int
    peak_bytes: int
    file_bytes: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rankings one after the other; milliseconds."""

    text: str
    count: int
    rate: float
    p50: float
    p95: float
    p99: float

    def as_json(self) -> dict[str, Any]:
        return {"case": "the ranking alone", "visitor": self.text, "rankings": asdict(self)}


def train(environment: Mapping[str, str], buyers: int) -> Model:
    """Fills the lake of these settings with simulated buyers and trains in a process of its own."""
    matches = load_file("world-cup-2022")
    parameters = replace(SIZES["large"], buyers=buyers)
    told = simulate(matches, parameters, SEED)
    files.append(Lake(environment["LAKE_URI"]), matches, f"{buyers}-buyers", told, parameters.currency)
    argv = [sys.executable, "-m", "benchmarks.one_training"]
    given = dict(environment)
    done = subprocess.run(
        argv, env=given, cwd=CHECKOUT, stdout=subprocess.PIPE, check=True, timeout=TRAINING_SECONDS_MAX
    )
    found = json.loads(done.stdout)
    place = Path(environment["MODEL_FOLDER"]) / "versions" / found["version"]
    size = sum(path.stat().st_size for path in place.iterdir())
    numbers = (found["events"], found["seconds"], found["bytesBefore"], found["peakBytes"], size)
    return Model(buyers, len(matches), found["version"], *numbers)


def shelf(environment: Mapping[str, str]) -> Shelf:
    """What the service holds in memory."""
    lake = Lake(environment["LAKE_URI"])
    stored = Registry(environment["MODEL_FOLDER"]).load_current()
    assert stored is not None
    catalogue = read_catalogue(lake)
    return shelf_of(stored, catalogue, read_events(lake, catalogue, EVENTS_MAX, LONG_AGO))


def busiest(found: Shelf) -> str:
    """The account with the longest history: the most work there is for one answer."""
    return max(found.subjects, key=lambda subject: found.subjects[subject].stop - found.subjects[subject].start)


def rank(found: Shelf, text: str, visitors: Sequence[Visitor], count: int) -> Ranked:
    """Ranks for these visitors in turns, until `count` have had their matches."""
    milliseconds = []
    for visitor in islice(cycle(visitors), count):
        begun = time.perf_counter()
        found.recommend(visitor, LIMIT, None)
        milliseconds.append((time.perf_counter() - begun) * 1000)
    ordered = sorted(milliseconds)
    times = [percentile(ordered, share) for share in (0.5, 0.95, 0.99)]
    return Ranked(text, count, count * 1000 / sum(ordered), *times)
