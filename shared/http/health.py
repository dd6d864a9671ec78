"""Whether the process lives, and whether what it needs is there."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import structlog
from flask import Response
from pydantic import ConfigDict, Field

from shared import errors, metrics
from shared.http.models import AnswerModel
from shared.http.routes import Answer, Routes, json_answer

log = structlog.get_logger(__name__)

CHECK_SECONDS_MAX = 2.0
KEPT_SECONDS = 0.25

Check = Callable[[], None]
Details = Callable[[], Mapping[str, Any]]


class Live(AnswerModel):
    """The process lives."""

    live: bool
    service: str


class Dependency(AnswerModel):
    """State of one server that this service needs."""

    ok: bool
    seconds: float = Field(description="How long the check took.")
    detail: str | None = Field(None, description="What is wrong.")


class Ready(AnswerModel):
    """The service can take requests; further members tell of its work."""

    model_config = ConfigDict(extra="allow")

    ready: bool
    service: str
    dependencies: dict[str, Dependency]


class Readiness:
    """Runs a service's checks, side by side, each bounded in time and never twice at once.

    A result is kept for `KEPT_SECONDS`, so that whoever asks often costs the dependencies little.
    """

    def __init__(self, service: str, checks: Mapping[str, Check], details: Details | None) -> None:
        self._service = service
        self._checks = dict(checks)
        self._details = details
        self._lock = threading.Lock()
        self._running: dict[str, Future[Dependency]] = {}
        self._kept: tuple[float, dict[str, Dependency]] = (0.0, {})

    def state(self) -> Ready:
        """The present state."""
        dependencies = self._dependencies()
        ready = all(dependency.ok for dependency in dependencies.values())
        return Ready(ready=ready, service=self._service, dependencies=dependencies, **self._more())

    def _dependencies(self) -> dict[str, Dependency]:
        with self._lock:
            taken, result = self._kept
            if result and time.monotonic() - taken < KEPT_SECONDS:
                return result
            futures = {name: self._start(name, check) for name, check in self._checks.items()}
        deadline = time.monotonic() + CHECK_SECONDS_MAX
        result = {name: _result(future, deadline) for name, future in futures.items()}
        self._kept = (time.monotonic(), result)
        return result

    def _start(self, name: str, check: Check) -> "Future[Dependency]":
        # A check that hangs is waited for again, not started again: one thread a dependency at most.
        running = self._running.get(name)
        if running is not None and not running.done():
            return running
        future: Future[Dependency] = Future()
        self._running[name] = future
        threading.Thread(target=_run, args=(name, check, future), name=f"check-{name}", daemon=True).start()
        return future

    def _more(self) -> dict[str, Any]:
        try:
            return {} if self._details is None else dict(self._details())
        except errors.MatchdayError as error:
            return {"unknown": str(error)}
        except Exception:
            log.exception("readiness_details_failed")
            return {"unknown": "the details could not be found out"}


def _run(name: str, check: Check, future: "Future[Dependency]") -> None:
    begun = time.monotonic()
    detail = None
    try:
        check()
    except errors.MatchdayError as error:
        detail = str(error)
    except Exception as error:
        log.warning("readiness_check_failed", dependency=name, error=repr(error))
        detail = "the check failed"
    future.set_result(Dependency(ok=detail is None, seconds=round(time.monotonic() - begun, 6), detail=detail))


def _result(future: "Future[Dependency]", deadline: float) -> Dependency:
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return Dependency(ok=False, seconds=CHECK_SECONDS_MAX, detail=f"no answer within {CHECK_SECONDS_MAX} s")


def health_routes(service: str, readiness: Readiness) -> Routes:
    """`/health/live`, `/health/ready` and `/metrics`."""
    routes = Routes("operations", "For whoever runs the service.")

    @routes.get("/health/live", answer=Live, limit="none")
    def live() -> Live:
        """Tells that the process lives.

        A supervisor restarts what does not answer here. It says nothing about dependencies.
        """
        return Live(live=True, service=service)

    @routes.get("/health/ready", answer=Ready, raises=[errors.NotReady], limit="none")
    def ready() -> Response:
        """Tells whether the service can work: the state of each server that it needs.

        503 carries the same members.
        """
        state = readiness.state()
        if state.ready:
            return json_answer(state)
        failing = [name for name, dependency in state.dependencies.items() if not dependency.ok]
        raise errors.NotReady(f"failing: {', '.join(failing)}", **state.model_dump(by_alias=True))

    @routes.get("/metrics", answer=Answer("Metrics in Prometheus' text format", media_type="text/plain"), limit="none")
    def prometheus_metrics() -> Response:
        """Metrics of this process."""
        content, media_type = metrics.exposition()
        return Response(content, content_type=media_type)

    return routes
