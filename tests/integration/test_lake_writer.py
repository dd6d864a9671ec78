"""The lake's writer on a real broker: each record once, whatever the topics do, and nobody who is to be forgotten."""

import asyncio
import secrets
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete
from pydantic import SecretStr

from analytics import store
from analytics.erasure import handlers
from analytics.ingest.health import lake_details
from analytics.ingest.writer import LakeWriter
from analytics.lake.lake import Lake
from analytics.lake.tables import SITE_EVENTS, TICKET_MESSAGES
from analytics.rebuild import rebuild
from analytics.settings import WriterSettings
from matchday.servers import Kafka
from matchday.topics import admin, create_topics, delete_topics
from shared.clock import SystemClock
from shared.database import Database
from shared.masterlist import encode_match, parse_masterlist
from shared.settings import load
from shared.site_events import EventKind, SiteEvent, encode_event, pseudonym
from shared.wire import encode_ticket_message
from tests.contract.door import SMALL
from tests.lakes import Place, Sent, in_folder, send

SECRET = SecretStr("a secret of the tests' pseudonyms")
ACCOUNT = uuid.UUID("1f0c5fd4-7d53-4b0a-8c52-6f0a3c0a9b11")


def message(quantity: int = 1, sale: str = "s", client: str = "atlas", partition: int = 0) -> Sent:
    value = encode_ticket_message("TICKET_PENDING", 1, 2, quantity, Decimal(100))
    return Sent(value, (("clientId", client.encode()), ("saleId", sale.encode())), partition)


def event(subject: str | None = None, text: str = "argentina") -> Sent:
    return Sent(encode_event(SiteEvent(EventKind.SEARCHED, datetime.now(UTC), subject=subject, text=text)))


@dataclass
class Bench:
    """A writer that runs when it is told to, and its topics."""

    kafka: Kafka
    settings: WriterSettings
    database: Database
    place: Place

    @property
    def lake(self) -> Lake:
        return self.place.lake()

    def writer(self) -> LakeWriter:
        return LakeWriter(self.database, self.lake, SystemClock(), self.settings)

    def write(self) -> int:
        """One round of a writer that has just been started."""
        self.lake.create(self.settings.lake_keep_seconds)
        writer = self.writer()
        try:
            return writer.round()
        finally:
            writer.close()

    def sell(self, records: Sequence[Sent]) -> None:
        send(self.kafka.bootstrap_servers, self.settings.sales_topic, records)

    def tell(self, records: Sequence[Sent]) -> None:
        send(self.kafka.bootstrap_servers, self.settings.site_events_topic, records)

    def state(self) -> store.WriterState:
        with self.database.transaction() as connection:
            heard = store.heard(connection)
        assert heard is not None
        return heard

    def offsets(self, partition: int = 0) -> list[int]:
        sql = 'SELECT "offset" FROM ticket_messages WHERE "partition" = $partition ORDER BY 1'
        return [row["offset"] for row in self.lake.query(sql, {"partition": partition})]


@pytest.fixture
def bench(environment: dict[str, str], kafka: Kafka, tmp_path: Path) -> Iterator[Bench]:
    events = f"site-events-{secrets.token_hex(6)}"
    asyncio.run(create_topics({"bootstrap_servers": kafka.bootstrap_servers}, [events]))
    place = in_folder(tmp_path / "lake")
    given = {**environment, **place.environment, "TOPIC_SITE_EVENTS": events, "LAKE_COMMIT_ROWS": "50"}
    settings = load(WriterSettings, given)
    database = Database(settings, "test")
    yield Bench(kafka, settings, database, place)
    database.close()
    asyncio.run(delete_topics({"bootstrap_servers": kafka.bootstrap_servers}, [events]))


def test_every_record_is_in_the_lake_once(bench: Bench) -> None:
    tickets = b'[{"category":1,"quantity":1,"price":9.5},{"category":2,"quantity":2,"price":null}]'
    both = b'{"meta":{"action":"TICKET_RESERVED"},"body":{"matchNumber":3,"tickets":' + tickets + b"}}"
    strange = Sent(message().value, (("clientId", b"atlas"),))
    far = encode_ticket_message("TICKET_PENDING", 1, 10**12, 1, Decimal(1))
    bench.sell([message(sale=str(number)) for number in range(170)])
    bench.sell([Sent(both), Sent(b"no json"), Sent(None), strange, Sent(far)])
    assert bench.write() == 176
    bench.sell([message(2, sale="later")])
    assert bench.write() == 1
    assert bench.write() == 0
    assert bench.offsets() == sorted([*range(176), 170])
    lines = bench.lake.query('SELECT line, action, category, quantity, price FROM ticket_messages WHERE "offset" = 170')
    assert sorted(lines, key=lambda row: row["line"]) == [
        {"line": 0, "action": "TICKET_RESERVED", "category": 1, "quantity": 1, "price": 9.5},
        {"line": 1, "action": "TICKET_RESERVED", "category": 2, "quantity": 2, "price": None},
    ]
    refused = bench.lake.query('SELECT "offset", refused FROM ticket_messages WHERE refused IS NOT NULL ORDER BY 1')
    assert refused == [{"offset": 171, "refused": "not_json"}, {"offset": 172, "refused": "not_json"}]
    found = bench.lake.query('SELECT site, sale_id, match_number, category FROM ticket_messages WHERE "offset" = 174')
    assert found == [{"site": None, "sale_id": None, "match_number": 1, "category": None}]
    assert bench.state().state == "writing"


def test_partitions_that_are_added_are_read(bench: Bench) -> None:
    bench.sell([message()])
    bench.write()

    async def add() -> None:
        async with admin({"bootstrap_servers": bench.kafka.bootstrap_servers}) as connection:
            await connection.create_partitions({bench.settings.sales_topic: NewPartitions(3)})

    asyncio.run(add())
    bench.sell([message(partition=partition) for partition in (0, 1, 1, 2)])
    assert bench.write() == 4
    assert [bench.offsets(partition) for partition in range(3)] == [[0, 1], [0, 1], [0]]


def test_what_a_topic_has_forgotten_is_counted_as_left_out(bench: Bench) -> None:
    bench.sell([message() for _ in range(3)])
    bench.write()
    bench.sell([message() for _ in range(5)])

    async def forget() -> None:
        async with admin({"bootstrap_servers": bench.kafka.bootstrap_servers}) as connection:
            await connection.delete_records(
                {TopicPartition(bench.settings.sales_topic, 0): RecordsToDelete(before_offset=6)}
            )

    asyncio.run(forget())
    bench.write()
    assert bench.offsets() == [0, 1, 2, 6, 7]
    assert bench.state().left_out == {"forgotten": 3}


@pytest.mark.parametrize("more", [1, 9])
def test_a_topic_that_was_made_anew_is_not_mixed_with_the_old_one(bench: Bench, more: int) -> None:
    bench.sell([message(sale=f"old-{number}") for number in range(4)])
    bench.tell([event()])
    bench.write()
    client = {"bootstrap_servers": bench.kafka.bootstrap_servers}
    asyncio.run(delete_topics(client, [bench.settings.sales_topic]))
    asyncio.run(create_topics(client, [bench.settings.sales_topic]))
    bench.sell([message(sale=f"new-{number}") for number in range(more)])
    bench.tell([event()])
    assert bench.write() == 1  # the event: one topic does not keep the other waiting
    assert bench.offsets() == [0, 1, 2, 3]
    assert "made anew" in bench.state().state or "another record" in bench.state().state


def test_records_that_are_no_events_are_passed_over(bench: Bench) -> None:
    huge = Sent(encode_event(SiteEvent(EventKind.MATCH_VIEWED, datetime.now(UTC), match_number=2**40)))
    newer = Sent(encode_event(SiteEvent(EventKind.MATCH_VIEWED, datetime.now(UTC))).replace(b"viewed", b"dreamt_of"))
    bench.tell([event(), Sent(b"{}"), Sent(None), huge, newer, event()])
    assert bench.write() == 2
    assert bench.state().left_out == {"no_event": 3, "out_of_range": 1}
    assert bench.lake.position(SITE_EVENTS, f"{bench.settings.site_events_topic}-0") == 6


def test_the_catalogue_is_the_master_list_as_it_stands(bench: Bench) -> None:
    matches = parse_masterlist(SMALL.read_bytes())
    put = partial(send, bench.kafka.bootstrap_servers, bench.settings.masterlist_topic)
    put([Sent(encode_match(match)) for match in matches])
    bench.write()
    version = bench.lake.open(TICKET_MESSAGES).version()
    put([Sent(encode_match(matches[0]).replace(b'"price":', b'"price":1')), Sent(b"no list")])
    bench.write()
    bench.write()
    pools = bench.lake.query("SELECT count(*) AS n, count(DISTINCT currency) AS currencies FROM pools")
    assert pools == [{"n": sum(len(match.pools) for match in matches), "currencies": 1}]
    number = matches[0].match_number
    found = bench.lake.query(
        "SELECT price FROM pools WHERE match_number = $number ORDER BY category", {"number": number}
    )
    assert [row["price"] for row in found] == [float(f"1{pool.price:f}") for pool in matches[0].pools]
    shown = bench.lake.query("SELECT home_team, city, kick_off FROM matches WHERE match_number = $n", {"n": number})
    assert shown[0]["home_team"] == matches[0].home_team
    assert shown[0]["kick_off"] == matches[0].date_utc.replace(tzinfo=None)
    assert bench.lake.open(TICKET_MESSAGES).version() == version


def test_a_deleted_account_is_erased_and_kept_out_of_a_lake_that_is_written_anew(bench: Bench, tmp_path: Path) -> None:
    theirs, others = pseudonym(SECRET, str(ACCOUNT)), pseudonym(SECRET, str(uuid.uuid4()))
    bench.tell([event(theirs), event(others), event()])
    assert bench.write() == 3
    for _ in range(2):
        handlers.forget(bench.database, SECRET, ACCOUNT)
    bench.tell([event(theirs), event(others)])
    assert bench.write() == 1
    subjects = [row["subject"] for row in bench.lake.query('SELECT subject FROM site_events ORDER BY "offset"')]
    assert subjects == [others, None, others]
    anew = Bench(bench.kafka, bench.settings, bench.database, in_folder(tmp_path / "anew"))
    assert anew.write() == 3
    assert anew.place.holding(others)
    assert not anew.place.holding(theirs)
    with bench.database.transaction() as connection:
        assert store.open_erasures(connection) == []


def test_how_the_writer_is_can_be_seen(bench: Bench) -> None:
    assert lake_details(bench.database, SystemClock())["lake"]["silentSeconds"] is None
    bench.sell([message() for _ in range(3)])
    bench.write()
    shown = lake_details(bench.database, SystemClock())["lake"]
    assert shown["state"] == "writing"
    assert 0 <= shown["silentSeconds"] < 60
    sales = [part for part in shown["partitions"] if part["topic"] == bench.settings.sales_topic]
    assert sales == [{"topic": bench.settings.sales_topic, "partition": 0, "nextOffset": 3, "endOffset": 3, "lag": 0}]


def test_the_lake_is_written_anew_from_the_topics_alone(bench: Bench, tmp_path: Path) -> None:
    bench.sell([message(1 + number % 2, sale=str(number)) for number in range(120)])
    bench.tell([event(), event()])
    bench.write()
    anew = rebuild(bench.settings, bench.database, str(tmp_path / "anew"))
    both = 'SELECT * FROM ticket_messages ORDER BY "partition", "offset", line', "SELECT * FROM site_events ORDER BY 2"
    assert [anew.query(sql) for sql in both] == [bench.lake.query(sql) for sql in both]
    bench.sell([message()])
    moved = Bench(bench.kafka, bench.settings, bench.database, in_folder(tmp_path / "anew"))
    assert moved.write() == 1
