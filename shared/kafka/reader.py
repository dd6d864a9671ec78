"""Reading a part of a topic from outside any group: for recounts, take-overs and first starts."""

import asyncio
import time
from collections.abc import Iterator

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.errors import BrokerUnavailable
from shared.kafka.client import (
    FETCH_BYTES_MAX,
    REQUEST_MS,
    LoopThread,
    client_options,
    topic_partitions,
)
from shared.kafka.lenient import UNREADABLE, be_lenient
from shared.settings import KafkaSettings
from shared.wire import RawRecord

log = structlog.get_logger(__name__)

READ_WAIT_MS = 500
STUCK_SECONDS = 30.0


class LogReader:
    """Reads parts of a topic from outside any group: for recounts, take-overs and first starts. Blocking."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._loop = LoopThread("kafka-reader")
        self._consumer: AIOKafkaConsumer | None = None

    def __enter__(self) -> "LogReader":
        try:
            self._consumer = self._loop.run(self._start(), REQUEST_MS / 1000 + 5)
        except BaseException:
            self._loop.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        consumer, self._consumer = self._consumer, None
        try:
            if consumer is not None:
                self._loop.run(consumer.stop(), REQUEST_MS / 1000)
        except BrokerUnavailable as error:
            log.warning("reader_not_stopped_cleanly", error=str(error))
        finally:
            self._loop.close()

    async def _start(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **client_options(self._settings),
            enable_auto_commit=False,
            request_timeout_ms=REQUEST_MS,
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            fetch_max_wait_ms=50,
        )
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise BrokerUnavailable("the reader is not connected")
        return self._consumer

    def bounds(self) -> dict[int, tuple[int, int]]:
        """Of each partition the first offset and the end (the offset of the next record to come)."""
        return self._loop.run(self._bounds(), REQUEST_MS / 1000 + 5)

    async def _bounds(self) -> dict[int, tuple[int, int]]:
        consumer = self._started()
        partitions = await topic_partitions(consumer, self._topic)
        begins, ends = await asyncio.gather(consumer.beginning_offsets(partitions), consumer.end_offsets(partitions))
        return {tp.partition: (begins[tp], ends[tp]) for tp in partitions}

    def read(self, partition: int, start: int, end: int) -> Iterator[tuple[list[RawRecord], int]]:
        """The records from `start` up to `end` (exclusive), batch by batch, each with where the next one begins."""
        self._loop.run(self._seek(partition, start), REQUEST_MS / 1000)
        position, moved_at = start, time.monotonic()
        while position < end:
            before = position
            records, position = self._loop.run(self._poll(partition), REQUEST_MS / 1000 + 5)
            if position == before:
                if time.monotonic() - moved_at > STUCK_SECONDS:
                    raise BrokerUnavailable(f"{self._topic}-{partition} gives nothing after {position}")
                continue
            moved_at = time.monotonic()
            position = min(position, end)
            yield [record for record in records if record.offset < end], position

    async def _seek(self, partition: int, start: int) -> None:
        tp = TopicPartition(self._topic, partition)
        self._started().assign([tp])
        self._started().seek(tp, start)

    async def _poll(self, partition: int) -> tuple[list[RawRecord], int]:
        consumer = self._started()
        tp = TopicPartition(self._topic, partition)
        position = await consumer.position(tp)
        try:
            got = await consumer.getmany(timeout_ms=READ_WAIT_MS, max_records=10_000)
        except UNREADABLE:
            if not be_lenient():
                raise
            consumer.seek(tp, position)
            return [], position
        return got.get(tp, []), await consumer.position(tp)
