"""Many open streams of one shop, read as cheaply as possible in a process of their own.

`python -m benchmarks.viewers PORT COUNT PATH`: prints "ready" when all have their first event, reads until its stdin is
closed, then prints what came.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvloop

OPEN_AT_ONCE = 50
READY_SECONDS = 60.0
END_SECONDS = 30.0
EVENT = b"event: availability"


@dataclass(slots=True)
class Seen:
    """What came while the streams were open; `lost` streams were closed by the shop."""

    events: int = 0
    bytes: int = 0
    lost: int = 0
    cpu_seconds: float = 0.0


class Viewer(asyncio.Protocol):
    """One stream."""

    def __init__(self, request: bytes, seen: Seen) -> None:
        self.request = request
        self.seen = seen
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        events = data.count(EVENT)
        self.seen.bytes += len(data)
        self.seen.events += events
        if events and not self.first.done():
            self.first.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.seen.lost += 1
        if not self.first.done():
            self.first.set_exception(ConnectionError(f"the stream was closed: {exc!r}"))


async def _watch(port: int, count: int, path: str) -> Seen:
    loop = asyncio.get_running_loop()
    seen = Seen()
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
    for first in range(0, count, OPEN_AT_ONCE):
        some = range(first, min(count, first + OPEN_AT_ONCE))
        pairs = [await loop.create_connection(lambda: Viewer(request, seen), "127.0.0.1", port) for _ in some]
        await asyncio.wait_for(asyncio.gather(*(viewer.first for _, viewer in pairs)), READY_SECONDS)
    seen.events = seen.bytes = 0
    before = time.process_time()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    seen.cpu_seconds = time.process_time() - before
    return seen


@contextlib.contextmanager
def watching(port: int, count: int, path: str) -> Iterator[Seen]:
    """Keeps the streams open for the time of the block; what they saw is known after it."""
    seen = Seen()
    argv = [sys.executable, "-m", "benchmarks.viewers", str(port), str(count), path]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("the viewers could not open their streams")
        yield seen
        out, _ = process.communicate(timeout=END_SECONDS)
        for name, value in json.loads(out).items():
            setattr(seen, name, value)
    finally:
        process.kill()
        process.wait()


def main() -> None:
    port, count, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seen = runner.run(_watch(port, count, path))
    found = {"events": seen.events, "bytes": seen.bytes, "lost": seen.lost, "cpu_seconds": seen.cpu_seconds}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
