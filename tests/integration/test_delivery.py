"""What one service tells another arrives at least once and has its effect once, on a real PostgreSQL."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy import Connection

from matchday.servers import Postgres
from shared import delivery, inbox, tracing
from shared.database import Database
from shared.delivery import Courier, Couriers, Delivery, Taken
from shared.settings import DatabaseSettings, load
from tests.eventually import eventually
from tests.receiver import Receiver, receiver

SCHEMA = "telling"
metadata = sa.MetaData(schema=SCHEMA)
deliveries = delivery.deliveries_table(metadata, SCHEMA)
received = inbox.inbox_table(metadata, SCHEMA)
effects = sa.Table("effects", metadata, sa.Column("id", sa.Text), sa.Column("by", sa.Text))
TOKEN = SecretStr("the service token of this site")


@dataclass
class Sender:
    """A service that has something to tell."""

    database: Database
    there: Receiver
    settled: list[tuple[str, Any]] = field(default_factory=list)
    couriers: list[Courier] = field(default_factory=list)

    def send(self, *told: tuple[str, Any]) -> list[str]:
        """Each (subject, body) in one transaction; the ids."""
        made = [Delivery("there", "/internal/told", {"said": body}, subject) for subject, body in told]
        with self.database.transaction() as connection:
            delivery.send(connection, deliveries, made)
        return [each.id for each in made]

    def courier(self, on_delivered: delivery.OnDelivered | None = None) -> Courier:
        made = Courier(self.database, deliveries, "there", self.there.url, TOKEN, on_delivered)
        self.couriers.append(made)
        return made

    def note(self, _connection: Connection, taken: Taken, answer: Any) -> None:
        self.settled.append((taken.id, answer))

    def rows(self) -> list[Any]:
        with self.database.transaction() as connection:
            return list(connection.execute(sa.select(deliveries).order_by(deliveries.c.number)))

    def make_due(self) -> None:
        """As if all pauses and leases were over."""
        with self.database.transaction() as connection:
            connection.execute(deliveries.update().values(next_attempt_at=sa.func.now()))

    def said(self) -> list[Any]:
        return [body["said"] for body in self.there.bodies()]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(load(DatabaseSettings, {"DATABASE_URL": database_url}), "test")
    with database.transaction() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))
        metadata.create_all(connection)
    yield database
    database.close()


@pytest.fixture
def sender(database: Database) -> Iterator[Sender]:
    with receiver() as there:
        made = Sender(database, there)
        yield made
        there.open.set()
        for courier in made.couriers:
            courier.close()


# -- sending ---------------------------------------------------------------------------------------------------------


def test_what_is_said_in_a_transaction_that_fails_is_never_told(sender: Sender) -> None:
    def fails() -> None:
        with sender.database.transaction() as connection:
            delivery.send(connection, deliveries, [Delivery("there", "/internal/told", {}, "a")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert sender.courier().run_once() == 0
    assert sender.there.requests == []


def test_a_delivery_arrives_with_its_id_the_service_token_and_the_trace(sender: Sender) -> None:
    with tracing.working(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
        (made,) = sender.send(("a", "hello"))
    assert sender.courier(sender.note).run_once() == 1
    (request,) = sender.there.requests
    assert (request.path, request.body) == ("/internal/told", {"said": "hello"})
    assert request.headers["idempotency-key"] == made
    assert request.headers["authorization"] == f"Bearer {TOKEN.get_secret_value()}"
    assert request.headers["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
    (row,) = sender.rows()
    assert (row.delivered_at is not None, row.attempts, row.last_error) == (True, 1, None)
    assert sender.settled == [(made, {"outcome": "understood"})]
    assert sender.courier().run_once() == 0


# -- trying again ----------------------------------------------------------------------------------------------------


def test_a_delivery_is_tried_until_it_arrives(sender: Sender) -> None:
    sender.there.answers = [503, 401, (409, {"Retry-After": "1"}), 200]
    sender.send(("a", 1))
    courier = sender.courier()
    for _ in range(4):
        assert sender.rows()[0].delivered_at is None
        sender.make_due()
        assert courier.run_once() == 1
    (row,) = sender.rows()
    assert (row.delivered_at is not None, row.attempts) == (True, 4)
    assert len({request.headers["idempotency-key"] for request in sender.there.requests}) == 1


def test_a_receiver_that_is_not_there_is_waited_for(sender: Sender) -> None:
    sender.send(("a", 1))
    away = Courier(sender.database, deliveries, "there", "http://127.0.0.1:9", TOKEN)
    assert away.run_once() == 1
    away.close()
    (row,) = sender.rows()
    assert (row.delivered_at, row.refused_at) == (None, None)
    assert "ConnectError" in row.last_error
    assert sender.courier().run_once() == 0, "not before its pause is over"
    sender.make_due()
    assert sender.courier().run_once() == 1
    assert sender.said() == [1]


def test_a_courier_that_died_over_a_delivery_is_followed_by_another_when_the_lease_ends(sender: Sender) -> None:
    sender.send(("a", 1))
    with sender.database.transaction() as connection:
        assert len(delivery.take(connection, deliveries, "there")) == 1
    assert sender.courier().run_once() == 0
    sender.make_due()
    assert sender.courier().run_once() == 1
    assert sender.said() == [1]


def test_an_error_in_what_follows_leaves_the_delivery_open(sender: Sender) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    sender.send(("a", 1))
    with pytest.raises(ZeroDivisionError):
        sender.courier(fails).run_once()
    assert sender.rows()[0].delivered_at is None
    sender.make_due()
    sender.courier(sender.note).run_once()
    assert len(sender.settled) == 1


def test_of_two_that_posted_the_same_only_one_settles_it(sender: Sender) -> None:
    sender.there.open.clear()
    sender.send(("a", 1))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(sender.courier(sender.note).run_once)
        eventually(lambda: len(sender.there.requests) == 1)
        sender.make_due()  # the first one hangs beyond its lease
        second = threads.submit(sender.courier(sender.note).run_once)
        eventually(lambda: len(sender.there.requests) == 2)
        sender.there.open.set()
        assert (first.result(), second.result()) == (1, 1)
    assert len(sender.settled) == 1


# -- refusals --------------------------------------------------------------------------------------------------------


def test_a_refused_delivery_is_kept_shown_and_in_nobodys_way(sender: Sender) -> None:
    sender.there.answers = [422]
    first, second = sender.send(("a", 1), ("a", 2))
    courier = sender.courier()
    assert [courier.run_once() for _ in range(3)] == [1, 1, 0]
    with sender.database.transaction() as connection:
        (refused,) = delivery.listed(connection, deliveries, refused=True, limit=10)
        assert delivery.listed(connection, deliveries, refused=False, limit=10) == []
    assert refused.id == first
    assert refused.last_error is not None
    assert refused.last_error.startswith("422")
    assert [row.id for row in sender.rows() if row.delivered_at] == [second]


def test_an_operator_may_have_a_refused_delivery_tried_again(sender: Sender) -> None:
    sender.there.answers = [422]
    (made,) = sender.send(("a", 1))
    courier = sender.courier()
    courier.run_once()
    with sender.database.transaction() as connection:
        assert delivery.try_again(connection, deliveries, made)
        assert not delivery.try_again(connection, deliveries, str(uuid.uuid4()))
    assert courier.run_once() == 1
    with sender.database.transaction() as connection:
        assert delivery.listed(connection, deliveries, refused=True, limit=10) == []
        assert not delivery.try_again(connection, deliveries, made), "what has arrived is not sent again"


# -- order -----------------------------------------------------------------------------------------------------------


def test_about_one_subject_a_later_delivery_waits_for_an_earlier_one_and_other_subjects_do_not(sender: Sender) -> None:
    sender.there.answers = [503]
    sender.send(("a", "a1"))
    courier = sender.courier()
    courier.run_once()
    sender.send(("a", "a2"), ("b", "b1"))
    assert courier.run_once() == 1
    assert sender.said() == ["a1", "b1"]
    sender.make_due()
    assert [courier.run_once() for _ in range(3)] == [1, 1, 0]
    assert sender.said() == ["a1", "b1", "a1", "a2"]


def test_many_couriers_keep_the_order_of_each_subject_and_lose_nothing(sender: Sender) -> None:
    told = [(f"subject {number % 5}", number) for number in range(60)]
    sender.send(*told)
    couriers = [sender.courier() for _ in range(3)]

    def drain(courier: Courier) -> None:
        while any(row.delivered_at is None for row in sender.rows()):
            courier.run_once()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(drain, couriers))
    assert sorted(sender.said()) == list(range(60))
    for subject in range(5):
        assert [n for n in sender.said() if n % 5 == subject] == [n for _, n in told if n % 5 == subject]


# -- as threads ------------------------------------------------------------------------------------------------------


def test_a_running_courier_is_woken_by_the_commit_and_outlives_the_database(sender: Sender, postgres: Postgres) -> None:
    couriers = Couriers(sender.database, deliveries, {"there": sender.there.url}, TOKEN, sender.note)
    couriers.start()
    sender.send(("a", 1))
    eventually(lambda: len(sender.settled) == 1)
    postgres.restart()
    eventually(lambda: sender.send(("a", 2)) if _reachable(sender.database) else None)
    eventually(lambda: len(sender.settled) == 2)
    couriers.stop()
    assert sender.said() == [1, 2]


def _reachable(database: Database) -> bool:
    try:
        database.ping()
    except Exception:
        return False
    return True


def test_what_arrived_long_ago_is_forgotten_and_nothing_else(sender: Sender) -> None:
    sender.send(("a", 1), ("b", 2))
    sender.there.answers = [200, 503]
    sender.courier().run_once()
    with sender.database.transaction() as connection:
        assert delivery.prune(connection, deliveries) == 0
        connection.execute(sa.text(f"UPDATE {deliveries.fullname} SET delivered_at = delivered_at - interval '8 days'"))
        assert delivery.prune(connection, deliveries) == 1
    assert len(sender.rows()) == 1


# -- the inbox -------------------------------------------------------------------------------------------------------


def _receive(database: Database, message_id: str, who: str, *, fail: bool = False) -> bool:
    with database.transaction() as connection:
        new = inbox.claim(connection, received, message_id, who)
        if new:
            connection.execute(effects.insert().values(id=message_id, by=who))
        if fail:
            raise ZeroDivisionError
        return new


def _effects(database: Database) -> int:
    with database.transaction() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(effects)).scalar_one())


def test_a_message_has_its_effect_once_however_many_bring_it_at_once(database: Database) -> None:
    ready = threading.Barrier(8)

    def bring(number: int) -> bool:
        ready.wait()
        return _receive(database, "evt_1", str(number))

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(bring, range(8))) == [False] * 7 + [True]
    assert _effects(database) == 1


def test_an_effect_that_was_undone_is_not_in_the_inbox(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        _receive(database, "evt_1", "a", fail=True)
    assert _receive(database, "evt_1", "b")
    assert not _receive(database, "evt_1", "c")
    assert _effects(database) == 1


def test_a_message_without_an_id_is_new_each_time(database: Database) -> None:
    with database.transaction() as connection:
        assert inbox.claim(connection, received, None, "by hand")
        assert inbox.claim(connection, received, None, "by hand")


def test_the_inbox_forgets_what_nobody_sends_again(database: Database) -> None:
    _receive(database, "evt_1", "a")
    now = datetime.now(UTC)
    with database.transaction() as connection:
        assert inbox.prune(connection, received, now - timedelta(days=1)) == 0
        assert inbox.prune(connection, received, now + timedelta(seconds=5)) == 1
