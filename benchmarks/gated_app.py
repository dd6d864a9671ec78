"""One route twice in one process: without a gate, and behind it.

`python -m benchmarks.gated_app`, settings from the environment. `/timings` tells how long the gate's decisions took
since it was asked last, as they were seen inside the process.
"""

import threading
import time
from collections.abc import Sequence

import orjson
from flask import Response

from security.engine.gate import RedisGate
from security.engine.settings import GateSettings
from shared.http import Account, Answer, HttpApp, Question, Routes, create_http_app, json_answer
from shared.http.callers import Environ
from shared.serve import main

BODY = orjson.dumps({"matchNumber": 1, "categories": [{"category": n, "pending": 100, "price": 75} for n in (1, 2, 3)]})
KEPT_MAX = 1_000_000
ACCOUNT_HEADER = "X-Bench-Account"

routes = Routes("bench", "The same answer, with and without the gate.")


@routes.get("/without", answer=Answer("An answer"), limit="none")
def without() -> Response:
    """Nobody is asked."""
    return json_answer(BODY)


@routes.get("/with", answer=Answer("An answer"))
def behind() -> Response:
    """The gate is asked."""
    return json_answer(BODY)


class TimedGate(RedisGate):
    """Remembers how long it took."""

    def __init__(self, settings: GateSettings) -> None:
        super().__init__("bench", settings)
        self._lock = threading.Lock()
        self._taken: list[tuple[float, float]] = []

    def check(self, question: Question) -> Sequence[tuple[str, str]]:
        begun, used = time.perf_counter(), time.thread_time()
        try:
            return super().check(question)
        finally:
            if len(self._taken) < KEPT_MAX:
                self._taken.append((time.perf_counter() - begun, time.thread_time() - used))

    def taken(self) -> list[tuple[float, float]]:
        """Wall and CPU seconds of each decision since the last call."""
        with self._lock:
            taken, self._taken = self._taken, []
        return taken


class Names:
    """The account is what a header says, so that only the gate is measured."""

    def account(self, environ: Environ) -> Account | None:
        name = environ.get("HTTP_X_BENCH_ACCOUNT")
        return None if name is None else Account(name, "a@example.org", True, frozenset(), "s")


def create_app(settings: GateSettings) -> HttpApp:
    gate = TimedGate(settings)
    gate.start()
    timings = Routes("timings", "What was measured inside.")

    @timings.get("/timings", answer=Answer("Seconds"), limit="none")
    def tell_timings() -> Response:
        """Wall and CPU seconds of the gate's decisions."""
        return json_answer(orjson.dumps(gate.taken()))

    app = create_http_app("bench", "", settings, routes=[routes, timings], accounts=Names(), gate=gate)
    app.on_end(gate.close)
    return app


if __name__ == "__main__":
    main("benchmarks.gated_app:create_app", GateSettings, name="gated")
