"""A place in the log counts once, however often its record is delivered."""

import pytest

from shared.database import Database
from shared.kafka.reader import LogReader
from shared.wire import RawRecord
from shop.inventory.apply import Batch, apply_batch
from shop.inventory.positions import StalePosition
from shop.inventory.settings import InventorySettings
from tests.system.federation.members import Federation, Member
from tests.system.federation.partner import PENDING, RESERVED, Place, message, tickets


def settings_of(member: Member) -> InventorySettings:
    environment = member.site.environment
    return InventorySettings.model_validate({name.lower(): value for name, value in environment.items()})


def record_at(settings: InventorySettings, place: Place) -> list[RawRecord]:
    with LogReader(settings, place.topic) as reader:
        return [record for batch, _ in reader.read(place.partition, place.offset, place.offset + 1) for record in batch]


def deliver(member: Member, place: Place, start: int, end: int) -> None:
    """Hands the record at the place to the site as a consumer would that polled it from `start` to `end`."""
    settings = settings_of(member)
    records = record_at(settings, place)
    assert [record.offset for record in records] == [place.offset]
    database = Database(settings, "test")
    try:
        with database.transaction() as connection:
            apply_batch(connection, settings.federation(), Batch(place.partition, start, end, records, None))
    finally:
        database.close()


def test_the_same_offset_delivered_twice_counts_once(federation: Federation, match: int) -> None:
    place = federation.send(message(PENDING, match, tickets(1, 2)))
    federation.expect(match, c1=(20, 18, 20))
    for member in federation.members:
        with pytest.raises(StalePosition):
            deliver(member, place, place.offset, place.offset + 1)
    federation.expect(match, c1=(20, 18, 20))


def test_a_batch_that_leaves_a_gap_behind_the_position_is_not_applied(federation: Federation, match: int) -> None:
    place = federation.send(message(PENDING, match, tickets(1, 2)))
    federation.settle()
    with pytest.raises(StalePosition):
        deliver(federation.ours, place, place.offset + 10, place.offset + 11)
    federation.expect(match, c1=(20, 18, 20))


def test_a_consumer_that_starts_anew_goes_on_where_it_was(federation: Federation, match: int) -> None:
    federation.send(message(PENDING, match, tickets(1, 2)))
    federation.settle()
    federation.ours.site.kill("shop-consumer")
    federation.send(message(RESERVED, match, tickets(1, 2)))
    federation.expect(match, c1=(20, 18, 18))
    federation.ours.site.wait_ready("shop-consumer")
    federation.expect(match, c1=(20, 18, 18))
    assert federation.ours.flags(match) == []
