"""Whatever Kafka takes, the log is read: every codec, and header names that are no text."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.consumer import fetcher
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from matchday.servers import Kafka
from shared.kafka.reader import LogReader
from shared.settings import KafkaSettings
from shared.wire import RawRecord
from tests.conftest import Topics

VALUE = b"a value that repeats itself, " * 20


class _RawName(str):
    """A header name that is written as bytes which are not UTF-8."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


def send(kafka: Kafka, topic: str, codec: str | None = None, headers: list[Any] | None = None) -> None:
    async def sending() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, compression_type=codec) as sender:
            await sender.send_and_wait(topic, VALUE, headers=headers or [])

    asyncio.run(sending())


def read(kafka: Kafka, topic: str) -> list[RawRecord]:
    settings = KafkaSettings.model_validate({"kafka_bootstrap_servers": kafka.bootstrap_servers})
    with LogReader(settings, topic) as reader:
        begin, end = reader.bounds()[0]
        return [record for records, _ in reader.read(0, begin, end) for record in records]


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_a_partner_may_compress_as_it_likes(kafka: Kafka, topics: Topics, codec: str | None) -> None:
    send(kafka, topics.sales, codec)
    assert [record.value for record in read(kafka, topics.sales)] == [VALUE]


@pytest.mark.parametrize("codec", [None, "lz4"])
def test_a_header_name_that_is_no_text_does_not_hide_the_record(
    kafka: Kafka, topics: Topics, monkeypatch: pytest.MonkeyPatch, codec: str | None
) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", fetcher.MemoryRecords)  # put back after the test
    send(kafka, topics.sales)
    with monkeypatch.context() as patched:
        # The library's builder in C would not take such a name.
        for module in (producer, message_accumulator):
            patched.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
        send(kafka, topics.sales, codec, [(_RawName("x"), b"1"), ("clientId", b"atlas")])
    send(kafka, topics.sales)
    records = read(kafka, topics.sales)
    assert [record.value for record in records] == [VALUE] * 3
    assert [value for _, value in records[1].headers] == [b"1", b"atlas"]
    assert records[1].headers[1][0] == "clientId"
