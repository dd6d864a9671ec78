"""Faults to order: what Stripe does on a bad day, for a stated number of requests."""

import re
import threading
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from shared.http import BodyModel


class Fault(BodyModel):
    """What goes wrong, with which requests, how often.

    `when` "before": nothing is done. "after": the work is done, the answer is lost. With `saved` the wrong answer is
    what the idempotency key is answered from then on, as Stripe does with a 500 once it has begun to work.
    """

    method: Literal["GET", "POST"] = "POST"
    path: str = Field("/v1/", max_length=200, description="A regular expression that the path begins with.")
    status: int = Field(500, ge=400, le=599)
    when: Literal["before", "after"] = "before"
    saved: bool = False
    hang_seconds: float = Field(0, ge=0, le=120, description="How long the answer is kept back.")
    times: int = Field(1, ge=1, le=1_000_000)


class WebhookOrder(BodyModel):
    """What happens to events; None leaves it as it is."""

    held: bool | None = None
    copies: int | None = Field(None, ge=1, le=10)
    delay_seconds: float | None = Field(None, ge=0, le=3600)


class LetGo(BodyModel):
    """How held events are let go."""

    order: Literal["as_made", "reversed", "shuffled"] = "as_made"
    copies: int = Field(1, ge=1, le=10)


@dataclass
class _Ordered:
    fault: Fault
    left: int


class Faults:
    """The faults that are still to happen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ordered: list[_Ordered] = []

    def order(self, fault: Fault) -> None:
        with self._lock:
            self._ordered.append(_Ordered(fault, fault.times))

    def clear(self) -> None:
        with self._lock:
            self._ordered.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault of this request, if there is one: it counts as happened."""
        with self._lock:
            for ordered in self._ordered:
                if ordered.left and ordered.fault.method == method and re.match(ordered.fault.path, path):
                    ordered.left -= 1
                    return ordered.fault
        return None
