"""Events that nobody would miss, such as that a page was looked at: kept in memory, sent in batches, dropped when full.

Who offers one never waits: no lock, no database, no broker. What a process has in memory when it is killed is lost.
"""

import threading
import uuid
from collections import deque

import structlog

from shared import metrics
from shared.errors import BrokerUnavailable
from shared.event_outbox import BATCH, RETRY_SECONDS_MAX, Happening, Publishes, outgoing, producer
from shared.settings import SiteEventsSettings
from shared.site_events import SiteEvent

log = structlog.get_logger(__name__)

EVENTS_MAX = 10_000
FLUSH_SECONDS = 1.0
STOP_SECONDS_MAX = 5.0


class EventBuffer(threading.Thread):
    """Takes events in and sends them. One a process; any thread may offer."""

    def __init__(
        self, settings: SiteEventsSettings, publisher: Publishes | None = None, events_max: int = EVENTS_MAX
    ) -> None:
        super().__init__(name="site-events", daemon=True)
        self._settings = settings
        self._publisher = publisher or producer(settings)
        self._connected = False
        self._events_max = events_max
        self._events: deque[Happening] = deque()
        self._batch: list[SiteEvent] = []  # what may or may not have been sent; sent again under the same ids
        self._stopping = threading.Event()

    def offer(self, happening: Happening) -> bool:
        """Takes an event; False when there is no room, and then it is dropped and counted."""
        if len(self._events) >= self._events_max:
            metrics.SITE_EVENTS.labels("dropped").inc()
            return False
        self._events.append(happening)
        return True

    def stop(self) -> None:
        """Ends after one more sending."""
        self._stopping.set()

    def run(self) -> None:
        pause = FLUSH_SECONDS
        while not self._stopping.wait(pause):
            pause = FLUSH_SECONDS if self._sends() else min(pause * 2, RETRY_SECONDS_MAX)
        if pause == FLUSH_SECONDS:  # otherwise the broker is away, and nobody should wait for it
            self._sends()
        self._publisher.close()

    def _sends(self) -> bool:
        try:
            while self.run_once() == BATCH:
                pass
        except BrokerUnavailable as error:
            log.warning("site_events_wait", error=str(error), waiting=len(self._events))
        except Exception:
            log.exception("site_events_failed")
            self._batch = []  # whatever is wrong with it, those that come after it may be right
        else:
            return True
        self._connected = False
        self._publisher.stop()
        return False

    def run_once(self) -> int:
        """Sends one batch; returns how many. Raises `BrokerUnavailable`."""
        while len(self._batch) < BATCH and self._events:
            happening = self._events.popleft()
            self._batch.append(happening.event(self._settings.analytics_secret, str(uuid.uuid4())))
        if not self._batch:
            return 0
        if not self._connected:
            self._publisher.start()
            self._connected = True
        self._publisher.publish([outgoing(self._settings.site_events_topic, event) for event in self._batch])
        sent, self._batch = len(self._batch), []
        metrics.SITE_EVENTS.labels("sent").inc(sent)
        return sent
