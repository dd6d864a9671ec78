"""How hard the buyers of a match press, as this process sees it: what brings an automatic waiting room."""

import threading
from collections import Counter
from collections.abc import Callable


class Pressure:
    """Counts the requests of each match that are being worked on; `waited` tells how long submits queued lately, s."""

    def __init__(self, requests_max: int, wait_seconds_max: float, waited: Callable[[], float]) -> None:
        self._requests_max = requests_max
        self._wait_seconds_max = wait_seconds_max
        self._waited = waited
        self._lock = threading.Lock()
        self._requests: Counter[int] = Counter()

    def begin(self, match_number: int) -> None:
        """A request begins."""
        with self._lock:
            self._requests[match_number] += 1

    def end(self, match_number: int) -> None:
        """It has ended."""
        with self._lock:
            self._requests[match_number] -= 1
            if not self._requests[match_number]:
                del self._requests[match_number]

    def is_high(self, match_number: int) -> bool:
        """Whether so many want this match at once, or the queue is slow and it is this match that most of them want."""
        with self._lock:
            own, all_of_them = self._requests[match_number], self._requests.total()
        if own >= self._requests_max:
            return True
        return own > 0 and own * 2 >= all_of_them and self._waited() >= self._wait_seconds_max
