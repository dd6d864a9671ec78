"""The catalogue in the lake: what the master list's topic says now, written whole whenever it has changed."""

from collections.abc import Mapping

import structlog

from analytics.ingest.topics import Progress
from analytics.lake.lake import Lake
from analytics.lake.rows import catalogue_rows
from analytics.lake.tables import MATCHES, POOLS
from shared.kafka.reader import LogReader
from shared.masterlist import InvalidMasterlist, MatchEntry, parse_masterlist
from shared.settings import KafkaSettings

log = structlog.get_logger(__name__)


class CatalogueWriter:
    """Follows the master list. For one thread."""

    def __init__(self, lake: Lake, settings: KafkaSettings, currency: str) -> None:
        self._lake = lake
        self._settings = settings
        self._currency = currency
        self._topic = settings.masterlist_topic
        self._reader: LogReader | None = None
        self.progress: list[Progress] = []
        self.left_out: dict[str, int] = {}

    def catch_up(self) -> int:
        """Writes the catalogue if the topic has changed; returns how many matches were written."""
        try:
            if self._reader is None:
                self._reader = LogReader(self._settings, self._topic).__enter__()
            return self._catch_up(self._reader)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the connection; the next `catch_up` makes another."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _catch_up(self, reader: LogReader) -> int:
        bounds = reader.bounds()
        wanted = {f"{self._topic}-{partition}": end for partition, (_, end) in bounds.items()}
        written = 0
        if self._lake.positions(MATCHES, wanted) != wanted:
            written = self._replace(self._read(reader, bounds), wanted)
        self.progress = [Progress(self._topic, partition, end, end) for partition, (_, end) in bounds.items()]
        return written

    def _read(self, reader: LogReader, bounds: Mapping[int, tuple[int, int]]) -> dict[int, MatchEntry]:
        matches: dict[int, MatchEntry] = {}
        for partition, (begin, end) in bounds.items():
            for records, _ in reader.read(partition, begin, end) if begin < end else ():
                for record in records:
                    matches |= {match.match_number: match for match in self._understood(record.value)}
        return matches

    def _replace(self, matches: dict[int, MatchEntry], wanted: dict[str, int]) -> int:
        """The position moves with the table that is written last."""
        match_rows, pool_rows = catalogue_rows(matches.values(), self._currency)
        self._lake.replace(POOLS, pool_rows)
        self._lake.replace(MATCHES, match_rows, wanted)
        log.info("catalogue_written", matches=len(matches))
        return len(matches)

    def _understood(self, value: bytes | None) -> list[MatchEntry]:
        try:
            return parse_masterlist(value)
        except InvalidMasterlist:
            return []  # the consumer keeps it with its reason
