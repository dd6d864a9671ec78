"""One suite for both places where the engine keeps its numbers; and the scripts on a real Valkey against the model."""

import secrets
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matchday.servers import Valkey
from security.engine import rules
from security.engine.rules import Ask, Bucket, Code, Failure, Level, Memory
from security.engine.store import STREAM, LocalStore, RedisStore, Store, StoreUnavailable
from tests.eventually import eventually

SECONDS_MAX = 2.0
HOUR = 3600 * 1_000_000
NOW = 1_700_000_000 * 1_000_000
MakeStore = Callable[[], Store]


@pytest.fixture
def real(redis_url: str) -> Iterator[RedisStore]:
    store = RedisStore(redis_url, SECONDS_MAX)
    yield store
    store.close()


@pytest.fixture(params=["this process alone", "Valkey"])
def store(request: pytest.FixtureRequest) -> Store:
    return LocalStore() if request.param == "this process alone" else request.getfixturevalue("real")


def bucket(name: str, capacity: int, level: Level = Level.LIMIT) -> Bucket:
    return Bucket(name, HOUR, capacity, level)


def test_requests_at_once_get_exactly_what_the_bucket_holds(store: Store) -> None:
    ask = Ask((), (bucket("b", 50),))
    with ThreadPoolExecutor(8) as pool:
        seen = Counter(ruling.code for ruling in pool.map(lambda _: store.decide(ask), range(200)))
    assert seen == {Code.ALLOWED: 50, Code.LIMITED: 150}


def test_a_solution_sent_many_times_at_once_counts_once(store: Store) -> None:
    ask = Ask((), (), excused=True, once="solution", once_ms=60_000)
    with ThreadPoolExecutor(8) as pool:
        seen = Counter(ruling.code for ruling in pool.map(lambda _: store.decide(ask), range(50)))
    assert seen == {Code.ALLOWED: 1, Code.REPLAYED: 49}


def test_failures_bring_first_a_mark_and_then_a_ban(store: Store) -> None:
    failure = Failure("failures", "mark", HOUR, 1, 3, 60_000, 60_000)
    seen = []
    for _ in range(4):
        store.report([failure], NOW)
        seen.append(store.decide(Ask(("mark",), ()), NOW).code)
    assert seen == [Code.ALLOWED, Code.MARKED, Code.MARKED, Code.BANNED]
    assert 0 < store.decide(Ask(("mark",), ()), NOW).wait <= 60_000_000


def test_a_store_with_a_clock_of_its_own_lets_in_again_when_the_time_has_come(store: Store) -> None:
    ask = Ask((), (Bucket("b", 1_500_000, 1, Level.LIMIT),))
    assert store.decide(ask).code is Code.ALLOWED
    assert store.decide(ask).code is Code.LIMITED
    eventually(lambda: store.decide(ask).code is Code.ALLOWED)


asks = st.builds(
    Ask,
    marks=st.lists(st.sampled_from(["m1", "m2", "m3"]), max_size=3, unique=True),
    buckets=st.lists(
        st.builds(
            Bucket,
            key=st.sampled_from(["b1", "b2", "b3"]),
            interval=st.sampled_from([1_000_000, 7_300_001, 60_000_000]),
            capacity=st.integers(2, 4),
            level=st.sampled_from(list(Level)),
            cost=st.integers(1, 2),
        ),
        max_size=3,
        unique_by=lambda made: made.key,
    ),
    excused=st.booleans(),
    once=st.sampled_from(["", "", "s1", "s2"]),
    once_ms=st.just(86_400_000),
    verdict=st.sampled_from([Code.ALLOWED] * 8 + [Code.LISTED]),
)
failures = st.lists(
    st.builds(
        Failure,
        key=st.sampled_from(["f1", "f2"]),
        mark=st.sampled_from(["m1", "m2", "m3"]),
        interval=st.sampled_from([1_000_000, 60_000_000]),
        soft=st.integers(1, 2),
        hard=st.integers(3, 4),
        mark_ms=st.just(86_400_000),
        ban_ms=st.just(86_400_000),
    ),
    min_size=1,
    max_size=2,
)
pauses = st.one_of(st.just(0), st.integers(0, 20_000_000))
steps = st.lists(st.tuples(pauses, st.one_of(asks, failures)), max_size=40)


@given(steps)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_scripts_do_what_the_model_says(real: RedisStore, taken: list[tuple[int, Ask | list[Failure]]]) -> None:
    # Names of their own, so that an example finds nothing of the one before.
    prefix, memory, now = secrets.token_hex(8), Memory(), NOW
    for pause, step in taken:
        now += pause
        if isinstance(step, Ask):
            ask = _named(step, prefix)
            ours, theirs = rules.decide(memory, ask, now), real.decide(ask, now)
            if ours.code is Code.BANNED:  # how long it lasts is told by the server's own clock
                ours, theirs = replace(ours, wait=0), replace(theirs, wait=0)
            assert theirs == ours
        else:
            named = [_renamed(failure, prefix) for failure in step]
            rules.report(memory, named, now)
            real.report(named, now)


def _named(ask: Ask, prefix: str) -> Ask:
    buckets = [Bucket(prefix + b.key, b.interval, b.capacity, b.level, b.cost) for b in ask.buckets]
    once = ask.once and prefix + ask.once
    return replace(ask, marks=[prefix + mark for mark in ask.marks], buckets=buckets, once=once)


def _renamed(failure: Failure, prefix: str) -> Failure:
    return Failure(
        prefix + failure.key, prefix + failure.mark, failure.interval, failure.soft, failure.hard,
        failure.mark_ms, failure.ban_ms,
    )  # fmt: skip


def test_a_refusal_is_written_down_and_an_ordinary_request_only_when_asked(real: RedisStore, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        plain = Ask((), (bucket("b", 2),), note=b"plain")
        real.decide(plain)
        assert connection.xlen(STREAM) == 0
        real.decide(Ask((), (bucket("b", 2),), always=True, note=b"telling"))
        real.decide(plain)
        entries = [entry for _, entry in connection.xrange(STREAM)]
    assert entries == [{"c": "0", "i": "0", "d": "telling"}, {"c": "4", "i": "0", "d": "plain"}]


def test_everything_in_redis_ends_by_itself(real: RedisStore, redis_url: str) -> None:
    real.decide(Ask(("m",), (bucket("b", 2),), excused=True, once="s", once_ms=1000))
    real.report([Failure("f", "m", HOUR, 0, 2, 1000, 1000)])
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        kept = {key: connection.pttl(key) for key in connection.scan_iter()}
    assert kept.keys() == {"b", "s", "f", "m"}
    assert all(ttl > 0 for ttl in kept.values())


def test_scripts_that_redis_forgot_are_given_again(real: RedisStore, redis_url: str) -> None:
    ask = Ask((), (bucket("b", 5),))
    real.decide(ask)
    with redis.Redis.from_url(redis_url) as connection:
        connection.script_flush()
    assert real.decide(ask).left == 3


def test_a_redis_that_was_started_anew_is_asked_again_at_once(real: RedisStore, valkey: Valkey) -> None:
    ask = Ask((), (bucket("b", 5),))
    real.decide(ask)
    valkey.restart()
    assert real.decide(ask).code is Code.ALLOWED


def test_a_redis_that_is_away_is_said_to_be(real: RedisStore, valkey: Valkey) -> None:
    real.decide(Ask((), ()))
    valkey.kill()
    try:
        with pytest.raises(StoreUnavailable):
            real.decide(Ask((), ()))
    finally:
        valkey.start()
    assert real.decide(Ask((), ())).code is Code.ALLOWED


def test_a_redis_that_hangs_is_not_waited_for_and_its_late_answer_is_nobodys(redis_url: str, valkey: Valkey) -> None:
    store = RedisStore(redis_url, 0.1)
    ask = Ask((), (bucket("b", 5),))
    store.decide(ask)
    assert valkey.process is not None
    valkey.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable):
            store.decide(ask)
    finally:
        valkey.process.send_signal(signal.SIGCONT)
    # A challenge's answer differs from the late one.
    assert eventually(lambda: store.decide(Ask((), (bucket("c", 9),)))).left == 8
    store.close()


def test_connections_are_shared_and_none_is_used_twice_at_once(real: RedisStore) -> None:
    gate = threading.Barrier(8)

    def many(number: int) -> list[int]:
        gate.wait()
        ask = Ask((), (bucket(f"own-{number}", 100),))
        return [real.decide(ask).left for _ in range(50)]

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(many, range(8)))
    assert seen == [list(range(99, 49, -1))] * 8
