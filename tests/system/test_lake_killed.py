"""kill -9 of the lake's writer at moments of a seed, while 100,000 records pass: the lake is the log, line by line.

`LAKE_SEED` replays a failure. Commits and upkeep follow on each other without a pause, so that kills meet them all:
reading, writing files, the commit, joining files and deleting old ones.
"""

import os
import random
import resource
import secrets
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from analytics import store
from analytics.lake.lake import Lake
from analytics.lake.tables import TICKET_MESSAGES
from matchday.paths import CHECKOUT
from matchday.run import Run
from matchday.servers import Kafka
from shared.database import Database
from shared.settings import DatabaseSettings, load
from shared.wire import encode_ticket_message
from tests.eventually import eventually
from tests.lakes import Place, Sent, in_bucket, in_folder, send
from tests.s3 import S3

RECORDS, RECORDS_S3 = 100_000, 20_000
PART, AHEAD = 2_000, 5_000
KILLS = 8
KILL_SECONDS_MAX = 0.5
FULL_BYTES = 50_000  # the largest file that a process may write whose disk is full: its log, and not a commit's rows
ACTIONS = ("TICKET_PENDING", "TICKET_RESERVED", "TICKET_CANCELLED")
QUICK = {"LAKE_COMMIT_ROWS": "1500", "LAKE_COMMIT_SECONDS": "0.02", "LAKE_UPKEEP_SECONDS": "0.2"}
QUICK |= {"LAKE_SMALL_FILES_MAX": "3", "LAKE_KEEP_SECONDS": "2"}

Pool = tuple[int, int, str]


@dataclass
class Expected:
    """What was sent: of each pool and action how many lines and tickets; and how many records were no messages."""

    lines: "Counter[Pool]"
    tickets: "Counter[Pool]"
    refused: int = 0


class Sender(threading.Thread):
    """Sends the records of a seed in parts, a few parts ahead of the lake, so that writers commit again and again."""

    def __init__(self, kafka: Kafka, topic: str, lake: Lake, count: int, seed: int) -> None:
        super().__init__(name="sender", daemon=True)
        self._kafka, self._topic, self._lake, self._count = kafka, topic, lake, count
        self._random = random.Random(seed)
        self.expected = Expected(Counter(), Counter())
        self.sent = 0

    def run(self) -> None:
        while self.sent < self._count:
            eventually(lambda: self.sent - position(self._lake, self._topic) < AHEAD, 120)
            part = [self._next() for _ in range(min(PART, self._count - self.sent))]
            send(self._kafka.bootstrap_servers, self._topic, part)
            self.sent += len(part)

    def _next(self) -> Sent:
        if self._random.random() < 0.01:
            self.expected.refused += 1
            return Sent(b"nothing that a site would send")
        match, category, quantity = self._random.randint(1, 48), self._random.randint(1, 3), self._random.randint(1, 2)
        action = self._random.choice(ACTIONS)
        self.expected.lines[(match, category, action)] += 1
        self.expected.tickets[(match, category, action)] += quantity
        value = encode_ticket_message(action, match, category, quantity, Decimal(100))
        return Sent(value, (("clientId", b"atlas"), ("saleId", secrets.token_hex(8).encode())))


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, server_run: Run) -> Iterator[Place]:
    if request.param == "folder":
        yield in_folder(tmp_path / "lake")
        return
    with_s3 = S3(server_run.directory / "s3-of-kills", server_run)
    with_s3.start()
    yield in_bucket(with_s3)
    with_s3.stop()


class Writers:
    """Processes of the lake's writer, which are killed and started again."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = {**os.environ, **QUICK, **environment}
        self._log = log
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "analytics.writer"]
            self.running.append(
                subprocess.Popen(command, cwd=CHECKOUT, env=self._environment, stdout=log, stderr=subprocess.STDOUT)
            )

    def strike(self, number: int) -> None:
        """kill -9; one that ended by itself is a failure."""
        victim = self.running.pop(number)
        assert victim.poll() is None, self._log.read_text("utf-8")[-3000:]
        victim.kill()
        victim.wait(30)

    def end(self) -> None:
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)
        self.running = []


def audit(lake: Lake, expected: Expected, count: int) -> None:
    """The lake against what was sent, in all that the issue asks for."""
    (rows,) = lake.query(
        'SELECT count(*) AS n, count(DISTINCT ("partition", "offset", line)) AS places, min("offset") AS first,'
        ' max("offset") AS last, count(*) FILTER (refused IS NOT NULL) AS refused FROM ticket_messages'
    )
    wanted = {"n": count, "places": count, "first": 0, "last": count - 1, "refused": expected.refused}
    assert rows == wanted
    sums: defaultdict[Pool, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in lake.query(
        "SELECT match_number, category, action, count(*) AS n, sum(quantity)::BIGINT AS tickets FROM ticket_messages"
        " WHERE refused IS NULL GROUP BY ALL"
    ):
        sums[(row["match_number"], row["category"], row["action"])] = (row["n"], row["tickets"])
    assert sums == {pool: (lines, expected.tickets[pool]) for pool, lines in expected.lines.items()}
    # Each file that the commit names is whole: all of its columns can be read, by another reader than the one above.
    assert lake.open(TICKET_MESSAGES).to_pyarrow_table().num_rows == count


def position(lake: Lake, topic: str) -> int:
    return lake.position(TICKET_MESSAGES, f"{topic}-0")


@pytest.mark.parametrize("writers", [1, 2], ids=["one writer", "two writers"])
@pytest.mark.timeout(600)
def test_the_lake_is_the_log_however_often_its_writer_is_killed(
    environment: dict[str, str], kafka: Kafka, place: Place, tmp_path: Path, writers: int
) -> None:
    seed = int(os.environ.get("LAKE_SEED", "1"))
    moments = random.Random(f"kills {seed} {writers}")
    topic = environment["TOPIC_TICKET_SALES"]
    count = RECORDS if "LAKE_S3_ENDPOINT" not in place.environment else RECORDS_S3
    lake = place.lake()
    lake.create(keep_seconds=2)
    sender = Sender(kafka, topic, lake, count, seed)
    log = tmp_path / "writer.log"
    processes = Writers({**environment, **place.environment, "TOPIC_SITE_EVENTS": environment["TOPIC_MASTERLIST"]}, log)
    try:
        for _ in range(writers):
            processes.start()
        sender.start()
        for _ in range(KILLS):
            before = position(lake, topic)
            wanted = min(before + moments.randint(1, 5) * PART, count)
            eventually(lambda wanted=wanted: position(lake, topic) >= wanted, 120, "the writer gets on")  # type: ignore[misc]
            threading.Event().wait(
                moments.uniform(0, KILL_SECONDS_MAX)
            )  # not for anything: the seed chooses the moment
            processes.strike(moments.randrange(writers))
            processes.start()
        sender.join(200)
        assert sender.sent == count
        eventually(lambda: position(lake, topic) == count, 200, f"all is in the lake; {log.read_text()[-2000:]}")
        _until_tidy(place, lake)
    finally:
        processes.end()
    print(f"LAKE_SEED={seed}: {KILLS} kills, {lake.open(TICKET_MESSAGES).version()} commits")
    audit(lake, sender.expected, count)


def _until_tidy(place: Place, lake: Lake) -> None:
    """What killed writers left is deleted by the one that lives: no file is there that no commit names."""

    def tidy() -> bool:
        named = {Path(file).name for file in lake.files(TICKET_MESSAGES)}
        folder = place.folder / "v1" / TICKET_MESSAGES.name
        there = {path.name for path in folder.glob("day=*/*.parquet")}
        return named == there

    eventually(tidy, 90, "no orphan stays")


def test_a_writer_that_hung_while_another_took_over_writes_nothing(
    environment: dict[str, str], kafka: Kafka, tmp_path: Path
) -> None:
    """Its lock in PostgreSQL is taken from it while it sleeps; awake again it meets the other's commits."""
    place = in_folder(tmp_path / "lake")
    topic = environment["TOPIC_TICKET_SALES"]
    lake = place.lake()
    lake.create(keep_seconds=3600)
    given = {**environment, **place.environment, "TOPIC_SITE_EVENTS": environment["TOPIC_MASTERLIST"]}
    first, second = Writers(given, tmp_path / "first.log"), Writers(given, tmp_path / "second.log")
    sender = Sender(kafka, topic, lake, 20_000, 7)
    try:
        first.start()
        sender.start()
        eventually(lambda: position(lake, topic) > 0, 60)
        first.running[0].send_signal(signal.SIGSTOP)
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
            mine = "application_name LIKE 'analytics-writer%' AND datname = current_database()"
            connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
        second.start()
        stood = position(lake, topic)
        eventually(lambda: position(lake, topic) > stood or position(lake, topic) == 20_000, 60)
        first.running[0].send_signal(signal.SIGCONT)
        sender.join(120)
        eventually(lambda: position(lake, topic) == 20_000, 120)
    finally:
        for writers in (first, second):
            for process in writers.running:
                process.send_signal(signal.SIGCONT)
            writers.end()
    audit(lake, sender.expected, 20_000)


def test_a_writer_without_room_on_its_disk_says_so_and_goes_on_when_there_is_some(
    environment: dict[str, str], kafka: Kafka, tmp_path: Path
) -> None:
    place = in_folder(tmp_path / "lake")
    topic = environment["TOPIC_TICKET_SALES"]
    lake = place.lake()
    lake.create(keep_seconds=2)
    sender = Sender(kafka, topic, lake, AHEAD, 11)
    sender.run()
    slow = {"LAKE_COMMIT_ROWS": "100000", "LAKE_COMMIT_SECONDS": "0.5", "RUST_BACKTRACE": "0"}
    given = {**environment, **place.environment, **slow, "TOPIC_SITE_EVENTS": environment["TOPIC_MASTERLIST"]}
    writers = Writers(given, tmp_path / "writer.log")
    database = Database(load(DatabaseSettings, environment), "test")
    try:
        writers.start()
        process = writers.running[0]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, resource.RLIM_INFINITY))

        def told() -> str:
            with database.transaction() as connection:
                heard = store.heard(connection)
            assert process.poll() is None, (tmp_path / "writer.log").read_text()[-3000:]
            return heard.state if heard is not None and heard.state.startswith("waiting") else ""

        assert "out of reach" in eventually(told, 60)
        assert position(lake, topic) == 0
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        eventually(lambda: position(lake, topic) == AHEAD, 60)
        assert process.poll() is None
        _until_tidy(place, lake)
    finally:
        writers.end()
        database.close()
    audit(lake, sender.expected, AHEAD)
