"""The bare row lock: "select for update, update, commit" by PostgreSQL's own pgbench, no service around it."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.figures import percentile
from matchday.servers.postgres import program

ROWS = 192
THREADS_MAX = 2
STARTING_SECONDS = 30
SCRIPT = """\\set id random(1, {rows})
BEGIN;
SELECT held FROM bare WHERE id = :id FOR UPDATE;
UPDATE bare SET held = held + 1 WHERE id = :id;
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Bare:
    """What pgbench measured; milliseconds."""

    count: int
    rate: float
    p50: float
    p95: float
    p99: float


def prepare(database_url: str) -> None:
    """Makes the table, with room on each page for updates in place, as the pools have it."""
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE bare (id int PRIMARY KEY, held bigint NOT NULL) WITH (fillfactor = 50)")
        connection.execute("INSERT INTO bare SELECT id, 0 FROM generate_series(1, %s) AS id", [ROWS])


def run(database_url: str, clients: int, rows: int, seconds: float) -> Bare:
    """`clients` connections that lock one of `rows` rows each, for some whole seconds."""
    duration = max(1, round(seconds))
    with tempfile.TemporaryDirectory(prefix="pgbench-") as directory:
        script = Path(directory, "script.sql")
        script.write_text(SCRIPT.format(rows=rows), "ascii")
        argv: Sequence[str | Path] = (
            program("pgbench"), "--no-vacuum", "--protocol=prepared", "--file", script, "--time", str(duration),
            "--client", str(clients), "--jobs", str(min(clients, THREADS_MAX)), "--log", "--log-prefix",
            Path(directory, "log"), database_url,
        )  # fmt: skip
        subprocess.run(argv, cwd=directory, check=True, capture_output=True, timeout=duration + STARTING_SECONDS)
        latencies = sorted(latency for log in Path(directory).glob("log.*") for latency in _latencies(log))
    count = len(latencies)
    return Bare(count, count / duration, *(percentile(latencies, share) for share in (0.5, 0.95, 0.99)))


def _latencies(log: Path) -> list[float]:
    # Columns: client, transaction, time in µs, script, second, microsecond.
    return [int(line.split()[2]) / 1000 for line in log.read_text("ascii").splitlines()]
