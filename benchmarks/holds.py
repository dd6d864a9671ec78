"""Holds through the whole site, verdict of the log included, beside a bare row lock on the same PostgreSQL."""

import dataclasses
import secrets
from typing import Any

import psycopg

from benchmarks import load, pgbench
from benchmarks.bed import Bed, all_pools
from benchmarks.figures import Spread
from benchmarks.load import Plan, Tally
from benchmarks.pgbench import Bare
from benchmarks.report import Report, Table
from benchmarks.usage import GENERATOR, Usage, Used, what_limits
from tests.sites import RunningSite

PROCESSES = ("shop-consumer", "reservations", "reservations-relay", "reservations-worker")
CLIENTS = (1, 10, 50)
REPETITIONS, SECONDS, WARM_SECONDS = 3, 8.0, 2.0
FIRST_WARM_SECONDS = 30.0  # a new broker needs some thousand requests until its JVM has compiled what they use
QUICK_CLIENTS = (10,)
GOAL_RATE = 1700
EXAMPLES_MAX = 3
METHOD = (
    "A hold is `POST /api/reservations?wait=5`: the answer comes when the log has decided (counters, reservation and"
    " outbox in PostgreSQL, relay, Kafka, consumer, counters, notice). Each buyer sends the next request when the"
    " answer has come, for one ticket and with an e-mail address of its own; the buyers share this machine with the"
    " site. Beside it pgbench, with as many clients, does `BEGIN; SELECT … FOR UPDATE; UPDATE …; COMMIT` on the same"
    " server, in turns with the site. Latency in milliseconds. With several repetitions: median (least–greatest)."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """So many buyers on so many pools."""

    clients: int
    pools: int

    @property
    def text(self) -> str:
        buyers = f"{self.clients} buyer{'s' if self.clients > 1 else ''}"
        return f"{buyers}, {self.pools} pool{'s' if self.pools > 1 else ''}"


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """One repetition of one case."""

    case: Case
    site: Tally
    bare: Bare
    used: Used
    commits: float
    wal_bytes: float

    def as_json(self) -> dict[str, Any]:
        per_hold = {
            "commits": self.commits / max(1, self.site.count),
            "walBytes": self.wal_bytes / max(1, self.site.count),
            "cpuMicroseconds": self.used.microseconds(self.site.count),
        }
        return {
            "buyers": self.case.clients,
            "pools": self.case.pools,
            "site": dataclasses.asdict(self.site),
            "perHold": per_hold,
            "coresBusy": self.used.shares(),
            "bareRowLock": dataclasses.asdict(self.bare),
        }


def run(bed: Bed, quick: bool) -> Report:
    """All cases; in turns the site and the bare row lock."""
    cases = [
        Case(clients, pools) for pools in (1, len(all_pools())) for clients in (QUICK_CLIENTS if quick else CLIENTS)
    ]
    report = Report("holds", "Holds", [METHOD])
    measured: list[Measured] = []
    # No hold of an earlier case is to end while a later one is measured.
    with bed.site(bed.topics(), PROCESSES, HOLD_SECONDS="3000", LOG_LEVEL="warning") as site:
        pgbench.prepare(site.database_url)
        site.start()
        _plan(site, Case(10, len(all_pools())), 0.3 if quick else FIRST_WARM_SECONDS).run()
        for _ in range(1 if quick else REPETITIONS):
            measured += [_measure(bed, site, case, 0.5 if quick else SECONDS) for case in cases]
    _tell(report, cases, measured)
    return report


def _measure(bed: Bed, site: RunningSite, case: Case, seconds: float) -> Measured:
    _plan(site, case, min(WARM_SECONDS, seconds)).run()
    generator = load.begin(_plan(site, case, seconds))
    with (
        psycopg.connect(site.database_url, autocommit=True) as connection,
        Usage(bed.watched(site)) as usage,
    ):
        before = _counted(connection)
        tally = generator.finish()
        usage.also[GENERATOR] = tally.cpu_seconds
        after = _counted(connection)
    bare = pgbench.run(site.database_url, case.clients, case.pools, seconds)
    return Measured(case, tally, bare, usage.used, after[0] - before[0], after[1] - before[1])


def _plan(site: RunningSite, case: Case, seconds: float) -> Plan:
    return Plan(
        port=site.ports["reservations"],
        connections=case.clients,
        seconds=seconds,
        path="/api/reservations?wait=5",
        status=201,
        marker='"status":"held"',
        pools=all_pools()[: case.pools],
        name=secrets.token_hex(4),
    )


def _counted(connection: "psycopg.Connection[Any]") -> tuple[float, float]:
    """Commits in this database and bytes written ahead, so far."""
    row = connection.execute(
        "SELECT xact_commit, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') FROM pg_stat_database"
        " WHERE datname = current_database()"
    ).fetchall()[0]
    return float(row[0]), float(row[1])


def _tell(report: Report, cases: list[Case], measured: list[Measured]) -> None:
    rows = []
    for case in cases:
        runs = [item for item in measured if item.case == case]
        rows += [_row(case, "site", [item.site for item in runs]), _row(case, "row lock", [item.bare for item in runs])]
        median = sorted(runs, key=lambda item: item.site.rate)[len(runs) // 2]
        report.limits.append(f"{case.text}: {what_limits(median.used)}")
    columns = ("buyers, pools", "what", "a second", "p50 ms", "p95 ms", "p99 ms")
    report.tables.append(Table("Holds with the log's verdict, beside a bare row lock", columns, rows))
    report.tables.append(_cost_table(cases, measured))
    report.raw = [item.as_json() for item in measured]
    best = max(Spread.of([item.site.rate for item in measured if item.case == case]).median for case in cases)
    report.findings.append(f"Best: {best:,.0f} holds a second with their verdict; the goal is {GOAL_RATE:,}.")
    failures = sum(item.site.failures for item in measured)
    report.findings.append(f"Answers other than 201 with `held`: {failures}.")
    report.findings += sorted({example for item in measured for example in item.site.examples})[:EXAMPLES_MAX]


def _row(case: Case, what: str, runs: "list[Tally] | list[Bare]") -> list[str]:
    rates = Spread.of([run.rate for run in runs])
    times = [Spread.of([getattr(run, name) for run in runs]) for name in ("p50", "p95", "p99")]
    return [case.text, what, rates.text(), *(spread.text(1) for spread in times)]


def _cost_table(cases: list[Case], measured: list[Measured]) -> Table:
    """CPU a hold, from the median run of each case."""
    names = list(measured[0].used.cpu)
    rows = []
    for case in cases:
        runs = sorted((item for item in measured if item.case == case), key=lambda item: item.site.rate)
        median = runs[len(runs) // 2]
        cost = median.used.microseconds(median.site.count)
        cells = [f"{cost.get(name, 0):,.0f}" for name in names]
        rows.append([case.text, *cells, f"{median.commits / max(1, median.site.count):.2f}"])
    return Table("CPU time a hold, µs, and commits a hold", ("buyers, pools", *names, "commits"), rows)
