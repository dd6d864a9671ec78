"""Operators find payments among many: each way to look has an index, on real PostgreSQL with a table that is full."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from payments import store
from payments.domain import Place, Search, Status
from payments.settings import PaymentsSettings
from shared.database import Database
from shared.settings import load
from tests.contract.door import NOWHERE
from tests.no_redis import NO_REDIS

PAYMENTS = 20_000
# Two at each moment; each buyer has five; one in a thousand is still open.
FILL = f"""
    INSERT INTO payments.payments (id, reservation_id, amount, currency, email, status, intent_id, intent_key,
                                   expires_at, created_at)
    SELECT md5('payment' || n)::uuid, md5('reservation' || n)::uuid, 7500, 'USD',
           'Buyer-' || n % {PAYMENTS // 5} || '@example.org',
           CASE WHEN n % 1000 = 0 THEN 'processing' WHEN n % 10 = 0 THEN 'canceled' ELSE 'succeeded' END,
           'pi_' || n, md5('payment' || n), now(), timestamptz '2022-11-20' - n / 2 * interval '20 minutes'
      FROM generate_series(1, {PAYMENTS}) AS n"""
SOMEBODY = "BUYER-17@example.org"
LATER = Place(datetime(2022, 9, 15, tzinfo=UTC), str(uuid.UUID(int=0)))
LOOKS = {
    "all": (Search(), "payments_created"),
    "of an address": (Search(email=SOMEBODY), "payments_email"),
    "that are open": (Search(status=Status.PROCESSING), "payments_open"),
    "that are cancelled": (Search(status=Status.CANCELED), "payments_canceled"),
    "that succeeded": (Search(status=Status.SUCCEEDED), "payments_created"),
    "of a reservation": (Search(reservation_id=str(uuid.UUID(int=1))), "payments_of_reservation"),
    "of an intent": (Search(intent_id="pi_17"), "payments_intent_id_key"),
    "by its id": (Search(id=str(uuid.UUID(int=1))), "payments_pkey"),
}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute(FILL.encode())
        sql.execute("VACUUM ANALYZE payments.payments")
    given = {
        "PORT": "3040", "DATABASE_URL": database_url, "KAFKA_BOOTSTRAP_SERVERS": NOWHERE, "SERVICE_TOKEN": "x" * 40,
        "STRIPE_API_BASE": f"http://{NOWHERE}", "STRIPE_SECRET_KEY": "sk_test_of_nobody",
        "STRIPE_WEBHOOK_SECRET": "whsec_of_nobody", **NO_REDIS,
    }  # fmt: skip
    database = Database(load(PaymentsSettings, given), "test")
    with database.transaction() as opened:
        yield opened
    database.close()


def plan(connection: Connection, wanted: Search, after: Place | None) -> dict[str, Any]:
    """How PostgreSQL answers the service's own query, and what that took."""
    query = store.searching(wanted, after, 50).compile(connection)
    explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + str(query)
    told = connection.exec_driver_sql(explain, query.params).scalar_one()
    whole: dict[str, Any] = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
    return whole


def nodes(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield part
    for child in part.get("Plans", []):
        yield from nodes(child)


def test_each_way_to_look_for_payments_reads_an_index_and_little_of_it(connection: Connection) -> None:
    for what, (wanted, index) in LOOKS.items():
        for after in (None, LATER):
            read = [node for node in nodes(plan(connection, wanted, after)) if node.get("Alias") == "payments"]
            used = [node.get("Index Name") for node in nodes(plan(connection, wanted, after))]
            assert index in used, (what, after, used)
            rows = sum(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in read)
            assert rows <= 50 * 2, (what, after, read)


def test_what_is_found_is_what_was_looked_for_newest_first(connection: Connection) -> None:
    of_somebody = store.search(connection, Search(email=SOMEBODY), None, 50)
    assert [payment.email for payment, _ in of_somebody] == ["Buyer-17@example.org"] * 5
    found: list[tuple[datetime, str]] = []
    place: Place | None = None
    while page := store.search(connection, Search(status=Status.CANCELED), place, 200):
        assert {payment.status for payment, _ in page} == {Status.CANCELED}
        found += [(payment.created_at, payment.id) for payment, _ in page]
        place = Place(*found[-1])
    assert found == sorted(set(found), reverse=True)
    assert len(found) == PAYMENTS // 10 - PAYMENTS // 1000
