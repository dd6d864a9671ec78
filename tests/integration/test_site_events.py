"""This site's own events come to their topic at least once, on real servers, and never hold the sale up."""

import secrets
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from matchday.servers import Kafka
from matchday.topics import DAY_MS
from reservations.tables import site_events
from shared import event_outbox
from shared.database import Database
from shared.errors import BrokerUnavailable
from shared.event_buffer import EventBuffer
from shared.event_outbox import EventSender, Happening, forget_account, producer, take, trim, write
from shared.kafka.publisher import Outgoing
from shared.kafka.reader import LogReader
from shared.settings import DatabaseSettings, SiteEventsSettings, load
from shared.site_events import EventKind, SiteEvent, decode_event, pseudonym
from tests.eventually import eventually
from tests.topics import create_events_topic, delete_events_topic, retention_of

NOW = datetime(2022, 11, 20, 16, tzinfo=UTC)
ACCOUNT = str(uuid.uuid4())


class Settings(SiteEventsSettings):
    """With a database's address, as a worker's have."""

    database_url: str


def happened(kind: EventKind = EventKind.RESERVATION_SUBMITTED, account_id: str | None = ACCOUNT) -> Happening:
    return Happening(kind, NOW, account_id, "CR", "es", 12, 2, 2, 25_000, "USD", str(uuid.uuid4()))


class Site:
    """A service's table of events, the topic, and who sends."""

    def __init__(self, database: Database, settings: SiteEventsSettings) -> None:
        self.database = database
        self.settings = settings

    def write(self, *happenings: Happening) -> None:
        with self.database.transaction() as connection:
            write(connection, site_events, happenings)

    def waiting(self) -> int:
        with self.database.transaction() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(site_events)).scalar_one()

    def topic(self) -> list[SiteEvent]:
        """All that stands in the topic."""
        with LogReader(self.settings, self.settings.site_events_topic) as reader:
            bounds = reader.bounds().items()
            return [
                decode_event(record.value)
                for partition, (start, end) in bounds
                for records, _ in reader.read(partition, start, end)
                for record in records
            ]

    def sender(self, publisher: event_outbox.Publishes | None = None) -> EventSender:
        return EventSender(self.database, site_events, self.settings, publisher)


@pytest.fixture
def site(database_url: str, kafka: Kafka) -> Iterator[Site]:
    given = {
        "DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TOPIC_SITE_EVENTS": f"site-events-{secrets.token_hex(6)}",
        "ANALYTICS_SECRET": secrets.token_urlsafe(32),
        "SITE_EVENTS_WAITING_MAX": "1000",
    }
    settings = load(Settings, given)
    create_events_topic(settings, days=3)
    database = Database(load(DatabaseSettings, given), "test")
    yield Site(database, settings)
    database.close()
    delete_events_topic(settings)


class Producer:
    """The real one, which may die when it has sent, or be away."""

    def __init__(self, settings: SiteEventsSettings) -> None:
        self._real = producer(settings)
        self.dies_after_sending = 0
        self.is_away = False

    def start(self) -> None:
        if self.is_away:
            raise BrokerUnavailable("away")
        self._real.start()

    def stop(self) -> None:
        self._real.stop()

    def close(self) -> None:
        self._real.close()

    def publish(self, messages: Sequence[Outgoing]) -> object:
        sent = self._real.publish(messages)
        if self.dies_after_sending:
            self.dies_after_sending -= 1
            raise KeyboardInterrupt  # what no handler of ours catches: the transaction is undone as by a kill
        return sent


def test_what_is_committed_comes_to_the_topic_with_a_pseudonym_and_leaves_the_table(site: Site) -> None:
    told = [happened(), happened(EventKind.RESERVATION_RESERVED), happened(account_id=None)]
    site.write(*told)
    sender = site.sender()
    assert sender.run_once() == 3
    found = site.topic()
    assert [event.kind for event in found] == [each.kind for each in told]
    assert [event.reservation_id for event in found] == [each.reservation_id for each in told]
    name = pseudonym(site.settings.analytics_secret, ACCOUNT)
    assert [event.subject for event in found] == [name, name, None]
    assert found[0] == told[0].event(site.settings.analytics_secret, found[0].event_id)
    assert site.waiting() == 0
    assert sender.run_once() == 0
    sender._publisher.close()


def test_what_is_undone_was_never_told(site: Site) -> None:
    with pytest.raises(ZeroDivisionError):
        _fail_after_writing(site)
    assert site.waiting() == 0


def test_a_sender_that_dies_between_sending_and_deleting_sends_the_same_events_again(site: Site) -> None:
    site.write(*(happened() for _ in range(20)))
    dying = Producer(site.settings)
    dying.dies_after_sending = 1
    sender = site.sender(dying)
    with pytest.raises(KeyboardInterrupt):
        sender.run_once()
    assert site.waiting() == 20
    sender._publisher.close()
    successor = site.sender()
    assert successor.run_once() == 20
    successor._publisher.close()
    ids = Counter(event.event_id for event in site.topic())
    assert len(ids) == 20
    assert set(ids.values()) == {2}
    assert site.waiting() == 0


def test_two_senders_share_the_work(site: Site) -> None:
    site.write(*(happened() for _ in range(6)))
    with site.database.transaction() as one:
        first = take(one, site_events, 4)()
        with site.database.transaction() as other:
            second = take(other, site_events, 4)()
    assert (len(first), len(second)) == (4, 2)
    assert not {event_id for event_id, _ in first} & {event_id for event_id, _ in second}


def test_the_thread_sends_what_is_written_while_it_runs(site: Site) -> None:
    sender = site.sender()
    sender.start()
    for _ in range(3):
        site.write(happened(), happened())
        eventually(lambda: site.waiting() == 0, what="all is sent")
    sender.stop()
    sender.join(30)
    assert not sender.is_alive()
    assert len(site.topic()) == 6


def test_while_the_broker_is_away_events_wait_and_the_oldest_beyond_the_limit_go(site: Site) -> None:
    away = Producer(site.settings)
    away.is_away = True
    before = _dropped()
    for _ in range(3):
        site.write(*(happened() for _ in range(500)))
    last = happened(EventKind.RESERVATION_EXPIRED)
    site.write(last)
    sender = site.sender(away)
    sender.start()
    eventually(lambda: site.waiting() == 1000, what="the oldest are gone")
    assert _dropped() - before == 501
    away.is_away = False
    eventually(lambda: site.waiting() == 0, what="the broker is back and all is sent")
    sender.stop()
    sender.join(30)
    found = site.topic()
    assert len(found) == 1000
    assert found[-1].reservation_id == last.reservation_id


def test_a_broker_that_is_killed_costs_nothing_and_loses_nothing(site: Site, kafka: Kafka) -> None:
    sender = site.sender()
    sender.start()
    site.write(happened())
    eventually(lambda: site.waiting() == 0, what="the first is sent")
    kafka.kill()
    for _ in range(50):
        site.write(happened())  # no writer notices
    kafka.start()
    eventually(lambda: site.waiting() == 0, 120, what="all is sent")
    sender.stop()
    sender.join(30)
    assert len({event.event_id for event in site.topic()}) == 51


def test_an_account_that_is_deleted_is_taken_out_of_what_waits(site: Site) -> None:
    other = str(uuid.uuid4())
    site.write(happened(), happened(account_id=other))
    with site.database.transaction() as connection:
        forget_account(connection, site_events, ACCOUNT)
        waiting = [each.account_id for _, each in take(connection, site_events)()]
    assert waiting == [None, other]


def test_trimming_keeps_the_newest(site: Site) -> None:
    site.write(*(happened() for _ in range(10)))
    with site.database.transaction() as connection:
        assert trim(connection, site_events, keep=10) == 0
        assert trim(connection, site_events, keep=4, limit=2) == 2
        assert trim(connection, site_events, keep=4) == 4
        assert len(take(connection, site_events)()) == 4


def test_a_buffer_sends_what_it_is_offered_also_at_its_end(site: Site) -> None:
    buffer = EventBuffer(site.settings)
    buffer.start()
    for number in range(700):
        assert buffer.offer(Happening(EventKind.MATCH_VIEWED, NOW, match_number=number))
    buffer.stop()
    buffer.join(30)
    assert not buffer.is_alive()
    buffer = EventBuffer(site.settings)
    threads = [threading.Thread(target=_offer_some, args=(buffer.offer,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert buffer.run_once() == 400
    buffer._publisher.close()
    found = site.topic()
    assert sorted(event.match_number or 0 for event in found if event.text is None) == list(range(700))
    assert len({event.event_id for event in found}) == 1100


def _offer_some(offer: Callable[[Happening], bool]) -> None:
    for _ in range(100):
        assert offer(Happening(EventKind.SEARCHED, NOW, text="ecuador"))


def test_the_topic_keeps_events_as_long_as_the_setting_says(site: Site) -> None:
    assert retention_of(site.settings) == str(3 * DAY_MS)


def _fail_after_writing(site: Site) -> None:
    with site.database.transaction() as connection:
        write(connection, site_events, [happened()])
        raise ZeroDivisionError


def _dropped() -> float:
    return REGISTRY.get_sample_value("matchday_site_events_total", {"outcome": "dropped"}) or 0.0
