"""`python -m payments.worker`: tells reservations what is paid, sends refunds, and reconciles. Any number may run."""

import signal
import threading
import time
from datetime import timedelta

import structlog

from payments import handlers, reconcile
from payments.gateway import Gateway
from payments.handlers import Site
from payments.reservations import TARGET, Reservations
from payments.settings import WorkerSettings
from payments.tables import deliveries, idempotency_keys, inbox, site_events
from shared import audit, delivery, idempotency, logs, memory
from shared import inbox as inbox_of
from shared.clock import SystemClock
from shared.database import Database
from shared.delivery import Couriers
from shared.errors import DependencyUnavailable, MatchdayError
from shared.event_outbox import STOP_SECONDS_MAX, EventSender
from shared.settings import load

log = structlog.get_logger(__name__)

KEEP_KEYS = timedelta(hours=48)
KEEP_INBOX = timedelta(days=30)  # Stripe tries three days, an operator may send again what is 30 days old
RETRY_SECONDS_MAX = 10.0


class Worker:
    """The loop's memory: when it last compared with Stripe."""

    def __init__(self, site: Site, settings: WorkerSettings) -> None:
        self._site = site
        self._settings = settings
        self._compared_at = float("-inf")

    def run_once(self) -> int:
        """Does what is due now, a bounded share of it; returns how much was done."""
        done = reconcile.send_refunds(self._site) + reconcile.cancel_ended(self._site, self._settings)
        done += reconcile.check_undecided(self._site, self._settings)
        done += reconcile.check_open(self._site, self._settings)
        if time.monotonic() - self._compared_at >= self._settings.reconcile_seconds:
            differing = reconcile.compare(self._site, self._settings)
            self._compared_at = time.monotonic()
            log.info("reconciled", differing=differing)
            self._prune()
        return done

    def _prune(self) -> None:
        now = self._site.clock.now()
        with self._site.database.transaction() as connection:
            idempotency.expire(connection, idempotency_keys, now - KEEP_KEYS)
            inbox_of.prune(connection, inbox, now - KEEP_INBOX)
            delivery.prune(connection, deliveries)


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    settings = load(WorkerSettings)
    logs.configure("payments-worker", settings.log_level)
    database = Database(settings, "payments-worker")
    reservations = Reservations(settings.reservations_url, settings.service_token)
    site = Site(database, Gateway(settings, settings.client_id), reservations, SystemClock())
    couriers = Couriers(
        database,
        deliveries,
        {TARGET: settings.reservations_url, audit.TARGET: settings.security_url},
        settings.service_token,
        handlers.told,
    )
    events = EventSender(database, site_events, settings)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    memory.settle()
    couriers.start()
    events.start()
    _run(Worker(site, settings), settings, stopping)
    events.stop()
    couriers.stop()
    events.join(STOP_SECONDS_MAX)
    reservations.close()
    database.close()


def _run(worker: Worker, settings: WorkerSettings, stopping: threading.Event) -> None:
    pause = settings.payments_poll_seconds
    while not stopping.is_set():
        try:
            busy = worker.run_once() >= reconcile.BATCH
            pause = 0 if busy else settings.payments_poll_seconds
        except DependencyUnavailable as error:
            pause = min(max(pause, 0.2) * 2, RETRY_SECONDS_MAX)
            log.warning("worker_waits", error=str(error), seconds=pause)
        except MatchdayError as error:
            # What Stripe refuses today it may not refuse tomorrow; the rest of the work must not stop for it.
            pause = min(max(pause, 0.2) * 2, RETRY_SECONDS_MAX)
            log.error("worker_failed", error=str(error), code=error.code, seconds=pause)
        stopping.wait(pause)


if __name__ == "__main__":
    main()
