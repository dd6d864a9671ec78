"""Lakes for tests: in a folder and on an S3-compatible server, and topics to fill them from."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from aiokafka import AIOKafkaProducer

from analytics.generator import files
from analytics.generator.parameters import SIZES
from analytics.generator.records import told_at
from analytics.generator.simulation import simulate
from analytics.lake.lake import Lake
from analytics.lake.tables import SITE_EVENTS, TICKET_MESSAGES
from analytics.settings import LakeSettings
from matchday.masterlist_file import load_file
from shared.masterlist import MatchEntry
from shared.settings import load
from tests.s3 import BUCKET, S3

NOW = datetime(2022, 11, 20, 16, tzinfo=UTC)


@dataclass(frozen=True)
class Place:
    """Where a lake lies: settings of a process, and the folder in which its bytes are on this machine's disk."""

    environment: Mapping[str, str]
    folder: Path

    @property
    def settings(self) -> LakeSettings:
        return load(LakeSettings, self.environment)

    def lake(self) -> Lake:
        return Lake(self.settings.lake_uri, self.settings.storage())

    def holding(self, text: str) -> list[Path]:
        """The files in which the text stands."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return [path for path in files if text.encode() in path.read_bytes() or text in path.name]


def in_folder(path: Path) -> Place:
    return Place({"LAKE_URI": str(path)}, path)


def in_bucket(server: S3) -> Place:
    path = f"lake-{secrets.token_hex(4)}"
    return Place(server.environment(path), server.directory / "buckets" / BUCKET / path)


def fill_with_sales(lake: Lake, now: datetime) -> None:
    """Sales of simulated sites until `now`, some hours after the last tickets came on sale, so that each figure has
    something to tell: most are of few matches, as in a rush, and one partner does what it should not do."""
    matches = [_in_time(match, now) for match in load_file("small")]
    for seed, (playing, buyers) in enumerate([(matches, 300), (matches[:8], 1000)]):
        parameters = replace(SIZES["small"], buyers=buyers)
        told = (one for one in simulate(playing, parameters, seed) if told_at(one) <= now)
        files.append(lake, matches, f"{len(playing)}-matches", told, parameters.currency)
    wrong = [
        {"site": "a-partner", "action": "TICKET_RESERVED", "match_number": 9, "category": 2, "quantity": 2},
        {"site": "a-partner", "action": "TICKET_CANCELLED", "match_number": 9, "category": 3, "quantity": 1},
    ]
    place = {"partition": 0, "line": 0, "logged_at": now, "day": now.date(), "price": 125.0}
    rows = [row | place | {"offset": offset} for offset, row in enumerate(wrong)]
    lake.append(TICKET_MESSAGES, pa.Table.from_pylist(rows, TICKET_MESSAGES.columns), {"sales-0": len(rows)})


def _in_time(match: MatchEntry, now: datetime) -> MatchEntry:
    """The match as if the tournament began two weeks less some hours from now, each pool with 80 tickets."""
    later = now.replace(minute=0, second=0, microsecond=0) + timedelta(days=14, hours=-7) - NOW
    pools = tuple(replace(pool, capacity=80) for pool in match.pools)
    return replace(match, date_utc=match.date_utc + later, pools=pools)


def messages(*offsets: int, day: int = 0, quantity: int = 2) -> pa.Table:
    """A row for each offset of partition 0."""
    at = NOW + timedelta(days=day)
    row = {"partition": 0, "line": 0, "logged_at": at, "day": at.date(), "quantity": quantity}
    return pa.Table.from_pylist([row | {"offset": offset} for offset in offsets], TICKET_MESSAGES.columns)


def events(subjects: Sequence[str | None], first: int = 0) -> pa.Table:
    """A search of each subject, at the offsets from `first` on."""
    row = {"partition": 0, "kind": "searched", "happened_at": NOW, "day": NOW.date(), "synthetic": False}
    rows = [
        row | {"offset": offset, "event_id": f"event-{offset}", "subject": subject}
        for offset, subject in enumerate(subjects, first)
    ]
    return pa.Table.from_pylist(rows, SITE_EVENTS.columns)


@dataclass(frozen=True)
class Sent:
    """A record to be sent to a partition."""

    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = 0


def send(bootstrap_servers: str, topic: str, records: Sequence[Sent]) -> None:
    """Puts the records into the topic, each partition's in their order."""
    asyncio.run(_send(bootstrap_servers, topic, records))


async def _send(bootstrap_servers: str, topic: str, records: Sequence[Sent]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True, linger_ms=5)
    await producer.start()
    try:
        waiting: list[Any] = [
            await producer.send(topic, record.value, b"key", record.partition, headers=list(record.headers))
            for record in records
        ]
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()
