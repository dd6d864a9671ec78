"""Brings one topic into one table, exactly once: rows and the offsets they were read from are one commit.

The positions stand in the lake alone. Whoever writes reads them first, and commits only while they are what it has
read; so after a kill nothing is missing and nothing is there twice, and of two writers one has to read again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.dataset as ds
import structlog

from analytics.lake.lake import Lake, reaching
from analytics.lake.rows import Rows
from analytics.lake.tables import LakeTable
from shared.errors import DependencyUnavailable
from shared.kafka.reader import LogReader
from shared.settings import KafkaSettings
from shared.wire import RawRecord

log = structlog.get_logger(__name__)

Build = Callable[[int, Sequence[RawRecord]], Rows]
Prepare = Callable[[], Mapping[str, int]]


class LogDoesNotFit(DependencyUnavailable):
    """The topic is not the one that the lake was written from."""

    code = "log_does_not_fit"


@dataclass(frozen=True)
class Topic:
    """A topic and the table that its records become rows of.

    `marks` are names of positions that are no offsets. They, too, must be in a commit what they were when `prepare` was
    called, which tells what they are to become.
    """

    name: str
    table: LakeTable
    build: Build
    marks: tuple[str, ...] = ()
    prepare: Prepare = dict

    def source(self, partition: int) -> str:
        """The name of a partition in the lake."""
        return f"{self.name}-{partition}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one partition is: the next offset, and the topic's end."""

    topic: str
    partition: int
    next_offset: int
    end_offset: int

    @property
    def lag(self) -> int:
        """Records that are not in the lake yet."""
        return max(0, self.end_offset - self.next_offset)


@dataclass
class _Batch:
    """Rows that wait for their commit, and the positions that it will move."""

    tables: list[pa.Table] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    rows: int = 0

    def add(self, rows: Rows, source: str, next_offset: int) -> None:
        self.tables.append(rows.table)
        self.rows += rows.table.num_rows
        self.positions[source] = next_offset


class TopicWriter:
    """One topic's way into the lake. For one thread."""

    def __init__(self, lake: Lake, topic: Topic, settings: KafkaSettings, commit_rows: int) -> None:
        self._lake = lake
        self._topic = topic
        self._settings = settings
        self._commit_rows = commit_rows
        self._reader: LogReader | None = None
        self._since: dict[str, int] = {}
        self.progress: list[Progress] = []
        self.left_out: dict[str, int] = {}  # records without a row, by the reason, since this writer began

    def catch_up(self) -> int:
        """Writes what the topic holds now; returns how many rows.

        Raises `BrokerUnavailable`, `LakeUnavailable`, `StalePosition` and `LogDoesNotFit`; what was committed stays.
        """
        try:
            return self._catch_up()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the connection; the next `catch_up` makes another."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _catch_up(self) -> int:
        fresh = self._reader is None
        if self._reader is None:
            self._reader = LogReader(self._settings, self._topic.name).__enter__()
        bounds = self._reader.bounds()
        sources = [self._topic.source(partition) for partition in bounds]
        self._since = self._lake.positions(self._topic.table, [*sources, *self._topic.marks])
        marks = self._topic.prepare()
        if fresh:
            for partition, (begin, end) in bounds.items():
                self._check(self._reader, partition, begin, end)
        return self._write(self._reader, bounds, marks)

    def _write(self, reader: LogReader, bounds: Mapping[int, tuple[int, int]], marks: Mapping[str, int]) -> int:
        batch, written = _Batch(), 0
        self.progress = []
        for partition, (begin, end) in bounds.items():
            source = self._topic.source(partition)
            start = self._start(source, begin, end)
            for records, next_offset in reader.read(partition, start, end) if start < end else ():
                batch.add(self._build(partition, records), source, next_offset)
                if batch.rows >= self._commit_rows:
                    written += self._commit(batch, marks)
                    batch = _Batch()
            self.progress.append(Progress(self._topic.name, partition, max(start, end), end))
        return written + self._commit(batch, marks)

    def _start(self, source: str, begin: int, end: int) -> int:
        position = self._since[source]
        if position > end:
            raise LogDoesNotFit(f"{source} ends at {end}, and the lake has read it up to {position}: it was made anew")
        if position < begin and position > 0:
            # A topic that forgets loses what nobody had read; the lake says so and goes on with what there is.
            log.error("lake_gap", source=source, first=position, records=begin - position)
            self._leave_out("forgotten", begin - position)
        return max(position, begin)

    def _check(self, reader: LogReader, partition: int, begin: int, end: int) -> None:
        """The last record that the lake has of a partition must stand where it stood."""
        last = self._since[self._topic.source(partition)] - 1
        if not begin <= last < end:
            return
        with reaching():
            here = (ds.field("partition") == partition) & (ds.field("offset") == last)
            kept = self._lake.open(self._topic.table).to_pyarrow_dataset().to_table(filter=here)
        read = [record for records, _ in reader.read(partition, last, last + 1) for record in records]
        found = self._topic.build(partition, read).table
        columns = self._topic.table.columns
        if kept.num_rows and found.num_rows and _ordered(kept, columns) != _ordered(found, columns):
            raise LogDoesNotFit(f"{self._topic.source(partition)} has another record at {last} than the lake has read")

    def _build(self, partition: int, records: Sequence[RawRecord]) -> Rows:
        rows = self._topic.build(partition, records)
        for reason, count in rows.left_out.items():
            self._leave_out(reason, count)
            log.warning("records_left_out", topic=self._topic.name, partition=partition, reason=reason, count=count)
        return rows

    def _leave_out(self, reason: str, count: int) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + count

    def _commit(self, batch: _Batch, marks: Mapping[str, int]) -> int:
        if not batch.positions:
            return 0
        moved = {**batch.positions, **marks}
        self._lake.append(self._topic.table, pa.concat_tables(batch.tables), moved, self._since)
        self._since |= moved
        return batch.rows


def _ordered(table: pa.Table, columns: pa.Schema) -> pa.Table:
    ordered = table.select(columns.names).cast(columns)
    return ordered.sort_by("line") if "line" in columns.names else ordered
