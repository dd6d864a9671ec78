"""`python -m users.worker`: mails, news for other services, keys, and what is old. Any number may run."""

import signal
import threading
from datetime import timedelta

import structlog

from shared import audit, delivery, idempotency, logs, mail, memory
from shared.clock import SystemClock
from shared.database import Database
from shared.delivery import Couriers
from shared.errors import DependencyUnavailable
from shared.mail import Postman
from shared.settings import load
from users import letters, store
from users.keys import KeyRing
from users.letters import Office
from users.settings import UsersWorkerSettings
from users.tables import deliveries, idempotency_keys, mails

log = structlog.get_logger(__name__)

BATCH = 100
KEEP_KEYS = timedelta(hours=48)
KEEP_TRACES = timedelta(days=7)  # used refresh tokens, counted attempts to sign in
RETRY_SECONDS_MAX = 10.0


def run_once(office: Office, ring: KeyRing) -> int:
    """Does what is due now, a bounded share of it; returns how much was done."""
    written = letters.write_letters(office, BATCH)
    ring.rotate()
    return written + _prune(office)


def _prune(office: Office) -> int:
    now = office.clock.now()
    with office.database.transaction() as connection:
        return (
            store.prune(connection, now, KEEP_TRACES, BATCH)
            + mail.prune(connection, mails, now)
            + delivery.prune(connection, deliveries)
            + idempotency.expire(connection, idempotency_keys, now - KEEP_KEYS)
        )


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    settings = load(UsersWorkerSettings)
    logs.configure("users-worker", settings.log_level)
    clock = SystemClock()
    database = Database(settings, "users-worker")
    targets = {
        "reservations": settings.reservations_url,
        "payments": settings.payments_url,
        "analytics": settings.analytics_url,
        audit.TARGET: settings.security_url,
    }
    couriers = Couriers(database, deliveries, targets, settings.service_token)
    postman = Postman(database, mails, settings, clock)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    memory.settle()
    couriers.start()
    postman.start()
    _work(Office(database, settings, clock), KeyRing(database, settings, clock), stopping)
    postman.stop()
    couriers.stop()
    postman.join(mail.SMTP_SECONDS_MAX)
    database.close()


def _work(office: Office, ring: KeyRing, stopping: threading.Event) -> None:
    pause = office.settings.worker_poll_seconds
    while not stopping.is_set():
        try:
            busy = run_once(office, ring) >= BATCH
            pause = 0 if busy else office.settings.worker_poll_seconds
        except DependencyUnavailable as error:
            pause = min(max(pause, 0.2) * 2, RETRY_SECONDS_MAX)
            log.warning("worker_waits", error=str(error), seconds=pause)
        stopping.wait(pause)


if __name__ == "__main__":
    main()
