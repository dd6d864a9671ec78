"""SQL of what operators have said, connection first; and one look at it a second for all requests of a process."""

import threading
import time
from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy import Connection, text

from reservations.waiting_room.domain import Mode, Plan
from shared.database import Database
from shared.errors import DependencyUnavailable

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0


def read_plans(connection: Connection) -> dict[int, Plan]:
    """All plans, by match."""
    rows = connection.execute(
        text("SELECT match_number, mode, rate_per_second, capacity FROM reservations.waiting_rooms")
    )
    return {row[0]: Plan(row[0], Mode(row[1]), row[2], row[3]) for row in rows}


def write_plan(connection: Connection, plan: Plan, changed_by: str, now: datetime) -> None:
    """Makes it the match's plan."""
    connection.execute(
        text(
            "INSERT INTO reservations.waiting_rooms"
            " (match_number, mode, rate_per_second, capacity, changed_by, changed_at)"
            " VALUES (:match_number, :mode, :rate_per_second, :capacity, :changed_by, :changed_at)"
            " ON CONFLICT (match_number) DO UPDATE SET mode = excluded.mode,"
            " rate_per_second = excluded.rate_per_second, capacity = excluded.capacity,"
            " changed_by = excluded.changed_by, changed_at = excluded.changed_at"
        ),
        {
            "match_number": plan.match_number,
            "mode": plan.mode.value,
            "rate_per_second": plan.rate_per_second,
            "capacity": plan.capacity,
            "changed_by": changed_by,
            "changed_at": now,
        },
    )


class Plans:
    """The plans as they stood a second ago at most; while the database is away, as they were read last."""

    def __init__(
        self, database: Database, otherwise: Callable[[int], Plan], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._otherwise = otherwise
        self._now = monotonic
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._plans: dict[int, Plan] = {}

    def of(self, match_number: int) -> Plan:
        """The match's plan, or that of all for which there is none."""
        return self.all().get(match_number) or self._otherwise(match_number)

    def all(self) -> dict[int, Plan]:
        """What operators have said, by match."""
        # One looks, the others go by what is known meanwhile; only the first look of all is waited for.
        first = self._looked_at == float("-inf")
        if self._now() - self._looked_at > LOOK_SECONDS and self._lock.acquire(blocking=first):
            try:
                if self._now() - self._looked_at > LOOK_SECONDS:
                    self._look()
            finally:
                self._lock.release()
        return self._plans

    def forget(self) -> None:
        """The next one looks."""
        self._looked_at = float("-inf")

    def _look(self) -> None:
        try:
            with self._database.transaction() as connection:
                self._plans = read_plans(connection)
        except DependencyUnavailable as error:
            log.warning("waiting_rooms_not_read", error=str(error))
        self._looked_at = self._now()
