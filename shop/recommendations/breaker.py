"""A circuit breaker: who failed several times in a row is left alone for a while, then tried with one question."""

import threading
import time
from collections.abc import Callable


class Breaker:
    """`may_ask` before a question, then `succeeded` or `failed`."""

    def __init__(self, failures_max: int, pause_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._failures_max = failures_max
        self._pause = pause_seconds
        self._now = now
        self._lock = threading.Lock()
        self._failures = 0
        self._asks_at = float("-inf")

    def may_ask(self) -> bool:
        """Whether to ask; after the pause one asks, and the others wait for how it ends."""
        with self._lock:
            if self._failures < self._failures_max:
                return True
            if self._now() < self._asks_at:
                return False
            self._asks_at = self._now() + self._pause
            return True

    def succeeded(self) -> None:
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            self._asks_at = self._now() + self._pause
