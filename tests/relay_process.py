"""`python -m tests.relay_process`: the relay as it is, that sends itself a signal at one exact step.

RELAY_FAULT is `step:nth:signal`, as in `published:2:KILL`: at the second time that the step is reached. Steps, in the
order in which one batch passes them:

    publishing   the batch is read from the outbox, nothing is sent
    published    the broker has acknowledged it, nothing is marked
    marking      inside the transaction that marks it, before the commit
    marked       after the commit
    settling     a successor (or the same relay after an error) is about to read the log
"""

import os
import signal
from collections.abc import Sequence
from typing import Any

from reservations import relay as process
from shared import outbox
from shared.kafka.publisher import Outgoing, Place, Publisher
from shared.kafka.reader import LogReader
from shared.outbox import Published
from shared.relay import Relay


class Fault:
    """Strikes once."""

    is_marking = False

    def __init__(self, described: str) -> None:
        self._step, nth, name = described.split(":") if described else ("", "0", "KILL")
        self._left = int(nth)
        self._signal = signal.Signals[f"SIG{name}"]

    def at(self, step: str) -> None:
        """The step is reached."""
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._signal)


fault = Fault(os.environ.get("RELAY_FAULT", ""))


class FaultyPublisher(Publisher):
    def publish(self, messages: Sequence[Outgoing]) -> list[Place]:
        fault.at("publishing")
        places = super().publish(messages)
        fault.at("published")
        return places


class FaultyReader(LogReader):
    def __enter__(self) -> "LogReader":
        fault.at("settling")
        return super().__enter__()


class FaultyRelay(Relay):
    def _turn(self, published: Sequence[Published], late: Sequence[int]) -> Sequence[Any]:
        fault.is_marking = bool(published)
        rows = super()._turn(published, late)
        if published:
            fault.at("marked")
        return rows


def faulty_mark_dropped(*arguments: Any) -> None:
    """The last change in the marking transaction."""
    mark_dropped(*arguments)
    if fault.is_marking:
        fault.at("marking")


if __name__ == "__main__":
    mark_dropped = outbox.mark_dropped
    outbox.mark_dropped = faulty_mark_dropped  # type: ignore[assignment]
    for name, faulty in (("Publisher", FaultyPublisher), ("LogReader", FaultyReader), ("Relay", FaultyRelay)):
        setattr(process, name, faulty)
    process.main()
