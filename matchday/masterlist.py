"""`matchday masterlist`: the organiser puts a list of matches on the master list topic, one match a record.

Publishing again is safe: records are only added; every site takes the newest description of a match and moves
a changed capacity by its difference, and no counter is reset.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import click
from aiokafka.errors import UnknownTopicOrPartitionError

from matchday.errors import RunnerError
from matchday.masterlist_file import load_file
from shared.errors import BrokerUnavailable
from shared.kafka.publisher import Outgoing, Place, Publisher
from shared.masterlist import MatchEntry, encode_match, match_key
from shared.settings import KafkaSettings, load

# Partners have been seen to refuse every sale at another price.
PRICES_OF_STRICT_PARTNERS = {1: Decimal(75), 2: Decimal(125), 3: Decimal(195)}

__all__ = ["PublishReport", "load_file", "masterlist", "publish"]


@dataclass(frozen=True, slots=True)
class PublishReport:
    """Where a list went: the places are in the order of its matches."""

    topic: str
    places: tuple[Place, ...]

    def offsets(self) -> dict[int, tuple[int, int]]:
        """Of each partition the first and the last offset that was written."""
        found: dict[int, list[int]] = {}
        for place in self.places:
            found.setdefault(place.partition, []).append(place.offset)
        return {partition: (min(offsets), max(offsets)) for partition, offsets in sorted(found.items())}


def publish(settings: KafkaSettings, entries: Sequence[MatchEntry], client_id: str) -> PublishReport:
    """Puts one record a match on the master list topic and waits until the broker has all of them.

    Takes at most some twenty seconds. Raises `RunnerError` when the broker does not take them; a part of them
    may then be on the topic.
    """
    topic = settings.masterlist_topic
    headers = (("clientId", client_id.encode()),)
    messages = [Outgoing(topic, match_key(entry), encode_match(entry), headers) for entry in entries]
    publisher = Publisher(settings, guard=lambda: None)
    try:
        publisher.start()
        return PublishReport(topic, tuple(publisher.publish(messages)))
    except BrokerUnavailable as error:
        raise RunnerError(_why_not(error, settings)) from error
    finally:
        publisher.close()


def _why_not(error: BrokerUnavailable, settings: KafkaSettings) -> str:
    topic, servers = settings.masterlist_topic, settings.kafka_bootstrap_servers
    if isinstance(error.__cause__, UnknownTopicOrPartitionError):
        return f"nothing was published: topic {topic} does not exist on {servers}"
    return (
        f"the list was not published to {topic} on {servers}: {error}; "
        "publish it again when the broker is there, which is safe even if a part of it arrived"
    )


def price_warnings(entries: Sequence[MatchEntry]) -> list[str]:
    """A sentence for each match whose prices strict partners do not sell at."""
    return [
        f"match {entry.match_number}: partners that accept only "
        f"{', '.join(map(str, PRICES_OF_STRICT_PARTNERS.values()))} will refuse its sales"
        for entry in entries
        if {pool.category: pool.price for pool in entry.pools} != PRICES_OF_STRICT_PARTNERS
    ]


@click.group()
def masterlist() -> None:
    """The organiser's list of matches, prices and capacities."""


@masterlist.command("publish")
@click.argument("file")
@click.option("--dry-run", is_flag=True, help="Check the file and send nothing.")
@click.pass_obj
def publish_command(environment: Any, file: str, dry_run: bool) -> None:
    """Put the matches in FILE on the master list topic.

    FILE is a JSON array of matches, or the name of a packaged list: world-cup-2022, small.
    """
    try:
        entries = load_file(file)
        for warning in price_warnings(entries):
            click.echo(f"warning: {warning}", err=True)
        click.echo(_checked(file, entries) if dry_run else _published(entries, environment))
    except RunnerError as error:
        raise click.ClickException(f"{error}") from error


def _checked(file: str, entries: Sequence[MatchEntry]) -> str:
    tickets = sum(pool.capacity for entry in entries for pool in entry.pools)
    return f"{file}: {len(entries)} matches, {tickets} tickets, no errors; nothing was sent (dry run)"


def _published(entries: Sequence[MatchEntry], environment: Any) -> str:
    # The operator's command hands in the running site's addresses; alone, the process's environment counts.
    settings = load(KafkaSettings, environment if isinstance(environment, Mapping) else os.environ)
    report = publish(settings, entries, settings.client_id)
    offsets = ", ".join(f"{first} to {last} of partition {p}" for p, (first, last) in report.offsets().items())
    return f"{len(report.places)} matches are on {report.topic}: offsets {offsets}"
