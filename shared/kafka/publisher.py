"""Sending: batches, in order, acknowledged by all replicas, and never after the right to send is lost."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, NodeNotReadyError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.produce import ProduceRequest

from shared.errors import BrokerUnavailable
from shared.kafka.client import REQUEST_MS, LoopThread, client_options
from shared.kafka.partitions import partition_of
from shared.settings import KafkaSettings

log = structlog.get_logger(__name__)

BATCH_BYTES_MAX = 512 * 1024
STOP_SECONDS = 2.0
METADATA_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to be sent."""

    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands."""

    partition: int
    offset: int


class Publisher:
    """Sends batches with an idempotent producer and acks=all; blocking.

    `guard` is called right before each produce request is written to the socket, retries included, and raises when
    this process may send no more: what a paused process has in memory must not reach the log after its successor
    has taken over.
    """

    def __init__(self, settings: KafkaSettings, guard: Callable[[], None]) -> None:
        self._settings = settings
        self._guard = guard
        self._loop = LoopThread("kafka-publisher")
        self._producer: AIOKafkaProducer | None = None
        self._identity = 0

    def start(self) -> None:
        """Connects anew, with a new producer identity. Raises `BrokerUnavailable`."""
        self.stop()
        self._producer = self._loop.run(self._start(), REQUEST_MS / 1000 + 5)

    async def _start(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **client_options(self._settings),
            enable_idempotence=True,
            acks="all",
            request_timeout_ms=REQUEST_MS,
            max_batch_size=BATCH_BYTES_MAX,
            retry_backoff_ms=50,
            metadata_max_age_ms=30_000,
        )
        self._guard_writes(producer.client)
        _be_patient(producer.client)
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    def _guard_writes(self, client: Any) -> None:
        send, identity = client.send, self._identity

        async def guarded(node_id: int, request: Any, **options: Any) -> Any:
            if isinstance(request, ProduceRequest):
                # Connecting may take seconds. Once connected, `send` writes without giving way to anything.
                if not await client.ready(node_id, **options):
                    raise NodeNotReadyError(f"node {node_id} is out of reach")
                self._guard()
                if identity != self._identity:
                    raise KafkaError("this producer has been replaced")
            return await send(node_id, request, **options)

        client.send = guarded

    def stop(self) -> None:
        """Ends the producer at once: what it has not written to a socket yet, it never will."""
        producer, self._producer = self._producer, None
        self._identity += 1
        if producer is not None:
            try:
                self._loop.run(_end(producer), STOP_SECONDS + 3)
            except BrokerUnavailable as error:
                log.warning("producer_not_stopped_cleanly", error=str(error))

    def close(self) -> None:
        self.stop()
        self._loop.close()

    def ping(self) -> None:
        """One round trip to the broker. Raises `BrokerUnavailable`."""
        self._loop.run(self._started().client.fetch_all_metadata(), REQUEST_MS / 1000)

    def topics(self) -> set[str]:
        """The names of the topics that the broker has now. Raises `BrokerUnavailable`."""
        found = self._loop.run(self._started().client.fetch_all_metadata(), REQUEST_MS / 1000)
        return set(found.topics())

    def publish(self, messages: Sequence[Outgoing]) -> list[Place]:
        """Sends the messages in their order and waits for every acknowledgement; places in the same order.

        Raises `BrokerUnavailable` when any of them may or may not have been written.
        """
        return self._loop.run(self._publish(messages), REQUEST_MS / 1000 + 5)

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise BrokerUnavailable("the producer is not connected")
        return self._producer

    async def _publish(self, messages: Sequence[Outgoing]) -> list[Place]:
        producer = self._started()
        places: list[Place | None] = [None] * len(messages)
        waiting: dict[tuple[str, int], list[int]] = {}
        for index, message in enumerate(messages):
            partitions = sorted(await producer.partitions_for(message.topic))
            partition = partition_of(message.key, partitions)
            waiting.setdefault((message.topic, partition), []).append(index)
        results = [
            self._send_all(producer, topic, partition, indexes, messages, places)
            for (topic, partition), indexes in waiting.items()
        ]
        await asyncio.gather(*results)
        return [place for place in places if place is not None]

    async def _send_all(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        partition: int,
        indexes: list[int],
        messages: Sequence[Outgoing],
        places: list[Place | None],
    ) -> None:
        while indexes:
            batch = producer.create_batch()
            taken = _fill(batch, [messages[index] for index in indexes])
            batch.close()
            sent = await (await producer.send_batch(batch, topic, partition=partition))
            for step, index in enumerate(indexes[:taken]):
                places[index] = Place(partition, sent.offset + step)
            indexes = indexes[taken:]


async def _end(producer: AIOKafkaProducer) -> None:
    try:
        await asyncio.wait_for(producer.stop(), STOP_SECONDS)
    finally:
        # A stop that is cut short leaves the sender at its tries, and its connections open.
        if producer._sender.sender_task is not None:
            producer._sender.sender_task.cancel()
        await producer.client.close()


def _be_patient(client: Any) -> None:
    """aiokafka asks for metadata again at once, and logs each try, while nobody answers and a leader is unknown."""
    update = client._metadata_update

    async def patient(*arguments: Any) -> Any:
        updated = await update(*arguments)
        if not updated:
            await asyncio.sleep(METADATA_PAUSE_SECONDS)
        return updated

    client._metadata_update = patient


def _fill(batch: BatchBuilder, messages: Sequence[Outgoing]) -> int:
    for count, message in enumerate(messages):
        if batch.append(key=message.key, value=message.value, timestamp=None, headers=list(message.headers)) is None:
            if count == 0:
                raise BrokerUnavailable("a message is larger than a whole batch")
            return count
    return len(messages)
