"""The waiting room's script on a real Valkey, against the model."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matchday.servers import Valkey
from reservations.waiting_room.domain import Ask, Op, Room, Terms, Verdict, step
from reservations.waiting_room.store import RedisRooms
from shared.errors import DependencyUnavailable
from tests.eventually import eventually

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND
SECONDS_MAX = 2.0
TERMS = Terms(
    interval=SECOND // 3,
    capacity=2,
    burst=SECOND,
    absent=10 * SECOND,
    admission=30 * SECOND,
    settle=2 * SECOND,
    linger=15 * SECOND,
    places_max=5,
    address_max=3,
    claim=20 * SECOND,
    keep=60 * SECOND,
)


@pytest.fixture
def rooms(redis_url: str) -> Iterator[RedisRooms]:
    rooms = RedisRooms(redis_url, SECONDS_MAX)
    yield rooms
    rooms.close()


people = st.sampled_from(["ada", "bob", "eve", "joe", "liz", "max", "sue"])
# What a person does; a place is named after its holder, and shown with the number that it was given, or an older one.
deeds = st.tuples(
    st.sampled_from([Op.ENTER, Op.ENTER, Op.LOOK, Op.LOOK, Op.CLAIM, Op.SETTLE, Op.RELEASE, Op.WATCH]),
    people,
    st.sampled_from(["", "192.0.2.1", "192.0.2.2"]),
    st.sampled_from(["one", "two"]),
    st.sampled_from([True, True, True, False]),
    st.booleans(),
    st.sampled_from([0, 0, 0, -3600 * SECOND]),
)
pauses = st.one_of(st.just(0), st.integers(0, 12 * SECOND), st.integers(-SECOND, SECOND))


@given(st.lists(st.tuples(pauses, deeds), max_size=60), st.booleans())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_script_does_what_the_model_says(
    redis_url: str, taken: list[tuple[int, tuple[Op, str, str, str, bool, bool, int]]], always: bool
) -> None:
    rooms = RedisRooms(redis_url, SECONDS_MAX, secrets.token_hex(6))
    room, now = Room(), NOW
    numbers: dict[str, int] = {}
    for pause, (op, name, address, tag, shown, pressed, older) in taken:
        now += pause
        place = f"place-{name}" if shown or op in (Op.ENTER, Op.SETTLE) else ""
        ask = Ask(op, place, numbers.get(name, now) + older, name, address, tag, always, pressed)
        ours = step(room, TERMS, ask, now)
        assert rooms.ask(7, TERMS, ask, now) == ours
        numbers[name] = ours.number
    rooms.close()


def test_those_who_come_at_once_get_one_line(rooms: RedisRooms) -> None:
    terms = replace(TERMS, places_max=1000)

    def enter(number: int) -> int:
        return rooms.ask(7, terms, Ask(Op.ENTER, f"p{number}", holder=f"b{number % 100}")).position

    with ThreadPoolExecutor(8) as pool:
        positions = list(pool.map(enter, range(200)))
    assert sorted(set(positions)) == list(range(1, 101)), "a hundred people, each twice"


def test_one_place_is_used_by_one_request(rooms: RedisRooms) -> None:
    terms = replace(TERMS, settle=0)
    assert rooms.ask(7, terms, Ask(Op.ENTER, "p", holder="b")).verdict is Verdict.ADMITTED
    with ThreadPoolExecutor(8) as pool:
        asks = [Ask(Op.CLAIM, "p", tag=f"request-{number}") for number in range(40)]
        verdicts = list(pool.map(lambda ask: rooms.ask(7, terms, ask).verdict, asks))
    assert sorted(verdicts) == [Verdict.BUSY] * 39 + [Verdict.PASSED]


def test_matches_have_rooms_of_their_own(rooms: RedisRooms) -> None:
    first = rooms.ask(7, TERMS, Ask(Op.ENTER, "p", holder="b"))
    other = rooms.ask(8, TERMS, Ask(Op.ENTER, "q", holder="b"))
    assert (first.position, other.position, other.waiting) == (1, 1, 1)


def test_everything_in_redis_ends_by_itself(rooms: RedisRooms, redis_url: str) -> None:
    terms = replace(TERMS, settle=0, capacity=1)
    for name in ("a", "b", "c"):
        rooms.ask(7, terms, Ask(Op.ENTER, f"p{name}", holder=name, address="192.0.2.1"))
    rooms.ask(7, terms, Ask(Op.CLAIM, "pa", tag="x"))
    rooms.ask(7, terms, Ask(Op.SETTLE, "pa", tag="x"))
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        kept = {key: connection.pttl(key) for key in connection.scan_iter()}
    assert kept.keys() == {f"waiting:{{7}}:{part}" for part in ("facts", "line", "seen", "inside", "used")}
    assert all(0 < ttl <= 3_600_000 for ttl in kept.values())


def test_a_script_that_redis_forgot_is_given_again(rooms: RedisRooms, redis_url: str) -> None:
    rooms.ask(7, TERMS, Ask(Op.WATCH))
    with redis.Redis.from_url(redis_url) as connection:
        connection.script_flush()
    assert rooms.ask(7, TERMS, Ask(Op.WATCH)).verdict is Verdict.NONE


def test_a_redis_that_is_away_is_said_to_be_and_used_again_when_it_is_back(rooms: RedisRooms, valkey: Valkey) -> None:
    rooms.ask(7, TERMS, Ask(Op.WATCH))
    valkey.kill()
    try:
        with pytest.raises(DependencyUnavailable):
            rooms.ask(7, TERMS, Ask(Op.WATCH))
    finally:
        valkey.start()

    def answers() -> bool:
        try:
            return rooms.ask(7, TERMS, Ask(Op.WATCH)).verdict is Verdict.NONE
        except DependencyUnavailable:
            return False

    assert eventually(answers, 10)
