"""The shop's reads beside an empty route of the same server; with and without a thousand viewers of its stream."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

from benchmarks import load
from benchmarks.bed import EMPTY, Bed
from benchmarks.figures import Spread
from benchmarks.load import Plan, Tally
from benchmarks.records import sales_log
from benchmarks.report import Report, Table
from benchmarks.usage import GENERATOR, Usage, Used, what_limits
from benchmarks.viewers import watching
from shared.kafka.publisher import Publisher
from tests.resources import Topics
from tests.sites import RunningSite

PROCESSES = ("shop", "shop-consumer")
READERS = 16
VIEWERS, QUICK_VIEWERS = 1000, 20
REPETITIONS, SECONDS, WARM_SECONDS = 3, 5.0, 1.0
MOVING_PAUSE_SECONDS = 0.1
WATCHED_MATCH = 1
STREAM = f"/api/availability/stream?matchNumber={WATCHED_MATCH}"
AVAILABILITY = f"/api/matches/{WATCHED_MATCH}/availability"
METHOD = (
    f"{READERS} readers, each with a connection of its own, send the next GET when the answer has come; they share this"
    " machine with the shop. The empty route is Flask's, behind the same server with the same settings, in turns with"
    " the shop. A moving log brings ten records a second of the match that is read and watched; viewers are open"
    " `text/event-stream` connections to the same shop process that follow this match. Milliseconds; with several"
    " repetitions: median (least–greatest)."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """What is read, and what else goes on."""

    text: str
    path: str
    status: int = 200
    known: bool = False
    moving: bool = False
    viewers: bool = False


EMPTY_CASE = Case("empty route", "/")
WITHOUT_VIEWERS = (
    Case("all matches", "/api/matches"),
    Case("a search with a typing error", "/api/matches?q=argetnina+lusail"),
    Case("availability of a match", AVAILABILITY),
    Case("availability, not changed (304)", AVAILABILITY, status=304, known=True),
    Case("availability, moving log", AVAILABILITY, moving=True),
)
WITH_VIEWERS = (
    Case("availability, viewers", AVAILABILITY, viewers=True),
    Case("availability, moving log, viewers", AVAILABILITY, moving=True, viewers=True),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """One repetition of one case."""

    case: Case
    tally: Tally
    used: Used

    def as_json(self) -> dict[str, Any]:
        tally = dataclasses.asdict(self.tally)
        cost = self.used.microseconds(self.tally.count)
        return {
            "case": self.case.text,
            "reads": tally,
            "coresBusy": self.used.shares(),
            "cpuMicrosecondsPerRead": cost,
        }


def run(bed: Bed, quick: bool) -> Report:
    """All cases, in turns."""
    seconds = 0.3 if quick else SECONDS
    viewers = QUICK_VIEWERS if quick else VIEWERS
    report = Report("reads", "Reads of the shop", [METHOD])
    measured: list[Measured] = []
    topics = bed.topics()
    with bed.site(topics, PROCESSES, LOG_LEVEL="warning") as site:
        site.start()
        with bed.beside(site, EMPTY) as empty:
            for _ in range(1 if quick else REPETITIONS):
                measured.append(_measure(bed, site, topics, EMPTY_CASE, seconds, empty.port))
                measured += [_measure(bed, site, topics, case, seconds) for case in WITHOUT_VIEWERS]
                measured += _with_viewers(bed, site, topics, report, seconds, viewers)
    _tell(report, measured, viewers)
    return report


def _with_viewers(
    bed: Bed, site: RunningSite, topics: Topics, report: Report, seconds: float, viewers: int
) -> list[Measured]:
    measured = []
    for case in WITH_VIEWERS:
        with watching(site.ports["shop"], viewers, STREAM) as seen:
            measured.append(_measure(bed, site, topics, case, seconds))
        report.raw.append({"case": case.text, "viewers": viewers, "seen": dataclasses.asdict(seen)})
        if seen.lost:
            report.findings.append(f"{case.text}: {seen.lost} of {viewers} streams were closed")
    return measured


def _measure(
    bed: Bed, site: RunningSite, topics: Topics, case: Case, seconds: float, port: int | None = None
) -> Measured:
    headers = {"If-None-Match": _tag(site, case.path)} if case.known else {}
    warm = min(WARM_SECONDS, seconds)
    plan = Plan(port or site.ports["shop"], READERS, warm, case.path, case.status, headers=headers)
    with _moving(bed, topics) if case.moving else contextlib.nullcontext():
        plan.run()
        generator = load.begin(dataclasses.replace(plan, seconds=seconds))
        with Usage(bed.watched(site)) as usage:
            tally = generator.finish()
            usage.also[GENERATOR] = tally.cpu_seconds
    return Measured(case, tally, usage.used)


def _tag(site: RunningSite, path: str) -> str:
    return str(site.client("shop").get(path).headers["ETag"])


@contextlib.contextmanager
def _moving(bed: Bed, topics: Topics) -> Iterator[None]:
    """A log in which the watched match changes ten times a second."""
    publisher = Publisher(bed.kafka_settings(topics), guard=lambda: None)
    publisher.start()
    records = sales_log(topics.sales, 10_000, with_sale_ids=False, pools=[(WATCHED_MATCH, 1)]).records
    stopping = threading.Event()

    def move() -> None:
        for record in records:
            publisher.publish([record])
            if stopping.wait(MOVING_PAUSE_SECONDS):
                return

    thread = threading.Thread(target=move, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
        publisher.close()


def _tell(report: Report, measured: list[Measured], viewers: int) -> None:
    rows = []
    for case in (EMPTY_CASE, *WITHOUT_VIEWERS, *WITH_VIEWERS):
        runs = [item for item in measured if item.case == case]
        rows.append(_row(case, [item.tally for item in runs]))
        median = sorted(runs, key=lambda item: item.tally.rate)[len(runs) // 2]
        report.limits.append(f"{case.text}: {what_limits(median.used)}")
    columns = ("what is read", "a second", "p50 ms", "p95 ms", "p99 ms")
    report.tables.append(Table(f"Reads ({viewers:,} viewers where it says viewers)", columns, rows))
    report.raw += [item.as_json() for item in measured]
    failures = sum(item.tally.failures for item in measured)
    report.findings.append(f"Answers with another status than expected: {failures}.")
    report.findings += sorted({example for item in measured for example in item.tally.examples})


def _row(case: Case, runs: list[Tally]) -> list[str]:
    times = [Spread.of([getattr(run, name) for run in runs]) for name in ("p50", "p95", "p99")]
    return [case.text, Spread.of([run.rate for run in runs]).text(), *(spread.text(2) for spread in times)]
