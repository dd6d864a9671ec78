"""Real servers for tests: PostgreSQL, Valkey and Kafka, each started once a run when first asked for.

Fixtures:
    postgres, valkey, kafka   the running servers (`matchday.servers`): `.kill()`, `.start()`, `.restart()`
                              keep port and data, for tests of faults; one left dead is started again.
    database_url              a fresh database with all migrations, dropped afterwards.
    databases                 makes further ones: `.create()`.
    redis_url                 a Valkey emptied before the test.
    topics                    two fresh topics, `topics.masterlist` and `topics.sales`.
    environment               the environment of a process that uses all of the above.
    make_site                 whole sites of ours, see tests/sites.py.

With INFRA=containers the servers come from testcontainers instead of wheels.
Bounded waits: `from tests.eventually import eventually`.
"""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings

from matchday.paths import CHECKOUT, VAR
from matchday.run import Run, reap
from matchday.servers import Kafka, Postgres, Server, Valkey
from matchday.topics import create_topics, delete_topics
from tests.containers import CONTAINERS
from tests.resources import Databases, Topics
from tests.sites import SiteMaker

MIGRATION_SECONDS = 120
# A plain run tries the same examples each time, so that it passes or fails for what is in the commit; `make explore`
# looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

__all__ = ["Topics"]


@pytest.fixture(scope="session")
def run_directory() -> Iterator[Path]:
    """Where this run's servers keep data and logs; what killed runs left is ended and removed first."""
    root = VAR / "tests"
    for old in root.glob("run-*"):
        if not _is_running(old):
            reap(old)
            shutil.rmtree(old, ignore_errors=True)
    directory = root / f"run-{os.getpid()}-{secrets.token_hex(3)}"
    directory.mkdir(parents=True)
    yield directory
    if not os.environ.get("KEEP_TEST_FILES"):
        shutil.rmtree(directory, ignore_errors=True)


def _is_running(directory: Path) -> bool:
    try:
        os.kill(int(directory.name.split("-")[1]), 0)
    except (OSError, ValueError):
        return False
    return True


@pytest.fixture(scope="session")
def server_run(run_directory: Path) -> Iterator[Run]:
    run = Run.begin(run_directory)
    yield run
    run.end()


def _serve(kind: type[Server], run: Run) -> Iterator[Server]:
    if os.environ.get("INFRA") == "containers":
        container = CONTAINERS[kind](run.directory / kind.name, run)
        container.start()
        yield container
        container.remove()
        return
    server = kind(run.directory / kind.name, run)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _postgres(server_run: Run) -> Iterator[Server]:
    yield from _serve(Postgres, server_run)


@pytest.fixture(scope="session")
def _valkey(server_run: Run) -> Iterator[Server]:
    yield from _serve(Valkey, server_run)


@pytest.fixture(scope="session")
def _kafka(server_run: Run) -> Iterator[Server]:
    yield from _serve(Kafka, server_run)


def _alive(server: Server) -> Server:
    if not server.ready():
        server.stop()
        server.start()
    return server


@pytest.fixture
def postgres(_postgres: Postgres) -> Postgres:
    """The running PostgreSQL."""
    _alive(_postgres)
    return _postgres


@pytest.fixture
def valkey(_valkey: Valkey) -> Valkey:
    """The running Valkey."""
    _alive(_valkey)
    return _valkey


@pytest.fixture
def kafka(_kafka: Kafka) -> Kafka:
    """The running broker."""
    _alive(_kafka)
    return _kafka


@pytest.fixture(scope="session")
def _template(_postgres: Postgres) -> str:
    """A migrated database from which each test's own is copied."""
    environment = {**os.environ, "DATABASE_URL": _postgres.url("template_of_tests")}
    migration = subprocess.run(
        [sys.executable, "-m", "matchday.migrate"],
        cwd=CHECKOUT,
        env=environment,
        timeout=MIGRATION_SECONDS,
        capture_output=True,
        text=True,
    )
    assert migration.returncode == 0, migration.stdout + migration.stderr
    return "template_of_tests"


@pytest.fixture
def databases(postgres: Postgres, _template: str) -> Iterator[Databases]:
    """For a test that needs more than one database; all are dropped at its end."""
    made = Databases(postgres, _template)
    yield made
    _alive(postgres)
    made.drop_all()


@pytest.fixture
def database_url(databases: Databases) -> str:
    """The address of a fresh database with all migrations."""
    return databases.create()


@pytest.fixture
def redis_url(valkey: Valkey) -> str:
    """The address of an empty Redis."""
    with redis.Redis.from_url(valkey.url) as connection:
        connection.flushall()
    return valkey.url


@pytest.fixture
def topics(kafka: Kafka) -> Iterator[Topics]:
    """Two fresh topics, removed afterwards."""
    suffix = secrets.token_hex(6)
    names = Topics(f"masterlist-{suffix}", f"ticket-sales-{suffix}")
    client = {"bootstrap_servers": kafka.bootstrap_servers}
    asyncio.run(create_topics(client, [names.masterlist, names.sales]))
    yield names
    _alive(kafka)
    asyncio.run(delete_topics(client, [names.masterlist, names.sales]))


@pytest.fixture
def environment(database_url: str, redis_url: str, kafka: Kafka, topics: Topics) -> dict[str, str]:
    """What a process of a site needs to know, as environment variables."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TOPIC_MASTERLIST": topics.masterlist,
        "TOPIC_TICKET_SALES": topics.sales,
        "CLIENT_ID": "matchday",
        "SERVICE_TOKEN": secrets.token_urlsafe(32),
        "TOKEN_SECRET": secrets.token_urlsafe(32),
        "TICKET_KEYS": secrets.token_urlsafe(32),
        "USERS_SECRET": secrets.token_urlsafe(32),
        "ANALYTICS_SECRET": secrets.token_urlsafe(32),
        "SMTP_URL": "smtp://127.0.0.1:1",
        "HOST": "127.0.0.1",
    }


@pytest.fixture
def make_site(
    server_run: Run, databases: Databases, valkey: Valkey, kafka: Kafka, topics: Topics
) -> Iterator[SiteMaker]:
    """Sites on one broker and one pair of topics, each with a database and a Redis number of its own."""
    common = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")},
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TOPIC_MASTERLIST": topics.masterlist,
        "TOPIC_TICKET_SALES": topics.sales,
    }
    maker = SiteMaker(server_run, common, databases, valkey)
    yield maker
    maker.close()
