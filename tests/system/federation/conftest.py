"""One federation for all tests of this folder: each test uses a match of its own, so that none sees another's sales.

Fixtures:
    federation   two sites and a partner, topics as we make them: one partition, dated by the broker.
    dated        the same on topics as others make them: three partitions, dated by whoever writes.
    match        the number of a match that nobody has touched, 20 tickets a category.
"""

import asyncio
import itertools
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka.admin import NewTopic

from matchday.masterlist import publish
from matchday.masterlist_file import load_file
from matchday.run import Run
from matchday.servers import Kafka, Postgres, Server, Valkey
from matchday.topics import admin, create_topics, delete_topics
from shared.settings import KafkaSettings
from tests.eventually import eventually
from tests.resources import Databases, Topics
from tests.sites import SiteMaker
from tests.system.federation.members import Federation, Member
from tests.system.federation.partner import Partner

READING = ("shop", "shop-consumer")
OTHER = "17"  # a client id that can be written as a number, as one partner does
DATED_PARTITIONS = 3
LOG_HOLD_MS = 7_200_000  # of the dated federation: two steps of a clock that one record moves by an hour at most
VERIFY_SECONDS = 30.0


@pytest.fixture(scope="package")
def servers(_postgres: Postgres, _valkey: Valkey, _kafka: Kafka, _template: str) -> tuple[Postgres, Valkey, Kafka]:
    """The tests' servers, up whatever an earlier test did to them."""
    server: Server
    for server in (_postgres, _valkey, _kafka):
        if not server.ready():
            server.stop()
            server.start()
    return _postgres, _valkey, _kafka


@pytest.fixture(scope="package")
def federation(servers: tuple[Postgres, Valkey, Kafka], server_run: Run, _template: str) -> Iterator[Federation]:
    kafka = servers[2]
    topics = _topics()
    asyncio.run(create_topics({"bootstrap_servers": kafka.bootstrap_servers}, [topics.masterlist, topics.sales]))
    with _members(servers, server_run, _template, topics) as federation:
        yield federation


@pytest.fixture(scope="package")
def dated(servers: tuple[Postgres, Valkey, Kafka], server_run: Run, _template: str) -> Iterator[Federation]:
    topics = _topics()
    asyncio.run(_create_dated(servers[2], topics))
    with _members(servers, server_run, _template, topics, LOG_HOLD_SECONDS=str(LOG_HOLD_MS // 1000)) as federation:
        federation.ticking = False
        yield federation


@pytest.fixture(scope="package")
def _numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def match(_numbers: Iterator[int]) -> int:
    return next(_numbers)


def _topics() -> Topics:
    suffix = secrets.token_hex(6)
    return Topics(f"masterlist-{suffix}", f"ticket-sales-{suffix}")


async def _create_dated(kafka: Kafka, topics: Topics) -> None:
    # The broker would refuse records from far in the past or the future.
    settings = {
        "message.timestamp.type": "CreateTime",
        "message.timestamp.before.max.ms": str(2**62),
        "message.timestamp.after.max.ms": str(2**62),
        "retention.ms": "-1",
    }
    async with admin({"bootstrap_servers": kafka.bootstrap_servers}) as connection:
        await connection.create_topics(
            [
                NewTopic(topics.masterlist, 1, 1, topic_configs=settings),
                NewTopic(topics.sales, DATED_PARTITIONS, 1, topic_configs=settings),
            ]
        )


@contextmanager
def _members(
    servers: tuple[Postgres, Valkey, Kafka], run: Run, template: str, topics: Topics, **more: str
) -> Iterator[Federation]:
    postgres, valkey, kafka = servers
    databases = Databases(postgres, template)
    maker = SiteMaker(run, _common(kafka, topics) | more, databases, valkey)
    partner = Partner(kafka.bootstrap_servers)
    sites = [maker("matchday"), maker(OTHER, only=READING)]
    try:
        _publish_small_list(kafka, topics)
        for site in sites:
            site.start(wait=False)
        for site in sites:
            site.wait_ready()
        federation = Federation(Member.of(sites[0]), Member.of(sites[1]), partner, topics)
        yield federation
        _recount(federation)
        for member in federation.members:
            member.sql.close()
    finally:
        partner.close()
        maker.close()
        databases.drop_all()
        asyncio.run(delete_topics({"bootstrap_servers": kafka.bootstrap_servers}, [topics.masterlist, topics.sales]))


def _common(kafka: Kafka, topics: Topics) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")},
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TOPIC_MASTERLIST": topics.masterlist,
        "TOPIC_TICKET_SALES": topics.sales,
        "MASTERLIST_POLL_SECONDS": "0.1",
    }


def _publish_small_list(kafka: Kafka, topics: Topics) -> None:
    settings = KafkaSettings.model_validate(
        {"kafka_bootstrap_servers": kafka.bootstrap_servers, "topic_masterlist": topics.masterlist}
    )
    publish(settings, load_file("small"), "organiser")


def _recount(federation: Federation) -> None:
    """After all tests: at each site the counters are what the log says."""
    federation.settle()
    for member in federation.members:

        def equal(member: Member = member) -> bool:
            answer = member.site.client("shop-consumer").get("/api/verify")
            assert answer.status_code == 200, answer.text
            return bool(answer.json()["equal"])

        eventually(equal, VERIFY_SECONDS, f"the recount at {member.client_id}")
