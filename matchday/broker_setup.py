"""Creates the federation's topics, this site's own and, on the organiser's site, fills an empty master list's.

Run as a process of its own (`python -m matchday.broker_setup`), settings from the environment.
"""

import asyncio
import logging
import os
import sys
import time

from aiokafka.errors import KafkaError

from matchday.errors import RunnerError
from matchday.masterlist import publish
from matchday.masterlist_file import load_file
from matchday.topics import create_topics, is_empty, kept_days
from shared.kafka.client import client_options
from shared.settings import KafkaSettings, TopicSettings, load

CONNECT_SECONDS = 45.0
CONNECT_PAUSE_SECONDS = 0.2
DEFAULT_MASTERLIST = "world-cup-2022"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]", "::1")


def is_organiser(bootstrap_servers: str, wish: str | None) -> bool:
    """Whether this site may fill an empty master list topic; `wish` is the setting ORGANISER.

    Without a wish only on a broker of this machine: a real federation's organiser is somebody else.
    """
    if wish:
        if wish.lower() not in ("yes", "no"):
            raise RunnerError(f"ORGANISER is wrong: {wish!r}; expected is yes or no")
        return wish.lower() == "yes"
    return all(server.rpartition(":")[0].strip() in LOOPBACK_HOSTS for server in bootstrap_servers.split(","))


async def prepare_topics(settings: TopicSettings) -> bool:
    """Create what is missing; True when the master list topic is empty."""
    client = client_options(settings)
    names = [settings.masterlist_topic, settings.sales_topic, settings.site_events_topic]
    own = {settings.site_events_topic: kept_days(settings.site_events_retention_days)}
    for name in await _patiently(settings, client, names, own):
        print(f"created topic {name}")  # noqa: T201
    return await is_empty(client, settings.masterlist_topic)


async def _patiently(
    settings: KafkaSettings, client: dict[str, object], names: list[str], own: dict[str, dict[str, str]]
) -> list[str]:
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return await create_topics(client, names, own)
        except (KafkaError, OSError) as error:
            if time.monotonic() > deadline:
                servers = settings.kafka_bootstrap_servers
                raise RunnerError(f"KAFKA_BOOTSTRAP_SERVERS: cannot work with {servers}: {error!r}") from error
            await asyncio.sleep(CONNECT_PAUSE_SECONDS)


def main() -> int:
    # aiokafka reports each attempt on a broker that is still starting; the last problem is told below.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings = load(TopicSettings)
    try:
        organiser = is_organiser(settings.kafka_bootstrap_servers, os.environ.get("ORGANISER"))
        if asyncio.run(prepare_topics(settings)) and organiser:
            entries = load_file(os.environ.get("MASTERLIST") or DEFAULT_MASTERLIST)
            publish(settings, entries, settings.client_id)
            print(f"published {len(entries)} matches to {settings.masterlist_topic}")  # noqa: T201
    except RunnerError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
