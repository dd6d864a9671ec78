"""Writes records in the background, in their order, each once, through whatever happens to the broker."""

import asyncio
import threading
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer

from tests.eventually import POLL_SECONDS
from tests.system.traffic import Meant

SEND_SECONDS_MAX = 120
WINDOW = 1000  # records that may be on their way at once


class Stream(threading.Thread):
    """Sends the records as far as they are let through; `finish` gives their places, or raises what went wrong."""

    def __init__(
        self, servers: str, topic: str, records: Sequence[Meant], partition: Callable[[Meant], int] = lambda _: 0
    ) -> None:
        super().__init__(name="stream", daemon=True)
        self.places: list[tuple[int, int]] = []
        self._servers = servers
        self._topic = topic
        self._records = records
        self._partition = partition
        self._gate = threading.Semaphore(0)
        self._allowed = 0
        self._stopping = threading.Event()
        self._error: BaseException | None = None

    def let_through_to(self, count: int) -> None:
        """Allows the first `count` records, those that were allowed before included."""
        further = min(count, len(self._records)) - self._allowed
        if further > 0:
            self._allowed += further
            self._gate.release(further)

    def run(self) -> None:
        try:
            asyncio.run(self._send_all())
        except BaseException as error:
            self._error = error

    def __enter__(self) -> "Stream":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping.set()
        self.join(SEND_SECONDS_MAX * 2)

    def finish(self) -> list[tuple[int, int]]:
        """Lets all through and waits until they are written: partition and offset of each."""
        self.let_through_to(len(self._records))
        self.join(SEND_SECONDS_MAX * 2)
        assert not self.is_alive(), f"{len(self.places)} of {len(self._records)} records are written"
        if self._error is not None:
            raise self._error
        return self.places

    async def _send_all(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            enable_idempotence=True,
            linger_ms=5,
            request_timeout_ms=SEND_SECONDS_MAX * 1000,
            retry_backoff_ms=100,
        )
        await producer.start()
        try:
            for start in range(0, len(self._records), WINDOW):
                await self._send(producer, self._records[start : start + WINDOW])
        finally:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[Meant]) -> None:
        futures = []
        for meant in records:
            while not self._gate.acquire(blocking=False):
                assert not self._stopping.is_set(), "the test ended before all records were allowed"
                await asyncio.sleep(POLL_SECONDS)
            value, headers = meant.value(), meant.headers()
            futures.append(
                await producer.send(self._topic, value, key=b"any", partition=self._partition(meant), headers=headers)
            )
        self.places += [(sent.partition, sent.offset) for sent in await asyncio.gather(*futures)]
