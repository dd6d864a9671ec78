"""The lake read by Spark in a Java process of its own: the same rows as DuckDB's for the same lake."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from analytics.figures.judged import show_judged
from analytics.generator import files
from analytics.generator.parameters import SIZES
from analytics.generator.simulation import simulate
from analytics.lake.lake import Lake
from analytics.recommender.catalogue import read_catalogue
from analytics.recommender.dataset import read_events
from analytics.spark.jobs import BOOKINGS, INTERACTIONS, work_out
from analytics.spark.session import SparkNotReady, local_session
from analytics.spark.views import show
from matchday.masterlist_file import load_file
from matchday.paths import CHECKOUT

OWN, HOLD_SECONDS = "home", 3600
FEW = replace(SIZES["small"], buyers=200)
Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    masterlist = load_file("small")
    lake = Lake(str(tmp_path_factory.mktemp("it's a lake")))
    for part in (1, 2):
        files.append(lake, masterlist, f"few-{part}", simulate(masterlist, FEW, part), FEW.currency)
    return lake


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with local_session() as session:
        yield session


def rows_of_duckdb(lake: Lake, sql: str) -> Rows:
    with lake.connect() as connection:
        show_judged(connection, OWN, HOLD_SECONDS)
        return sorted(connection.execute(sql).fetchall(), key=repr)


def rows_of_spark(spark: SparkSession, lake: Lake, job: str) -> Rows:
    return sorted((tuple(row) for row in work_out(spark, lake, job, OWN, HOLD_SECONDS).collect()), key=repr)


def test_bookings_are_the_same(spark: SparkSession, lake: Lake) -> None:
    rows = rows_of_spark(spark, lake, "bookings")
    assert rows == rows_of_duckdb(lake, BOOKINGS)
    assert sum(sold for *_, sold, _ in rows) > 0


def test_interactions_are_the_same_and_are_what_the_model_learns_from(spark: SparkSession, lake: Lake) -> None:
    rows = rows_of_spark(spark, lake, "interactions")
    assert [(*row[:2], float(row[2]), row[3]) for row in rows] == [
        (*row[:2], float(row[2]), row[3]) for row in rows_of_duckdb(lake, INTERACTIONS)
    ]
    catalogue = read_catalogue(lake)
    events = read_events(lake, catalogue, most=10_000_000)
    matrix = events.matches_of(len(catalogue.index))
    learned = {(row, column): weight for (row, column), weight in matrix.todok().items() if weight}
    numbers = catalogue.index
    subjects = {subject: index for index, subject in enumerate(events.subjects)}
    assert learned == {(subjects[who], numbers[what]): float(weight) for who, what, weight, _ in rows}


def test_each_table_has_the_same_rows(spark: SparkSession, lake: Lake) -> None:
    show(spark, lake)
    for table in ("ticket_messages", "site_events", "matches", "pools"):
        sql = f"SELECT count(*) AS n FROM {table}"
        assert [row.asDict() for row in spark.sql(sql).collect()] == lake.query(sql)


def test_an_empty_lake_is_empty(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    assert work_out(spark, lake, "bookings", OWN, HOLD_SECONDS).collect() == []
    lake.create()
    assert work_out(spark, lake, "interactions", OWN, HOLD_SECONDS).collect() == []


def test_the_command_writes_its_result_and_leaves_no_process(lake: Lake, tmp_path: Path) -> None:
    out = tmp_path / "bookings"
    environment = os.environ | {"LAKE_URI": lake.uri.removesuffix("/v1"), "CLIENT_ID": OWN}
    done = subprocess.run(
        [sys.executable, "-m", "analytics.spark", "bookings", "--out", str(out)],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(map(tuple, (row.values() for row in pq.read_table(out).to_pylist())), key=repr) != []
    assert pq.read_table(out).num_rows == len(rows_of_duckdb(lake, BOOKINGS))
    assert not [each for each in psutil.Process().children(recursive=True) if str(out) in " ".join(each.cmdline())]


def test_a_java_that_is_none_is_told() -> None:
    with pytest.raises(SparkNotReady), local_session(java="false"):
        pass
