"""Sites that all tests of a module share, for those that each need only a match of their own."""

import asyncio
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from matchday.masterlist import publish
from matchday.masterlist_file import load_file
from matchday.run import Run
from matchday.servers import Kafka, Postgres, Valkey
from matchday.topics import create_topics, delete_topics
from shared.settings import KafkaSettings
from tests.resources import Databases, Topics
from tests.sites import SiteMaker


@dataclass(frozen=True)
class Ground:
    """What sites stand on: servers, two topics with the small master list (20 tickets a category), databases."""

    postgres: Postgres
    kafka: Kafka
    topics: Topics
    databases: Databases
    make_site: SiteMaker


@contextmanager
def common_ground(postgres: Postgres, valkey: Valkey, kafka: Kafka, run: Run, template: str) -> Iterator[Ground]:
    """Topics and databases for sites; whatever was made on them is stopped and removed at the end."""
    for server in (postgres, valkey, kafka):
        if not server.ready():  # an earlier test may have left it dead
            server.stop()
            server.start()
    suffix = secrets.token_hex(6)
    topics = Topics(f"masterlist-{suffix}", f"ticket-sales-{suffix}")
    client = {"bootstrap_servers": kafka.bootstrap_servers}
    databases = Databases(postgres, template)
    maker = SiteMaker(run, _common(kafka, topics), databases, valkey)
    asyncio.run(create_topics(client, [topics.masterlist, topics.sales]))
    publish_small_list(kafka, topics)
    try:
        yield Ground(postgres, kafka, topics, databases, maker)
    finally:
        maker.close()
        databases.drop_all()
        asyncio.run(delete_topics(client, [topics.masterlist, topics.sales]))


def publish_small_list(kafka: Kafka, topics: Topics) -> None:
    """Twenty tickets in each category of 64 matches, as an organiser publishes them."""
    settings = KafkaSettings.model_validate(
        {"kafka_bootstrap_servers": kafka.bootstrap_servers, "topic_masterlist": topics.masterlist}
    )
    publish(settings, load_file("small"), "organiser")


def _common(kafka: Kafka, topics: Topics) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")},
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TOPIC_MASTERLIST": topics.masterlist,
        "TOPIC_TICKET_SALES": topics.sales,
    }
