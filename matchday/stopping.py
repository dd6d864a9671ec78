"""The operator's wish to stop, seen by every wait of the runner."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from types import FrameType

from matchday.errors import StopRequested

POLL_SECONDS = 0.05
SAME_WISH_SECONDS = 1.0


class Stop:
    """Set once by a signal or by `request`; every wait below ends at once with `StopRequested`."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._asked = 0.0
        self.forced = threading.Event()

    def request(self) -> None:
        """Ask for a clean stop; asked once more a while later, for a stop without manners.

        One wish may arrive twice at once, as when `make` hands on a signal that its whole group was sent.
        """
        now = time.monotonic()
        if not self._event.is_set():
            self._asked = now
            self._event.set()
        elif now - self._asked > SAME_WISH_SECONDS:
            self.forced.set()

    def requested(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until a stop is asked for, `seconds` at most; True when it was."""
        return self._event.wait(seconds)

    def check(self) -> None:
        if self._event.is_set():
            raise StopRequested

    def sleep(self, seconds: float) -> None:
        if self._event.wait(seconds):
            raise StopRequested

    def listen(self) -> None:
        """From now on ctrl-C, SIGTERM and a closed terminal set it; main thread only."""

        def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal API's form
            self.request()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under `nohup` a closed terminal is to be ignored.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, on_signal)


def until(condition: Callable[[], bool], seconds: float, stop: Stop | None = None) -> bool:
    """Poll `condition` until it holds, `seconds` at most; False when it never did."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        if stop is not None:
            stop.sleep(POLL_SECONDS)
        else:
            time.sleep(POLL_SECONDS)
    return True


def finish(process: subprocess.Popen[bytes], seconds: float, stop: Stop | None = None) -> int:
    """Wait for a short-lived child; it is killed when `seconds` are over or a stop is asked for."""
    try:
        if not until(lambda: process.poll() is not None, seconds, stop):
            raise TimeoutError(f"{process.args!r} did not end within {seconds:g} s")
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process.returncode
