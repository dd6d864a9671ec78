"""The shop on a real PostgreSQL: what it reads, how fast it forgets, what happens in an outage."""

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import text

from matchday.servers import Postgres
from shared.database import Database
from shared.http import HttpApp
from shared.masterlist import parse_masterlist
from shared.settings import load
from shared.wire import RawRecord
from shop.app import create_app
from shop.inventory.apply import Batch, apply_batch
from shop.inventory.catalogue import apply_match
from shop.inventory.positions import create_position
from shop.settings import ShopSettings
from tests.eventually import eventually
from tests.no_redis import NO_REDIS

SMALL = Path(__file__).parents[2] / "matchday" / "masterlists" / "small.json"
TOPIC = "sales"


class Log:
    """Plays the consumer: applies messages one by one, as the log would bring them."""

    def __init__(self, settings: ShopSettings) -> None:
        self.database = Database(settings, "test")
        self.federation = settings.federation()
        self.offset = 0

    def begin(self) -> None:
        with self.database.transaction() as connection:
            for entry in parse_masterlist(SMALL.read_bytes()):
                apply_match(connection, entry, 0)
            create_position(connection, TOPIC, 0, 0, 0)

    def send(self, action: str, match: int, category: int, quantity: int = 1, timestamp_ms: int | None = None) -> int:
        tickets = {"category": category, "quantity": quantity, "price": 75}
        value = {"meta": {"action": f"TICKET_{action}"}, "body": {"matchNumber": match, "tickets": tickets}}
        now_ms = int(time.time() * 1000)
        record = RawRecord(
            self.offset, timestamp_ms or now_ms, None, json.dumps(value).encode(), [("clientId", b"atlas")]
        )
        with self.database.transaction() as connection:
            applied = apply_batch(connection, self.federation, Batch(0, self.offset, self.offset + 1, [record]))
        assert not applied.refused
        self.offset += 1
        return self.offset - 1


@pytest.fixture
def settings(database_url: str) -> ShopSettings:
    return load(
        ShopSettings,
        {
            "PORT": "3000",
            "DATABASE_URL": database_url,
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "TOPIC_TICKET_SALES": TOPIC,
            "SERVICE_TOKEN": secrets.token_urlsafe(32),
            "ANALYTICS_SECRET": secrets.token_urlsafe(32),
            "SNAPSHOT_SECONDS": "0.02",
            "DATABASE_CONNECT_SECONDS": "2",
            **NO_REDIS,
        },
    )


@pytest.fixture
def log(settings: ShopSettings) -> Iterator[Log]:
    log = Log(settings)
    log.begin()
    yield log
    log.database.close()


@pytest.fixture
def app(settings: ShopSettings) -> Iterator[HttpApp]:
    app = create_app(settings)
    yield app
    app.stop()
    app.end()


@pytest.fixture
def client(app: HttpApp) -> FlaskClient:
    return app.test_client()


def _availability(client: FlaskClient, match: int = 1) -> Any:
    response = client.get(f"/api/matches/{match}/availability")
    assert response.status_code == 200
    return response.get_json()


def _pool(client: FlaskClient, category: int, match: int = 1) -> tuple[int, int, str, str | None]:
    (pool,) = (pool for pool in _availability(client, match)["categories"] if pool["category"] == category)
    return pool["pending"], pool["reserved"], pool["status"], pool["message"]


def _shows(client: FlaskClient, category: int, *expected: Any) -> None:
    eventually(lambda: _pool(client, category) == expected, what=f"category {category} shows {expected}")


def test_a_match_is_shown_with_everything_agreed(client: FlaskClient, log: Log) -> None:
    match = client.get("/api/matches/1").get_json()
    pools = match.pop("categories")
    assert match == {
        "matchNumber": 1,
        "roundNumber": 1,
        "stage": "Group stage",
        "dateUtc": "2022-11-20T16:00:00Z",
        "location": "Al Bayt Stadium",
        "city": "Al Khor",
        "homeTeam": "Qatar",
        "awayTeam": "Ecuador",
        "group": "A",
        "resale": {"open": 0, "lowestPrice": None},
    }
    assert [pool["category"] for pool in pools] == [1, 2, 3]
    assert pools[1] == {
        "category": 2,
        "capacity": 20,
        "pending": 20,
        "reserved": 20,
        "price": 125,
        "currency": "USD",
        "status": "available",
        "message": None,
    }


def test_all_matches_come_on_one_page(client: FlaskClient, log: Log) -> None:
    page = client.get("/api/matches").get_json()
    assert [match["matchNumber"] for match in page["items"]] == list(range(1, 65))
    assert page["nextCursor"] is None
    assert page["items"][0] == client.get("/api/matches/1").get_json()


def test_pages_follow_the_cursor(client: FlaskClient, log: Log) -> None:
    numbers, cursor = [], ""
    while True:
        page = client.get(f"/api/matches?sort=-dateUtc&limit=10{cursor}").get_json()
        numbers += [match["matchNumber"] for match in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert sorted(numbers) == list(range(1, 65))
    assert numbers[0] == 64


@pytest.mark.parametrize("cursor", ["x", "====", "WyJkYXRlVXRjIiwxLDFd", "é", "W10", "bnVsbA"])
def test_a_cursor_that_is_not_ours_is_refused(client: FlaskClient, log: Log, cursor: str) -> None:
    problem = client.get(f"/api/matches?cursor={cursor}").get_json()
    assert (problem["status"], problem["errors"][0]["parameter"]) == (422, "cursor")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("team=argentina", 3),
        ("group=A", 6),
        ("round=1", 16),
        ("stage=final", 1),
        ("stadium=Lusail+Stadium", 10),
        ("city=doha&stage=Group+stage", 12),
        ("dateFrom=2022-11-20&dateTo=2022-11-20", 1),
        ("q=saudi", 3),
        ("availability=sold_out", 0),
        ("category=3&priceMin=196", 0),
        ("category=3&priceMin=195", 64),
        ("priceMax=74.99", 0),
    ],
)
def test_matches_are_found(client: FlaskClient, log: Log, query: str, count: int) -> None:
    assert len(client.get(f"/api/matches?{query}").get_json()["items"]) == count


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("dateFrom=2022-12-01&dateTo=2022-11-01", "dateTo"),
        ("priceMin=2&priceMax=1", "priceMax"),
        ("sort=name", "sort"),
        ("availability=gone", "availability"),
        ("limit=201", "limit"),
        ("teams=Qatar", "teams"),
        ("priceMin=NaN", "priceMin"),
    ],
)
def test_a_wrong_search_is_named(client: FlaskClient, log: Log, query: str, parameter: str) -> None:
    problem = client.get(f"/api/matches?{query}").get_json()
    assert (problem["code"], problem["errors"][0]["parameter"]) == ("validation_failed", parameter)


def test_an_unknown_match_is_404(client: FlaskClient, log: Log) -> None:
    for path in ("/api/matches/65", "/api/matches/65/availability", "/api/availability/stream?matchNumber=65"):
        assert client.get(path).get_json()["code"] == "not_found"


def test_messages_move_the_numbers_and_the_position(client: FlaskClient, log: Log) -> None:
    assert _availability(client)["asOf"] == {"topic": TOPIC, "partition": 0, "offset": -1}
    log.send("PENDING", 1, 2, 2)
    _shows(client, 2, 18, 20, "available", None)
    log.send("RESERVED", 1, 2, 2)
    _shows(client, 2, 18, 18, "available", None)
    assert _availability(client)["asOf"] == {"topic": TOPIC, "partition": 0, "offset": 1}


def test_held_and_sold_out_are_told_in_the_agreed_words(client: FlaskClient, log: Log) -> None:
    for _ in range(10):
        log.send("PENDING", 1, 1, 2)
    _shows(client, 1, 0, 20, "temporarily_unavailable", "Ticket is temporarily unavailable")
    for _ in range(10):
        log.send("RESERVED", 1, 1, 2)
    _shows(client, 1, 0, 0, "sold_out", "Ticket is sold out")
    assert client.get("/api/matches?availability=sold_out").get_json()["items"][0]["matchNumber"] == 1


def test_an_over_committed_pool_is_shown_as_nothing(client: FlaskClient, log: Log) -> None:
    for _ in range(12):
        log.send("PENDING", 1, 1, 2)
    _shows(client, 1, 0, 20, "temporarily_unavailable", "Ticket is temporarily unavailable")


def test_holds_that_a_record_written_now_would_release_are_shown_as_free(client: FlaskClient, log: Log) -> None:
    # Held in 1970: whoever writes next moves the log's clock by an hour, and that is as long as a hold lives.
    for _ in range(10):
        log.send("PENDING", 1, 1, 2, timestamp_ms=1_000)
    _shows(client, 1, 20, 20, "available", None)


def test_what_has_not_changed_is_304(client: FlaskClient, log: Log) -> None:
    for path in ("/api/matches", "/api/matches/1", "/api/matches/1/availability"):
        first = client.get(path)
        assert "must-revalidate" in first.headers["Cache-Control"]
        for tag in (first.headers["ETag"], f'W/{first.headers["ETag"]}, "x"', "*"):
            again = client.get(path, headers={"If-None-Match": tag})
            assert (again.status_code, again.data) == (304, b"")
            assert again.headers["ETag"] == first.headers["ETag"]
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_change_changes_the_tags_of_what_it_touches(client: FlaskClient, log: Log) -> None:
    def tags() -> list[str]:
        paths = ("/api/matches/1", "/api/matches/2", "/api/matches")
        return [client.get(path).headers["ETag"] for path in paths]

    before = tags()
    log.send("PENDING", 1, 1)
    eventually(lambda: tags()[0] != before[0])
    after = tags()
    assert (after[0] != before[0], after[1] == before[1], after[2] != before[2]) == (True, True, True)


def test_an_empty_shop_is_an_empty_page(client: FlaskClient) -> None:
    assert client.get("/api/matches").get_json() == {"items": [], "nextCursor": None}


def test_in_an_outage_there_are_no_old_numbers_and_afterwards_new_ones(
    client: FlaskClient, log: Log, postgres: Postgres
) -> None:
    assert client.get("/api/matches/1").status_code == 200
    postgres.kill()
    eventually(lambda: client.get("/api/matches/1").status_code == 503, 10)
    response = client.get("/api/matches/1")
    assert response.get_json()["code"] == "dependency_unavailable"
    assert response.headers["Retry-After"]
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 503
    postgres.start()
    eventually(lambda: client.get("/api/matches/1").status_code == 200, 20)
    eventually(lambda: client.get("/health/ready").status_code == 200, 20)


def test_the_stream_follows_the_log(client: FlaskClient, log: Log) -> None:
    response = client.get("/api/availability/stream?matchNumber=1")
    assert response.content_type == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    pieces = response.iter_encoded()
    assert next(pieces).startswith(b"retry: ")
    assert b'"matchNumber":1' in next(pieces)
    log.send("PENDING", 2, 1)
    log.send("PENDING", 1, 3, 2)
    changed = next(pieces)
    assert b'"category":3' in changed
    assert b'"pending":18' in changed
    assert b'"category":1' not in changed
    response.close()


def test_one_address_does_not_take_all_streams(settings: ShopSettings, log: Log) -> None:
    log.begin()
    strict = settings.model_copy(update={"rate_scale": 1.0, "sse_address_viewers_max": 2})
    app = create_app(strict)
    client = app.test_client()

    def follow(address: str) -> Any:
        return client.get("/api/availability/stream", environ_overrides={"REMOTE_ADDR": address})

    try:
        open_ones = [follow(f"2001:db8::{number}") for number in (1, 2)]
        refused = follow("2001:db8::3")
        assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_streams_of_address")
        assert refused.headers["Retry-After"]
        open_ones.append(follow("2001:db8:0:1::1"))
        assert open_ones[-1].status_code == 200, "another network has its own"
        open_ones[0].close()
        open_ones.append(follow("2001:db8::3"))
        assert open_ones[-1].status_code == 200
        for each in open_ones:
            each.close()
    finally:
        app.stop()
        app.end()


def _hand_in(app: HttpApp, settings: ShopSettings, message: Any, **headers: str) -> Any:
    token = settings.service_token.get_secret_value()
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return app.test_client().post(
        "/internal/ticket-messages",
        data=body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}", **headers},
    )


PENDING = {
    "meta": {"action": "TICKET_PENDING"},
    "body": {"matchNumber": "1", "tickets": [{"category": 2, "quantity": 2, "price": 125}], "extra": True},
}


def test_a_message_handed_in_counts_once(app: HttpApp, client: FlaskClient, settings: ShopSettings, log: Log) -> None:
    log.send("PENDING", 3, 3)  # the log has a clock
    for applied in (True, False, False):
        response = _hand_in(app, settings, PENDING, **{"Idempotency-Key": "m-1"})
        assert (response.status_code, response.get_json()) == (200, {"messageId": "m-1", "applied": applied})
    _shows(client, 2, 18, 20, "available", None)
    assert _hand_in(app, settings, PENDING, messageId="m-2", clientId="atlas").get_json()["applied"] is True
    _shows(client, 2, 16, 20, "available", None)


def test_our_own_message_handed_in_moves_nothing(
    app: HttpApp, client: FlaskClient, settings: ShopSettings, log: Log
) -> None:
    _hand_in(app, settings, PENDING, messageId="m-1", clientId=settings.client_id)
    assert _pool(client, 2)[0] == 20


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"{", "not_json"),
        (b"", "not_json"),
        ({}, "no_action"),
        ({"meta": {"action": "TICKET_STOLEN"}}, "unknown_action"),
        (PENDING | {"body": {"matchNumber": 99, "tickets": {"category": 1, "quantity": 1}}}, "unknown_match"),
        (PENDING | {"body": {"matchNumber": 1, "tickets": {"category": 9, "quantity": 1}}}, "unknown_category"),
        (PENDING | {"body": {"matchNumber": 1, "tickets": {"category": 1, "quantity": 3}}}, "bad_quantity"),
    ],
)
def test_a_message_that_no_site_would_apply_is_refused_and_changes_nothing(
    app: HttpApp, client: FlaskClient, settings: ShopSettings, log: Log, message: Any, reason: str
) -> None:
    problem = _hand_in(app, settings, message, messageId="m-1").get_json()
    assert (problem["status"], problem["code"], problem["reason"]) == (422, "message_refused", reason)
    with log.database.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM shop.side_records")).scalar_one() == 0
    assert _pool(client, 1)[0] == 20


@pytest.mark.parametrize("headers", [{}, {"messageId": "a", "Idempotency-Key": "b"}, {"messageId": "a b"}])
def test_a_message_needs_one_id(app: HttpApp, settings: ShopSettings, log: Log, headers: dict[str, str]) -> None:
    assert _hand_in(app, settings, PENDING, **headers).get_json()["code"] == "validation_failed"


def test_a_message_needs_the_service_token(client: FlaskClient, log: Log) -> None:
    response = client.post("/internal/ticket-messages", json=PENDING, headers={"messageId": "m-1"})
    assert response.status_code == 401
    assert _pool(client, 2)[0] == 20


def test_a_message_before_the_log_was_read_waits(app: HttpApp, settings: ShopSettings) -> None:
    problem = _hand_in(app, settings, PENDING, messageId="m-1").get_json()
    assert (problem["status"], problem["code"]) == (409, "log_not_read")


def test_secrets_of_the_settings_are_not_shown(settings: ShopSettings) -> None:
    assert isinstance(settings.service_token, SecretStr)
    assert settings.service_token.get_secret_value() not in repr(settings)
