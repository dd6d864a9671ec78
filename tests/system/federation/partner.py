"""A reference partner: a plain aiokafka producer and JSON, none of our code; and an eye on what the log holds."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

PRICES = {1: 75, 2: 125, 3: 195}
PENDING, RESERVED, CANCELLED = "TICKET_PENDING", "TICKET_RESERVED", "TICKET_CANCELLED"


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


def tickets(category: int, quantity: int, **more: Any) -> dict[str, Any]:
    """One object of `tickets`; the price is the category's unless `more` says otherwise."""
    return {"category": category, "quantity": quantity, "price": PRICES.get(category, 75), **more}


def message(action: str, match: int | str, *lines: dict[str, Any], **meta: Any) -> dict[str, Any]:
    """A ticket message as partners write it: one line as an object, more as a list."""
    what: Any = lines[0] if len(lines) == 1 else list(lines)
    return {"meta": {"action": action, **meta}, "body": {"matchNumber": match, "tickets": what}}


def match_record(number: int, **changes: Any) -> dict[str, Any]:
    """A master list record as the organiser writes it."""
    pools = {
        f"category{category}": {"available": 20, "pending": 0, "price": price}
        for category, price in ((1, 75), (2, 125), (3, 195))
    }
    record = {
        "matchNumber": number,
        "roundNumber": 1,
        "dateUtc": "2022-11-20T16:00:00Z",
        "location": "Al Bayt Stadium",
        "availability": pools,
        "homeTeam": "Qatar",
        "awayTeam": "Ecuador",
        "group": "A",
    }
    return record | changes


class Partner:
    """Sends and reads with a plain client; every call waits until it is done."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._runner = asyncio.Runner()
        self._producer: AIOKafkaProducer = self._runner.run(self._start())

    async def _start(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(bootstrap_servers=self._servers, acks="all", linger_ms=0)
        await producer.start()
        return producer

    def close(self) -> None:
        self._runner.run(self._producer.stop())
        self._runner.close()

    def send(
        self,
        topic: str,
        value: Any,
        headers: Mapping[str, str] | None = None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Place:
        """Writes one record; what is neither bytes nor None is written as JSON."""
        raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        sent = self._runner.run(
            self._producer.send_and_wait(
                topic,
                raw,
                key=key,
                partition=partition,
                timestamp_ms=timestamp_ms,
                headers=[(name, text.encode()) for name, text in (headers or {}).items()],
            )
        )
        return Place(topic, sent.partition, sent.offset)

    def read(self, topic: str, start: int, partition: int = 0) -> list[Any]:
        """The records from `start` to the partition's present end."""
        return self._runner.run(self._read(TopicPartition(topic, partition), start))

    async def _read(self, place: TopicPartition, start: int) -> list[Any]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._servers, enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign([place])
            consumer.seek(place, start)
            end = (await consumer.end_offsets([place]))[place]
            records: list[Any] = []
            while await consumer.position(place) < end:
                got = await consumer.getmany(place, timeout_ms=1000)
                records += got.get(place, [])
            return records
        finally:
            await consumer.stop()

    def end(self, topic: str, partition: int = 0) -> int:
        """The offset of the partition's next record."""
        return self._runner.run(self._end(TopicPartition(topic, partition)))

    async def _end(self, place: TopicPartition) -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._servers)
        await consumer.start()
        try:
            return int((await consumer.end_offsets([place]))[place])
        finally:
            await consumer.stop()
