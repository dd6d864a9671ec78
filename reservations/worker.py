"""`python -m reservations.worker`: ends holds in time, writes to buyers, tells payments, and does what else comes due.

Any number may run.
"""

import signal
import threading
from datetime import timedelta

import structlog

from reservations import handlers, paying
from reservations.handlers import Site
from reservations.resale import handlers as resale
from reservations.resale.letters import write_when_credited
from reservations.settings import WorkerSettings
from reservations.tables import deliveries, idempotency_keys, inbox, mails, site_events
from reservations.tickets import mailing
from shared import audit, delivery, idempotency, logs, mail, memory, outbox
from shared import inbox as inbox_of
from shared.clock import SystemClock
from shared.database import Database
from shared.delivery import Couriers
from shared.errors import DependencyUnavailable, MatchdayError
from shared.event_outbox import EventSender
from shared.mail import Postman
from shared.settings import load
from shop.inventory.domain import State
from shop.inventory.tables import outbox as outbox_table

log = structlog.get_logger(__name__)

BATCH = 200
LETTERS = 10
KEEP_KEYS = timedelta(hours=48)
KEEP_INBOX = timedelta(days=30)
RETRY_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 10.0


def run_once(site: Site, settings: WorkerSettings) -> int:
    """Does what is due now, a bounded share of it; returns how much was done."""
    expired = handlers.expire(site, settings, BATCH)
    asked_again = _resubmit_late(site, settings)
    settled = _settle_resubmitted(site)
    resold = _see_to_listings(site, settings)
    written = mailing.write_due(site, settings.codes(), settings.mail_from, LETTERS)
    pruned = _prune(site)
    if expired or asked_again or settled or resold or written:
        log.info(
            "worked", expired=expired, resubmitted=asked_again, settled=settled, listings=resold, written=written,
            pruned=pruned,
        )  # fmt: skip
    # Letters are few at a time, so that holds end in time; who has written as many as that has more to do.
    return expired + asked_again + settled + resold + pruned + (BATCH if written == LETTERS else 0)


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


def _see_to_listings(site: Site, settings: WorkerSettings) -> int:
    return resale.expire(site, BATCH) + resale.end_stale(site, settings, BATCH) + resale.relist(site, settings, BATCH)


def _prune(site: Site) -> int:
    with site.database.transaction() as connection:
        now = site.clock.now()
        return (
            outbox.prune(connection, outbox_table)
            + idempotency.expire(connection, idempotency_keys, now - KEEP_KEYS)
            + inbox_of.prune(connection, inbox, now - KEEP_INBOX)
            + delivery.prune(connection, deliveries)
            + mail.prune(connection, mails, now)
        )


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    settings = load(WorkerSettings)
    logs.configure("reservations-worker", settings.log_level)
    database = Database(settings, "reservations-worker")
    site = Site(database, settings.federation(), SystemClock())
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    addresses = {"payments": settings.payments_url, "shop": settings.shop_url, audit.TARGET: settings.security_url}
    written = write_when_credited(site, settings.mail_from)
    couriers = Couriers(database, deliveries, addresses, settings.service_token, written)
    postman = Postman(database, mails, settings, site.clock)
    events = EventSender(database, site_events, settings)
    for thread in (couriers, postman, events):
        thread.start()
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
    events.stop()
    postman.stop()
    couriers.stop()
    postman.join(STOP_SECONDS_MAX)
    events.join(STOP_SECONDS_MAX)
    database.close()


if __name__ == "__main__":
    main()
