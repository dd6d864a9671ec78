"""The embedded servers: real, durable, restartable on the same port."""

import asyncio
import os
from pathlib import Path

import psycopg
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from matchday.errors import RunnerError
from matchday.run import Run, leftovers, reap
from matchday.servers import Kafka, Postgres, Valkey
from tests.resources import Topics


def test_postgres_keeps_what_was_committed_through_a_kill(postgres: Postgres, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    postgres.kill()
    postgres.start()
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]
        settings = {name: connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")}
    assert settings == {"fsync": ("on",), "synchronous_commit": ("on",)}


def test_the_superuser_has_no_way_in(postgres: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="pg_hba"):
        psycopg.connect(postgres.url("postgres").replace("matchday@", "postgres@"))


def test_valkey_keeps_its_data_through_a_restart(valkey: Valkey, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as connection:
        connection.set("kept", "yes")
    valkey.restart()
    with redis.Redis.from_url(redis_url) as connection:
        assert connection.get("kept") == b"yes"


def test_kafka_keeps_records_and_dates_them_itself_through_a_kill(kafka: Kafka, topics: Topics) -> None:
    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, acks="all") as producer:
            await producer.send_and_wait(topics.sales, b"value", key=b"1-1", timestamp_ms=1)

    async def consume() -> tuple[bytes | None, int]:
        consumer = AIOKafkaConsumer(
            topics.sales, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
        )
        async with consumer:
            record = await asyncio.wait_for(consumer.getone(), 20)
            return record.value, record.timestamp

    asyncio.run(produce())
    kafka.kill()
    kafka.start()
    value, timestamp = asyncio.run(consume())
    assert value == b"value"
    assert timestamp > 1_600_000_000_000


def test_a_port_in_use_is_told_with_its_owner(server_run: Run, tmp_path: Path) -> None:
    valkey = Valkey(tmp_path / "first", server_run).start()
    assert valkey.process is not None
    second = Valkey(tmp_path / "second", server_run, port=valkey.port)
    with pytest.raises(RunnerError, match=rf"port {valkey.port} for valkey is used by process {valkey.process.pid}"):
        second.start()
    valkey.stop()


def test_a_server_that_ends_at_once_says_why(server_run: Run, tmp_path: Path) -> None:
    (tmp_path / "valkey" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "valkey" / "appendonlydir" / "appendonly.aof.manifest").write_text("no manifest\n")
    with pytest.raises(RunnerError, match=r"valkey ends at once: .*manifest"):
        Valkey(tmp_path / "valkey", server_run).start()


def test_what_a_killed_owner_left_behind_is_found_and_ended(tmp_path: Path) -> None:
    run = Run.begin(tmp_path / "run")
    recorded = run.spawn(["sleep", "300"], tmp_path / "log")
    forgotten = run.spawn(["sleep", "300"], tmp_path / "log")
    record = tmp_path / "run" / "processes.jsonl"
    record.write_text("".join(record.read_text().splitlines(keepends=True)[:-1]))
    found = {process.pid for process in leftovers(tmp_path / "run")}
    assert found == {recorded.pid, forgotten.pid}
    assert reap(tmp_path / "run") == 2
    recorded.wait()
    forgotten.wait()
    assert reap(tmp_path / "run") == 0
    assert os.getpid() not in found
