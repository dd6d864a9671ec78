"""The consumer keeps what its document promises, for strangers and operators: on a real log, with refused records.

It runs as a process of its own: its Kafka client draws random numbers, which Hypothesis forbids beside its own.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import schemathesis
from aiokafka import AIOKafkaProducer
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import positive_data_acceptance

from matchday.run import Run
from matchday.servers import Kafka, Postgres, Valkey
from tests.contract.door import document_app
from tests.eventually import eventually
from tests.jwks import serve_keys
from tests.no_redis import NO_REDIS
from tests.shared_sites import Ground, common_ground
from tests.sites import RunningSite
from tests.tokens import Signer

REFUSED = (b"no JSON", json.dumps({"meta": {"action": "TICKET_PENDING"}, "body": {"matchNumber": 900}}).encode())
SOLD = 3
SALE = "4c5c3f5e-9d0e-4f49-8f3d-7a0f3f1f7c11"
signer = Signer()
schema = schemathesis.openapi.from_dict(document_app("shop_consumer").openapi())


def message(action: str, match: int = 1, quantity: int = 1) -> bytes:
    tickets = {"category": 1, "quantity": quantity, "price": 75}
    return json.dumps({"meta": {"action": action}, "body": {"matchNumber": match, "tickets": tickets}}).encode()


@pytest.fixture(scope="module")
def ground(_postgres: Postgres, _valkey: Valkey, _kafka: Kafka, server_run: Run, _template: str) -> Iterator[Ground]:
    """A log with sales, evidence (sold without a hold) and records that nobody understands."""
    with common_ground(_postgres, _valkey, _kafka, server_run, _template) as made:

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=made.kafka.bootstrap_servers) as producer:
                for value in (*[message("TICKET_RESERVED")] * SOLD, *REFUSED, message("TICKET_PENDING", 64, 2)):
                    await producer.send_and_wait(made.topics.sales, value, headers=[("clientId", b"atlas")])
                named = [("clientId", b"atlas"), ("saleId", SALE.encode())]
                await producer.send_and_wait(made.topics.sales, message("TICKET_PENDING", 3), headers=named)

        asyncio.run(send())
        yield made


@pytest.fixture(scope="module")
def consumer(ground: Ground) -> Iterator[RunningSite]:
    """The service, when it has read all that."""
    with serve_keys(signer) as users:
        site = ground.make_site("matchday", only=["shop-consumer"], USERS_URL=users, **NO_REDIS)
        site.start()
        eventually(lambda: len(refused(site)) == len(REFUSED), 60, "the log is read")
        yield site


def refused(site: RunningSite) -> list[dict[str, Any]]:
    answer = site.client("shop-consumer").get("/api/refused", headers=site.operator())
    items: list[dict[str, Any]] = answer.json()["items"] if answer.status_code == 200 else []
    return items


def _excluded(case: Case[Any]) -> list[CheckFunction]:
    # No schema can say which end of a time is the later one, and how many buckets are too many.
    return [positive_data_acceptance] if case.path == "/api/sales" else []


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_to_a_stranger_is_a_documented_one(case: Case[Any], consumer: RunningSite) -> None:
    case.call_and_validate(base_url=consumer.url("shop-consumer"))


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_to_an_operator_is_a_documented_one(case: Case[Any], consumer: RunningSite) -> None:
    case.call_and_validate(
        base_url=consumer.url("shop-consumer"), headers=consumer.operator(), excluded_checks=_excluded(case)
    )


@schema.include(path=["/api/lag", "/api/sales", "/api/refused/{refusedId}/replay"]).parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_to_an_admin_is_a_documented_one(case: Case[Any], consumer: RunningSite) -> None:
    case.call_and_validate(
        base_url=consumer.url("shop-consumer"), headers=signer.bearer("admin"), excluded_checks=_excluded(case)
    )


def ask(site: RunningSite, method: str, path: str, **parameters: Any) -> Any:
    """One request of the operator's; its answer fits the document."""
    case = schema[path][method].Case(path_parameters=parameters)
    return case.call_and_validate(base_url=site.url("shop-consumer"), headers=site.operator())


@pytest.mark.parametrize("path", ["/api/refused", "/api/evidence", "/api/lag", "/api/sales"])
def test_what_there_is_to_tell_fits_the_document(path: str, consumer: RunningSite) -> None:
    """The lists above are not empty: these answers hold the records that the log was filled with."""
    told = ask(consumer, "GET", path)
    assert told.status_code == 200
    assert told.json()["items"]
    if path == "/api/sales":
        assert told.json()["sites"] == [{"clientId": "atlas", "own": False, "tickets": SOLD}]


def test_a_record_that_is_still_refused_is_told_as_documented(consumer: RunningSite) -> None:
    for record in refused(consumer):
        told = ask(consumer, "POST", "/api/refused/{refusedId}/replay", refusedId=record["id"])
        assert (told.status_code, told.json()["code"]) == (409, "still_refused")


def test_a_recount_is_told_as_documented_whether_it_differs_or_not(consumer: RunningSite) -> None:
    assert ask(consumer, "GET", "/api/verify").json()["equal"] is True
    change = "UPDATE shop.pools SET sold = sold + %s WHERE (match_number, category) = (2, 1)"
    with psycopg.connect(consumer.database_url, autocommit=True) as connection:
        connection.execute(change, (1,))
        try:
            told = ask(consumer, "GET", "/api/verify")
        finally:
            connection.execute(change, (-1,))
    assert (told.status_code, told.json()["code"]) == (409, "counters_differ")
    assert {each["matchNumber"] for each in told.json()["differences"]} == {2}
    assert told.json()["verdicts"] == []


def test_a_verdict_that_is_not_the_logs_is_told_though_all_numbers_are_right(consumer: RunningSite) -> None:
    eventually(lambda: ask(consumer, "GET", "/api/lag").json()["items"][0]["lag"] == 0, 30)
    change = "UPDATE shop.sales SET log_state = %s WHERE sale_id = %s"
    with psycopg.connect(consumer.database_url, autocommit=True) as connection:
        assert connection.execute(change, ("lost", SALE)).rowcount == 1
        try:
            told = ask(consumer, "GET", "/api/verify")
        finally:
            connection.execute(change, ("held", SALE))
    assert (told.status_code, told.json()["code"]) == (409, "counters_differ")
    assert told.json()["differences"] == []
    assert told.json()["verdicts"] == [
        {"clientId": "atlas", "saleId": SALE, "matchNumber": 3, "category": 1, "stored": "lost", "recounted": "held"}
    ]
    assert ask(consumer, "GET", "/api/verify").json()["equal"] is True
