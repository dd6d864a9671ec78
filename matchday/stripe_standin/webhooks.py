"""Posts events, signed, to one address: until it is answered 2xx, with growing pauses, for three days.

As at Stripe nothing is said about order, and an event may come more than once. On order (`/standin/webhooks`) events
are held back, and then let go backwards, mixed up, or several times each.
"""

import hashlib
import hmac
import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import httpx
import structlog

from matchday.stripe_standin.store import Store

log = structlog.get_logger(__name__)

AT_ONCE = 4
BATCH = 32
POST_SECONDS_MAX = 10.0
RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 0.5, 60.0
KEEP_TRYING_SECONDS = 3 * 86_400.0
POLL_SECONDS = 0.5
Order = Literal["as_made", "reversed", "shuffled"]


def sign(payload: str, secret: str, moment: int) -> str:
    """The value of Stripe-Signature: https://docs.stripe.com/webhooks#verify-manually"""
    digest = hmac.new(secret.encode(), f"{moment}.{payload}".encode(), hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


class Webhooks(threading.Thread):
    """The queue of events to post, and the thread that posts."""

    def __init__(self, store: Store, url: str, secret: str) -> None:
        super().__init__(name="webhooks", daemon=True)
        self.url = url
        self.held = False
        self.copies = 1
        self.delay_seconds = 0.0
        self.settle: Callable[[], None] = lambda: None
        self._store = store
        self._secret = secret
        self._http = httpx.Client(timeout=POST_SECONDS_MAX, trust_env=False)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhooks")
        self._wake = threading.Event()
        self._stopping = threading.Event()

    def enqueue(self, event_id: str) -> None:
        """In the transaction that made the event."""
        if not self.url:
            return
        for _ in range(self.copies):
            self._store.sql.execute(
                "INSERT INTO webhooks (event, due, held) VALUES (?, ?, ?)",
                (event_id, time.time() + self.delay_seconds, int(self.held)),
            )
        self.wake()

    def let_go(self, order: Order, copies: int) -> int:
        """Sends what is held back, one after the other in this order; returns how many. In a transaction."""
        rows = self._store.sql.execute("SELECT id, event FROM webhooks WHERE held = 1 ORDER BY id").fetchall()
        events = [row[1] for row in rows for _ in range(copies)]
        if order == "reversed":
            events.reverse()
        elif order == "shuffled":
            random.shuffle(events)
        self._store.sql.execute("DELETE FROM webhooks WHERE held = 1")
        for event_id in events:
            self._store.sql.execute("INSERT INTO webhooks (event, due) VALUES (?, ?)", (event_id, time.time()))
        self.wake()
        return len(events)

    def again(self, event_id: str) -> None:
        """Sends an event once more. In a transaction."""
        self._store.sql.execute("INSERT INTO webhooks (event, due) VALUES (?, ?)", (event_id, time.time()))
        self.wake()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._stopping.set()
        self.wake()

    def run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self.settle()
                sent = self._post_due()
            except Exception:
                log.exception("webhooks_failed")
                sent = 0
            if sent == 0:
                self._wake.wait(POLL_SECONDS)
        self._pool.shutdown()
        self._http.close()

    def _post_due(self) -> int:
        with self._store.transaction():
            due = self._store.sql.execute(
                "SELECT id, event, attempts FROM webhooks WHERE done = 0 AND held = 0 AND due <= ? ORDER BY id LIMIT ?",
                (time.time(), BATCH),
            ).fetchall()
            events = {event: self._store.find("event", event) for _, event, _ in due}
        # With one thread let go in an order would be kept; Stripe keeps none, so several post at once.
        list(self._pool.map(lambda row: self._post(row[0], events[row[1]], row[2]), due))
        return len(due)

    def _post(self, row: int, event: dict[str, Any] | None, attempts: int) -> None:
        payload = json.dumps(event)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": sign(payload, self._secret, int(time.time())),
            "User-Agent": "Stripe/1.0 (stand-in)",
        }
        try:
            status = self._http.post(self.url, content=payload, headers=headers).status_code
        except httpx.HTTPError:
            status = 0
        done = 200 <= status < 300
        age = time.time() - (event or {}).get("created", 0)
        if not done and age > KEEP_TRYING_SECONDS:
            done = True
        pause = min(RETRY_SECONDS_MIN * 2 ** min(attempts, 16), RETRY_SECONDS_MAX)
        with self._store.transaction():
            self._store.sql.execute(
                "UPDATE webhooks SET attempts = attempts + 1, done = ?, due = ?, status = ? WHERE id = ?",
                (int(done), time.time() + pause, status, row),
            )
