"""A bounded wait for something that becomes true by itself; tests never sleep a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.05


def eventually(condition: Callable[[], T], seconds: float = 15.0, what: str = "") -> T:
    """The first truthy value of `condition`, asked every 50 ms; AssertionError after `seconds`.

    An AssertionError raised by `condition` counts as "not yet", so it may hold assertions itself.
    """
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds:g} s: {what or condition!r}; last answer: {last!r}")
        time.sleep(POLL_SECONDS)
