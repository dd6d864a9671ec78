"""Events in memory: sent in batches, under the same ids when in doubt, dropped when there is no room."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from shared.errors import BrokerUnavailable
from shared.event_buffer import EventBuffer
from shared.event_outbox import BATCH, Happening
from shared.kafka.publisher import Outgoing
from shared.settings import SiteEventsSettings, load
from shared.site_events import EventKind, SiteEvent, decode_event

GIVEN = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "ANALYTICS_SECRET": "a-secret-of-analytics"}
VIEWED = Happening(EventKind.MATCH_VIEWED, datetime(2022, 11, 20, 16, tzinfo=UTC), match_number=1)


class Broker:
    """Takes what it is sent, or fails after having taken it."""

    def __init__(self) -> None:
        self.batches: list[list[SiteEvent]] = []
        self.fails = 0
        self.starts = 0
        self.closed = False

    def start(self) -> None:
        self.starts += 1

    def stop(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def publish(self, messages: Sequence[Outgoing]) -> None:
        self.batches.append([decode_event(message.value) for message in messages])
        if self.fails:
            self.fails -= 1
            raise BrokerUnavailable("no answer")


@pytest.fixture
def broker() -> Broker:
    return Broker()


def buffer(broker: Broker, events_max: int = 10_000) -> EventBuffer:
    return EventBuffer(load(SiteEventsSettings, GIVEN), broker, events_max)


def test_nothing_is_asked_of_the_broker_while_there_is_nothing_to_tell(broker: Broker) -> None:
    assert buffer(broker).run_once() == 0
    assert broker.starts == 0


def test_events_go_in_batches(broker: Broker) -> None:
    events = buffer(broker)
    for _ in range(BATCH + 3):
        assert events.offer(VIEWED)
    assert [events.run_once(), events.run_once(), events.run_once()] == [BATCH, 3, 0]
    assert [len(batch) for batch in broker.batches] == [BATCH, 3]
    assert len({event.event_id for batch in broker.batches for event in batch}) == BATCH + 3


def test_a_batch_in_doubt_is_sent_again_under_the_same_ids(broker: Broker) -> None:
    broker.fails = 1
    events = buffer(broker)
    events.offer(VIEWED)
    with pytest.raises(BrokerUnavailable):
        events.run_once()
    events.offer(VIEWED)
    assert events.run_once() == 2
    (first,), (again, new) = broker.batches
    assert first == again
    assert new.event_id != first.event_id


def test_who_offers_to_a_full_buffer_does_not_wait(broker: Broker) -> None:
    events = buffer(broker, events_max=2)
    assert [events.offer(VIEWED) for _ in range(4)] == [True, True, False, False]
    assert events.run_once() == 2
    assert events.offer(VIEWED)


def test_what_is_left_at_the_end_is_sent(broker: Broker) -> None:
    events = buffer(broker)
    events.start()
    events.offer(VIEWED)
    events.stop()
    events.join(30)
    assert not events.is_alive()
    assert [len(batch) for batch in broker.batches] == [1]
    assert broker.closed
