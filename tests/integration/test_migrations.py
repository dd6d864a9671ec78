"""Migrations, on real PostgreSQL, as an operator runs them: up, down, up again, and nothing left to generate."""

import os
import subprocess
import sys

import psycopg
import pytest

from matchday.paths import CHECKOUT
from matchday.servers import Postgres
from tests.resources import Databases

SECONDS_MAX = 120
Shape = list[tuple[object, ...]]


@pytest.fixture
def empty_database(postgres: Postgres, databases: Databases) -> str:
    """A database without any of ours."""
    url = databases.create()
    assert alembic(url, "downgrade", "base").returncode == 0
    return url


def alembic(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": url},
        timeout=SECONDS_MAX,
        capture_output=True,
        text=True,
    )


def succeed(url: str, *arguments: str) -> str:
    done = alembic(url, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


OURS = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relname !~ '^alembic_version'"
COLUMNS = f"""
    SELECT n.nspname, c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           a.attidentity, pg_get_expr(d.adbin, d.adrelid), c.reloptions
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE {OURS} ORDER BY 1, 2, a.attnum"""
INDEXES = f"""
    SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} ORDER BY 1"""
CONSTRAINTS = f"""
    SELECT c.relname, k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} ORDER BY 1, 2"""


def shape(url: str) -> list[Shape]:
    """Columns, indexes and constraints of all our tables."""
    with psycopg.connect(url) as connection:
        return [connection.execute(query.encode()).fetchall() for query in (COLUMNS, INDEXES, CONSTRAINTS)]


def schemas(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'").fetchall()
    return {row[0] for row in rows} - {"information_schema"}


def test_up_down_and_up_again_gives_the_same_database(empty_database: str) -> None:
    succeed(empty_database, "upgrade", "head")
    first = shape(empty_database)
    assert {"shop", "reservations"} <= schemas(empty_database)
    succeed(empty_database, "downgrade", "base")
    assert shape(empty_database) == [[], [], []]
    succeed(empty_database, "upgrade", "head")
    assert shape(empty_database) == first


def test_a_downgrade_to_the_beginning_leaves_nothing_of_ours(empty_database: str) -> None:
    assert schemas(empty_database) == {"public"}
    assert shape(empty_database) == [[], [], []]


def test_every_step_goes_down_and_up(empty_database: str) -> None:
    succeed(empty_database, "upgrade", "head")
    steps = len(succeed(empty_database, "history").strip().splitlines())
    for _ in range(steps):
        head = shape(empty_database)
        succeed(empty_database, "downgrade", "-1")
        below = shape(empty_database)
        succeed(empty_database, "upgrade", "+1")
        assert shape(empty_database) == head
        succeed(empty_database, "downgrade", "-1")
        assert shape(empty_database) == below
    assert shape(empty_database) == [[], [], []]


def test_there_is_one_history_and_the_code_has_no_table_that_it_lacks(database_url: str) -> None:
    assert len(succeed(database_url, "heads").strip().splitlines()) == 1
    assert "No new upgrade operations detected" in succeed(database_url, "check")


def test_the_check_notices_a_column_that_no_migration_made(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE shop.matches DROP COLUMN location")
    assert alembic(database_url, "check").returncode != 0


def test_a_migration_that_cannot_have_a_tables_lock_gives_up(database_url: str) -> None:
    before = shape(database_url)
    with psycopg.connect(database_url) as busy:
        busy.execute("SELECT * FROM shop.pools")  # holds the table until its transaction ends
        done = alembic(database_url, "downgrade", "base")
    assert done.returncode != 0
    assert "lock timeout" in done.stdout + done.stderr
    assert shape(database_url) == before
