"""The load generator: closed loop, one request at a time on each of some kept-alive connections.

A process of its own (`python -m benchmarks.load`, plan as JSON on stdin, tally as JSON on stdout), written on bare
sockets: it costs the machine some 30 µs a request, while a comfortable client would cost more than the service.
"""

import asyncio
import dataclasses
import itertools
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvloop

from benchmarks.figures import percentile

LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
GRACE_SECONDS = 35.0
EXAMPLES_MAX = 3
SHOWN_BYTES = 400


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What to do: `connections` clients for `seconds`.

    With `pools` each request is a hold of one ticket for a buyer of its own; else the `path` is read. An answer is
    good when it has the `status` and holds the `marker`. With a pause each client rests so long on average after an
    answer; without one it sends at once.
    """

    port: int
    connections: int
    seconds: float
    path: str
    status: int
    marker: str = ""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    pools: Sequence[tuple[int, int]] = ()
    name: str = ""
    pause_seconds: float = 0.0

    def run(self) -> "Tally":
        """Runs it in a process of its own."""
        return begin(self).finish()


@dataclasses.dataclass(frozen=True, slots=True)
class Tally:
    """What came of a plan; milliseconds from the request's first byte sent to the answer's last byte received."""

    count: int
    seconds: float
    rate: float
    p50: float
    p95: float
    p99: float
    worst: float
    failures: int
    examples: list[str]
    cpu_seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A load generator at work."""

    process: "subprocess.Popen[str]"
    plan: Plan

    def finish(self) -> Tally:
        plan = json.dumps(dataclasses.asdict(self.plan))
        out, _ = self.process.communicate(plan, timeout=self.plan.seconds + GRACE_SECONDS)
        if self.process.returncode != 0:
            raise RuntimeError(f"the load generator ended with {self.process.returncode}")
        return Tally(**json.loads(out))


def begin(plan: Plan) -> Running:
    """Starts the generator and returns when it waits for `finish` to hand it the plan."""
    argv = [sys.executable, "-m", "benchmarks.load"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return Running(process, plan)


def requests(plan: Plan) -> Iterator[bytes]:
    """The bytes of one request after the other."""
    if not plan.pools:
        lines = [f"GET {plan.path} HTTP/1.1", "Host: bench", *(f"{k}: {v}" for k, v in plan.headers.items())]
        return itertools.repeat(("\r\n".join(lines) + "\r\n\r\n").encode())
    return _holds(plan)


def _holds(plan: Plan) -> Iterator[bytes]:
    head = f"POST {plan.path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: "
    generator = random.Random(plan.name)
    pools = list(plan.pools)
    for number in itertools.count():
        match, category = pools[generator.randrange(len(pools))]
        email = f"{plan.name}-{number}@example.org"
        body = f'{{"matchNumber":{match},"category":{category},"quantity":1,"email":"{email}"}}'
        yield f"{head}{len(body)}\r\n\r\n{body}".encode()


class Load:
    """The state that all connections share."""

    def __init__(self, plan: Plan, finished: "asyncio.Future[None]") -> None:
        self.requests = requests(plan)
        self.start = b"HTTP/1.1 %d" % plan.status
        self.marker = plan.marker.encode()
        self.ends_at = time.perf_counter() + plan.seconds
        self.pause_seconds = plan.pause_seconds
        self.latencies: list[float] = []
        self.late = 0
        self.failures: Counter[bytes] = Counter()
        self.open = plan.connections
        self.finished = finished
        self.cpu_before = time.process_time()

    def take(self, answer: bytes, begun: float) -> bool:
        """Counts an answer; whether another request is to be sent."""
        now = time.perf_counter()
        self.latencies.append(now - begun)
        # What ends after the time is not done within it; it may have been slow, though.
        self.late += now > self.ends_at
        if not (answer.startswith(self.start) and self.marker in answer):
            self.failures[answer.partition(b"\r\n")[0] + b" ... " + answer[-SHOWN_BYTES:]] += 1
        return now < self.ends_at

    def next(self, send: Callable[[], None]) -> None:
        """Lets a connection send again, at once or after the pause."""
        if self.pause_seconds:
            # Not all at the same time: between nothing and twice the pause.
            asyncio.get_running_loop().call_later(random.uniform(0, 2 * self.pause_seconds), send)
        else:
            send()

    def leave(self, problem: bytes | None = None) -> None:
        if problem is not None:
            self.failures[problem] += 1
        self.open -= 1
        if self.open == 0 and not self.finished.done():
            self.finished.set_result(None)


class Client(asyncio.Protocol):
    """One kept-alive connection."""

    transport: asyncio.Transport

    def __init__(self, load: Load) -> None:
        self.load = load
        self.buffer = b""
        self.begun = 0.0
        self.left = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.begun = time.perf_counter()
        self.transport.write(next(self.load.requests))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(self.buffer, 0, end)
        if len(self.buffer) < end + 4 + (int(length[1]) if length else 0):
            return
        answer, self.buffer = self.buffer, b""
        if self.load.take(answer, self.begun):
            self.load.next(self.send)
        else:
            self.left = True
            self.transport.close()
            self.load.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.left:
            self.left = True
            self.load.leave(b"the connection was closed: %r" % exc)


async def _run(plan: Plan) -> Tally:
    loop = asyncio.get_running_loop()
    load = Load(plan, loop.create_future())
    for _ in range(plan.connections):
        await loop.create_connection(lambda: Client(load), "127.0.0.1", plan.port)
    await asyncio.wait_for(load.finished, plan.seconds + GRACE_SECONDS - 5)
    return _tally(plan, load)


def _tally(plan: Plan, load: Load) -> Tally:
    ordered = sorted(latency * 1000 for latency in load.latencies)
    return Tally(
        count=len(ordered),
        seconds=plan.seconds,
        rate=(len(ordered) - load.late) / plan.seconds,
        p50=percentile(ordered, 0.5),
        p95=percentile(ordered, 0.95),
        p99=percentile(ordered, 0.99),
        worst=ordered[-1] if ordered else 0.0,
        failures=sum(load.failures.values()),
        examples=[answer.decode("utf-8", "replace") for answer, _ in load.failures.most_common(EXAMPLES_MAX)],
        cpu_seconds=time.process_time() - load.cpu_before,
    )


def main() -> None:
    print("ready", flush=True)
    plan = Plan(**json.load(sys.stdin))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tally = runner.run(_run(plan))
    json.dump(dataclasses.asdict(tally), sys.stdout)


if __name__ == "__main__":
    main()
