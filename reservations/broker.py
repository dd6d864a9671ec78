"""Whether the log can be reached, as the relay last saw it."""

import threading
import time

from shared.database import Database
from shared.errors import BrokerUnavailable, DependencyUnavailable
from shared.relay import broker_unseen_seconds
from shop.inventory.tables import relay_leases

LOOK_SECONDS = 0.5
AWAY_SECONDS = 3.0  # the relay says every half second that it sees the broker
REFUSE_SECONDS = 15.0  # longer than a successor of a relay that was killed needs to take over


class BrokerWatch:
    """Looks at the relay's lease at most every half second, however many ask."""

    def __init__(self, database: Database, topic: str) -> None:
        self._database = database
        self._topic = topic
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._unseen_seconds: float | None = None

    def unseen_seconds(self) -> float | None:
        """Since when no relay has seen the broker; None when none ever did."""
        with self._lock:
            if time.monotonic() - self._looked_at > LOOK_SECONDS:
                self._unseen_seconds = self._read()
                self._looked_at = time.monotonic()
            return self._unseen_seconds

    def _read(self) -> float | None:
        with self._database.transaction() as connection:
            return broker_unseen_seconds(connection, relay_leases, self._topic)

    def is_away(self) -> bool:
        """Whether the broker was not seen lately."""
        unseen = self.unseen_seconds()
        return unseen is not None and unseen > AWAY_SECONDS

    def require(self) -> None:
        """Raises `BrokerUnavailable` when a submit has no chance of a verdict soon."""
        unseen = self.unseen_seconds()
        if unseen is not None and unseen > REFUSE_SECONDS:
            raise BrokerUnavailable("the federation's log is out of reach", retry_after=5)

    def check(self) -> None:
        """Readiness: raises `DependencyUnavailable` when no relay sees the broker."""
        unseen = self.unseen_seconds()
        if unseen is None or unseen > REFUSE_SECONDS:
            raise DependencyUnavailable("no relay has seen the broker lately")
