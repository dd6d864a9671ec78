"""The line before a match: order, pace, one place a person, and 2,000 buyers against a site that serves 50 a second."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from benchmarks.figures import percentile
from reservations.waiting_room.domain import (
    Answer,
    Ask,
    Op,
    Room,
    Terms,
    Verdict,
    estimate_seconds,
    interval_of,
    poll_seconds,
    step,
)

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND
TERMS = Terms(
    interval=interval_of(10),
    capacity=5,
    burst=SECOND,
    absent=30 * SECOND,
    admission=120 * SECOND,
    settle=0,
    linger=60 * SECOND,
    places_max=1000,
    address_max=3,
    claim=60 * SECOND,
    keep=600 * SECOND,
)
CLOSED = replace(TERMS, capacity=0)  # nobody is let in


@dataclass
class Line:
    """A room with its clock."""

    terms: Terms = TERMS
    room: Room = field(default_factory=Room)
    now: int = NOW

    def ask(self, op: Op, place_id: str = "", **more: object) -> Answer:
        return step(self.room, self.terms, Ask(op, place_id, **more), self.now)  # type: ignore[arg-type]

    def enter(self, name: str, address: str = "") -> Answer:
        return self.ask(Op.ENTER, f"place-{name}", holder=name, address=address)

    def look(self, taken: Answer, holder: str = "", address: str = "") -> Answer:
        return self.ask(Op.LOOK, taken.place_id, number=taken.number, holder=holder, address=address)

    def claim(self, taken: Answer, tag: str = "a") -> Verdict:
        return self.ask(Op.CLAIM, taken.place_id, number=taken.number, tag=tag).verdict


def test_who_comes_first_is_let_in_first_whoever_asks_first() -> None:
    line = Line(replace(CLOSED))
    taken = [line.enter(f"b{number}") for number in range(20)]
    line.terms = replace(TERMS, capacity=7)
    line.now += SECOND
    for each in reversed(taken):
        line.look(each)
    assert [line.look(each).verdict for each in taken] == [Verdict.ADMITTED] * 7 + [Verdict.WAITING] * 13
    assert [line.look(each).position for each in taken[7:]] == list(range(1, 14))


def test_admissions_keep_the_pace_and_catch_up_a_second_at_most() -> None:
    line = Line(replace(TERMS, capacity=1000))
    taken = [line.enter(f"b{number}") for number in range(100)]
    assert line.look(taken[0]).inside == 11, "a second's worth at once, and the one that is due"
    line.now += 500_000
    assert line.look(taken[99]).inside == 16
    line.now += 20 * SECOND
    assert line.look(taken[99]).inside == 27


def test_so_many_are_inside_and_a_purchase_makes_room() -> None:
    line = Line()
    taken = [line.enter(f"b{number}") for number in range(8)]
    line.now += 5 * SECOND
    assert line.look(taken[5]).verdict is Verdict.WAITING
    assert line.claim(taken[0]) is Verdict.PASSED
    assert line.look(taken[5]).verdict is Verdict.WAITING, "not before it is used"
    line.ask(Op.SETTLE, taken[0].place_id, tag="a")
    assert line.look(taken[5]).verdict is Verdict.ADMITTED
    assert line.look(taken[0]).verdict is Verdict.USED


def test_a_person_has_one_place_in_all_tabs() -> None:
    line = Line(CLOSED)
    first, other = line.enter("ada"), line.enter("bob")
    again = line.ask(Op.ENTER, "place-of-another-tab", holder="ada")
    assert (again.place_id, again.number, again.position) == (first.place_id, first.number, 1)
    assert other.position == 2
    assert again.waiting == 2


def test_guests_behind_one_address_have_few_places_and_get_new_ones_when_old_ones_end() -> None:
    line = Line(CLOSED)
    for number in range(3):
        assert line.enter(f"b{number}", "192.0.2.1").verdict is Verdict.WAITING
    assert line.enter("b3", "192.0.2.1").verdict is Verdict.CROWDED
    assert line.enter("b1", "192.0.2.1").verdict is Verdict.WAITING, "who has one keeps it"
    assert line.enter("b3", "192.0.2.2").verdict is Verdict.WAITING
    line.now += TERMS.absent
    assert line.enter("b4", "192.0.2.1").verdict is Verdict.WAITING


def test_who_does_not_ask_any_more_loses_the_place_and_the_line_moves() -> None:
    line = Line(CLOSED)
    gone, here = line.enter("gone"), line.enter("here")
    for _ in range(4):
        line.now += 10 * SECOND
        seen = line.look(here)
    assert (seen.position, seen.waiting) == (1, 1)
    assert line.look(gone).verdict is Verdict.EXPIRED
    assert line.enter("gone").position == 2, "and has to begin behind"


def test_who_asks_at_the_last_moment_is_still_there() -> None:
    line = Line(CLOSED)
    taken = line.enter("late")
    line.now += TERMS.absent + 1
    assert line.look(taken).verdict is Verdict.WAITING


def test_an_admission_ends_and_may_be_used_once() -> None:
    line = Line()
    taken, lazy = line.enter("a"), line.enter("lazy")
    assert line.claim(taken, "one") is Verdict.PASSED
    assert line.claim(taken, "two") is Verdict.BUSY
    assert line.claim(taken, "one") is Verdict.PASSED, "the same request, repeated"
    line.ask(Op.RELEASE, taken.place_id, tag="one")
    assert line.claim(taken, "two") is Verdict.PASSED, "what failed may be tried again"
    line.ask(Op.SETTLE, taken.place_id, tag="two")
    assert line.claim(taken, "three") is Verdict.USED
    assert line.claim(taken, "two") is Verdict.REPEATED
    line.now += TERMS.admission
    assert line.claim(lazy) is Verdict.EXPIRED


def test_a_release_of_another_request_frees_nothing() -> None:
    line = Line()
    taken = line.enter("a")
    line.claim(taken, "one")
    line.ask(Op.RELEASE, taken.place_id, tag="two")
    assert line.claim(taken, "two") is Verdict.BUSY
    line.now += TERMS.claim
    assert line.claim(taken, "two") is Verdict.PASSED, "a request that never ended is not waited for"


def test_after_a_loss_of_everything_tokens_bring_the_old_order_back() -> None:
    line = Line(replace(CLOSED, settle=5 * SECOND))
    taken = [line.enter(f"b{number}") for number in range(10)]
    line.room, line.now = Room(), line.now + SECOND
    newcomer = line.enter("newcomer")
    order = list(range(10))
    random.Random(7).shuffle(order)
    for number in order:
        assert line.look(taken[number], f"b{number}").verdict is Verdict.WAITING
    assert [line.look(each, f"b{number}").position for number, each in enumerate(taken)] == list(range(1, 11))
    assert line.look(newcomer).position == 11


def test_a_room_that_has_lost_all_lets_nobody_in_until_the_others_had_time_to_come_back() -> None:
    line = Line(replace(TERMS, settle=5 * SECOND))
    old = line.enter("old")
    line.room, line.now = Room(), line.now + SECOND
    assert line.enter("newcomer").verdict is Verdict.WAITING
    line.now += 4 * SECOND
    assert line.look(old, "old").position == 1
    line.now += SECOND
    assert line.look(old, "old").verdict is Verdict.ADMITTED


def test_a_rebuilt_place_stands_for_its_holders_newer_one() -> None:
    line = Line(CLOSED)
    old, other = line.enter("ada"), line.enter("bob")
    line.room, line.now = Room(), line.now + SECOND
    line.look(other, "bob")
    newer = line.ask(Op.ENTER, "newer", holder="ada")
    assert newer.position == 2
    assert line.look(old, "ada").position == 1
    assert line.look(newer).verdict is Verdict.EXPIRED
    assert line.look(old, "ada").waiting == 2


def test_places_that_were_collected_do_not_all_come_back_through_one_address() -> None:
    line = Line(CLOSED)
    taken = [line.enter(f"b{number}", "192.0.2.1" if number < 3 else "192.0.2.2") for number in range(6)]
    line.room, line.now = Room(), line.now + SECOND
    verdicts = [line.look(each, f"b{number}", "192.0.2.1").verdict for number, each in enumerate(taken)]
    assert verdicts == [Verdict.WAITING] * 3 + [Verdict.CROWDED] * 3


def test_a_place_of_this_room_that_ended_is_not_rebuilt() -> None:
    line = Line()
    taken = line.enter("a")
    line.ask(Op.SETTLE, taken.place_id, tag="x")
    assert line.look(taken, "a").verdict is Verdict.USED
    line.now += TERMS.keep
    assert line.look(taken, "a").verdict is Verdict.EXPIRED


def test_an_automatic_room_opens_in_a_rush_and_closes_a_while_after_its_line_was_empty() -> None:
    line = Line(replace(TERMS, capacity=1))

    def watch(pressed: bool = False) -> bool:
        return line.ask(Op.WATCH, always_on=False, pressed=pressed).is_on

    assert not watch()
    assert line.ask(Op.ENTER, "x", holder="x", always_on=False).verdict is Verdict.OPEN
    assert watch(pressed=True)
    line.ask(Op.ENTER, "a", holder="a", always_on=False)
    line.ask(Op.ENTER, "b", holder="b", always_on=False)
    for _ in range(20):
        line.now += 10 * SECOND
        line.ask(Op.LOOK, "b", always_on=False)
        assert watch() or not line.room.line
    line.ask(Op.SETTLE, "a", tag="x", always_on=False)
    assert not line.room.line
    line.now += TERMS.linger
    assert not watch()


def test_a_full_room_takes_nobody_more() -> None:
    line = Line(replace(CLOSED, places_max=2))
    assert [line.enter(name).verdict for name in "abc"] == [Verdict.WAITING, Verdict.WAITING, Verdict.FULL]


def test_a_clock_that_goes_back_turns_no_order_round() -> None:
    line = Line(CLOSED)
    first = line.enter("first")
    line.now -= 3600 * SECOND
    second = line.enter("second")
    assert (line.look(first).position, line.look(second).position) == (1, 2)


def test_the_estimate_is_by_the_pace_that_is_set_or_the_slower_one_that_is_measured() -> None:
    line = Line()
    taken = [line.enter(f"b{number}") for number in range(40)]
    assert estimate_seconds(line.look(taken[39]), TERMS.interval) == 4
    for number in range(20):  # one purchase in two seconds, where ten a second could be let in
        line.now += 2 * SECOND
        line.ask(Op.SETTLE, taken[number].place_id, tag="x")
        for each in taken[20:]:
            line.look(each)
    seen = line.look(taken[39])
    assert 0.8 * seen.position * 2 <= estimate_seconds(seen, TERMS.interval) <= 1.2 * seen.position * 2
    assert [poll_seconds(seconds) for seconds in (0, 3, 8, 600)] == [1, 3, 8, 10]


# -- whatever happens, in any order ------------------------------------------------------------------------------------

names = st.sampled_from([f"b{number}" for number in range(8)])
tags = st.sampled_from(["one", "two"])


class Buyers(RuleBasedStateMachine):
    """Eight people who do what they like; Redis may lose everything."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(replace(TERMS, capacity=2, settle=SECOND))
        self.taken: dict[str, Answer] = {}
        self.passed: list[tuple[str, str]] = []

    @rule(name=names)
    def enter(self, name: str) -> None:
        answer = self.line.ask(Op.ENTER, f"{name}-{self.line.now}", holder=name, address="192.0.2.1")
        if answer.verdict in (Verdict.WAITING, Verdict.ADMITTED):
            self.taken[name] = answer

    @rule(name=names)
    def look(self, name: str) -> None:
        if name in self.taken:
            self.line.look(self.taken[name], name, "192.0.2.1")

    @rule(name=names, tag=tags)
    def buy(self, name: str, tag: str) -> None:
        taken = self.taken.get(name)
        if taken is not None and self.line.claim(taken, tag) is Verdict.PASSED:
            self.line.ask(Op.SETTLE, taken.place_id, tag=tag)
            assert self.line.claim(taken, "another") is Verdict.USED

    @rule(name=names, tag=tags)
    def fail(self, name: str, tag: str) -> None:
        taken = self.taken.get(name)
        if taken is not None and self.line.claim(taken, tag) is Verdict.PASSED:
            self.line.ask(Op.RELEASE, taken.place_id, tag=tag)

    @rule(seconds=st.sampled_from([0.05, 1, 29, 31, 130]))
    def wait(self, seconds: float) -> None:
        self.line.now += round(seconds * SECOND)

    @rule()
    def lose_everything(self) -> None:
        self.line.room = Room()

    @invariant()
    def nobody_has_two_places_and_nothing_is_kept_of_nobody(self) -> None:
        room = self.line.room
        living = [*room.line, *room.inside]
        assert len(living) == len(set(living)) <= 8
        holders = [room.about[place_id][1] for place_id in living]
        assert len(holders) == len(set(holders))
        assert set(room.about) == set(living)
        assert set(room.seen) == set(room.line)
        assert sum(room.addresses.values()) == sum(bool(address) for _, _, address in room.about.values())
        assert set(room.claims) <= set(room.inside)
        assert len(room.inside) <= self.line.terms.capacity
        assert not set(room.used) & set(living)


TestBuyers = Buyers.TestCase


@given(st.lists(st.integers(1, 3_000_000), min_size=2, max_size=30), st.integers(1, 5))
def test_admissions_come_in_the_order_of_arrival(gaps: list[int], capacity: int) -> None:
    line = Line(replace(TERMS, capacity=capacity))
    let_in: list[str] = []
    taken: list[Answer] = []
    for number, gap in enumerate(gaps):
        line.now += gap
        taken.append(line.enter(f"b{number}"))
        for each in taken:
            if each.place_id not in let_in and line.look(each).verdict is Verdict.ADMITTED:
                let_in.append(each.place_id)
    assert let_in == [each.place_id for each in taken][: len(let_in)]


# -- 2,000 buyers ------------------------------------------------------------------------------------------------------


class Site:
    """Serves 50 a second, one after the other; tells how long each had to wait."""

    SERVICE = SECOND // 50

    def __init__(self) -> None:
        self.free_at = 0
        self.answered: list[float] = []

    def serve(self, now: int) -> int:
        self.free_at = max(now, self.free_at) + self.SERVICE
        self.answered.append((self.free_at - now) / SECOND)
        return self.free_at


class Rush:
    """Buyers who come within 20 s, ask again as they are told, think for a moment once they are let in, and buy."""

    BUYERS, ARRIVAL_SECONDS = 2000, 20

    def __init__(self, seed: int, lost_at: int | None = None) -> None:
        self.random, self.site, self.numbers = random.Random(seed), Site(), count()
        plan = {"interval": interval_of(45), "capacity": 200, "settle": 12 * SECOND}
        self.line = Line(replace(TERMS, **plan, address_max=10**6, places_max=10**6))
        self.heap: list[tuple[int, int, Callable[[], None]]] = []
        self.arrived: list[str] = []
        self.let_in: list[tuple[int, str]] = []
        self.bought: list[str] = []
        self.lost_at = lost_at

    def at(self, moment: int, do: Callable[[], None]) -> None:
        heapq.heappush(self.heap, (moment, next(self.numbers), do))

    def run(self) -> None:
        for number in range(self.BUYERS):
            moment = NOW + self.random.randrange(self.ARRIVAL_SECONDS * SECOND)
            self.at(moment, partial(self.come, f"b{number}"))
        if self.lost_at is not None:
            self.at(NOW + self.lost_at, self.lose)
        while self.heap:
            self.line.now, _, do = heapq.heappop(self.heap)
            do()

    def lose(self) -> None:
        self.line.room = Room()

    def come(self, name: str) -> None:
        taken = self.line.enter(name, "192.0.2.1")
        self.arrived.append(name)
        self.follow(name, taken, taken)

    def follow(self, name: str, taken: Answer, seen: Answer) -> None:
        if seen.verdict is Verdict.ADMITTED:
            self.let_in.append((seen.until, name))
            self.at(self.line.now + self.random.randrange(3 * SECOND), lambda: self.hold(name, taken))
            return
        assert seen.verdict is Verdict.WAITING, seen
        estimate = estimate_seconds(seen, self.line.terms.interval)
        pause = poll_seconds(estimate) * SECOND + self.random.randrange(SECOND // 2)
        self.at(self.line.now + pause, lambda: self.follow(name, taken, self.line.look(taken, name, "192.0.2.1")))

    def hold(self, name: str, taken: Answer) -> None:
        asked = self.line.ask(Op.CLAIM, taken.place_id, number=taken.number, holder=name, tag=name)
        if asked.verdict is not Verdict.PASSED:
            # Let in before everything was lost: back in the line, at the old place.
            assert self.lost_at is not None
            self.follow(name, taken, asked)
            return
        self.at(self.site.serve(self.line.now), lambda: self.done(name, taken))

    def done(self, name: str, taken: Answer) -> None:
        self.line.ask(Op.SETTLE, taken.place_id, tag=name)
        self.bought.append(name)


def test_2000_buyers_come_through_in_order_and_the_site_stays_quick() -> None:
    rush = Rush(1)
    rush.run()
    assert sorted(rush.bought) == sorted(rush.arrived), "nobody is lost"
    assert len(set(rush.bought)) == Rush.BUYERS
    # Let in together means with the same end of the admission; who came earlier never has a later one.
    ends = {name: until for until, name in rush.let_in}
    assert [ends[name] for name in rush.arrived] == sorted(ends.values())
    assert rush.line.room.line == rush.line.room.inside == {}
    ordered = sorted(rush.site.answered)
    first, last = rush.site.answered[: Rush.BUYERS // 4], rush.site.answered[-Rush.BUYERS // 4 :]
    assert percentile(ordered, 0.99) < 1.0
    assert percentile(sorted(last), 0.95) < 2 * percentile(sorted(first), 0.95) + 0.1, "as quick at the end"


def test_without_a_waiting_room_the_same_buyers_wait_at_the_site() -> None:
    # What the test above would see of a site that everybody reaches at once.
    site, chance = Site(), random.Random(0)
    for moment in sorted(chance.randrange(Rush.ARRIVAL_SECONDS * SECOND) for _ in range(Rush.BUYERS)):
        site.serve(NOW + moment)
    assert percentile(sorted(site.answered), 0.99) > 15


def test_2000_buyers_come_through_although_everything_is_lost_in_the_middle() -> None:
    rush = Rush(5, lost_at=25 * SECOND)
    rush.run()
    assert sorted(rush.bought) == sorted(rush.arrived)
    assert len(set(rush.bought)) == Rush.BUYERS
    # Who was let in after the loss was so in the order in which all had come.
    after = [(until, name) for until, name in rush.let_in if until > NOW + 25 * SECOND + TERMS.admission]
    ends: dict[str, int] = {}
    for until, name in after:
        ends[name] = max(until, ends.get(name, 0))
    assert [ends[name] for name in rush.arrived if name in ends] == sorted(ends.values())
    assert percentile(sorted(rush.site.answered), 0.99) < 1.0
