"""A site that lost its database comes back from the log alone, its own sales included."""

import os
import subprocess
import sys
import uuid
from typing import Any

import psycopg
import pytest

from matchday.masterlist import publish
from matchday.masterlist_file import load_file
from matchday.paths import CHECKOUT
from matchday.servers import Kafka
from shared.settings import KafkaSettings
from tests.eventually import eventually
from tests.resources import Databases, Topics
from tests.sites import RunningSite, SiteMaker
from tests.system.federation.partner import CANCELLED, PENDING, RESERVED, Partner, message, tickets

MIGRATION_SECONDS = 120
Counters = list[tuple[Any, ...]]


class Buyers:
    """Who buys at one site."""

    def __init__(self, site: RunningSite) -> None:
        self.client = site.client("reservations")
        self.operator = site.operator()

    def hold(self, match: int, category: int = 1, quantity: int = 2) -> Any:
        answer = self.client.post(
            "/api/reservations?wait=20",
            json={
                "matchNumber": match,
                "category": category,
                "quantity": quantity,
                "email": f"{uuid.uuid4()}@b.example",
            },
        )
        assert answer.status_code == 201, answer.text
        assert answer.json()["status"] == "held", answer.text
        return answer.json()

    def pay(self, reservation: Any) -> None:
        path = f"/internal/reservations/{reservation['id']}/confirm"
        answer = self.client.post(path, headers=self.operator)
        assert answer.status_code == 200, answer.text

    def give_back(self, reservation: Any) -> None:
        opened = {"Authorization": f"Bearer {reservation['accessToken']}"}
        answer = self.client.delete(f"/api/reservations/{reservation['id']}", headers=opened)
        assert answer.status_code == 200, answer.text


@pytest.fixture
def masterlist(kafka: Kafka, topics: Topics) -> None:
    settings = {"kafka_bootstrap_servers": kafka.bootstrap_servers, "topic_masterlist": topics.masterlist}
    publish(KafkaSettings.model_validate(settings), load_file("small"), "organiser")


def counters(site: RunningSite) -> Counters:
    """Every pool: capacities, held and sold, by the site and by the log."""
    query = "SELECT match_number, category, price, capacities, held, sold, log_held, log_sold FROM shop.pools"
    with psycopg.connect(site.database_url) as connection:
        return sorted(connection.execute(query).fetchall())


def drained(site: RunningSite, topic: str, end: int) -> Counters:
    """The counters when the log is applied and nothing of the site's own is on its way."""

    def settled() -> bool:
        with psycopg.connect(site.database_url) as connection:
            row = connection.execute(
                "SELECT (SELECT next_offset FROM shop.log_positions WHERE topic = %s),"
                " (SELECT count(*) FROM shop.outbox WHERE published_at IS NULL AND dropped_at IS NULL)",
                (topic,),
            ).fetchone()
        assert row == (end, 0)
        return True

    eventually(settled, 30, f"{site.name} has applied the log up to {end}")
    return counters(site)


def migrate(url: str) -> None:
    """What `make up` does when the database is not there."""
    done = subprocess.run(
        [sys.executable, "-m", "matchday.migrate"],
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": url},
        timeout=MIGRATION_SECONDS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def verified(site: RunningSite) -> int:
    """The site's own recount agrees; returns how many records it read."""
    answer = site.client("shop-consumer").get("/api/verify")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["records"])


def test_a_site_whose_database_is_dropped_is_rebuilt_from_the_log_alone(
    make_site: SiteMaker, databases: Databases, masterlist: None, kafka: Kafka, topics: Topics
) -> None:
    ours, other = make_site("matchday"), make_site("atlas")
    ours.start(wait=False)
    other.start()
    ours.wait_ready()
    partner = Partner(kafka.bootstrap_servers)
    try:
        _sell(Buyers(ours), Buyers(other), partner, topics.sales)
        end = _end(ours, partner, topics.sales, records=24)
        before = drained(ours, topics.sales, end)
        assert drained(other, topics.sales, end) == before

        ours.stop()
        databases.drop(ours.database_url)
        migrate(ours.database_url)
        ours.start()

        assert drained(ours, topics.sales, end) == before
        assert verified(ours) == verified(other) == end
        _goes_on(ours, other, partner, topics.sales, before)
    finally:
        partner.close()


def _sell(here: Buyers, there: Buyers, partner: Partner, topic: str) -> None:
    """Each end that a sale can have, here, at the other site and at a partner without sale ids: 24 records."""
    for buyers in (here, there):
        buyers.pay(buyers.hold(1))
        buyers.pay(buyers.hold(1, 3, 1))
        buyers.give_back(buyers.hold(1))
        buyers.hold(2)
    for action, quantity in ((PENDING, 2), (RESERVED, 2), (PENDING, 2), (CANCELLED, 1), (RESERVED, 1), (PENDING, 2)):
        partner.send(topic, message(action, 1, tickets(2, quantity)))
    partner.send(topic, message(PENDING, 3, tickets(1, 2)), {"clientId": "boreas", "saleId": "b-1"})
    partner.send(topic, message(RESERVED, 3, tickets(1, 2)), {"clientId": "boreas", "saleId": "b-1"})
    partner.send(topic, b"not a message")
    partner.send(topic, message(PENDING, 3, tickets(9, 2)))


def _end(site: RunningSite, partner: Partner, topic: str, records: int) -> int:
    def all_written() -> int:
        end = partner.end(topic)
        assert end >= records, f"{end} of {records} records are in the log"
        return end

    end = eventually(all_written, 20)
    assert end == records
    return end


def _goes_on(ours: RunningSite, other: RunningSite, partner: Partner, topic: str, before: Counters) -> None:
    """The site sells again, its old holds still count, and both sites stay alike."""
    buyers = Buyers(ours)
    buyers.pay(buyers.hold(2))
    after = drained(ours, topic, partner.end(topic))
    assert drained(other, topic, partner.end(topic)) == after
    held, sold = {row[:2]: row[4] for row in before}, {row[:2]: row[5] for row in after}
    assert held[2, 1] == 4
    assert {row[:2]: row[4] for row in after} == held
    assert sold[2, 1] == 2
    verified(ours)


def test_a_site_that_begins_late_counts_what_the_log_held_before(
    make_site: SiteMaker, masterlist: None, kafka: Kafka, topics: Topics
) -> None:
    other = make_site("atlas").start()
    partner = Partner(kafka.bootstrap_servers)
    try:
        buyers = Buyers(other)
        buyers.pay(buyers.hold(1))
        partner.send(topics.sales, message(PENDING, 1, tickets(1, 1)))
        # Somebody sold under our name before this site existed: that was us, with another database.
        partner.send(topics.sales, message(PENDING, 1, tickets(2, 2), clientId="matchday"))
        end = _end(other, partner, topics.sales, records=4)
        late = make_site("matchday").start()
        assert drained(late, topics.sales, end) == drained(other, topics.sales, end)
        assert {row[:2]: (row[4], row[5]) for row in counters(late) if row[0] == 1} == {
            (1, 1): (1, 2),
            (1, 2): (2, 0),
            (1, 3): (0, 0),
        }
        verified(late)
    finally:
        partner.close()
