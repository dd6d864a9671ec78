"""After a silence the log's clock is brought to now before a hold is written."""

from hypothesis import given
from hypothesis import strategies as st

from shop.inventory.domain import HOUR_MS
from shop.inventory.fold import advance
from shop.inventory.silence import PAIRS_MAX, pairs_needed


@given(st.integers(0, 10**13), st.integers(-HOUR_MS, 2 * PAIRS_MAX * HOUR_MS))
def test_the_hold_s_own_record_brings_the_clock_to_now(clock_ms: int, silence_ms: int) -> None:
    now = clock_ms + silence_ms
    clock = clock_ms
    for _ in range(2 * pairs_needed(clock_ms, now)):
        clock = advance(clock, now)
    assert advance(clock, now) == max(clock_ms, now)


@given(st.integers(0, 10**13), st.integers(0, 2 * PAIRS_MAX * HOUR_MS))
def test_no_more_is_written_than_is_needed(clock_ms: int, silence_ms: int) -> None:
    pairs = pairs_needed(clock_ms, clock_ms + silence_ms)
    assert 2 * pairs * HOUR_MS < silence_ms + HOUR_MS
    assert pairs == 0 or silence_ms > HOUR_MS


def test_a_log_without_records_needs_nothing_and_a_very_long_silence_is_bounded() -> None:
    assert pairs_needed(None, 10**13) == 0
    assert pairs_needed(0, 10**13) == PAIRS_MAX
