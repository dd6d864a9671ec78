"""Whole purchases, from the hold to the ticket, beside the same SQL and Stripe calls without any service."""

import dataclasses
import itertools
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import psycopg

from benchmarks.bare_purchase import BareBuyer, prepare
from benchmarks.bed import Bed
from benchmarks.figures import Spread, percentile
from benchmarks.report import Report, Table
from benchmarks.shoppers import Shopper, StripeCalls
from benchmarks.usage import GENERATOR, Usage, Used, what_limits
from tests.eventually import eventually
from tests.sites import RunningSite

PROCESSES = (
    "shop-consumer", "reservations", "reservations-relay", "reservations-worker", "payments", "payments-worker",
    "stripe-standin",
)  # fmt: skip
BUYERS = (1, 10)
QUICK_BUYERS = (4,)
REPETITIONS, SECONDS, WARM_SECONDS = 3, 8.0, 10.0
METHOD = (
    "A purchase is a guest's: hold with the log's verdict, `POST /api/payments`, confirmation at the Stripe stand-in"
    " with a test card, its signed webhook, the sale with its ticket, until `GET /api/reservations/{id}?wait=5` says"
    " `reserved`. Each buyer begins the next one then. **Bare**: one program does the same rows in six transactions on"
    " its own connection, with the same two calls of the same stand-in in between; there is no log, verdict or gate,"
    " no mail, and nobody waits for a webhook. In turns, on one machine, fsync on. Latency in milliseconds. Median"
    " (least–greatest) of the repetitions."
)


class Buys(Protocol):
    """Somebody who buys one ticket after the other."""

    def buy(self, number: int) -> None: ...
    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What some buyers did in some seconds; `latencies` in milliseconds, sorted."""

    what: str
    buyers: int
    seconds: float
    latencies: list[float]
    used: Used

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def as_json(self) -> dict[str, Any]:
        shares = {f"p{round(share * 100)}": percentile(self.latencies, share) for share in (0.5, 0.95, 0.99)}
        return {
            "what": self.what,
            "buyers": self.buyers,
            "purchases": len(self.latencies),
            "perSecond": self.rate,
            "milliseconds": shares,
            "cpuMicrosecondsPerPurchase": self.used.microseconds(len(self.latencies)),
        }


def run(bed: Bed, quick: bool) -> Report:
    """Both, in turns."""
    report = Report("purchases", "Purchases", [METHOD])
    runs: list[Run] = []
    with bed.site(bed.topics(), PROCESSES, HOLD_SECONDS="3000", LOG_LEVEL="warning") as site:
        site.start()
        prepare(site.database_url)
        name = secrets.token_hex(4)
        makers: dict[str, Callable[[], Buys]] = {"site": lambda: _shopper(site, name), "bare": lambda: _bare(site)}
        _measure(bed, site, "site", makers["site"], 4, 0.3 if quick else WARM_SECONDS)
        for _ in range(1 if quick else REPETITIONS):
            for buyers in QUICK_BUYERS if quick else BUYERS:
                for what, make in makers.items():
                    runs.append(_measure(bed, site, what, make, buyers, 1.0 if quick else SECONDS))
                    _rest(site)
    _tell(report, runs)
    return report


def _rest(site: RunningSite) -> None:
    """Waits until the events and mails of one run are through: the next one is not to wait behind them.

    Bare purchases, too, have events at the stand-in, and payments passes over them one by one.
    """

    key = (site.secret("STRIPE_SECRET_KEY"), "")

    def is_through() -> bool:
        events = site.client("stripe-standin").get("/standin/webhooks", auth=key).json()["items"]
        with psycopg.connect(site.database_url) as connection:
            due = connection.execute(MAILS_DUE).fetchone()
        return all(event["done"] for event in events) and due == (0,)

    eventually(is_through, REST_SECONDS_MAX, "events and mails are through")


def _shopper(site: RunningSite, name: str) -> Shopper:
    return Shopper(site.url("reservations"), site.url("payments"), StripeCalls(site.url("stripe-standin")), name)


def _bare(site: RunningSite) -> BareBuyer:
    return BareBuyer(site.database_url, StripeCalls(site.url("stripe-standin"), site.secret("STRIPE_SECRET_KEY")))


REST_SECONDS_MAX = 180.0
MAILS_DUE = "SELECT count(*) FROM reservations.reservations WHERE mail_due IS NOT NULL"
NUMBERS = itertools.count()  # of all purchases: each is another buyer's, and goes to the next pool


def _measure(bed: Bed, site: RunningSite, what: str, make: Callable[[], Buys], buyers: int, seconds: float) -> Run:
    shoppers = [make() for _ in range(buyers)]
    latencies: list[float] = []
    failures: list[BaseException] = []
    own = time.process_time()
    with Usage(bed.watched(site)) as usage:
        begun = time.perf_counter()
        threads = [
            threading.Thread(target=_shop, args=(shopper, begun + seconds, latencies, failures)) for shopper in shoppers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - begun
        usage.also[GENERATOR] = time.process_time() - own
    for shopper in shoppers:
        shopper.close()
    if failures:
        raise failures[0]
    return Run(what, buyers, took, sorted(latencies), usage.used)


def _shop(shopper: Buys, ends_at: float, latencies: list[float], failures: list[BaseException]) -> None:
    try:
        while (begun := time.perf_counter()) < ends_at:
            shopper.buy(next(NUMBERS))
            latencies.append((time.perf_counter() - begun) * 1000)
    except Exception as error:
        failures.append(error)


def _tell(report: Report, runs: Sequence[Run]) -> None:
    rows, costs = [], []
    names = list(runs[0].used.cpu)
    for buyers in dict.fromkeys(run.buyers for run in runs):
        for what in ("site", "bare"):
            same = [run for run in runs if (run.buyers, run.what) == (buyers, what)]
            times = [Spread.of([percentile(run.latencies, share) for run in same]) for share in (0.5, 0.95, 0.99)]
            who = f"{buyers} buyer{'s' if buyers > 1 else ''}, {what}"
            rows.append([who, Spread.of([run.rate for run in same]).text(1), *(spread.text(1) for spread in times)])
            median = sorted(same, key=lambda run: run.rate)[len(same) // 2]
            cost = median.used.microseconds(len(median.latencies))
            costs.append([who, *(f"{cost.get(name, 0):,.0f}" for name in names)])
            if what == "site":
                report.limits.append(f"{who}: {what_limits(median.used)}")
    report.tables.append(Table("Whole purchases", ("who", "a second", "p50 ms", "p95 ms", "p99 ms"), rows))
    report.tables.append(Table("CPU time a purchase, µs", ("who", *names), costs))
    report.raw += [run.as_json() for run in runs]
