"""The main figures as metrics, from a look at the lake now and then."""

import threading
from datetime import UTC, datetime

import structlog

from analytics.figures import handlers
from analytics.figures.domain import Drift, Summary
from analytics.figures.looks import Looks
from shared import metrics
from shared.clock import Clock
from shared.errors import MatchdayError

log = structlog.get_logger(__name__)

KINDS_MAX = 200


class Watch:
    """Looks every `seconds` from a thread of its own; a look that fails is logged, and the next one is tried."""

    def __init__(self, looks: Looks, clock: Clock, seconds: float) -> None:
        self._looks = looks
        self._clock = clock
        self._seconds = seconds
        self._stopping = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="figures", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.look()
            self._stopping.wait(self._seconds)

    def look(self) -> None:
        """One look."""
        try:
            summary, drifts = handlers.summary(self._looks, KINDS_MAX)
        except MatchdayError as error:
            log.warning("figures_not_read", code=error.code, detail=str(error))
        except Exception:
            log.exception("figures_not_read")
        else:
            tell(summary, drifts, self._clock.now())


def tell(summary: Summary, drifts: list[Drift], now: datetime) -> None:
    """Sets the metrics. Sites are not told apart, since who calls itself what is not ours to bound."""
    for what, tickets in (
        ("sold_here", summary.sold_own),
        ("sold_elsewhere", summary.sold_partners),
        ("held", summary.holds),
        ("cancelled", summary.cancelled),
    ):
        metrics.LAKE_TICKETS.labels(what).set(tickets)
    for state, pools in (
        ("all", summary.pools),
        ("sold_out", summary.pools_sold_out),
        ("oversold", summary.pools_oversold),
    ):
        metrics.LAKE_POOLS.labels(state).set(pools)
    by_kind: dict[str, int] = {}
    for drift in drifts:
        by_kind[drift.kind] = by_kind.get(drift.kind, 0) + drift.records
    metrics.LAKE_DRIFT.clear()
    for kind, records in by_kind.items():
        metrics.LAKE_DRIFT.labels(kind).set(records)
    if summary.newest is not None:
        age = (now - summary.newest.replace(tzinfo=UTC)).total_seconds()
        metrics.LAKE_AGE.set(max(0.0, age))
