"""Synthetic sales on a real broker: as partners write them, and with respect for who was there first."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from click.testing import CliRunner

from analytics.generator.command import generate
from analytics.generator.parameters import SIZES
from analytics.generator.records import LISTING_KINDS, TicketRecord, listing_event_id
from analytics.generator.simulation import simulate
from analytics.generator.topics import LogFollower, NoSuchTopic, RealSales, TopicSink, in_chunks
from matchday.masterlist import publish
from matchday.masterlist_file import load_file
from matchday.servers import Kafka
from matchday.topics import create_topics, delete_topics
from shared.kafka.publisher import Outgoing, Publisher
from shared.kafka.reader import LogReader
from shared.settings import KafkaSettings
from shared.site_events import EventKind, SiteEvent, decode_event
from shared.wire import RawRecord, encode_ticket_message, pool_key
from shop.inventory.apply import read_records
from shop.inventory.domain import Changes, Counters, Pool
from shop.inventory.fold import LogState, Rules, fold
from tests.conftest import Topics

MASTERLIST = load_file("small")
FEW = replace(SIZES["small"], buyers=150)
RESELLERS = replace(FEW, resale_share=0.5)
TAKEN = [(64, 1), (64, 2), (64, 3), (24, 1), (24, 2), (24, 3), (61, 1), (62, 1), (63, 1), (63, 2)]


@pytest.fixture
def settings(kafka: Kafka, topics: Topics) -> Iterator[KafkaSettings]:
    events = f"site-events-{secrets.token_hex(6)}"
    client = {"bootstrap_servers": kafka.bootstrap_servers}
    asyncio.run(create_topics(client, [events]))
    settings = KafkaSettings.model_validate(
        {
            "kafka_bootstrap_servers": kafka.bootstrap_servers,
            "topic_masterlist": topics.masterlist,
            "topic_ticket_sales": topics.sales,
            "topic_site_events": events,
        }
    )
    publish(settings, MASTERLIST, "organiser")
    yield settings
    asyncio.run(delete_topics(client, [events]))


def read(settings: KafkaSettings, topic: str) -> list[RawRecord]:
    with LogReader(settings, topic) as reader:
        start, end = reader.bounds()[0]
        return [record for batch, _ in reader.read(0, start, end) for record in batch]


def counted(settings: KafkaSettings) -> tuple[dict[Pool, Counters], Changes]:
    """What the shop's own fold comes to."""
    pools = {
        Pool(match.match_number, pool.category): Counters(
            Pool(match.match_number, pool.category), pool.price, [(0, pool.capacity)]
        )
        for match in MASTERLIST
        for pool in match.pools
    }
    changes = Changes()
    records = read_records(0, read(settings, settings.sales_topic), 2)
    state = LogState(pools, {match.match_number for match in MASTERLIST})
    assert fold(state, records, Rules("observer", 3_600_000), changes) == []
    return pools, changes


def sell(settings: KafkaSettings, pools: list[tuple[int, int]], tickets: int) -> None:
    """Another site has sold so many of each pool, one by one."""
    messages = []
    for match, category in pools:
        for number in range(tickets):
            headers = [("clientId", b"others"), ("saleId", f"{match}-{category}-{number}".encode())]
            for action in ("TICKET_PENDING", "TICKET_RESERVED"):
                value = encode_ticket_message(action, match, category, 1, Decimal((75, 125, 195)[category - 1]))
                messages.append(Outgoing(settings.sales_topic, pool_key(match, category), value, headers))
    publisher = Publisher(settings, guard=lambda: None)
    publisher.start()
    publisher.publish(messages)
    publisher.close()


def test_what_is_told_stands_in_the_topics_in_its_order(settings: KafkaSettings) -> None:
    told = list(simulate(MASTERLIST, FEW, 1))
    with TopicSink(settings) as sink:
        for chunk in in_chunks(told, cut_at_verdicts=False):
            sink.send(chunk)
    records = [one for one in told if isinstance(one, TicketRecord)]
    written = [(record.key, record.value, list(record.headers)) for record in read(settings, settings.sales_topic)]
    assert written == [(one.key, one.value, one.headers) for one in records]
    events = [decode_event(record.value) for record in read(settings, settings.site_events_topic)]
    assert events == [one for one in told if isinstance(one, SiteEvent)]
    pools, changes = counted(settings)
    assert changes.evidence == []
    assert sum(counters.sold for counters in pools.values()) > 0
    assert all(counters.held == 0 and counters.reserved >= 0 for counters in pools.values())


def test_who_follows_the_log_gives_way_to_who_was_there_first(settings: KafkaSettings) -> None:
    sell(settings, TAKEN, 19)
    with LogFollower(settings, MASTERLIST) as follower:
        follower.catch_up()
        with TopicSink(settings, follower) as sink:
            for chunk in in_chunks(simulate(MASTERLIST, RESELLERS, 1), cut_at_verdicts=True):
                sink.send(chunk)
        follower.catch_up()
    pools, changes = counted(settings)
    assert sink.lost > 0
    assert changes.evidence == []
    assert all(counters.held == 0 and counters.reserved >= 0 for counters in pools.values())
    for pool, stock in follower.admission.stocks.items():
        counters = pools[Pool(*pool)]
        assert (stock.capacity, stock.held, stock.sold) == (counters.capacity, counters.held, counters.sold)
    events = [decode_event(record.value) for record in read(settings, settings.site_events_topic)]
    ends = Counter(event.kind for event in events)
    assert ends[EventKind.RESERVATION_LOST] > 0
    lost = {event.reservation_id for event in events if event.kind is EventKind.RESERVATION_LOST}
    others = {EventKind.RESERVATION_LOST, EventKind.RESERVATION_SUBMITTED}
    assert not [event for event in events if event.reservation_id in lost and event.kind not in others]
    never = {listing_event_id(sale_id, kind) for sale_id in lost for kind in LISTING_KINDS if sale_id}
    assert never & {one.event_id for one in simulate(MASTERLIST, RESELLERS, 1) if isinstance(one, SiteEvent)}
    assert not never & {event.event_id for event in events}


def test_the_command_reads_the_master_list_and_publishes(settings: KafkaSettings) -> None:
    environment = {name.upper(): str(value) for name, value in settings.model_dump(exclude_none=True).items() if value}
    done = CliRunner().invoke(generate, ["--buyers", "40", "--seed", "3", "--follow-log"], obj=environment)
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["messages"] == len(read(settings, settings.sales_topic)) > 0
    assert said["events"] == len(read(settings, settings.site_events_topic)) > 0


def test_without_a_topic_for_the_events_no_sale_is_written_either(settings: KafkaSettings) -> None:
    elsewhere = settings.model_copy(update={"topic_site_events": "", "client_id": "nobody"})
    environment = {name.upper(): str(value) for name, value in elsewhere.model_dump(exclude_none=True).items() if value}
    refused = CliRunner().invoke(generate, ["--buyers", "40", "--follow-log"], obj=environment)
    assert refused.exit_code == 1
    assert "topic matchday-site-events-nobody-dev does not exist" in refused.output
    assert "CLIENT_ID" in refused.output
    assert read(settings, settings.sales_topic) == []
    with TopicSink(elsewhere, with_events=False) as sink:
        sink.send([one for one in simulate(MASTERLIST, FEW, 1) if isinstance(one, SiteEvent)])
    assert sink.events == 0
    no_sales = settings.model_copy(update={"topic_ticket_sales": "no-such-log"})
    with pytest.raises(NoSuchTopic, match="no-such-log"), TopicSink(no_sales):
        raise AssertionError("it must not open")


def test_nothing_synthetic_goes_where_people_buy(settings: KafkaSettings) -> None:
    for real in ({"environment": "prod"}, {"topic_ticket_sales": "fifa-world-cup-2022-ticket-sales-prod"}):
        prod = settings.model_copy(update=real)
        with pytest.raises(RealSales, match="real sales"):
            TopicSink(prod)
        environment = {name.upper(): str(value) for name, value in prod.model_dump(exclude_none=True).items() if value}
        refused = CliRunner().invoke(generate, ["--buyers", "10"], obj=environment)
        assert refused.exit_code == 1
        assert "real sales" in refused.output
    assert read(settings, settings.sales_topic) == []
