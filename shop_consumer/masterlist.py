"""Follows the master list's topic: all of its partitions, in every replica; the fenced position lets one apply."""

import time

import structlog

from shared.database import Database
from shared.kafka.reader import LogReader
from shop.inventory.catalogue import apply_masterlist, has_matches
from shop.inventory.positions import StalePosition, create_position, read_position
from shop_consumer.settings import ConsumerSettings

log = structlog.get_logger(__name__)


class MasterlistFollower:
    """Reads the master list to its end whenever it is asked to."""

    def __init__(self, database: Database, settings: ConsumerSettings) -> None:
        self._database = database
        self._settings = settings
        self._topic = settings.masterlist_topic
        self._reader: LogReader | None = None
        self._looked_at = 0.0

    def is_known(self) -> bool:
        """Whether there is any match."""
        with self._database.transaction() as connection:
            return has_matches(connection)

    def catch_up_now_and_then(self) -> None:
        """`catch_up`, unless that was done a moment ago."""
        if time.monotonic() - self._looked_at >= self._settings.masterlist_poll_seconds:
            self.catch_up()

    def catch_up(self) -> None:
        """Applies everything that the topic holds now. Raises `BrokerUnavailable` or `DependencyUnavailable`."""
        try:
            if self._reader is None:
                self._reader = LogReader(self._settings, self._topic).__enter__()
            for partition, (begin, end) in self._reader.bounds().items():
                self._catch_up_partition(self._reader, partition, begin, end)
        except BaseException:
            self._forget_reader()
            raise
        self._looked_at = time.monotonic()

    def _forget_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _catch_up_partition(self, reader: LogReader, partition: int, begin: int, end: int) -> None:
        start = self._position(partition, begin)
        if start >= end:
            return
        for records, next_start in reader.read(partition, start, end):
            try:
                with self._database.transaction() as connection:
                    refused = apply_masterlist(connection, self._topic, partition, start, next_start, records)
            except StalePosition:
                return  # another replica is at it
            start = next_start
            log.info("masterlist_applied", records=len(records), refused=refused, next_offset=start)

    def _position(self, partition: int, begin: int) -> int:
        with self._database.transaction() as connection:
            position = read_position(connection, self._topic, partition)
            if position is None:
                create_position(connection, self._topic, partition, begin, begin)
        return begin if position is None else position.next_offset
