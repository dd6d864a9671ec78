"""`python -m reservations.worker`: ends holds in time and does what else comes due. Any number may run."""

import signal
import threading
from datetime import timedelta

import structlog

from reservations import handlers, paying
from reservations.handlers import Site
from reservations.settings import WorkerSettings
from reservations.tables import idempotency_keys
from shared import idempotency, logs, memory, outbox
from shared.clock import SystemClock
from shared.database import Database
from shared.errors import DependencyUnavailable, MatchdayError
from shared.settings import load
from shop.inventory.domain import State
from shop.inventory.tables import outbox as outbox_table

log = structlog.get_logger(__name__)

BATCH = 200
KEEP_KEYS = timedelta(hours=48)
RETRY_SECONDS_MAX = 10.0


def run_once(site: Site, settings: WorkerSettings) -> int:
    """Does what is due now, a bounded share of it; returns how much was done."""
    expired = handlers.expire(site, settings, BATCH)
    asked_again = _resubmit_late(site, settings)
    settled = _settle_resubmitted(site)
    pruned = _prune(site)
    if expired or asked_again or settled:
        log.info("worked", expired=expired, resubmitted=asked_again, settled=settled, pruned=pruned)
    return expired + asked_again + settled + pruned


def _resubmit_late(site: Site, settings: WorkerSettings) -> int:
    with site.database.transaction() as connection:
        late = outbox.dropped(connection, outbox_table, BATCH)
    for row in late:
        outcome = paying.resubmit(site, settings, row.id, row.headers["saleId"])
        if isinstance(outcome, MatchdayError):
            log.error("paid_sale_lost", sale_id=row.headers["saleId"], code=outcome.code)
    return len(late)


def _settle_resubmitted(site: Site) -> int:
    decided = paying.settle_resubmitted(site, BATCH)
    for reservation_id, state in decided:
        if state is not State.RESERVED:
            log.error("paid_sale_lost", reservation_id=reservation_id, code=state.value)
    return len(decided)


def _prune(site: Site) -> int:
    with site.database.transaction() as connection:
        kept = site.clock.now() - KEEP_KEYS
        return outbox.prune(connection, outbox_table) + idempotency.expire(connection, idempotency_keys, kept)


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    settings = load(WorkerSettings)
    logs.configure("reservations-worker", settings.log_level)
    database = Database(settings, "reservations-worker")
    site = Site(database, settings.federation(), SystemClock())
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    memory.settle()
    pause = settings.worker_poll_seconds
    while not stopping.is_set():
        try:
            busy = run_once(site, settings) >= BATCH
            pause = 0 if busy else settings.worker_poll_seconds
        except DependencyUnavailable as error:
            pause = min(max(pause, 0.2) * 2, RETRY_SECONDS_MAX)
            log.warning("worker_waits", error=str(error), seconds=pause)
        stopping.wait(pause)
    database.close()


if __name__ == "__main__":
    main()
