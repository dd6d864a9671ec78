"""The data lake: from the topic into it, rows written, questions asked; beside plain PyArrow and DuckDB on one file."""

import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import TableNotFoundError

from analytics.ingest.topics import Topic, TopicWriter
from analytics.lake.lake import Lake
from analytics.lake.rows import message_rows
from analytics.lake.tables import TICKET_MESSAGES
from benchmarks.bed import Bed
from benchmarks.figures import Spread
from benchmarks.records import publish, sales_log
from benchmarks.report import Report, Table
from matchday.stopping import until
from shared.kafka.reader import LogReader
from shared.settings import KafkaSettings, load
from shared.wire import QUANTITY_MAX
from tests.resources import Topics
from tests.sites import RunningSite
from tests.topics import create_events_topic

RECORDS, QUICK_RECORDS = 200_000, 4_000
SIZES, QUICK_SIZES = (100_000, 1_000_000, 10_000_000), (2_000, 5_000)
COMMIT_ROWS = 100_000
WRITER = "analytics-writer"
FIRST_RECORDS = 100
WRITER_SECONDS_MAX = 180.0
REPETITIONS = 5
DAYS = 30
DAY_SECONDS = 86_400
OPENING = 1_667_260_800  # 2022-11-01, seconds since the epoch
METHOD = (
    "**From the topic**: the product's own way from a topic that holds all records into the lake's table in a"
    " folder, commits of 100,000 rows, in this process; beside it the same reader that only reads, and the whole"
    " writer as a process of its own (`python -m analytics.writer`), which is stopped while the records come and"
    " looks at the topics every 0.1 s otherwise: from the moment it goes on until the lake's position is the"
    f" topic's end. **Rows written**: made beforehand, spread over {DAYS} days in their order, in commits of"
    " 100,000 rows; beside it PyArrow writing the same to one Parquet file, and DuckDB inserting it into a table"
    " of one file. **Questions**: through `Lake.query`, which looks up the files of the last commit each time;"
    " beside it DuckDB on the one Parquet file and on its own file, opened each time. Answers were compared. With"
    " several repetitions: median (least–greatest)."
)
QUESTIONS: Mapping[str, str] = {
    "sold by match and category": (
        "SELECT match_number, category, sum(quantity)::BIGINT AS tickets FROM {table}"
        " WHERE action = 'TICKET_RESERVED' GROUP BY ALL ORDER BY ALL"
    ),
    "messages by site and hour": (
        "SELECT site, hour(logged_at) AS hour, count(*) AS messages FROM {table} GROUP BY ALL ORDER BY ALL"
    ),
    "one day": "SELECT count(*) AS messages FROM {table} WHERE day = DATE '2022-11-03'",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """The same rows in three forms."""

    lake: Lake
    parquet: Path
    database: Path


def run(bed: Bed, quick: bool) -> Report:
    """Ingest, and each size."""
    report = Report("lake", "The data lake", [METHOD])
    repetitions = 1 if quick else REPETITIONS
    _ingest(bed, report, QUICK_RECORDS if quick else RECORDS, repetitions)
    written: list[list[str]] = []
    asked: list[list[str]] = []
    for size in QUICK_SIZES if quick else SIZES:
        directory = bed.run.directory / f"lake-{size}"
        directory.mkdir()
        kept, rates = _write(directory, size)
        written.append([f"{size:,}", *(f"{rate:,.0f}" for rate in rates.values())])
        report.raw.append({"rows": size, "rowsPerSecond": rates})
        asked += _ask(report, kept, size, repetitions)
        shutil.rmtree(directory)
    report.tables.append(Table("Rows written a second", ("rows", "lake", "PyArrow", "DuckDB"), written))
    columns = ("question", "lake", "DuckDB on one Parquet file", "DuckDB on its own file")
    report.tables.append(Table("Time of a question, ms", columns, asked))
    report.limits.append("Ingest: one thread decodes; reading alone tells what the client for Kafka leaves of a core.")
    return report


def _ingest(bed: Bed, report: Report, count: int, repetitions: int) -> None:
    topics = bed.topics()
    publish(bed, topics, sales_log(topics.sales, count, with_sale_ids=True))
    settings = bed.kafka_settings(topics)
    reading, writing = [], []
    for number in range(repetitions):
        reading.append(count / _timed(partial(_read, settings, count)))
        directory = bed.run.directory / f"lake-ingest-{number}"
        writing.append(count / _timed(partial(_bring, settings, directory, count)))
        shutil.rmtree(directory)
    process = _through_the_process(bed, count, repetitions)
    row = [f"{count:,}", *(Spread.of(rates).text() for rates in (writing, process, reading))]
    columns = ("records", "into the lake", "by the writer's process", "read only")
    report.tables.append(Table("From the topic, records a second", columns, [row]))
    report.raw.append({"records": count, "intoTheLake": writing, "writersProcess": process, "readOnly": reading})


def _through_the_process(bed: Bed, count: int, repetitions: int) -> list[float]:
    """Records a second: the log grows by `count` while the writer hangs, each time."""
    topics = bed.topics()
    rates = []
    with bed.site(topics, (WRITER,), LOG_LEVEL="warning", LAKE_COMMIT_SECONDS="0.1") as site:
        create_events_topic(load(KafkaSettings, site.environment))
        lake = Lake(site.environment["LAKE_URI"])
        site.start()
        for number in range(repetitions):
            # With something in the log to begin with, it is known that the writer is at work.
            publish(bed, topics, sales_log(topics.sales, FIRST_RECORDS, with_sale_ids=True, seed=number))
            begin = (number + 1) * FIRST_RECORDS + number * count
            _wait_for(site, lake, topics, begin)
            site.pause(WRITER)
            publish(bed, topics, sales_log(topics.sales, count, with_sale_ids=True))
            begun = time.perf_counter()
            site.resume(WRITER)
            _wait_for(site, lake, topics, begin + count)
            rates.append(count / (time.perf_counter() - begun))
    return rates


def _wait_for(site: RunningSite, lake: Lake, topics: Topics, offset: int) -> None:
    source = f"{topics.sales}-0"

    def is_there() -> bool:
        try:
            return lake.position(TICKET_MESSAGES, source) == offset
        except TableNotFoundError:
            return False

    if not until(is_there, WRITER_SECONDS_MAX):
        raise RuntimeError(f"the writer does not come to {offset}: {site.last_words(WRITER)}")


def _read(settings: KafkaSettings, count: int) -> None:
    with LogReader(settings, settings.sales_topic) as reader:
        read = sum(len(records) for records, _ in reader.read(0, 0, count))
    if read != count:
        raise RuntimeError(f"{read} records were read of {count}")


def _bring(settings: KafkaSettings, directory: Path, count: int) -> None:
    lake = Lake(str(directory))
    lake.create()
    topic = Topic(
        settings.sales_topic, TICKET_MESSAGES, lambda part, records: message_rows(part, records, QUANTITY_MAX)
    )
    writer = TopicWriter(lake, topic, settings, COMMIT_ROWS)
    written = writer.catch_up()
    writer.close()
    if written != count:
        raise RuntimeError(f"{written} rows were written of {count}")


def _write(directory: Path, size: int) -> tuple[Kept, dict[str, float]]:
    kept = Kept(Lake(str(directory / "lake")), directory / "one.parquet", directory / "one.duckdb")
    kept.lake.create()
    ways = {"lake": _to_lake(kept.lake), "pyarrow": _to_parquet(kept.parquet), "duckdb": _to_duckdb(kept.database)}
    seconds = dict.fromkeys(ways, 0.0)
    for part in _parts(size):
        for name, way in ways.items():
            seconds[name] += _timed(partial(way.send, part))
    for name, way in ways.items():
        seconds[name] += _timed(way.close)  # files are finished there
    return kept, {name: size / taken for name, taken in seconds.items()}


def _to_lake(lake: Lake) -> Generator[None, pa.Table, None]:
    def write() -> Generator[None, pa.Table, None]:
        done = 0
        while True:
            part = yield
            lake.append(TICKET_MESSAGES, part, {"bench-0": done + part.num_rows}, {"bench-0": done})
            done += part.num_rows

    return _ready(write())


def _to_parquet(path: Path) -> Generator[None, pa.Table, None]:
    def write() -> Generator[None, pa.Table, None]:
        with pq.ParquetWriter(path, TICKET_MESSAGES.columns, compression="snappy") as writer:
            while True:
                writer.write_table((yield))

    return _ready(write())


def _to_duckdb(path: Path) -> Generator[None, pa.Table, None]:
    def write() -> Generator[None, pa.Table, None]:
        with duckdb.connect(str(path)) as connection:
            verb = "CREATE TABLE messages AS"
            while True:
                part = yield
                plain = part.set_column(3, "logged_at", part["logged_at"].cast(pa.timestamp("us")))
                connection.register("part", plain)
                connection.execute(f"{verb} SELECT * FROM part")
                verb = "INSERT INTO messages"

    return _ready(write())


def _ready(way: Generator[None, pa.Table, None]) -> Generator[None, pa.Table, None]:
    """Gone on to where it takes the first part."""
    next(way)
    return way


def _parts(size: int) -> Iterator[pa.Table]:
    """Messages of three sites over 192 pools, the same each time, in parts of a commit."""
    for first in range(0, size, COMMIT_ROWS):
        yield _part(first, min(COMMIT_ROWS, size - first), size)


def _part(first: int, count: int, size: int) -> pa.Table:
    random = np.random.default_rng(first)
    offsets = np.arange(first, first + count, dtype=np.int64)
    seconds = OPENING + offsets * (DAYS * DAY_SECONDS) // size
    moments = pa.array(seconds * 1_000_000, pa.timestamp("us", tz="UTC"))
    columns = {
        "partition": pa.repeat(pa.scalar(0, pa.int32()), count),
        "offset": pa.array(offsets),
        "line": pa.repeat(pa.scalar(0, pa.int16()), count),
        "logged_at": moments,
        "day": moments.cast(pa.date32()),
        "site": _chosen(random, ("matchday", "atlas", "condor"), count),
        "sale_id": pa.array([f"{number:032x}" for number in random.integers(0, 2**62, count)]),
        "action": _chosen(random, ("TICKET_PENDING", "TICKET_RESERVED", "TICKET_CANCELLED"), count),
        "match_number": pa.array(random.integers(1, 65, count, dtype=np.int32)),
        "category": pa.array(random.integers(1, 4, count, dtype=np.int32)),
        "quantity": pa.array(random.integers(1, 3, count, dtype=np.int32)),
        "price": pa.array(random.choice([70.0, 165.0, 220.0], count)),
        "refused": pa.nulls(count, pa.string()),
    }
    return pa.Table.from_pydict(columns, schema=TICKET_MESSAGES.columns)


def _chosen(random: "np.random.Generator", words: tuple[str, ...], count: int) -> pa.Array:
    return pa.array(np.array(words, dtype=object)[random.integers(0, len(words), count)], pa.string())


def _ask(report: Report, kept: Kept, size: int, repetitions: int) -> list[list[str]]:
    rows = []
    for name, question in QUESTIONS.items():
        ways: dict[str, Callable[[], list[tuple[Any, ...]]]] = {
            "lake": partial(_of_lake, kept.lake, question),
            "parquet": partial(_of_file, None, question.format(table=f"read_parquet('{kept.parquet}')")),
            "duckdb": partial(_of_file, kept.database, question.format(table="messages")),
        }
        answers = [way() for way in ways.values()]
        if any(answer != answers[0] for answer in answers):
            raise RuntimeError(f"{name}: the three do not say the same")
        times = {way: [_timed(ask) * 1000 for _ in range(repetitions)] for way, ask in ways.items()}
        rows.append([f"{name}, {size:,} rows", *(Spread.of(found).text(1) for found in times.values())])
        report.raw.append({"rows": size, "question": name, "milliseconds": times})
    return rows


def _of_lake(lake: Lake, question: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in lake.query(question.format(table="ticket_messages"))]


def _of_file(database: Path | None, question: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(":memory:" if database is None else str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'") if database is None else None
        return connection.execute(question).fetchall()


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
