"""What the log shows as sold, by minute and site, in real PostgreSQL: filled by batches, read in buckets."""

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from shared.database import Database
from shared.masterlist import parse_masterlist
from shared.settings import load
from shared.wire import RawRecord
from shop.inventory import audit
from shop.inventory.apply import Batch, apply_batch, apply_side_record
from shop.inventory.audit import SoldInBucket
from shop.inventory.catalogue import apply_match
from shop.inventory.positions import StalePosition, create_position
from shop.inventory.settings import InventorySettings
from tests.contract.door import NOWHERE, SMALL

TOPIC, US = "sales", "matchday"
MINUTE_MS = 60_000
FIRST = 27_000_000  # minutes since the epoch, at the beginning of an hour and of a day's half
PENDING, RESERVED, CANCELLED = "PENDING", "RESERVED", "CANCELLED"
Told = tuple[str, str, int, int]  # action, site, quantity, minute after the first


class Log:
    """Plays the consumer: batches of what sites have told, each in a transaction."""

    def __init__(self, database_url: str, born_at: int = 0) -> None:
        given = {"DATABASE_URL": database_url, "KAFKA_BOOTSTRAP_SERVERS": NOWHERE, "TOPIC_TICKET_SALES": TOPIC,
                 "CLIENT_ID": US}  # fmt: skip
        settings = load(InventorySettings, given)
        self.database = Database(settings, "test")
        self.federation = settings.federation()
        self.offset = 0
        with self.database.transaction() as connection:
            for entry in parse_masterlist(SMALL.read_bytes()):
                apply_match(connection, entry, 0)
            create_position(connection, TOPIC, 0, 0, born_at)

    def batch(self, *told: Told, match: int = 1) -> Batch:
        records = [self._record(offset, match, *each) for offset, each in enumerate(told, self.offset)]
        return Batch(0, self.offset, self.offset + len(told), records)

    def _record(self, offset: int, match: int, action: str, site: str, quantity: int, minute: int) -> RawRecord:
        tickets = {"category": 1, "quantity": quantity, "price": 75}
        value = {"meta": {"action": f"TICKET_{action}"}, "body": {"matchNumber": match, "tickets": tickets}}
        headers = [("clientId", site.encode())] if site else []
        if site == US:
            headers.append(("saleId", b"a-sale-of-ours"))
        return RawRecord(offset, (FIRST + minute) * MINUTE_MS + 30_000, None, json.dumps(value).encode(), headers)

    def apply(self, batch: Batch) -> None:
        with self.database.transaction() as connection:
            assert not apply_batch(connection, self.federation, batch).refused
        self.offset = batch.end

    def tell(self, *told: Told, match: int = 1) -> None:
        self.apply(self.batch(*told, match=match))

    def buckets(self, width: int, since: int = FIRST - 1440, until: int = FIRST + 1440) -> list[SoldInBucket]:
        with self.database.transaction() as connection:
            return audit.sold_over_time(connection, US, since, until, width)

    def sites(self, limit: int = 10, since: int = FIRST, until: int = FIRST + 1440) -> list[tuple[str, int]]:
        with self.database.transaction() as connection:
            return audit.sold_by_site(connection, since, until, limit)

    def counted(self) -> int:
        """What the pools say of the log's sales."""
        with self.database.transaction() as connection:
            return int(connection.execute(text("SELECT sum(log_sold) FROM shop.pools")).scalar_one())


@pytest.fixture
def log(database_url: str) -> Iterator[Log]:
    made = Log(database_url)
    yield made
    made.database.close()


def test_sales_of_one_minute_add_up_over_batches_and_matches(log: Log) -> None:
    log.tell((RESERVED, "atlas", 2, 0), (RESERVED, "atlas", 1, 0), (RESERVED, "borealis", 1, 1))
    # The log's clock never goes back: what a partner's slow clock has sold counts where the log is.
    log.tell((RESERVED, "atlas", 2, 0), match=2)
    log.tell((RESERVED, "", 1, 1), (RESERVED, "atlas", 1, 3))
    assert log.buckets(1) == [
        SoldInBucket(FIRST, 0, 3), SoldInBucket(FIRST + 1, 0, 1 + 2 + 1), SoldInBucket(FIRST + 3, 0, 1)
    ]  # fmt: skip
    assert log.sites() == [("atlas", 6), ("", 1), ("borealis", 1)]
    assert log.counted() == 8


def test_holds_and_what_is_given_back_are_no_sales(log: Log) -> None:
    log.tell((PENDING, "atlas", 2, 0), (CANCELLED, "atlas", 2, 0), (PENDING, "atlas", 2, 1))
    assert (log.buckets(1), log.sites()) == ([], [])
    log.tell((RESERVED, "atlas", 2, 5))
    assert log.buckets(1) == [SoldInBucket(FIRST + 5, 0, 2)]
    assert log.counted() == 2


def test_a_batch_that_comes_twice_counts_once(log: Log) -> None:
    batch = log.batch((RESERVED, "atlas", 2, 0))
    log.apply(batch)
    with pytest.raises(StalePosition):
        log.apply(batch)
    assert log.sites() == [("atlas", 2)]


def test_a_batch_whose_transaction_is_undone_counts_not_at_all(log: Log) -> None:
    class Undone(Exception):
        pass

    def die(*_: object) -> None:
        raise Undone

    batch = log.batch((RESERVED, "atlas", 2, 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shop.inventory.apply.move_position", die)
        with pytest.raises(Undone):
            log.apply(batch)
    assert (log.sites(), log.counted()) == ([], 0)
    log.apply(batch)
    assert (log.sites(), log.counted()) == ([("atlas", 2)], 2)


def test_a_message_beside_the_log_counts_once_in_the_minute_where_the_log_is(log: Log) -> None:
    log.tell((RESERVED, "atlas", 1, 4))
    (beside,) = log.batch((RESERVED, "borealis", 2, 99)).records
    for applied in (True, False):
        with log.database.transaction() as connection:
            assert apply_side_record(connection, log.federation, "m-1", beside.value, beside.headers) is applied
    assert log.sites() == [("borealis", 2), ("atlas", 1)]
    assert sum(bucket.partners for bucket in log.buckets(1)) == log.counted() == 3


def test_buckets_are_whole_and_a_window_takes_its_first_minute_and_not_its_end(log: Log) -> None:
    log.tell(*[(RESERVED, "atlas", 1, minute) for minute in (0, 59, 60, 61, 119, 120)])
    assert log.buckets(60) == [
        SoldInBucket(FIRST, 0, 2), SoldInBucket(FIRST + 60, 0, 3), SoldInBucket(FIRST + 120, 0, 1)
    ]  # fmt: skip
    assert log.buckets(60, since=FIRST + 60, until=FIRST + 120) == [SoldInBucket(FIRST + 60, 0, 3)]
    assert log.sites(since=FIRST + 60, until=FIRST + 120) == [("atlas", 3)]
    (day, *rest) = log.buckets(1440)
    assert (day.minute % 1440, day.partners, rest) == (0, 6, [])


def test_own_sales_are_told_apart_from_partners(database_url: str) -> None:
    log = Log(database_url, born_at=3)  # a new database reads the own sales of the one before it
    try:
        log.tell((PENDING, US, 2, 0), (RESERVED, US, 2, 0), (RESERVED, "atlas", 1, 0))
        log.tell(*[(RESERVED, f"site-{number:02}", 1, 1) for number in range(12)])
        assert log.buckets(60) == [SoldInBucket(FIRST, 2, 13)]
        assert log.buckets(1) == [SoldInBucket(FIRST, 2, 1), SoldInBucket(FIRST + 1, 0, 12)]
        assert log.sites(limit=3) == [(US, 2), ("atlas", 1), ("site-00", 1)]
        assert log.counted() == 15
    finally:
        log.database.close()
