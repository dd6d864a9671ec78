"""Reading ahead: the next records are fetched and understood while the database works on the last ones."""

import concurrent.futures
from concurrent.futures import Future, ThreadPoolExecutor

from shared.errors import BrokerUnavailable
from shared.kafka.consumer import GroupConsumer
from shop.inventory.apply import Batch, Federation, read_records


class ReadAhead:
    """At most one poll ahead of whoever asks. Not for several threads."""

    def __init__(self, source: GroupConsumer, federation: Federation, records_max: int, wait_ms: int) -> None:
        self._source = source
        self._federation = federation
        self._records_max = records_max
        self._wait_ms = wait_ms
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._coming: Future[list[Batch]] | None = None

    def next(self) -> list[Batch]:
        """What has come, after at most `wait_ms`; raises `BrokerUnavailable`. The next poll has begun on return."""
        coming = self._coming or self._begin()
        self._coming = None
        batches = coming.result()
        self._coming = self._begin()
        return batches

    def _begin(self) -> Future[list[Batch]]:
        try:
            return self._thread.submit(self._read)
        except RuntimeError:
            # Executors take nothing once the interpreter has begun to end; whoever runs this loop ends with it.
            raise BrokerUnavailable("the process is ending") from None

    def forget(self) -> None:
        """Drops what was read ahead; on return nobody polls. What is dropped is read again from the stored position."""
        coming, self._coming = self._coming, None
        if coming is not None:
            concurrent.futures.wait([coming])

    def close(self) -> None:
        self.forget()
        self._thread.shutdown()

    def _read(self) -> list[Batch]:
        return [
            Batch(
                read.partition, read.start, read.end, read.records,
                understood=read_records(read.partition, read.records, self._federation.quantity_max),
            )
            for read in self._source.poll(self._records_max, self._wait_ms)
        ]  # fmt: skip
