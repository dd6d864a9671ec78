"""A site on a broker that speaks TLS and asks who is calling, as a federation's usually is (SASL_SSL with PLAIN)."""

import asyncio
from collections.abc import Iterator

import psutil
import pytest

from matchday.broker_setup import prepare_topics
from matchday.masterlist import load_file, publish
from matchday.run import Run
from shared.errors import BrokerUnavailable
from shared.kafka.publisher import Publisher
from shared.kafka.reader import LogReader
from shared.settings import KafkaSettings, TopicSettings, load
from shared.wire import header
from tests.eventually import eventually
from tests.secured_broker import SecuredKafka
from tests.sites import SiteMaker

SELLING = ["shop", "shop-consumer", "reservations", "reservations-relay", "reservations-worker"]


@pytest.fixture(scope="module")
def broker(server_run: Run) -> Iterator[SecuredKafka]:
    server = SecuredKafka(server_run.directory / "secured-kafka", server_run).start()
    yield server
    server.stop()


def test_a_site_sells_over_tls_and_by_its_name_and_password(broker: SecuredKafka, make_site: SiteMaker) -> None:
    site = make_site("matchday", only=SELLING, **broker.environment)
    settings = load(TopicSettings, site.environment)
    assert asyncio.run(prepare_topics(settings)), "the topic is empty"
    publish(settings, load_file("small"), "organiser")
    site.start()
    eventually(lambda: site.client("shop").get("/api/matches").json().get("items"), 30)

    wish = {"matchNumber": 1, "category": 1, "quantity": 2, "email": "ada@example.org"}
    held = site.client("reservations").post("/api/reservations", params={"wait": 10}, json=wish).json()
    assert held["status"] == "held"
    confirm = f"/internal/reservations/{held['id']}/confirm"
    sold = site.client("reservations").post(confirm, headers=site.operator()).json()
    assert sold["status"] == "reserved"

    def told() -> list[bytes]:
        with LogReader(settings, settings.sales_topic) as reader:
            records = [record for batch, _ in reader.read(0, *reader.bounds()[0]) for record in batch]
        assert {header(record.headers, "clientId") for record in records} == {"matchday"}
        return [record.value or b"" for record in records]

    eventually(lambda: len(told()) == 2, 30, "the log has the hold and the sale")
    assert [b"TICKET_PENDING" in told()[0], b"TICKET_RESERVED" in told()[1]] == [True, True]
    eventually(lambda: site.client("shop-consumer").get("/api/verify").status_code == 200, 30)


@pytest.mark.parametrize("wrong", ["password", "authority", "protocol"])
def test_who_cannot_be_trusted_or_does_not_trust_gets_no_connection(broker: SecuredKafka, wrong: str) -> None:
    other = {
        "password": {"KAFKA_PASSWORD": "another-password"},
        "authority": {"KAFKA_CA_FILE": ""},
        "protocol": {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"},
    }
    settings = load(KafkaSettings, {**broker.environment, **other[wrong]})
    publisher = Publisher(settings, guard=lambda: None)
    try:
        with pytest.raises(BrokerUnavailable):
            publisher.start()
    finally:
        publisher.close()
    port = int(broker.bootstrap_servers.rpartition(":")[2])
    assert not [open_ for open_ in psutil.Process().net_connections() if open_.raddr and open_.raddr.port == port]
