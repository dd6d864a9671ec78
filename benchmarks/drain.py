"""The consumer's drain of a full topic, beside a bare loop and beside one transaction a message."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.bed import Bed
from benchmarks.figures import Spread
from benchmarks.records import Log, publish, sales_log
from benchmarks.report import Report, Table
from benchmarks.usage import Usage, Used, what_limits
from matchday.paths import CHECKOUT
from matchday.stopping import until
from tests.resources import Topics
from tests.sites import RunningSite

RECORDS, QUICK_RECORDS = 200_000, 4_000
SAMPLE, QUICK_SAMPLE = 3_000, 100
REPETITIONS = 5
DRAIN_SECONDS_MAX = 300.0
GOAL_OF_BARE, GOAL_OF_SINGLE = 0.3, 20
MIXES = {"without saleId": False, "with saleId": True}
METHOD = (
    "The topic holds all records before anything is measured: holds, and up to 4,000 records later their confirmation"
    " (70 %) or cancellation, over 192 pools. **Product**: the real consumer process, started on an empty database,"
    " from its first look at the log until it has applied the last record; joining the group is within. **Bare loop**:"
    " aiokafka with the same fetch sizes and `orjson.loads` of each value. **One transaction a message**: the product's"
    " own apply code given one record at a time, measured on a sample and said as a rate; reading the log is not"
    " within. In turns, with PostgreSQL's fsync on. After each drain the counters were compared with the log's. Records"
    " a second; with several repetitions: median (least–greatest)."
)


@dataclass(frozen=True, slots=True)
class Timed:
    """Work on `records` records: wall and CPU seconds of the process that did it."""

    records: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        return self.records / self.seconds

    @property
    def microseconds(self) -> float:
        """CPU time a record."""
        return self.cpu_seconds * 1e6 / self.records


@dataclass(frozen=True, slots=True)
class Round:
    """Each of the three once, on one mix."""

    product: Timed
    bare: Timed
    single: Timed
    start_seconds: float
    used: Used

    def as_json(self, mix: str) -> dict[str, Any]:
        timed = {"product": self.product, "bareLoop": self.bare, "oneTransaction": self.single}
        return {
            "mix": mix,
            "records": {name: item.records for name, item in timed.items()},
            "recordsPerSecond": {name: item.rate for name, item in timed.items()},
            "ownCpuMicrosecondsPerRecord": {name: item.microseconds for name, item in timed.items()},
            "secondsFromProcessStartToFirstLook": self.start_seconds,
            "product": {
                "coresBusy": self.used.shares(),
                "cpuMicrosecondsPerRecord": self.used.microseconds(self.product.records),
            },
        }


def run(bed: Bed, quick: bool) -> Report:
    """Both mixes."""
    count, sample = (QUICK_RECORDS, QUICK_SAMPLE) if quick else (RECORDS, SAMPLE)
    report = Report("drain", "Drain of the sales log", [METHOD])
    found: dict[str, list[Round]] = {}
    for mix, with_sale_ids in MIXES.items():
        topics = bed.topics()
        log = sales_log(topics.sales, count, with_sale_ids=with_sale_ids)
        publish(bed, topics, log)
        found[mix] = [_round(bed, topics, log, sample) for _ in range(1 if quick else REPETITIONS)]
    _tell(report, found)
    return report


def _tell(report: Report, found: Mapping[str, list[Round]]) -> None:
    first = next(iter(found.values()))[0]
    columns = ("records", "product", "bare loop", "one transaction", "of the bare loop", "× one transaction")
    caption = f"Drain of {first.product.records:,} records (one transaction a message: {first.single.records:,})"
    report.tables.append(Table(caption, columns, [_rates(mix, rounds) for mix, rounds in found.items()]))
    names = ("records", "bare loop", *(f"product: {name}" for name in first.used.cpu))
    report.tables.append(Table("CPU time a record, µs", names, [_costs(*item) for item in found.items()]))
    report.findings.append(f"Goals: at least {GOAL_OF_BARE} of the bare loop and {GOAL_OF_SINGLE} × one transaction.")
    for mix, rounds in found.items():
        start = Spread.of([item.start_seconds for item in rounds])
        report.findings.append(f"{mix}: {start.text(1)} s from the process's start to its first look at the log.")
        report.limits.append(f"{mix}: {what_limits(_median(rounds).used)}")
        report.raw += [item.as_json(mix) for item in rounds]


def _median(rounds: list[Round]) -> Round:
    return sorted(rounds, key=lambda item: item.product.rate)[len(rounds) // 2]


def _rates(mix: str, rounds: list[Round]) -> list[str]:
    rates = [Spread.of([getattr(item, name).rate for item in rounds]) for name in ("product", "bare", "single")]
    of_bare = Spread.of([item.product.rate / item.bare.rate for item in rounds])
    of_single = Spread.of([item.product.rate / item.single.rate for item in rounds])
    return [mix, *(spread.text() for spread in rates), of_bare.text(2), of_single.text(1)]


def _costs(mix: str, rounds: list[Round]) -> list[str]:
    median = _median(rounds)
    bare = Spread.of([item.bare.microseconds for item in rounds]).median
    return [mix, *(f"{cost:,.1f}" for cost in (bare, *median.used.microseconds(median.product.records).values()))]


def _round(bed: Bed, topics: Topics, log: Log, sample: int) -> Round:
    count = len(log.records)
    environment = bed.environment(topics)
    bare = _baseline("benchmarks.bare_loop", topics.sales, count, environment)
    start_seconds, used = _product(bed, topics, log)
    product = Timed(count, used.seconds, used.cpu["shop-consumer"])
    url = bed.databases.create()
    single = _baseline("benchmarks.one_by_one", topics.sales, sample, {**environment, "DATABASE_URL": url})
    bed.databases.drop(url)
    return Round(product, bare, single, start_seconds, used)


def _baseline(module: str, topic: str, count: int, environment: Mapping[str, str]) -> Timed:
    argv = [sys.executable, "-m", module, topic, str(count)]
    answer = subprocess.run(
        argv, env=dict(environment), cwd=CHECKOUT, stdout=subprocess.PIPE, check=True, timeout=DRAIN_SECONDS_MAX
    )
    found = json.loads(answer.stdout)
    return Timed(count, found["seconds"], found["cpuSeconds"])


def _product(bed: Bed, topics: Topics, log: Log) -> tuple[float, Used]:
    """Seconds that the process took to start, and the drain: its time and who used the processor."""
    with (
        bed.site(topics, ["shop-consumer"], LOG_LEVEL="warning") as site,
        psycopg.connect(site.database_url, autocommit=True) as connection,
    ):
        begun = time.perf_counter()
        site.start(wait=False)
        _wait_for(lambda: _next_offset(connection, topics) is not None, site)
        started = time.perf_counter()
        with Usage(bed.watched(site)) as usage:
            _wait_for(lambda: (_next_offset(connection, topics) or 0) >= len(log.records), site)
        _check(connection, log)
    return started - begun, usage.used


def _wait_for(condition: Callable[[], bool], site: RunningSite) -> None:
    if not until(condition, DRAIN_SECONDS_MAX):
        raise RuntimeError(f"the consumer does not come to the end: {site.last_words('shop-consumer')}")


def _next_offset(connection: "psycopg.Connection[Any]", topics: Topics) -> int | None:
    query = "SELECT next_offset FROM shop.log_positions WHERE topic = %s"
    found = connection.execute(query, [topics.sales]).fetchall()
    return int(found[0][0]) if found else None


def _check(connection: "psycopg.Connection[Any]", log: Log) -> None:
    """The counters are what the log says: no speed without the right result."""
    counted = connection.execute("SELECT sum(held)::bigint, sum(sold)::bigint FROM shop.pools").fetchall()[0]
    if counted != (log.held, log.sold):
        raise RuntimeError(f"the counters say {counted}, the log {(log.held, log.sold)}")
