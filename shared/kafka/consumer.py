"""Reading the log as a member of a group, from positions that the caller keeps."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError

from shared.errors import BrokerUnavailable
from shared.kafka.client import FETCH_BYTES_MAX, REQUEST_MS, LoopThread, client_options
from shared.kafka.lenient import UNREADABLE, be_lenient
from shared.settings import KafkaSettings
from shared.wire import RawRecord

log = structlog.get_logger(__name__)

READ_WAIT_MS = 500
SESSION_MS = 6_000
POLL_INTERVAL_MS = 120_000
STOP_SECONDS = 10.0  # a request to join the group is waited for, or its connections would be left open


@dataclass(frozen=True, slots=True)
class Batch:
    """What one poll brought from one partition: everything from `start` up to `end` (exclusive)."""

    partition: int
    start: int
    end: int
    records: Sequence[RawRecord]


class GroupConsumer:
    """Reads a topic as a member of a group, from positions that the caller keeps; blocking.

    `positions` is asked at each assignment for the next offset of each partition. What is committed to the group is
    for monitoring alone; but the client goes there by itself while the caller's positions are asked for, so nothing
    that it reads before they are known, or while they change, is handed out.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        group: str,
        member: str,
        positions: Callable[[list[int]], dict[int, int]],
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._group = group
        self._member = member
        self._positions = positions
        self._next: dict[int, int] = {}
        self._placed = asyncio.Event()
        self._placements = 0
        self._not_placed: Exception | None = None
        self._loop = LoopThread("kafka-consumer")
        self._consumer: AIOKafkaConsumer | None = None
        self.has_joined = False  # whether the group has given this member its partitions, be they none

    def start(self) -> None:
        """Joins the group. Raises `BrokerUnavailable`."""
        self._consumer = self._loop.run(self._start(), REQUEST_MS / 1000 + 5)

    async def _start(self) -> AIOKafkaConsumer:
        self.displace()
        consumer = AIOKafkaConsumer(
            **client_options(self._settings),
            group_id=self._group,
            group_instance_id=self._member,
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=max(REQUEST_MS, SESSION_MS + 2_000),
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=SESSION_MS // 4,
            max_poll_interval_ms=POLL_INTERVAL_MS,
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            fetch_max_wait_ms=READ_WAIT_MS,
            metadata_max_age_ms=30_000,
            retry_backoff_ms=100,
        )
        consumer.subscribe([self._topic], listener=_Seek(self, consumer))
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    def poll(self, records_max: int, wait_ms: int) -> list[Batch]:
        """What has come, at most `records_max` records, after at most `wait_ms`; raises `BrokerUnavailable`."""
        return self._loop.run(self._poll(records_max, wait_ms), wait_ms / 1000 + REQUEST_MS / 1000 + 5)

    async def _poll(self, records_max: int, wait_ms: int) -> list[Batch]:
        consumer = self._started()
        if not await self._is_placed(wait_ms):
            return []
        if self._not_placed is not None:
            raise self._not_placed
        placement = self._placements
        try:
            got = await consumer.getmany(timeout_ms=wait_ms, max_records=records_max)
        except NoOffsetForPartitionError as error:
            if error.args[0].partition in self._next:
                return []  # from before the caller's position was known
            raise
        except UNREADABLE:
            if not be_lenient():
                raise
            self._go_back(consumer)
            return []
        if placement != self._placements:
            self._go_back(consumer)
            return []
        ends = {tp: await consumer.position(tp) for tp in got if tp.partition in self._next}
        return [self._batch(tp.partition, got[tp], end) for tp, end in ends.items()]

    async def _is_placed(self, wait_ms: int) -> bool:
        if not self._placed.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._placed.wait(), wait_ms / 1000)
        return self._placed.is_set()

    def _go_back(self, consumer: AIOKafkaConsumer) -> None:
        """What was read is dropped: partitions have changed hands meanwhile, or it is to be read in another way."""
        if self._placed.is_set():
            for tp in consumer.assignment():
                if tp.partition in self._next:
                    consumer.seek(tp, self._next[tp.partition])

    def _batch(self, partition: int, records: Sequence[Any], end: int) -> Batch:
        start, self._next[partition] = self._next[partition], end
        return Batch(partition, start, end, records)

    def displace(self) -> None:
        """From now on nothing is handed out, until `place`."""
        self._placements += 1
        self._placed.clear()
        self._not_placed = None
        self._next = {}

    async def place(self, consumer: AIOKafkaConsumer, assigned: Collection[TopicPartition]) -> None:
        """Asks for the positions, in a thread since the caller's database is blocking, and seeks there."""
        placement, positions, failure = self._placements, dict[int, int](), None
        try:
            positions = await asyncio.to_thread(self._positions, sorted(tp.partition for tp in assigned))
        except Exception as error:
            failure = error  # told at the next poll: nobody listens here
        if placement != self._placements:
            return
        self._not_placed = failure
        for partition, offset in positions.items():
            consumer.seek(TopicPartition(self._topic, partition), offset)
        self._next = positions
        self._placed.set()

    def tell_group(self, ends: dict[int, int]) -> None:
        """Commits offsets to the group, for those who watch its lag."""
        offsets = {TopicPartition(self._topic, partition): end for partition, end in ends.items()}
        self._loop.run(self._started().commit(offsets), REQUEST_MS / 1000)

    def ends(self) -> dict[int, int]:
        """The end of each assigned partition, as the last fetch told."""
        consumer = self._consumer
        if consumer is None:
            return {}
        ends = {tp.partition: consumer.highwater(tp) for tp in consumer.assignment()}
        return {partition: end for partition, end in ends.items() if end is not None}

    def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise BrokerUnavailable("the consumer is not connected")
        return self._consumer

    def stop(self) -> None:
        """Leaves; a static member's partitions wait for its return."""
        consumer, self._consumer = self._consumer, None
        self.has_joined = False
        if consumer is not None:
            try:
                self._loop.run(asyncio.wait_for(consumer.stop(), STOP_SECONDS), STOP_SECONDS + 1)
            except BrokerUnavailable as error:
                log.warning("consumer_not_stopped_cleanly", error=str(error))

    def close(self) -> None:
        self.stop()
        self._loop.close()


class _Seek(ConsumerRebalanceListener):  # type: ignore[misc]
    """Every assignment begins at the caller's positions, never at the group's."""

    def __init__(self, owner: GroupConsumer, consumer: AIOKafkaConsumer) -> None:
        self._owner = owner
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self._owner.displace()
        log.info("partitions_revoked", partitions=sorted(tp.partition for tp in revoked))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        await self._owner.place(self._consumer, assigned)
        self._owner.has_joined = True
        log.info("partitions_assigned", partitions=sorted(tp.partition for tp in assigned))
