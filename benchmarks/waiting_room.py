"""A rush of buyers on one match, with a waiting room that lets 50 in a second, and without one."""

import asyncio
import dataclasses
import json
import random
import time
from typing import Any

import uvloop

from benchmarks.bed import Bed
from benchmarks.figures import percentile
from benchmarks.report import Report, Table
from tests.sites import RunningSite

PROCESSES = ("shop-consumer", "reservations", "reservations-relay", "reservations-worker")
MATCH = 1
BUYERS, QUICK_BUYERS = 2000, 60
RATE_PER_SECOND = 50
CAPACITY = 200
ARRIVAL_SECONDS, QUICK_ARRIVAL_SECONDS = 5.0, 0.5
THINK_SECONDS_MAX = 3.0
CONNECTIONS = 64
SECONDS_MAX = 240.0
TRIES = 10
QUARTERS = 4
LATE_SECONDS = 12.0  # who asks every ten seconds sees an admission so late at most
METHOD = (
    f"Guests come within {ARRIVAL_SECONDS:g} s, all for one match. With the room each takes a place, asks again as it"
    f" is told, thinks up to {THINK_SECONDS_MAX:g} s once it is admitted, and holds one ticket (`?wait=5`, with the"
    f" log's verdict); the room lets {RATE_PER_SECOND} in a second and {CAPACITY} be inside. Without it they hold as"
    f" soon as they come. {CONNECTIONS} connections carry the requests of all; waiting for a free one is part of a"
    " request's time. The buyers share this machine with the site. Milliseconds."
)


@dataclasses.dataclass(slots=True)
class Buyer:
    """One buyer, and when what happened to it, in seconds since the rush began."""

    name: str
    number: int = 0
    admitted_at: float = 0.0
    held_at: float = 0.0
    hold_ms: float = 0.0
    problem: str = ""


class Wire:
    """Kept-alive connections that all buyers share."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self.again = 0  # answers 503, after which the same was asked again

    async def open(self) -> None:
        for _ in range(CONNECTIONS):
            self._free.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, float]:
        """Status, JSON, and ms that it took; what is 503 is asked again, as it says, a few times."""
        for _ in range(TRIES):
            status, answer, took = await self._ask(method, path, body, headers)
            if status != 503:
                break
            self.again += 1
            await asyncio.sleep(1)
        return status, answer, took

    async def _ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any, float]:
        raw = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: bench", f"Content-Length: {len(raw)}"]
        lines += ["Content-Type: application/json"] if raw else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        begun = time.perf_counter()
        reader, writer = await self._free.get()
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + raw)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        content = await reader.readexactly(length)
        took = (time.perf_counter() - begun) * 1000
        self._free.put_nowait((reader, writer))
        return int(head[9:12]), json.loads(content), took

    def close(self) -> None:
        while not self._free.empty():
            self._free.get_nowait()[1].close()


class Rush:
    """All buyers of one run."""

    def __init__(self, wire: Wire, name: str, count: int, arrival_seconds: float, with_room: bool) -> None:
        self.wire = wire
        self.with_room = with_room
        self.polls: list[float] = []
        self.buyers = [Buyer(f"{name}-{number}") for number in range(count)]
        self._arrival_seconds = arrival_seconds
        self._random = random.Random(name)
        self._begun = time.perf_counter()

    async def run(self) -> None:
        self._begun = time.perf_counter()
        await asyncio.wait_for(asyncio.gather(*[self._buy(buyer) for buyer in self.buyers]), SECONDS_MAX)

    def _now(self) -> float:
        return time.perf_counter() - self._begun

    async def _buy(self, buyer: Buyer) -> None:
        await asyncio.sleep(self._random.uniform(0, self._arrival_seconds))
        headers = {"X_Waiting_Place": await self._queue(buyer)} if self.with_room else {}
        wish = {"matchNumber": MATCH, "category": 1, "quantity": 1, "email": f"{buyer.name}@example.org"}
        status, answer, buyer.hold_ms = await self.wire.ask("POST", "/api/reservations?wait=5", wish, **headers)
        buyer.held_at = self._now()
        if status != 201 or answer["status"] != "held":
            buyer.problem = f"{status} {answer.get('code') or answer.get('status')}"

    async def _queue(self, buyer: Buyer) -> str:
        """Waits for the turn; returns the token."""
        places = f"/api/waiting-rooms/{MATCH}/places"
        status, place, _ = await self.wire.ask("POST", places)
        if status != 201 or place["token"] is None:
            raise RuntimeError(f"no place: {status} {place}")
        token = str(place["token"])
        buyer.number = int(token.split(".")[2])
        while place["state"] == "waiting":
            await asyncio.sleep(place["pollSeconds"])
            _, place, took = await self.wire.ask("GET", f"{places}/{place['id']}", X_Waiting_Place=token)
            self.polls.append(took)
        buyer.admitted_at = self._now()
        if place["state"] != "admitted":
            buyer.problem = place["state"]
        await asyncio.sleep(self._random.uniform(0, THINK_SECONDS_MAX))
        return token

    def out_of_order(self) -> int:
        """How many were let in after somebody who had come later, by more than asking at intervals explains."""
        earliest_after, count = float("inf"), 0
        for buyer in sorted(self.buyers, key=lambda each: -each.number):
            count += buyer.admitted_at > earliest_after + LATE_SECONDS
            earliest_after = min(earliest_after, buyer.admitted_at)
        return count


def run(bed: Bed, quick: bool) -> Report:
    """The rush with a room, then the same without."""
    report = Report("waiting_room", "A rush, with a waiting room and without", [METHOD])
    count, arrival = (QUICK_BUYERS, QUICK_ARRIVAL_SECONDS) if quick else (BUYERS, ARRIVAL_SECONDS)
    settings = {"HOLD_SECONDS": "3000", "LOG_LEVEL": "warning", "WAITING_ROOM_ADDRESS_PLACES_MAX": "100000"}
    with bed.site(bed.topics(), PROCESSES, **settings) as site:
        site.start()
        runs = []
        for with_room in (True, False):
            _set_room(site, "on" if with_room else "off")
            runs.append(uvloop.run(_rush(site, count, arrival, with_room)))
    _tell(report, runs)
    return report


def _set_room(site: RunningSite, mode: str) -> None:
    plan = {"mode": mode, "ratePerSecond": RATE_PER_SECOND, "capacity": CAPACITY}
    answer = site.client("reservations").put(f"/api/waiting-rooms/{MATCH}", json=plan, headers=site.operator())
    answer.raise_for_status()


async def _rush(site: RunningSite, count: int, arrival_seconds: float, with_room: bool) -> Rush:
    wire = Wire(site.ports["reservations"])
    await wire.open()
    rush = Rush(wire, "room" if with_room else "open", count, arrival_seconds, with_room)
    await rush.run()
    wire.close()
    return rush


def _tell(report: Report, runs: list[Rush]) -> None:
    rows = []
    for rush in runs:
        held = sorted(rush.buyers, key=lambda buyer: buyer.held_at)
        size = -(-len(held) // QUARTERS)
        for quarter in range(QUARTERS):
            part = held[quarter * size : (quarter + 1) * size]
            rows.append(_row(f"{_name(rush)}, quarter {quarter + 1}", [buyer.hold_ms for buyer in part]))
    rows.append(_row("asking for a place's state", runs[0].polls))
    report.tables.append(Table("Time of a hold, by the order of holds", ("", "requests", "p50", "p95", "p99"), rows))
    for rush in runs:
        problems = sorted({buyer.problem for buyer in rush.buyers if buyer.problem})
        last = max(buyer.held_at for buyer in rush.buyers)
        ended = sum(not buyer.problem for buyer in rush.buyers)
        report.findings.append(
            f"{_name(rush)}: {ended:,} of {len(rush.buyers):,} buyers hold a ticket, the last after {last:.1f} s"
            + f"; {rush.wire.again} requests were asked again after a 503"
            + (f"; {', '.join(problems)}" if problems else "")
        )
        report.raw.append({"run": _name(rush), "buyers": [dataclasses.asdict(buyer) for buyer in rush.buyers]})
    report.findings.append(f"Let in out of order: {runs[0].out_of_order()}.")
    report.limits.append("With the room, its own pace. Without it, what limits holds: see the benchmark of holds.")


def _name(rush: Rush) -> str:
    return "with the room" if rush.with_room else "without"


def _row(name: str, milliseconds: list[float]) -> list[str]:
    ordered = sorted(milliseconds)
    figures = [f"{percentile(ordered, share):.1f}" for share in (0.5, 0.95, 0.99)]
    return [name, f"{len(ordered):,}", *figures]
