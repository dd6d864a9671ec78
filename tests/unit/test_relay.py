"""The relay against a log and a database in memory: order, doubt, the lease and its guard."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shared.relay
from shared.kafka.publisher import Outgoing
from shared.relay import LEASE_MARGIN_SECONDS, LEASE_SECONDS, LeaseLost
from tests.unit.relay_twin import Bench, Memory, install

STRANGERS = Outgoing("sales", b"1-1", b"{}", [("messageId", b"not ours")])
FAILURES = st.sampled_from(["", "nothing written", "half written", "all written"])


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    memory = Memory()
    install(monkeypatch, memory)
    return memory


@pytest.fixture
def bench(memory: Memory) -> Bench:
    return Bench(memory)


def _is_whole(memory: Memory) -> None:
    """Every message that was not put aside stands in the log once, where its mark says, in its key's order."""
    written = [row for row in memory.rows if not row.dropped]
    assert sorted(memory.in_log()) == sorted(row.waiting.message_id for row in written)
    for row in written:
        assert row.place is not None
        record = memory.log[row.place.partition][row.place.offset]
        assert dict(record.headers)["messageId"] == row.waiting.message_id.encode()
    for key in {row.waiting.key for row in written}:
        places = [row.place for row in written if row.waiting.key == key and row.place is not None]
        assert [place.offset for place in places] == sorted(place.offset for place in places)


# -- order and batches -----------------------------------------------------------------------------------------------


def test_messages_are_sent_in_the_order_of_the_outbox(memory: Memory, bench: Bench) -> None:
    ids = memory.write("1-1", "1-2", "1-1", "2-1")
    bench.run()
    assert bench.publisher.batches == [ids]
    _is_whole(memory)


def test_more_than_a_batch_is_sent_batch_by_batch(
    memory: Memory, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared.relay, "BATCH_MESSAGES", 2)
    ids = memory.write("1-1", "1-1", "1-1", "1-1", "1-1")
    bench.run()
    assert bench.publisher.batches == [ids[:2], ids[2:4], ids[4:]]
    _is_whole(memory)


def test_a_message_that_is_too_late_is_put_aside_and_the_others_are_sent(memory: Memory, bench: Bench) -> None:
    early = memory.write("1-1")
    late = memory.write("1-1", too_late=True)
    other = memory.write("1-1")
    bench.run()
    assert memory.in_log() == [*early, *other]
    assert [row.waiting.message_id for row in memory.rows if row.dropped] == late


def test_a_batch_of_late_messages_sends_nothing(memory: Memory, bench: Bench) -> None:
    memory.write("1-1", "1-2", too_late=True)
    bench.run()
    assert "publish" not in bench.publisher.calls
    assert memory.unsent() == []


# -- doubt -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["nothing written", "half written", "all written"])
def test_after_a_failed_batch_the_log_is_read_before_anything_is_sent(
    memory: Memory, bench: Bench, failure: str
) -> None:
    memory.write("1-1", "1-2", "1-1", "2-2")
    bench.publisher.failures = [failure]
    bench.run()
    assert bench.publisher.calls[:4] == ["start", "publish", "stop", "start"]
    _is_whole(memory)


def test_what_was_sent_and_not_marked_is_found_in_the_log(memory: Memory, bench: Bench) -> None:
    memory.write("1-1", "1-2", "1-1")
    bench.publisher.on_publish = lambda: memory.commits_fail.append(True)
    bench.run()
    assert bench.publisher.batches == [["message-1", "message-2", "message-3"]]
    _is_whole(memory)


def test_a_successor_marks_what_its_predecessor_sent_and_sends_the_rest(memory: Memory, bench: Bench) -> None:
    sent = memory.write("1-1", "2-1")
    memory.take_lease("a relay that was killed", memory.now - 1)
    for row in memory.rows:
        memory.append(shared.relay._outgoing(row.waiting))
    more = memory.write("1-1")
    bench.run()
    assert bench.publisher.batches == [more]
    assert sorted(memory.in_log()) == sorted([*sent, *more])
    _is_whole(memory)


def test_the_log_is_read_from_where_marking_ended(memory: Memory, bench: Bench) -> None:
    memory.write("1-1", "1-2", "1-1")
    bench.run()
    ends = {partition: end for partition, (_, end) in memory.bounds().items()}
    memory.reads.clear()
    memory.write("1-1")
    Bench(memory).run()
    assert memory.reads == [(partition, end, end) for partition, end in ends.items()]


def test_a_first_relay_with_nothing_to_send_does_not_read_the_log(memory: Memory, bench: Bench) -> None:
    memory.append(STRANGERS)
    bench.run()
    assert all(start == end for _, start, end in memory.reads)


def test_a_first_relay_with_something_to_send_reads_the_whole_log_before(memory: Memory, bench: Bench) -> None:
    memory.append(STRANGERS)
    ends = {partition: end for partition, (_, end) in memory.bounds().items()}
    memory.write("1-1")
    bench.run()
    assert memory.reads == [(partition, 0, end) for partition, end in ends.items()]


def test_a_relay_stopped_in_doubt_keeps_others_waiting_for_its_lease(memory: Memory, bench: Bench) -> None:
    """What it may have in flight must have arrived before anybody else looks."""
    memory.write("1-1")
    bench.publisher.failures = ["all written"]
    bench.publisher.on_publish = bench.relay.stop
    bench.run()
    assert memory.expires_at > memory.now


def test_a_relay_stopped_without_doubt_gives_its_lease_back(memory: Memory, bench: Bench) -> None:
    memory.write("1-1")
    bench.run()
    assert memory.expires_at <= memory.now
    assert bench.publisher.calls[-1] == "stop"


# -- the lease and its guard -----------------------------------------------------------------------------------------


def test_a_relay_does_not_even_connect_while_another_holds_the_lease(memory: Memory, bench: Bench) -> None:
    memory.write("1-1")
    memory.take_lease("another", memory.now + 60)
    assert bench.lease.acquire() is None
    bench.relay._hold_lease_and_send()
    assert bench.publisher.calls == []
    assert memory.in_log() == []


def test_a_relay_that_lost_its_lease_sends_no_more_but_what_it_marked_is_true(memory: Memory, bench: Bench) -> None:
    memory.write("1-1")
    bench.publisher.on_publish = lambda: memory.take_lease("another", memory.now + 60)
    memory.when_idle = lambda: None
    with pytest.raises(LeaseLost):
        bench.relay._hold_lease_and_send()
    memory.write("1-1")
    bench.relay._hold_lease_and_send()
    assert memory.in_log() == ["message-1"]
    assert memory.unsent() == ["message-2"]


def test_the_guard_refuses_before_a_lease_is_held(bench: Bench) -> None:
    with pytest.raises(LeaseLost):
        bench.publisher.guard()


def test_the_guard_refuses_a_margin_before_the_lease_runs_out(memory: Memory, bench: Bench) -> None:
    bench.lease.acquire()
    memory.now += LEASE_SECONDS - LEASE_MARGIN_SECONDS
    bench.publisher.guard()
    memory.now += 0.001
    with pytest.raises(LeaseLost):
        bench.publisher.guard()


def test_the_guard_counts_from_before_the_lease_was_asked_for(memory: Memory, bench: Bench) -> None:
    """A slow answer of the database is time that has passed for everybody else, too."""
    bench.lease.acquire()
    asked = memory.now
    memory.now += 3
    bench.lease.confirmed(asked)
    memory.now = asked + LEASE_SECONDS - LEASE_MARGIN_SECONDS + 0.001
    with pytest.raises(LeaseLost):
        bench.publisher.guard()


def test_the_guard_refuses_once_the_lease_is_given_back(bench: Bench) -> None:
    bench.lease.acquire()
    bench.lease.release()
    with pytest.raises(LeaseLost):
        bench.publisher.guard()


def test_a_relay_that_hung_before_it_sent_sends_nothing_when_it_wakes(memory: Memory, bench: Bench) -> None:
    memory.write("1-1")
    bench.lease.acquire()
    bench.publisher.start()
    memory.now += LEASE_SECONDS
    Bench(memory).run()
    with pytest.raises(LeaseLost):
        bench.relay._send_batch([memory.rows[0].waiting])
    assert memory.in_log() == ["message-1"]


def test_a_failed_publisher_is_ended_before_the_lease_is_asked_for_again(memory: Memory, bench: Bench) -> None:
    """With the lease the guard opens: what the old producer still holds must be gone by then."""
    memory.write("1-1")
    bench.publisher.failures = ["nothing written"]
    acquire = bench.lease.acquire

    def noting() -> dict[str, int] | None:
        bench.publisher.calls.append("acquire")
        return acquire()

    bench.lease.acquire = noting  # type: ignore[method-assign]
    bench.run()
    assert bench.publisher.calls[:6] == ["acquire", "start", "publish", "stop", "acquire", "start"]


# -- everything at once ----------------------------------------------------------------------------------------------


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    keys=st.lists(st.sampled_from(["1-1", "1-2", "2-1"]), min_size=1, max_size=12),
    failures=st.lists(FAILURES, max_size=6),
    lost_commits=st.lists(st.booleans(), max_size=12),
    batch=st.integers(1, 5),
)
def test_each_message_enters_the_log_once_whatever_fails(
    monkeypatch: pytest.MonkeyPatch, keys: list[str], failures: list[str], lost_commits: list[bool], batch: int
) -> None:
    with monkeypatch.context() as patch:
        memory = Memory()
        install(patch, memory)
        patch.setattr(shared.relay, "BATCH_MESSAGES", batch)
        memory.write(*keys)
        bench = Bench(memory)
        bench.publisher.failures = list(failures)
        memory.commits_fail = list(lost_commits)
        bench.run()
        Bench(memory).run()  # the last mark may have been lost with the stop
        _is_whole(memory)
