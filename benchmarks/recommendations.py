"""Recommendations: the ranking alone, analytics' route, and the shop's with analytics there and without it."""

import dataclasses
import json
from typing import Any
from urllib.parse import urlencode

import httpx

from analytics.recommender.domain import Visitor
from analytics.recommender.serving import Shelf
from benchmarks import load, ranking
from benchmarks.bed import EMPTY, Bed
from benchmarks.figures import Spread
from benchmarks.load import Plan, Tally
from benchmarks.ranking import Model, Ranked
from benchmarks.report import Report, Table
from benchmarks.usage import GENERATOR, Usage, Used, what_limits
from matchday.processes import PROCESSES
from matchday.stopping import until
from tests.sites import RunningSite

(ANALYTICS,) = [spec for spec in PROCESSES if spec.name == "analytics"]
SHOP = ("shop", "shop-consumer")
BUYERS, QUICK_BUYERS = 20_000, 1_000
RANKINGS, QUICK_RANKINGS = 5_000, 100
CLIENTS = (1, 10)
REPETITIONS, SECONDS, WARM_SECONDS = 3, 5.0, 1.0
READY_SECONDS = 60.0
COUNTRY, LANGUAGE = "MX", "es"
RECOMMENDED = "/api/recommendations?limit=6"
FROM_MODEL, FROM_RULE = '"source":"model"', '"source":"country"'
SPREAD = ("a second", "p50 ms", "p95 ms", "p99 ms")
METHOD = (
    "The model is trained from the generator's buyers by the trainer's own code in a process of its own. **The"
    " ranking alone**: `Shelf.recommend` in this process, one after the other, all matches with their reasons; the"
    " accounts take turns. **Over HTTP**: clients with a connection of their own that send the next GET when the"
    " answer has come and share this machine with the services. The account is the one with the longest history."
    " The empty route is Flask's, behind the same server. The shop's visitor says `Accept-Language:"
    f" {LANGUAGE}-{COUNTRY}`; an answer that is not the model's counts as another than expected while analytics is"
    " there, one that is not the rule's once its process has ended. Milliseconds; median (least–greatest) of the"
    " repetitions."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """What is read: of which process, and what must stand in the answer."""

    text: str
    process: str
    path: str
    marker: str = ""
    operator: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """One repetition of one case."""

    case: Case
    clients: int
    tally: Tally
    used: Used

    def as_json(self) -> dict[str, Any]:
        return {
            "case": self.case.text,
            "clients": self.clients,
            "reads": dataclasses.asdict(self.tally),
            "coresBusy": self.used.shares(),
            "cpuMicrosecondsPerRead": self.used.microseconds(self.tally.count),
        }


EMPTY_CASE = Case("empty route", EMPTY.name, "/")
ADVISED = Case("shop: recommendations", "shop", RECOMMENDED, FROM_MODEL)
LISTED = Case("shop: the plain list of all matches", "shop", "/api/matches")
FALLEN_BACK = Case("shop: recommendations, analytics down", "shop", RECOMMENDED, FROM_RULE)


def run(bed: Bed, quick: bool) -> Report:
    """Trains, ranks, and asks in turns with analytics there and without it."""
    seconds = 0.3 if quick else SECONDS
    report = Report("recommendations", "Recommendations", [METHOD])
    # The buyers are of 2022, and so are the matches.
    of_2022 = {"RECOMMENDER_HISTORY_DAYS": "3650", "RECOMMENDATIONS_END_AT_KICK_OFF": "off"}
    with bed.site(bed.topics(), SHOP, LOG_LEVEL="warning", **of_2022) as site:
        model = ranking.train(site.environment, QUICK_BUYERS if quick else BUYERS)
        _tell_model(report, model)
        shelf = ranking.shelf(site.environment)
        repetitions = range(1 if quick else REPETITIONS)
        _tell_ranked(report, [_rank(shelf, QUICK_RANKINGS if quick else RANKINGS) for _ in repetitions])
        cases = (EMPTY_CASE, *_routes(shelf, model), ADVISED, LISTED)
        measured: list[Measured] = []
        site.start()
        with bed.beside(site, EMPTY) as empty:
            for _ in repetitions:
                with bed.beside(site, ANALYTICS, site.ports["analytics"]) as analytics:
                    _wait(site, ADVISED)
                    pids = {"empty": empty.pid, "analytics": analytics.pid}
                    ports = {EMPTY.name: empty.port, **site.ports}
                    measured += _in_turns(bed, site, cases, ports, pids, seconds)
                _wait(site, FALLEN_BACK)
                measured += _in_turns(bed, site, (FALLEN_BACK,), site.ports, {}, seconds)
    _tell(report, (*cases, FALLEN_BACK), measured)
    return report


def _rank(shelf: Shelf, count: int) -> list[Ranked]:
    accounts = [Visitor(subject, COUNTRY, LANGUAGE) for subject in shelf.subjects]
    kinds = {
        "a known account": accounts,
        "an unknown account with a country": [Visitor("nobody-yet", COUNTRY, LANGUAGE)],
        "nobody known": [Visitor()],
    }
    return [ranking.rank(shelf, text, visitors, count) for text, visitors in kinds.items()]


def _routes(shelf: Shelf, model: Model) -> list[Case]:
    """Analytics' route for the same three kinds of visitors."""
    place = {"country": COUNTRY, "language": LANGUAGE}
    kinds = {
        "a known account": {"subject": ranking.busiest(shelf), **place},
        "an unknown account with a country": {"subject": "nobody-yet", **place},
        "nobody known": {},
    }
    marker = f'"modelVersion":"{model.version}"'
    return [
        Case(f"analytics: {text}", "analytics", f"/internal/recommendations?{urlencode(query)}", marker, operator=True)
        for text, query in ((text, {**query, "limit": str(ranking.LIMIT)}) for text, query in kinds.items())
    ]


def _headers(site: RunningSite, case: Case) -> dict[str, str]:
    return site.operator() if case.operator else {"Accept-Language": f"{LANGUAGE}-{COUNTRY}"}


def _wait(site: RunningSite, case: Case) -> None:
    """Until the shop answers so: it leaves analytics alone for a while after failures, and takes it up again."""

    def answers() -> bool:
        answer = httpx.get(site.url("shop") + case.path, headers=_headers(site, case), timeout=30, trust_env=False)
        return case.marker in answer.text

    if not until(answers, READY_SECONDS):
        raise RuntimeError(f"{case.text}: the shop does not answer so: {site.last_words('shop')}")


def _in_turns(
    bed: Bed, site: RunningSite, cases: tuple[Case, ...], ports: dict[str, int], pids: dict[str, int], seconds: float
) -> list[Measured]:
    found = []
    for clients in CLIENTS:
        for case in cases:
            plan = Plan(ports[case.process], clients, seconds, case.path, 200, case.marker, _headers(site, case))
            dataclasses.replace(plan, seconds=min(WARM_SECONDS, seconds)).run()
            generator = load.begin(plan)
            with Usage(bed.watched(site) | pids) as usage:
                tally = generator.finish()
                usage.also[GENERATOR] = tally.cpu_seconds
            found.append(Measured(case, clients, tally, usage.used))
    return found


def _tell_model(report: Report, model: Model) -> None:
    columns = ("buyers", "matches", "events", "training s", "memory before MB", "peak memory MB", "model's files kB")
    bytes_ = [f"{size / 1e6:,.0f}" for size in (model.bytes_before, model.peak_bytes)]
    counts = [f"{count:,}" for count in (model.buyers, model.matches, model.events)]
    row = [*counts, f"{model.seconds:.1f}", *bytes_, f"{model.file_bytes / 1e3:,.0f}"]
    report.tables.append(Table("The model", columns, [row]))
    report.raw.append({"case": "training", "model": dataclasses.asdict(model)})


def _tell_ranked(report: Report, runs: list[list[Ranked]]) -> None:
    rows = [[same[0].text, *_spreads(same)] for same in (list(turn) for turn in zip(*runs, strict=True))]
    report.tables.append(Table("The ranking alone", ("visitor", *SPREAD), rows))
    report.raw += [ranked.as_json() for run in runs for ranked in run]


def _tell(report: Report, cases: tuple[Case, ...], measured: list[Measured]) -> None:
    for clients in CLIENTS:
        rows = []
        for case in cases:
            runs = [item for item in measured if (item.case, item.clients) == (case, clients)]
            rows.append([case.text, *_spreads([item.tally for item in runs])])
            median = sorted(runs, key=lambda item: item.tally.rate)[len(runs) // 2]
            report.limits.append(f"{case.text}, clients {clients}: {what_limits(median.used)}")
        report.tables.append(Table(f"Over HTTP, clients at once: {clients}", ("what is read", *SPREAD), rows))
    report.raw += [item.as_json() for item in measured]
    report.findings.append(f"Other answers than expected: {json.dumps(_unexpected(measured), ensure_ascii=False)}.")
    report.findings += sorted({example for item in measured for example in item.tally.examples})


def _unexpected(measured: list[Measured]) -> dict[str, int]:
    """By what was read, of both numbers of clients; empty when all was as it should be."""
    found: dict[str, int] = {}
    for item in measured:
        if item.tally.failures:
            found[item.case.text] = found.get(item.case.text, 0) + item.tally.failures
    return found


def _spreads(runs: list[Tally] | list[Ranked]) -> list[str]:
    times = [Spread.of([getattr(run, name) for run in runs]).text(2) for name in ("p50", "p95", "p99")]
    return [Spread.of([run.rate for run in runs]).text(), *times]
