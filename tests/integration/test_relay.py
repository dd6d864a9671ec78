"""The relay on a real broker and a real database: each message enters the log once, whatever dies, hangs or returns.

RELAY_SEED=7 replays the moments of one run; they are printed when a test fails.
"""

import asyncio
import os
import random
import secrets
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from matchday.run import Run
from matchday.servers import Kafka, Postgres
from matchday.topics import TOPIC_SETTINGS, admin, delete_topics
from tests.eventually import eventually
from tests.relays import RelayProcess, Stage, Writer, new_message, write
from tests.resources import Databases

SEED = int(os.environ.get("RELAY_SEED", "1"))
PARTITIONS = 3
SAID_SECONDS = 60.0
LINES_MAX = 500  # of a log, after an outage of some seconds
MakeStage = Callable[[], Stage]


@pytest.fixture
def make_stage(server_run: Run, databases: Databases, kafka: Kafka, tmp_path: Path) -> Iterator[MakeStage]:
    """Outboxes and topics (of three partitions) for relays; whatever runs at the end is ended."""
    stages: list[Stage] = []
    client = {"bootstrap_servers": kafka.bootstrap_servers}

    def make() -> Stage:
        topic = f"ticket-sales-{secrets.token_hex(6)}"
        asyncio.run(_create(client, topic))
        environment = {
            **os.environ,
            "DATABASE_URL": databases.create(),
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "TOPIC_TICKET_SALES": topic,
            "DATABASE_STATEMENT_SECONDS": "2",  # a hanging transaction is ended after twice as long
            "PYTHONUNBUFFERED": "1",
        }
        stages.append(Stage(server_run, tmp_path, environment, topic))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()
    asyncio.run(delete_topics(client, [stage.topic for stage in stages]))


async def _create(client: dict[str, str], topic: str) -> None:
    async with admin(client) as connection:
        await connection.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=TOPIC_SETTINGS)])


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Seeded by RELAY_SEED and the test's name."""
    print(f"RELAY_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


def _run_writer(stage: Stage, count: int) -> Writer:
    writer = Writer(stage, count, SEED)
    writer.start()
    return writer


def test_messages_enter_the_log_once_and_in_the_order_of_their_pool(make_stage: MakeStage) -> None:
    stage = make_stage()
    relay = stage.start_sending()
    writers = [_run_writer(stage, 300) for _ in range(3)]
    for writer in writers:
        writer.join()
    stage.wait_until_sent()
    assert len(stage.entries()) == 900
    stage.check()
    relay.send(signal.SIGTERM)
    assert relay.wait() == 0


def test_a_message_carries_its_key_its_headers_and_its_bytes(make_stage: MakeStage) -> None:
    stage = make_stage()
    stage.start_sending()
    message = new_message(stage.topic, (12, 2))
    write(stage, message)
    stage.wait_until_sent()
    (entry,) = stage.entries()
    assert (entry.key, entry.value) == (b"12-2", message.value)
    assert entry.headers == {**message.headers, "messageId": message.message_id}


def test_a_relay_killed_at_any_step_has_a_successor_who_sends_each_message_once(make_stage: MakeStage) -> None:
    stages = {step: make_stage() for step in ("publishing", "published", "marking", "marked")}
    for step, stage in stages.items():
        stage.start_sending(fault=f"{step}:2:KILL")
    writers = [_run_writer(stage, 150) for stage in stages.values()]
    for stage in stages.values():
        assert stage.relays[0].wait() == -signal.SIGKILL
        stage.start(fault="settling:1:KILL")  # a successor dies, too, before it has read the log
    for stage in stages.values():
        assert stage.relays[1].wait() == -signal.SIGKILL
        stage.start()
    for writer in writers:
        writer.join()
    for stage in stages.values():
        stage.wait_until_sent()
        stage.check()


def test_a_relay_killed_at_random_moments_again_and_again_sends_each_message_once(
    make_stage: MakeStage, chance: random.Random
) -> None:
    stages = [make_stage() for _ in range(3)]
    for _ in range(2):
        relays = [stage.start_sending() for stage in stages]
        moments = [stage.published() + chance.randint(1, 150) for stage in stages]
        writers = [_run_writer(stage, 200) for stage in stages]
        for stage, relay, moment in zip(stages, relays, moments, strict=True):
            _wait_until(stage, moment)
            relay.send(signal.SIGKILL)
            relay.wait()
        for writer in writers:
            writer.join()
    for stage in stages:
        stage.start()
        stage.wait_until_sent()
        stage.check()


def _wait_until(stage: Stage, count: int) -> None:
    eventually(lambda: stage.published() >= count, 30, f"{count} messages are sent")


def test_a_relay_that_hangs_at_any_step_while_another_takes_over_sends_nothing_twice_when_it_wakes(
    make_stage: MakeStage,
) -> None:
    stages = {step: make_stage() for step in ("publishing", "published", "marking")}
    for step, stage in stages.items():
        stage.start_sending(fault=f"{step}:2:STOP")
    writers = [_run_writer(stage, 200) for stage in stages.values()]
    for stage in stages.values():
        eventually(stage.relays[0].is_stopped, 60, "the first relay hangs")
    _hand_over_and_wake(list(stages.values()), writers)


def test_a_relay_that_hangs_at_a_random_moment_sends_nothing_twice_when_it_wakes(
    make_stage: MakeStage, chance: random.Random
) -> None:
    stages = [make_stage() for _ in range(3)]
    for stage in stages:
        stage.start_sending()
    writers = [_run_writer(stage, 400) for stage in stages]
    for stage in stages:
        _wait_until(stage, chance.randint(1, 300))
        stage.relays[0].send(signal.SIGSTOP)
    _hand_over_and_wake(stages, writers)


def _hand_over_and_wake(stages: list[Stage], writers: list[Writer]) -> None:
    """A second relay sends while the first one hangs; then both are awake, and more is written."""
    for stage in stages:
        stage.start()
    for stage, writer in zip(stages, writers, strict=True):
        _wait_for(stage.relays[1], "relay_sends")
        writer.join()
        stage.wait_until_sent()
        stage.check()
    for stage in stages:
        stage.relays[0].send(signal.SIGCONT)
        _wait_for(stage.relays[0], "relay_waits")  # it notices that it has lost the lease
    more = [_run_writer(stage, 100) for stage in stages]
    for stage, writer in zip(stages, more, strict=True):
        writer.join()
        stage.wait_until_sent()
        stage.check()
        assert [relay.process.poll() for relay in stage.relays] == [None, None]


def _wait_for(relay: RelayProcess, event: str) -> None:
    eventually(lambda: relay.said(event), SAID_SECONDS, f"the relay says {event}")


def test_of_two_relays_started_at_once_one_sends(make_stage: MakeStage) -> None:
    stage = make_stage()
    relays = [stage.start(), stage.start()]
    writer = _run_writer(stage, 300)
    writer.join()
    stage.wait_until_sent()
    stage.check()
    assert sorted(relay.said("relay_sends") for relay in relays) == [0, 1]


def test_a_relay_that_is_stopped_lets_a_successor_in_at_once(make_stage: MakeStage) -> None:
    stage = make_stage()
    first, second = stage.start_sending(), stage.start()
    writer = _run_writer(stage, 300)
    _wait_until(stage, 50)
    holder = stage.holder()
    first.send(signal.SIGTERM)
    assert first.wait() == 0
    assert stage.holder() != holder, "the lease is left to run out"
    writer.join()
    stage.wait_until_sent()
    stage.check()
    assert second.said("relay_sends") == 1


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_messages_wait_out_a_broker_that_is(make_stage: MakeStage, kafka: Kafka, how: str) -> None:
    stage = make_stage()
    relays = [stage.start_sending(), stage.start()]
    writer = _run_writer(stage, 600)
    _wait_until(stage, 100)
    kafka.stop() if how == "restarted" else kafka.kill()
    kafka.start()
    writer.join()
    stage.wait_until_sent()
    stage.check()
    for relay in relays:
        assert len(relay.log.read_text("utf-8").splitlines()) < LINES_MAX, "a relay that waits fills the disk"


def test_messages_wait_out_a_broker_that_hangs_for_longer_than_the_lease(make_stage: MakeStage, kafka: Kafka) -> None:
    stage = make_stage()
    relays = [stage.start_sending(), stage.start()]
    writer = _run_writer(stage, 600)
    _wait_until(stage, 100)
    assert kafka.process is not None
    kafka.process.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: sum(relay.said("relay_waits") for relay in relays) >= 2, 60, "the relays give up")
    finally:
        kafka.process.send_signal(signal.SIGCONT)
    writer.join()
    stage.wait_until_sent()
    stage.check()
    for relay in relays:
        eventually(partial(_has_few_connections, relay, kafka.port), what="what failed tries opened is closed")


def _has_few_connections(relay: RelayProcess, port: int) -> bool:
    return relay.connections_to(port) <= 2


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_messages_wait_out_a_database_that_is(make_stage: MakeStage, postgres: Postgres, how: str) -> None:
    stage = make_stage()
    stage.start_sending()
    stage.start()
    writer = _run_writer(stage, 600)
    _wait_until(stage, 100)
    postgres.stop() if how == "restarted" else postgres.kill()
    postgres.start()
    writer.join()
    stage.wait_until_sent()
    stage.check()


def test_a_message_that_is_too_late_is_put_aside_and_the_others_go_out(make_stage: MakeStage) -> None:
    stage = make_stage()
    now = datetime.now(UTC)
    late = new_message(stage.topic, not_after=now - timedelta(seconds=1))
    early = new_message(stage.topic, not_after=now + timedelta(hours=1))
    other = new_message(stage.topic)
    write(stage, late, early, other)
    stage.start()
    stage.wait_until_sent()
    assert [entry.message_id for entry in stage.entries()] == [early.message_id, other.message_id]
    dropped = [
        row["message_id"] for row in stage.rows("SELECT message_id::text FROM shop.outbox WHERE dropped_at IS NOT NULL")
    ]
    assert dropped == [late.message_id]
    stage.check()


def test_what_a_relay_had_sent_in_time_is_found_in_the_log_and_not_taken_for_late(make_stage: MakeStage) -> None:
    """Sent, not marked, killed: when its successor comes it is past `not_after`, and yet it stands in the log."""
    stage = make_stage()
    first = stage.start_sending(fault="published:1:KILL")
    not_after = datetime.now(UTC) + timedelta(seconds=3)
    message = new_message(stage.topic, not_after=not_after)
    write(stage, message)
    first.wait()
    eventually(lambda: datetime.now(UTC) > not_after, what="the message would be late")
    stage.start()
    stage.wait_until_sent()
    stage.check()
    assert [entry.message_id for entry in stage.entries()] == [message.message_id]
