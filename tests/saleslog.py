"""What stands in the sales log, read back with a plain client and plain JSON, none of our code."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

PENDING, RESERVED, CANCELLED = "TICKET_PENDING", "TICKET_RESERVED", "TICKET_CANCELLED"


@dataclass(frozen=True)
class Entry:
    """One record; `body` is None when the value is no JSON object."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    headers: dict[str, str]

    @property
    def message_id(self) -> str | None:
        return self.headers.get("messageId")

    @property
    def sale_id(self) -> str | None:
        return self.headers.get("saleId")

    @property
    def client_id(self) -> str | None:
        return self.headers.get("clientId")

    @property
    def document(self) -> Any:
        return json.loads(self.value)

    @property
    def action(self) -> str:
        return str(self.document["meta"]["action"])

    @property
    def pool(self) -> tuple[int, int]:
        body = self.document["body"]
        return body["matchNumber"], body["tickets"]["category"]

    @property
    def quantity(self) -> int:
        return int(self.document["body"]["tickets"]["quantity"])


def read_log(bootstrap_servers: str, topic: str) -> list[Entry]:
    """Every record of the topic up to its present end, partition by partition in their order."""
    return asyncio.run(_read(bootstrap_servers, topic))


async def _read(bootstrap_servers: str, topic: str) -> list[Entry]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        places = await _places(consumer, topic)
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        consumer.assign(places)
        for place in places:
            consumer.seek(place, begins[place])
        found: list[Any] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                found += records
    finally:
        await consumer.stop()
    return [_entry(record) for record in sorted(found, key=lambda record: (record.partition, record.offset))]


async def _places(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    consumer._client.add_topic(topic)
    await consumer._client.force_metadata_update()
    numbers = consumer.partitions_for_topic(topic)
    assert numbers, f"topic {topic} does not exist"
    return [TopicPartition(topic, number) for number in sorted(numbers)]


def _entry(record: Any) -> Entry:
    headers = {name: value.decode() for name, value in record.headers}
    return Entry(record.partition, record.offset, record.timestamp, record.key, record.value or b"", headers)


def of_pool(entries: Iterable[Entry], pool: tuple[int, int]) -> list[Entry]:
    return [entry for entry in entries if entry.pool == pool]
