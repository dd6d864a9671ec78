"""Where benchmarks run: servers and sites of their own, as `make up` starts them, on free ports and durable."""

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from matchday.masterlist import publish
from matchday.masterlist_file import load_file
from matchday.paths import CHECKOUT, VAR
from matchday.ports import free_port
from matchday.processes import ProcessSpec, SiteProcess
from matchday.run import Run, reap
from matchday.servers import Kafka, Postgres, Server, Valkey
from matchday.stopping import finish, until
from matchday.topics import create_topics
from shared.masterlist import CAPACITY_MAX, MatchEntry
from shared.settings import KafkaSettings, load
from tests.resources import Databases, Topics
from tests.sites import RunningSite, SiteMaker

MIGRATION_SECONDS = 120
READY_SECONDS = 30.0
# The route that costs nothing, behind the same server with the same settings.
EMPTY = ProcessSpec("empty", "benchmarks.empty_app", 1)
TEMPLATE = "template_of_benchmarks"
# All buyers come from one address here, and nobody is to be held up for it; the gate is asked all the same.
UNREACHED = "1000000"
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")


def large_masterlist() -> list[MatchEntry]:
    """The 64 matches of 2022 with so many tickets that no benchmark sells out: 192 pools."""
    return [
        replace(entry, pools=tuple(replace(pool, capacity=CAPACITY_MAX) for pool in entry.pools))
        for entry in load_file("world-cup-2022")
    ]


def all_pools() -> list[tuple[int, int]]:
    """(matchNumber, category) of every pool."""
    return [(entry.match_number, pool.category) for entry in large_masterlist() for pool in entry.pools]


@dataclass(frozen=True, slots=True)
class Beside:
    """A process beside a site's own."""

    pid: int
    port: int


@dataclass(frozen=True, slots=True)
class Bed:
    """The running servers, and what is made on them."""

    run: Run
    postgres: Postgres
    valkey: Valkey
    kafka: Kafka
    databases: Databases

    def topics(self) -> Topics:
        """Two fresh topics, made as ours are, with the large master list published."""
        suffix = secrets.token_hex(4)
        topics = Topics(f"masterlist-{suffix}", f"ticket-sales-{suffix}")
        client = {"bootstrap_servers": self.kafka.bootstrap_servers}
        asyncio.run(create_topics(client, [topics.masterlist, topics.sales]))
        publish(self.kafka_settings(topics), large_masterlist(), "organiser")
        return topics

    def kafka_settings(self, topics: Topics) -> KafkaSettings:
        return load(KafkaSettings, self.environment(topics))

    def environment(self, topics: Topics) -> dict[str, str]:
        """What a process needs to reach the broker."""
        return {
            **{name: value for name, value in os.environ.items() if name in PASSED_ON},
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "TOPIC_MASTERLIST": topics.masterlist,
            "TOPIC_TICKET_SALES": topics.sales,
        }

    @contextlib.contextmanager
    def site(self, topics: Topics, only: Sequence[str], **settings: str) -> Iterator[RunningSite]:
        """A site with a fresh database and a name of its own, not started yet; stopped at the end."""
        maker = SiteMaker(self.run, self.environment(topics), self.databases, self.valkey)
        site = maker(f"bench-{secrets.token_hex(3)}", only, **{"RATE_SCALE": UNREACHED, **settings})
        try:
            yield site
        finally:
            maker.close()
            self.databases.drop(site.database_url)

    @contextlib.contextmanager
    def beside(self, site: RunningSite, spec: ProcessSpec, port: int | None = None) -> Iterator[Beside]:
        """A further process with the site's settings, ready, for the time of the block; on a free port or the given."""
        log = site.site.log(spec.name)
        process = SiteProcess(spec, self.run, log, site.environment, port or free_port())
        running = process.spawn()
        try:
            if not until(process.ready, READY_SECONDS):
                raise RuntimeError(f"{spec.name} does not start: {log.read_text('utf-8')}")
            assert process.port is not None
            yield Beside(running.pid, process.port)
        finally:
            running.terminate()
            running.wait()

    def watched(self, site: RunningSite | None = None) -> dict[str, int]:
        """The process ids of the servers and of a site's processes, by name."""
        found = {server.name: _pid(server) for server in (self.postgres, self.kafka)}
        for spec in site.specs if site else ():
            pid = site.pid(spec.name) if site else None
            if pid is not None:
                found[spec.name] = pid
        return found


def _pid(server: Server) -> int:
    assert server.process is not None
    return server.process.pid


@contextlib.contextmanager
def started() -> Iterator[Bed]:
    """All servers, for the time of the block; their data is removed afterwards."""
    root = VAR / "tests"  # the one name below `var` that no site has
    directory = root / f"bench-{os.getpid()}"
    _remove_leftovers()
    directory.mkdir(parents=True)
    run = Run.begin(directory)
    postgres, valkey = Postgres(directory / "postgres", run), Valkey(directory / "valkey", run)
    kafka = Kafka(directory / "kafka", run)
    try:
        for server in (postgres, valkey, kafka):
            server.start()
        _migrate(run, postgres)
        yield Bed(run, postgres, valkey, kafka, Databases(postgres, TEMPLATE))
    finally:
        for server in (kafka, valkey, postgres):
            server.stop()
        reap(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _remove_leftovers() -> None:
    """What a run that was killed has left."""
    for old in (VAR / "tests").glob("bench-*"):
        with contextlib.suppress(ValueError):
            try:
                os.kill(int(old.name.removeprefix("bench-")), 0)
            except ProcessLookupError:
                reap(old)
                shutil.rmtree(old, ignore_errors=True)


def _migrate(run: Run, postgres: Postgres) -> None:
    environment = {**os.environ, "DATABASE_URL": postgres.url(TEMPLATE)}
    log = run.directory / "migrate.log"
    process = run.spawn([sys.executable, "-m", "matchday.migrate"], log, environment=environment, directory=CHECKOUT)
    if finish(process, MIGRATION_SECONDS) != 0:
        raise RuntimeError(f"the migrations failed: {log.read_text('utf-8')}")
