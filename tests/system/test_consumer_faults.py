"""A consumer is killed, hangs, shares its work; broker and database go away: every record counts once."""

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from matchday.masterlist import publish
from matchday.masterlist_file import load_file
from matchday.servers import Kafka, Postgres, Server
from shared.masterlist import MatchEntry, PoolEntry
from shared.settings import KafkaSettings
from tests.eventually import eventually
from tests.resources import Topics
from tests.sites import RunningSite, SiteMaker
from tests.system.stream import Stream
from tests.system.traffic import OWN, Meant, Recount, Traffic

CONSUMER = "shop-consumer"
MATCHES = range(1, 13)
CAPACITY = 600
MANY, SOME = 50_000, 12_000
DRAIN_SECONDS = 90.0
SESSION_SECONDS_MAX = 20.0
AHEAD = 1500
PARTITIONS = 4


@pytest.fixture
def seed() -> int:
    """Printed when a test fails; put it here to see the same again."""
    chosen = random.SystemRandom().randrange(2**32)
    print(f"seed = {chosen}")
    return chosen


@pytest.fixture
def masterlist(kafka: Kafka, topics: Topics) -> None:
    """Twelve matches with enough tickets for thousands of sales, and too few for all."""
    settings = {"kafka_bootstrap_servers": kafka.bootstrap_servers, "topic_masterlist": topics.masterlist}
    entries = [_with_capacity(entry) for entry in load_file("small")[: len(MATCHES)]]
    publish(KafkaSettings.model_validate(settings), entries, "organiser")


@pytest.fixture
def four_partitions(kafka: Kafka, topics: Topics) -> None:
    """Senders agree on the partition of each pool."""

    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        await admin.create_partitions({topics.sales: NewPartitions(PARTITIONS)})
        await admin.close()

    asyncio.run(create())


def _with_capacity(entry: MatchEntry) -> MatchEntry:
    pools = tuple(PoolEntry(pool.category, CAPACITY, pool.price) for pool in entry.pools)
    fields = {name: getattr(entry, name) for name in entry.__slots__ if name != "pools"}
    return MatchEntry(**fields, pools=pools)


class Observed:
    """What a site has applied, read from its database through any outage."""

    def __init__(self, site: RunningSite, topic: str) -> None:
        self.site = site
        self.topic = topic

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The answer; while the server is away that is an AssertionError, which `eventually` takes for "not yet"."""
        try:
            with psycopg.connect(self.site.database_url, connect_timeout=5) as connection:
                return connection.execute(query.encode(), values).fetchall()
        except psycopg.OperationalError as error:
            raise AssertionError(f"the database is away: {error}") from error

    def applied(self) -> int:
        """How many records, over all partitions."""
        query = "SELECT coalesce(sum(next_offset), 0)::int FROM shop.log_positions WHERE topic = %s"
        return int(self.rows(query, self.topic)[0][0])

    def wait_for(self, count: int) -> None:
        """Until so many records are applied."""

        def reached() -> bool:
            applied = self.applied()
            assert applied >= count, f"{applied} of {count}"
            return True

        eventually(reached, DRAIN_SECONDS, f"{count} records are applied")

    def is_in_transaction(self) -> bool:
        """Whether a consumer's session is, once no statement runs any more."""
        query = (
            # Within a pipeline a session is active while it waits for its client, which may be stopped.
            "SELECT CASE WHEN wait_event_type = 'Client' THEN 'in transaction' ELSE state END FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'shop-consumer' AND state <> 'idle'"
        )
        states: list[str] = []

        def settled() -> bool:
            states[:] = [row[0] for row in self.rows(query)]
            return "active" not in states

        eventually(settled)
        return bool(states)

    def check(self, records: Sequence[Meant], written: Sequence[tuple[int, int]]) -> None:
        """Counters, refused records and evidence are those of a recount of what was meant, and of the site's own."""
        recount = Recount(CAPACITY)
        recount.see_all(records)
        counted = {pool: (*numbers, *numbers) for pool, numbers in recount.counters().items()}
        rows = self.rows("SELECT match_number, category, held, sold, log_held, log_sold FROM shop.pools")
        assert {(row[0], row[1]): row[2:] for row in rows} == counted
        refused = self.rows('SELECT partition, "offset", reason FROM shop.refused')
        wrong = ((*place, meant.reason) for place, meant in zip(written, records, strict=True) if meant.reason)
        assert sorted(refused) == sorted(wrong)
        flagged = dict(self.rows("SELECT kind, count(*) FROM shop.evidence GROUP BY 1"))
        assert flagged == {kind: count for kind, count in recount.flagged.items() if count}
        answer = self.site.client(CONSUMER).get("/api/verify")
        assert answer.status_code == 200, answer.text
        assert answer.json()["equal"] is True


def kill_consumer(site: RunningSite, chance: random.Random) -> None:
    """kill -9, of the whole service or of the worker process that consumes."""
    workers = eventually(lambda: consumer_workers(site), what="the consumer runs") if chance.random() < 0.5 else []
    if workers:
        workers[0].kill()
    else:
        site.kill(CONSUMER)


def consumer_workers(site: RunningSite) -> list[psutil.Process]:
    """The processes below the service's main one; none while it dies of an earlier kill."""
    pid = site.pid(CONSUMER)
    try:
        return psutil.Process(pid).children() if pid else []
    except psutil.NoSuchProcess:
        return []


def restart(server: Server, chance: random.Random) -> None:
    """A clean stop, or the power is cut."""
    if chance.random() < 0.5:
        server.stop()
    else:
        server.kill()
    server.start()


def test_nothing_is_lost_or_counted_twice_while_everything_is_killed(
    make_site: SiteMaker, masterlist: None, kafka: Kafka, postgres: Postgres, topics: Topics, seed: int
) -> None:
    """At seeded places the consumer is killed seven times, the broker and PostgreSQL are restarted once each."""
    chance = random.Random(seed)
    records = Traffic(seed, MATCHES).take(MANY)
    site = make_site(OWN, only=[CONSUMER], CONSUMER_BATCH_MAX="500").start()
    seen = Observed(site, topics.sales)
    faults: list[Callable[[], None]] = [partial(kill_consumer, site, chance)] * 7
    faults += [partial(restart, kafka, chance), partial(restart, postgres, chance)]
    chance.shuffle(faults)
    places = sorted(chance.sample(range(500, MANY - 500), len(faults)))
    with Stream(kafka.bootstrap_servers, topics.sales, records) as stream:
        for place, fault in zip(places, faults, strict=True):
            stream.let_through_to(place + AHEAD)  # so that records come in all the time
            seen.wait_for(place)
            fault()
        written = stream.finish()
    seen.wait_for(MANY)
    site.wait_ready(CONSUMER)
    assert written == [(0, offset) for offset in range(MANY)]
    seen.check(records, written)


def test_a_consumer_that_hangs_through_its_session_changes_nothing_when_it_wakes(
    make_site: SiteMaker, masterlist: None, kafka: Kafka, topics: Topics, seed: int
) -> None:
    """Two members, one partition: whoever holds it is stopped for longer than the group waits, three times."""
    chance = random.Random(seed)
    records = Traffic(seed, MATCHES).take(SOME)
    members = two_members(make_site)
    seen = Observed(members[0], topics.sales)
    with Stream(kafka.bootstrap_servers, topics.sales, records) as stream:
        for place in sorted(chance.sample(range(500, SOME - 3 * AHEAD), 3)):
            stream.let_through_to(place + AHEAD)
            seen.wait_for(place)
            hung = holder(members)
            pause_outside_a_transaction(hung, seen)
            stream.let_through_to(place + 2 * AHEAD)
            seen.wait_for(place + 2 * AHEAD)  # by the other
            hung.resume(CONSUMER)
        written = stream.finish()
    seen.wait_for(SOME)
    for member in members:
        member.wait_ready(CONSUMER)
    seen.check(records, written)


def test_members_that_come_and_go_share_the_partitions_and_lose_nothing(
    make_site: SiteMaker, masterlist: None, kafka: Kafka, four_partitions: None, topics: Topics, seed: int
) -> None:
    records = Traffic(seed, MATCHES).take(SOME)
    first, second = two_members(make_site, start=False)
    seen = Observed(first, topics.sales)

    def both_hold_some() -> bool:
        return bool(held_by(first)) and bool(held_by(second))

    changes: list[Callable[[], object]] = [
        second.start,
        lambda: eventually(both_hold_some, SESSION_SECONDS_MAX, "both hold partitions"),
        partial(first.kill, CONSUMER),
        partial(first.wait_ready, CONSUMER),
        second.stop,
        second.start,
    ]
    first.start()
    with Stream(kafka.bootstrap_servers, topics.sales, records, lambda meant: meant.match % PARTITIONS) as stream:
        for number, change in enumerate(changes):
            part = SOME * (number + 1) // (len(changes) + 1)
            stream.let_through_to(part)
            seen.wait_for(part - AHEAD)
            change()
        written = stream.finish()
    seen.wait_for(SOME)
    seen.check(records, written)


def test_offsets_of_the_group_that_somebody_moves_back_change_nothing(
    make_site: SiteMaker, masterlist: None, kafka: Kafka, topics: Topics, seed: int
) -> None:
    records = Traffic(seed, MATCHES).take(2 * AHEAD)
    site = make_site(OWN, only=[CONSUMER]).start()
    seen = Observed(site, topics.sales)
    with Stream(kafka.bootstrap_servers, topics.sales, records) as stream:
        stream.let_through_to(AHEAD)
        seen.wait_for(AHEAD)
        site.stop()
        eventually(lambda: move_group_to_the_beginning(kafka, topics), SESSION_SECONDS_MAX, "nobody is in the group")
        written = stream.finish()
        site.start()
    seen.wait_for(2 * AHEAD)
    seen.check(records, written)


# -- what the tests do to consumers ----------------------------------------------------------------------------------


def two_members(make_site: SiteMaker, start: bool = True) -> tuple[RunningSite, RunningSite]:
    """Two replicas of one site's consumer."""
    first = make_site(OWN, only=[CONSUMER], CONSUMER_BATCH_MAX="1000")
    second = make_site(
        OWN, only=[CONSUMER], CONSUMER_BATCH_MAX="1000", CONSUMER_MEMBER="2", DATABASE_URL=first.database_url
    )
    if start:
        first.start(wait=False)
        second.start(wait=False)
        first.wait_ready()
        second.wait_ready()
    return first, second


def held_by(member: RunningSite) -> list[int]:
    """The partitions that the member holds, as it says itself; none when it does not answer."""
    try:
        health = member.client(CONSUMER).get("/health/ready").json()
    except httpx.TransportError:
        return []
    return [partition["partition"] for partition in health["partitions"]]


def holder(members: Sequence[RunningSite]) -> RunningSite:
    """Who holds the one partition."""

    def holders() -> list[RunningSite]:
        return [member for member in members if held_by(member)]

    return eventually(holders, SESSION_SECONDS_MAX, "a member holds the partition")[0]


def pause_outside_a_transaction(member: RunningSite, seen: Observed) -> None:
    """SIGSTOP. Inside a transaction it would keep its locks, until PostgreSQL ends the idle session after a minute."""

    def paused() -> bool:
        member.pause(CONSUMER)
        if seen.is_in_transaction():
            member.resume(CONSUMER)
            return False
        return True

    eventually(paused, what="the consumer is stopped between two transactions")


def move_group_to_the_beginning(kafka: Kafka, topics: Topics) -> bool:
    """As an operator's tool does it; the broker refuses while a member is there."""

    async def move() -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        groups = [group for group, *_ in await admin.list_consumer_groups() if topics.sales in group]
        await admin.close()
        assert len(groups) == 1, groups
        place = TopicPartition(topics.sales, 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, group_id=groups[0])
        await consumer.start()
        try:
            consumer.assign([place])
            await consumer.commit({place: OffsetAndMetadata(0, "")})
            return True
        except KafkaError as error:
            raise AssertionError(str(error)) from error
        finally:
            await consumer.stop()

    return asyncio.run(move())
