"""Sales over time: what the fold counts is what the log shows as sold, and windows are whole buckets with an end."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import ValidationFailed
from shared.wire import Action
from shop_consumer.handlers import BUCKETS_MAX, EPOCH, MINUTE, window
from tests.unit.test_fold import Ledger

NOW = datetime(2022, 11, 20, 12, 34, 56, tzinfo=UTC)


def test_each_sale_is_counted_in_the_minute_of_the_logs_clock_for_who_sold_it() -> None:
    ledger = Ledger()
    ledger.send(Action.PENDING, 2, "s-1")
    ledger.send(Action.RESERVED, 2, "s-1")
    ledger.now += 60_000
    ledger.send(Action.RESERVED, 1, client="plain")
    ledger.send(Action.RESERVED, 1, client=None)
    first = 1_000_000 // 60_000
    assert ledger.changes.sold == {(first, "them"): 2, (first + 1, "plain"): 1, (first + 1, ""): 1}
    assert sum(ledger.changes.sold.values()) == ledger.log_numbers[1]


def test_our_own_sale_is_counted_when_the_log_shows_it_and_a_repetition_is_not() -> None:
    ledger = Ledger()
    ledger.own("o-1", 2)
    ledger.send(Action.PENDING, 2, "o-1", client="us")
    for _ in range(2):
        ledger.send(Action.RESERVED, 2, "o-1", client="us")
    ledger.send(Action.PENDING, 1, "s-2")
    ledger.send(Action.CANCELLED, 1, "s-2")
    assert list(ledger.changes.sold.values()) == [2]
    assert ledger.log_numbers[1] == 2


def test_a_window_is_made_of_whole_buckets_and_ends_with_the_one_of_now() -> None:
    found = window(None, None, 60, 48, NOW)
    assert (found.until - found.since, found.width) == (48 * 60, 60)
    assert EPOCH + MINUTE * found.until == NOW.replace(hour=13, minute=0, second=0)
    given = window(NOW, NOW + timedelta(minutes=1), 1, 5, NOW)
    assert (given.since, given.until) == (int(NOW.timestamp()) // 60, int(NOW.timestamp()) // 60 + 2)


@pytest.mark.parametrize("since", [NOW + timedelta(days=1), NOW - timedelta(minutes=BUCKETS_MAX + 2)])
def test_a_window_without_an_end_or_with_too_many_buckets_is_refused(since: datetime) -> None:
    with pytest.raises(ValidationFailed):
        window(since, NOW, 1, 5, NOW)
