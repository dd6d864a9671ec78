"""What the operator sees while a site runs."""

import os
import sys
import threading
import time
from collections.abc import Callable


class Console:
    """One line a step: seconds since the start, who, what."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._lock = threading.Lock()

    def say(self, who: str, what: str) -> None:
        with self._lock:
            try:
                sys.stdout.write(f"{time.monotonic() - self._begun:6.1f} s  {who:<20} {what}\n")
                sys.stdout.flush()
            except (OSError, ValueError):
                # Nobody reads any more (a closed pipe or terminal); the site runs on.
                sys.stdout = open(os.devnull, "w")  # noqa: SIM115

    def teller(self, who: str) -> Callable[[str], None]:
        """`say` for one speaker."""
        return lambda what: self.say(who, what)
