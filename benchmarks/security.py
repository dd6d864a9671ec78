"""The gate's cost inside a service: the same route with and without it, in turns, in one process."""

import dataclasses
from typing import Any

import httpx

from benchmarks import load
from benchmarks.bed import Bed
from benchmarks.figures import Spread, percentile
from benchmarks.gated_app import ACCOUNT_HEADER
from benchmarks.load import Plan, Tally
from benchmarks.report import Report, Table
from benchmarks.usage import GENERATOR, Usage, Used, what_limits
from matchday.processes import ProcessSpec

APP = ProcessSpec("gated", "benchmarks.gated_app", 1)
REPETITIONS, SECONDS, WARM_SECONDS = 3, 5.0, 1.0
BROWSER = {"User-Agent": "Mozilla/5.0", "Accept": "*/*", "Accept-Language": "en"}
METHOD = (
    "One process of ours (the kernel that all services have, granian, 128 threads) serves one small JSON answer under"
    " two paths: one asks nobody, one asks the gate on a real Valkey with its append-only file. Generator, service and"
    " Valkey share this machine. The decision alone is measured around it, inside the service, by the wall clock and by"
    " the CPU time of its thread; where the service does as much as it can, this wall clock also counts the wait for"
    " the other threads of the process, which all want the interpreter. Rates are those of development, so that nothing"
    " is refused. Median (least–greatest) of the repetitions."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """What is asked for."""

    text: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Pressure:
    """How many ask at once, and how long each rests in between."""

    text: str
    connections: int
    pause_seconds: float = 0.0


PRESSURES = (
    Pressure("one at a time", 1),
    Pressure("under load: 16 clients that rest 20 ms", 16, 0.02),
    Pressure("as much as it can: 16 clients without rest", 16),
)
WITHOUT = Case("without the gate", "/without")
CASES = (
    WITHOUT,
    Case("with the gate, guest", "/with"),
    Case("with the gate, account", "/with", ((ACCOUNT_HEADER, "ada"),)),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """One repetition of one case."""

    case: Case
    pressure: Pressure
    tally: Tally
    used: Used
    wall: list[float]  # of each decision, ms, sorted
    cpu: float  # of a decision on average, µs

    def as_json(self) -> dict[str, Any]:
        return {
            "case": self.case.text,
            "pressure": self.pressure.text,
            "requests": dataclasses.asdict(self.tally),
            "cpuMicrosecondsPerRequest": self.used.microseconds(self.tally.count),
            "decisions": len(self.wall),
            "decisionMilliseconds": {name: percentile(self.wall, share) for name, share in SHARES.items()},
            "decisionCpuMicroseconds": self.cpu,
        }


SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}


def run(bed: Bed, quick: bool) -> Report:
    """All cases, in turns."""
    seconds = 0.3 if quick else SECONDS
    report = Report("security", "The gate's cost inside a service", [METHOD])
    measured: list[Measured] = []
    with bed.site(bed.topics(), (), LOG_LEVEL="warning") as site, bed.beside(site, APP) as app:
        for _ in range(1 if quick else REPETITIONS):
            for pressure in PRESSURES:
                measured += [_measure(bed, app.pid, case, app.port, pressure, seconds) for case in CASES]
    _tell(report, measured)
    return report


def _measure(bed: Bed, pid: int, case: Case, port: int, pressure: Pressure, seconds: float) -> Measured:
    headers = {**BROWSER, **dict(case.headers)}
    warm = min(WARM_SECONDS, seconds)
    rest = pressure.pause_seconds
    plan = Plan(port, pressure.connections, warm, case.path, 200, headers=headers, pause_seconds=rest)
    plan.run()
    _timings(port)
    generator = load.begin(dataclasses.replace(plan, seconds=seconds))
    assert bed.valkey.process is not None
    with Usage({"service": pid, "valkey": bed.valkey.process.pid}) as usage:
        tally = generator.finish()
        usage.also[GENERATOR] = tally.cpu_seconds
    taken = _timings(port)
    cpu = sum(used for _, used in taken) / len(taken) * 1e6 if taken else 0.0
    return Measured(case, pressure, tally, usage.used, sorted(wall * 1000 for wall, _ in taken), cpu)


def _timings(port: int) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = httpx.get(f"http://127.0.0.1:{port}/timings", timeout=30, trust_env=False).json()
    return found


def _tell(report: Report, measured: list[Measured]) -> None:
    asked = ("the route", "a second", "p50 ms", "p99 ms", "service CPU µs", "Valkey CPU µs")
    decided = ("the decision alone", "p50 ms", "p95 ms", "p99 ms", "CPU µs")
    for pressure in PRESSURES:
        runs = {case: [item for item in measured if (item.case, item.pressure) == (case, pressure)] for case in CASES}
        report.tables.append(Table(f"Requests, {pressure.text}", asked, [_row(case, runs[case]) for case in CASES]))
        decisions = [_decisions(case, runs[case]) for case in CASES if case is not WITHOUT]
        report.tables.append(Table(f"The gate's decision, {pressure.text}", decided, decisions))
        report.limits.append(f"{CASES[1].text}, {pressure.text}: {what_limits(runs[CASES[1]][-1].used)}")
    report.raw += [item.as_json() for item in measured]
    report.findings.append(f"Answers with another status than 200: {sum(item.tally.failures for item in measured)}.")
    report.findings += sorted({example for item in measured for example in item.tally.examples})


def _row(case: Case, runs: list[Measured]) -> list[str]:
    def spread(values: list[float], decimals: int) -> str:
        return Spread.of(values).text(decimals)

    return [
        case.text,
        spread([run.tally.rate for run in runs], 0),
        spread([run.tally.p50 for run in runs], 2),
        spread([run.tally.p99 for run in runs], 2),
        spread([run.used.microseconds(run.tally.count).get("service", 0.0) for run in runs], 0),
        spread([run.used.microseconds(run.tally.count).get("valkey", 0.0) for run in runs], 0),
    ]


def _decisions(case: Case, runs: list[Measured]) -> list[str]:
    times = [Spread.of([percentile(run.wall, SHARES[name]) for run in runs]) for name in ("p50", "p95", "p99")]
    return [case.text, *(each.text(3) for each in times), Spread.of([run.cpu for run in runs]).text(0)]
