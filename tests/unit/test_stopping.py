"""How the runner learns that it shall stop."""

import subprocess
import sys
import time

import pytest

from matchday import stopping
from matchday.errors import StopRequested
from matchday.stopping import Stop, finish, until


def test_one_wish_that_arrives_twice_is_no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop()
    stop.request()
    stop.request()
    assert (stop.requested(), stop.forced.is_set()) == (True, False)
    monkeypatch.setattr(stopping, "SAME_WISH_SECONDS", -1.0)
    stop.request()
    assert stop.forced.is_set()


def test_every_wait_ends_when_a_stop_is_asked_for() -> None:
    stop = Stop()
    stop.check()
    stop.request()
    for wait in (stop.check, lambda: stop.sleep(60), lambda: until(lambda: False, 60, stop)):
        with pytest.raises(StopRequested):
            wait()
    assert stop.wait(60)


def test_a_wait_without_a_stop_is_bounded() -> None:
    begun = time.monotonic()
    assert not until(lambda: False, 0.1)
    assert until(lambda: True, 0.0)
    assert time.monotonic() - begun < 30


def test_a_short_lived_child_is_ended_by_a_stop_and_by_its_time_limit() -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(300)"]
    stop = Stop()
    stop.request()
    stopped = subprocess.Popen(sleeper)
    with pytest.raises(StopRequested):
        finish(stopped, 60, stop)
    late = subprocess.Popen(sleeper)
    with pytest.raises(TimeoutError):
        finish(late, 0.05)
    assert stopped.returncode == late.returncode == -9
    assert finish(subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]), 60) == 3
