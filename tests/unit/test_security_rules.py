"""The rules of the security engine: buckets, marks, solutions, failures; pure, so that time is what the test says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.engine.rules import Ask, Bucket, Code, Failure, Level, Memory, Ruling, decide, report

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND
HARD = Bucket("hard", SECOND, 3, Level.LIMIT)
SOFT = Bucket("soft", SECOND, 2, Level.CHALLENGE)
FAILURE = Failure("failures", "mark", 60 * SECOND, 2, 4, 600_000, 900_000)


def codes(memory: Memory, ask: Ask, *moments: int) -> list[Code]:
    return [decide(memory, ask, NOW + moment).code for moment in moments]


def test_a_bucket_takes_its_capacity_at_once_and_then_one_an_interval() -> None:
    memory, ask = Memory(), Ask((), (HARD,))
    assert codes(memory, ask, 0, 0, 0, 0) == [Code.ALLOWED] * 3 + [Code.LIMITED]
    assert codes(memory, ask, SECOND - 1, SECOND, SECOND) == [Code.LIMITED, Code.ALLOWED, Code.LIMITED]


def test_who_is_limited_is_told_when_to_come_again_and_is_then_let_in() -> None:
    memory, ask = Memory(), Ask((), (HARD,))
    codes(memory, ask, 0, 0, 0)
    ruling = decide(memory, ask, NOW + 400_000)
    assert (ruling.code, ruling.wait) == (Code.LIMITED, 600_000)
    assert codes(memory, ask, 400_000 + ruling.wait - 1, 400_000 + ruling.wait) == [Code.LIMITED, Code.ALLOWED]


def test_what_is_left_is_that_of_the_narrowest_bucket() -> None:
    memory = Memory()
    ruling = decide(memory, Ask((), (HARD, SOFT)), NOW)
    assert (ruling.bucket, ruling.left, ruling.reset) == (1, 1, SECOND)


def test_the_challenge_comes_before_the_limit() -> None:
    memory, ask = Memory(), Ask((), (SOFT, HARD))
    assert codes(memory, ask, 0, 0, 0) == [Code.ALLOWED, Code.ALLOWED, Code.SUSPECT]


def test_a_limit_counts_more_than_a_challenge_whatever_their_order() -> None:
    memory, only_hard = Memory(), Ask((), (HARD,))
    codes(memory, only_hard, 0, 0, 0)
    codes(memory, Ask((), (SOFT,)), 0, 0)
    assert decide(memory, Ask((), (SOFT, HARD)), NOW).code is Code.LIMITED


def test_what_is_refused_takes_nothing() -> None:
    memory = Memory()
    codes(memory, Ask((), (SOFT,)), 0, 0)
    assert codes(memory, Ask((), (HARD, SOFT)), *[0] * 5) == [Code.SUSPECT] * 5
    assert codes(memory, Ask((), (HARD,)), 0, 0, 0, 0) == [Code.ALLOWED] * 3 + [Code.LIMITED]


def test_a_solution_counts_once() -> None:
    memory, ask = Memory(), Ask((), (), excused=True, once="solution", once_ms=300_000)
    assert codes(memory, ask, 0, 0, 299 * SECOND, 300 * SECOND) == [
        Code.ALLOWED, Code.REPLAYED, Code.REPLAYED, Code.ALLOWED,
    ]  # fmt: skip


def test_a_solution_is_not_used_up_by_a_request_that_is_refused() -> None:
    memory = Memory()
    codes(memory, Ask((), (HARD,)), 0, 0, 0)
    ask = Ask((), (HARD,), excused=True, once="solution", once_ms=300_000)
    assert codes(memory, ask, 0, SECOND) == [Code.LIMITED, Code.ALLOWED]


def test_failures_first_bring_the_challenge_and_then_a_ban_that_ends() -> None:
    memory, ask = Memory(), Ask(("mark",), ())
    seen = []
    for _ in range(6):
        report(memory, [FAILURE], NOW)
        seen.append(decide(memory, ask, NOW).code)
    assert seen == [Code.ALLOWED] * 2 + [Code.MARKED] * 2 + [Code.BANNED] * 2
    assert decide(memory, ask, NOW).wait == 900 * SECOND
    assert codes(memory, ask, 900 * SECOND - 1, 900 * SECOND) == [Code.BANNED, Code.ALLOWED]


def test_who_has_solved_a_challenge_is_excused_from_a_mark_and_not_from_a_ban() -> None:
    memory, excused = Memory(), Ask(("mark",), (), excused=True)
    for _ in range(3):
        report(memory, [FAILURE], NOW)
    assert decide(memory, excused, NOW).code is Code.ALLOWED
    for _ in range(2):
        report(memory, [FAILURE], NOW)
    assert decide(memory, excused, NOW).code is Code.BANNED


def test_a_ban_is_found_behind_a_mark() -> None:
    memory = Memory()
    memory.now = NOW
    memory.keep("first", 1, 1000)
    memory.keep("second", 2, 1000)
    ruling = decide(memory, Ask(("first", "second"), ()), NOW)
    assert (ruling.code, ruling.index) == (Code.BANNED, 1)


def test_failures_long_ago_are_forgotten() -> None:
    memory, ask = Memory(), Ask(("mark",), ())
    for minute in range(20):
        report(memory, [FAILURE], NOW + minute * 60 * SECOND)
    assert decide(memory, ask, NOW + 20 * 60 * SECOND).code is Code.ALLOWED


@given(st.lists(st.integers(0, 3 * SECOND), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_no_window_lets_more_in_than_capacity_and_one_an_interval(pauses: list[int], capacity: int, cost: int) -> None:
    bucket = Bucket("b", SECOND // 2, capacity, Level.LIMIT, min(cost, capacity))
    memory, moment, taken = Memory(), NOW, []
    for pause in pauses:
        moment += pause
        if decide(memory, Ask((), (bucket,)), moment).code is Code.ALLOWED:
            taken.append(moment)
    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            cells = (last - first + 1) * bucket.cost
            assert cells <= capacity + (taken[last] - begin) / bucket.interval + 1e-9


@given(st.lists(st.integers(0, 3 * SECOND), max_size=60))
def test_who_keeps_to_the_pace_is_never_limited(pauses: list[int]) -> None:
    memory, moment = Memory(), NOW
    for pause in pauses:
        moment += SECOND + pause
        assert decide(memory, Ask((), (HARD,)), moment).code is Code.ALLOWED


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    memory, ask = Memory(), Ask((), (HARD,))
    assert codes(memory, ask, 10 * SECOND, 10 * SECOND, 10 * SECOND, 0) == [Code.ALLOWED] * 3 + [Code.LIMITED]


def test_memory_stays_small_and_forgets_what_is_over_first() -> None:
    memory = Memory(size=100)
    memory.now = NOW
    for number in range(90):
        memory.keep(f"over-{number}", 1, 0)
    memory.keep("kept", 7, 60_000)
    for number in range(1000):
        memory.keep(f"more-{number}", 1, 0)
    assert len(memory) <= 100
    assert memory.get("kept") == 7
    for number in range(1000):
        memory.keep(f"long-{number}", 1, 60_000)
    assert len(memory) <= 100


@pytest.mark.parametrize(("interval", "capacity", "cost"), [(0, 1, 1), (1, 1, 2), (1, 0, 0), (-1, 1, 1), (1, 1, 0)])
def test_a_bucket_that_can_take_nothing_is_a_mistake(interval: int, capacity: int, cost: int) -> None:
    with pytest.raises(ValueError, match="take nothing"):
        Bucket("b", interval, capacity, Level.LIMIT, cost)


def test_nothing_to_decide_by_is_allowed() -> None:
    assert decide(Memory(), Ask((), ()), NOW) == Ruling(Code.ALLOWED)
