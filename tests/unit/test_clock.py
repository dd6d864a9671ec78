"""The replaceable clock."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.clock import Clock, FixedClock, SystemClock


def test_the_system_clock_tells_utc() -> None:
    clock: Clock = SystemClock()
    assert clock.now().tzinfo is UTC


def test_a_fixed_clock_stands_still_until_it_is_moved() -> None:
    clock = FixedClock(datetime(2022, 11, 20, 18, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == clock.now() == datetime(2022, 11, 20, 16, tzinfo=UTC)
    assert clock.advance(1.5) == clock.now() == datetime(2022, 11, 20, 16, 0, 1, 500_000, tzinfo=UTC)


def test_a_fixed_clock_never_goes_back_and_needs_a_time_zone() -> None:
    with pytest.raises(ValueError):
        FixedClock(datetime(2022, 11, 20, tzinfo=UTC)).advance(-1)
    with pytest.raises(ValueError):
        FixedClock(datetime(2022, 11, 20))
