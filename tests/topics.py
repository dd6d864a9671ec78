"""The topic of a site's own events, for a test."""

import asyncio

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from matchday.topics import admin, create_topics, delete_topics, kept_days
from shared.kafka.client import client_options
from shared.settings import KafkaSettings


def create_events_topic(settings: KafkaSettings, days: int = 0) -> None:
    """Makes it as `up` does, kept for so many days."""
    name = settings.site_events_topic
    asyncio.run(create_topics(client_options(settings), [name], {name: kept_days(days)}))


def delete_events_topic(settings: KafkaSettings) -> None:
    asyncio.run(delete_topics(client_options(settings), [settings.site_events_topic]))


def retention_of(settings: KafkaSettings) -> str:
    """How long the broker keeps its records, milliseconds."""

    async def ask() -> str:
        async with admin(client_options(settings)) as connection:
            wanted = [ConfigResource(ConfigResourceType.TOPIC, settings.site_events_topic)]
            (answer,) = await connection.describe_configs(wanted)
        entries = answer.resources[0][4]
        return next(str(entry[1]) for entry in entries if entry[0] == "retention.ms")

    return asyncio.run(ask())
