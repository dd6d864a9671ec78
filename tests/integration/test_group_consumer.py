"""Reading as a member of a group: where it begins is the caller's word alone, whatever the group remembers."""

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from matchday.servers import Kafka
from matchday.topics import admin, delete_topics
from shared.errors import DependencyUnavailable
from shared.kafka.consumer import Batch, GroupConsumer
from shared.settings import KafkaSettings
from tests.eventually import eventually

RECORDS = 10
SHORT_MS = 400
TAKE_OVER_SECONDS = 30.0


class Positions:
    """A caller's positions, whose answer can be held back."""

    def __init__(self, positions: dict[int, int]) -> None:
        self.positions = positions
        self.asked = threading.Semaphore(0)
        self.answers = threading.Event()
        self.answers.set()
        self.fail = False

    def __call__(self, partitions: list[int]) -> dict[int, int]:
        self.asked.release()
        assert self.answers.wait(30)
        if self.fail:
            raise DependencyUnavailable("the database is away")
        return {partition: self.positions[partition] for partition in partitions}


@pytest.fixture
def settings(kafka: Kafka) -> KafkaSettings:
    return KafkaSettings.model_validate({"kafka_bootstrap_servers": kafka.bootstrap_servers})


@pytest.fixture
def filled(kafka: Kafka) -> Iterator[str]:
    """A topic of two partitions with ten records each."""
    client = {"bootstrap_servers": kafka.bootstrap_servers}
    topic = f"two-partitions-{secrets.token_hex(6)}"

    async def fill() -> None:
        async with admin(client) as connection:
            await connection.create_topics([NewTopic(topic, 2, 1)])
        async with AIOKafkaProducer(**client) as producer:
            for number in range(2 * RECORDS):
                await producer.send_and_wait(topic, b"%d" % number, partition=number % 2)

    asyncio.run(fill())
    yield topic
    asyncio.run(delete_topics(client, [topic]))


Join = Callable[[str, Positions], GroupConsumer]


@pytest.fixture
def join(settings: KafkaSettings, filled: str) -> Iterator[Join]:
    """Makes members of one group; not started yet."""
    group = f"group-{secrets.token_hex(4)}"
    with contextlib.ExitStack() as members:

        def make(name: str, positions: Positions) -> GroupConsumer:
            member = GroupConsumer(settings, filled, group, name, positions)
            members.callback(member.close)
            members.callback(positions.answers.set)
            return member

        yield make


def read(member: GroupConsumer, count: int) -> list[Batch]:
    """What the member reads until it has so many records."""
    batches: list[Batch] = []

    def enough() -> bool:
        batches.extend(member.poll(100, SHORT_MS))
        return sum(len(batch.records) for batch in batches) >= count

    eventually(enough, what=f"{count} records")
    return batches


def offsets(batches: list[Batch], partition: int) -> list[int]:
    return [record.offset for batch in batches if batch.partition == partition for record in batch.records]


def test_a_member_begins_where_its_caller_stands(join: Join) -> None:
    member = join("1", Positions({0: 3, 1: 8}))
    member.start()
    batches = read(member, 7 + 2)
    assert offsets(batches, 0) == list(range(3, RECORDS))
    assert offsets(batches, 1) == list(range(8, RECORDS))
    for partition, start in ((0, 3), (1, 8)):
        own = [batch for batch in batches if batch.partition == partition]
        assert own[0].start == start
        assert own[-1].end == RECORDS
        assert [batch.start for batch in own[1:]] == [batch.end for batch in own[:-1]]


def test_a_caller_that_takes_its_time_to_say_where_it_stands_is_waited_for(join: Join) -> None:
    positions = Positions({0: 0, 1: 0})
    positions.answers.clear()
    member = join("1", positions)
    member.start()
    assert positions.asked.acquire(timeout=10)
    for _ in range(3):
        assert member.poll(100, SHORT_MS) == []
    positions.answers.set()
    assert len(offsets(read(member, 2 * RECORDS), 0)) == RECORDS


def test_after_a_rebalance_nothing_is_read_from_where_the_group_stands(join: Join) -> None:
    """What is committed to the group lags behind, and is nearer at hand than the caller's database."""
    positions = Positions({0: 0, 1: 0})
    first = join("1", positions)
    first.start()
    read(first, 2 * RECORDS)
    first.tell_group({0: 5, 1: 5})
    positions.positions = {0: RECORDS, 1: RECORDS}
    while positions.asked.acquire(blocking=False):
        pass
    positions.answers.clear()
    second = join("2", Positions({0: RECORDS, 1: RECORDS}))
    joining = threading.Thread(target=second.start)
    joining.start()
    try:
        assert eventually(lambda: first.poll(100, SHORT_MS) or positions.asked.acquire(blocking=False)) is True
        for _ in range(3):
            assert first.poll(100, SHORT_MS) == []
    finally:
        positions.answers.set()
        joining.join(30)
    for _ in range(3):
        assert first.poll(100, SHORT_MS) == []
        assert second.poll(100, SHORT_MS) == []


def test_a_caller_that_cannot_say_where_it_stands_is_told_so(join: Join) -> None:
    positions = Positions({0: 0, 1: 0})
    positions.fail = True
    member = join("1", positions)
    member.start()

    def told() -> bool:
        with pytest.raises(DependencyUnavailable, match="the database is away"):
            assert member.poll(100, SHORT_MS) == []
        return True

    eventually(told)
    member.stop()
    positions.fail = False
    member.start()
    assert len(offsets(read(member, 2 * RECORDS), 1)) == RECORDS


def test_what_a_hung_member_holds_in_its_hands_is_the_successors_to_read(join: Join) -> None:
    """The member's batch begins where the successor began, too: the position in the database lets one of them apply."""
    first = join("1", Positions({0: 0, 1: 0}))
    first.start()
    held = read(first, 2 * RECORDS)
    awake = threading.Event()
    first._loop.loop.call_soon_threadsafe(awake.wait, 60)  # as SIGSTOP would: no heartbeat any more
    second = join("2", Positions({0: 0, 1: 0}))
    second.start()
    try:
        taken: list[Batch] = []

        def all_taken() -> bool:
            taken.extend(second.poll(100, SHORT_MS))
            return sum(len(batch.records) for batch in taken) >= 2 * RECORDS

        eventually(all_taken, TAKE_OVER_SECONDS, "the successor reads everything")
    finally:
        awake.set()
    for partition in (0, 1):
        assert offsets(held, partition) == offsets(taken, partition) == list(range(RECORDS))
