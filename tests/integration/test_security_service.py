"""The service: lists and the audit log for admins and the operator, verdicts for proxies, challenges."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import altcha
import pytest
import redis
from flask.testing import FlaskClient

from matchday.servers import Postgres, Valkey
from security import handlers
from security.app import create_app
from security.engine.store import STREAM
from security.engine.watch import LISTS, VERSION
from security.handlers import Desk
from security.keeper import Keeper
from security.published import Published
from security.settings import SecuritySettings
from shared.clock import FixedClock, SystemClock
from shared.database import Database
from shared.http import identity
from shared.settings import load
from tests.eventually import eventually
from tests.tokens import Signer

TOKEN = "the-service-token-of-these-tests"
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
BROWSER = {"User-Agent": "Mozilla/5.0", "Accept": "*/*", "Accept-Language": "en"}
ENTRY = {"kind": "block", "network": "198.51.100.0/24", "reason": "a test"}


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def settings(database_url: str, redis_url: str) -> SecuritySettings:
    given = {
        "PORT": "1", "DATABASE_URL": database_url, "REDIS_URL": redis_url, "SERVICE_TOKEN": TOKEN, "RATE_SCALE": "1",
        "CHALLENGE_COST": "1", "CHALLENGE_TRIES": "20", "RATE_INTERNAL": "address 1000/s 1000",
        "LIST_ENTRIES_MAX": "5", "REDIS_SECONDS_MAX": "2", "RATE_HOLD": "account 1/m 3, guest 1/m 1, address 1/m 9",
    }  # fmt: skip
    return load(SecuritySettings, given)


@pytest.fixture
def client(settings: SecuritySettings, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    monkeypatch.setattr(identity, "fetch_from", lambda _: signer.jwks)
    app = create_app(settings)
    yield app.test_client(use_cookies=False)
    app.stop()
    app.end()


@pytest.fixture
def desk(settings: SecuritySettings) -> Iterator[Desk]:
    database, published = Database(settings, "test"), Published(settings.redis_url)
    kept = timedelta(days=30)
    yield Desk(database, published, SystemClock(), settings.list_entries_max, kept, kept)
    published.close()
    database.close()


def check(client: FlaskClient, **changed: Any) -> dict[str, Any]:
    body = {"address": "192.0.2.1", "method": "POST", "path": "/api/reservations", "headers": BROWSER, **changed}
    response = client.post("/api/security/check", json=body, headers=OPERATOR)
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.get_json()
    return content


def test_a_request_that_somebody_asks_about_is_let_in_challenged_or_blocked_with_reasons(client: FlaskClient) -> None:
    first = check(client)
    assert (first["verdict"], first["reasons"]) == ("allow", ["allowed"])
    assert first["headers"]["RateLimit-Policy"] == '"hold";q=1;w=60'
    second = check(client)
    assert (second["verdict"], second["reasons"]) == ("challenge", ["guest_rate"])
    assert 0 < second["retryAfter"] <= 60
    scanner = check(client, headers={"User-Agent": "sqlmap"})
    assert (scanner["verdict"], scanner["reasons"], scanner["retryAfter"]) == ("block", ["scanner", "scanner"], None)
    assert check(client, accountId="ada")["verdict"] == "allow"


def test_only_who_has_the_service_token_may_ask(client: FlaskClient, signer: Signer) -> None:
    for headers in ({}, signer.bearer("admin"), {"Authorization": "Bearer guessed"}):
        body = {"address": "192.0.2.1", "method": "GET", "path": "/"}
        assert client.post("/api/security/check", json=body, headers=headers).status_code == 401
        assert client.get("/api/security/check", headers=headers).status_code == 401


def test_a_proxy_gets_204_or_403(client: FlaskClient) -> None:
    asked = {
        "X-Original-Address": "192.0.2.7", "X-Original-Method": "POST", "X-Original-URI": "/api/reservations?wait=5",
        **BROWSER, **OPERATOR,
    }  # fmt: skip
    answers = [client.get("/api/security/check", headers=asked) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 403]
    assert answers[0].headers["RateLimit"] == '"hold";r=0;t=60'
    assert answers[1].get_json()["code"] == "challenge_required"


def solve(client: FlaskClient, address: str) -> str:
    response = client.get("/api/security/challenge", environ_overrides={"REMOTE_ADDR": address})
    challenge = altcha.Challenge.from_dict(response.get_json())
    solution = altcha.solve_challenge(challenge)
    assert solution is not None
    return str(altcha.Payload(challenge, solution).to_base64())


@pytest.mark.parametrize("token", ["garbage", "a.b.c"])
def test_a_challenge_is_given_whatever_token_comes_along(client: FlaskClient, signer: Signer, token: str) -> None:
    """Who is challenged while refreshing an expired token has no other."""
    expired = signer.sign({**signer.claims(), "iat": 1, "exp": 2})
    for headers in (
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"Bearer {expired}"},
        {"Authorization": "Basic eDp5"},
        {"Cookie": f"matchday_access={expired}"},
    ):
        assert client.get("/api/security/challenge", headers=headers).status_code == 200


def test_a_solved_challenge_lets_in_once_and_its_pass_again(client: FlaskClient) -> None:
    check(client)
    shown = {**BROWSER, "X-Challenge-Solution": solve(client, "192.0.2.1")}
    first = check(client, headers=shown)
    assert first["verdict"] == "allow"
    again = check(client, headers=shown)
    assert (again["verdict"], again["reasons"]) == ("challenge", ["solution_used"])
    passed = {**BROWSER, "X-Challenge-Pass": first["headers"]["X-Challenge-Pass"]}
    assert check(client, headers=passed)["verdict"] == "allow"
    assert check(client, address="192.0.2.2", headers=BROWSER)["verdict"] == "allow"
    assert check(client, address="192.0.2.2", headers=passed)["verdict"] == "challenge", "stolen"


def test_challenges_are_to_be_had_by_who_is_challenged_everywhere_but_not_without_end(client: FlaskClient) -> None:
    client.get("/wp-login.php", environ_overrides={"REMOTE_ADDR": "192.0.2.9"})
    statuses = [
        client.get("/api/security/challenge", environ_overrides={"REMOTE_ADDR": "192.0.2.9"}).status_code
        for _ in range(210)
    ]
    assert statuses[:200] == [200] * 200
    assert 429 in statuses


def test_an_admin_lists_and_unlists_and_it_counts_at_once(client: FlaskClient, signer: Signer) -> None:
    admin = signer.bearer("admin")
    made = client.post("/api/security/lists", json=ENTRY, headers=admin)
    assert made.status_code == 201
    entry = made.get_json()
    where = made.headers["Location"]
    assert client.get(where, headers=admin).get_json() == entry
    assert client.get("/api/security/lists", headers=admin).get_json()["items"] == [entry]
    eventually(lambda: check(client, address="198.51.100.3", method="GET")["reasons"] == ["listed"])
    assert client.delete(where, headers=admin).status_code == 204
    eventually(lambda: check(client, address="198.51.100.3", method="GET")["verdict"] == "allow")
    assert client.delete(where, headers=admin).status_code == 404


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/api/security/lists"), ("POST", "/api/security/lists"), ("GET", "/api/security/audit"),
    ("GET", "/api/security/statistics"), ("DELETE", f"/api/security/lists/{uuid.uuid4()}"),
])  # fmt: skip
def test_a_buyer_is_no_admin(client: FlaskClient, signer: Signer, method: str, path: str) -> None:
    json = ENTRY if method == "POST" else None
    assert client.open(path, method=method, json=json, headers=signer.bearer()).status_code == 403
    assert client.open(path, method=method, json=json, headers=signer.bearer("gate")).status_code == 403
    assert client.open(path, method=method, json=json).status_code == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"network": "0.0.0.0/0"},
        {"network": "::/0"},
        {"network": "192.0.2.1/24"},
        {"network": "elsewhere"},
        {"network": None},
        {"accountId": str(uuid.uuid4())},
        {"kind": "banish"},
        {"expiresAt": "2026-01-01T00:00:00"},
        {"expiresAt": 1700000000},
        {"reason": ""},
    ],
)
def test_an_entry_that_would_shut_out_everybody_or_nobody_is_refused(client: FlaskClient, changed: Any) -> None:
    response = client.post("/internal/security/lists", json={**ENTRY, **changed}, headers=OPERATOR)
    assert response.status_code == 422


def test_the_same_key_lists_once_and_with_another_entry_is_refused(client: FlaskClient) -> None:
    headers = {**OPERATOR, "Idempotency-Key": "k-1"}
    ids = {client.post("/internal/security/lists", json=ENTRY, headers=headers).get_json()["id"] for _ in range(3)}
    assert len(ids) == 1
    other = {**ENTRY, "network": "198.51.100.9"}
    assert client.post("/internal/security/lists", json=other, headers=headers).get_json()["code"] == (
        "idempotency_key_reused"
    )


def test_the_lists_are_bounded(client: FlaskClient) -> None:
    statuses = [
        client.post(
            "/internal/security/lists", json={**ENTRY, "network": f"198.51.100.{number}"}, headers=OPERATOR
        ).status_code
        for number in range(6)
    ]
    assert statuses == [201] * 5 + [409]


def test_lists_that_redis_lost_come_back_from_the_database(client: FlaskClient, redis_url: str) -> None:
    assert client.post("/internal/security/lists", json=ENTRY, headers=OPERATOR).status_code == 201
    with redis.Redis.from_url(redis_url) as connection:
        connection.delete(LISTS, VERSION)
        eventually(lambda: connection.exists(LISTS) == 1)
    eventually(lambda: check(client, address="198.51.100.3", method="GET")["reasons"] == ["listed"])


def test_an_entry_that_is_over_is_taken_from_the_processes(desk: Desk, redis_url: str) -> None:
    over = datetime.now(UTC) - timedelta(seconds=1)
    handlers.add_entry(desk, handlers.NewEntry("block", "192.0.2.0/24", None, "r", over, "test"))
    handlers.publish(desk)
    with redis.Redis.from_url(redis_url) as connection:
        assert connection.get(LISTS) == b"[]"


def test_decisions_reach_the_audit_log_explained_and_countable(client: FlaskClient, signer: Signer) -> None:
    for _ in range(4):
        check(client, address="192.0.2.50")
    admin = signer.bearer("admin")

    def found(query: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = client.get(f"/api/security/audit?{query}", headers=admin).get_json()["items"]
        return items

    def counted() -> dict[str, int]:
        return {
            f"{item['verdict']} {item['reason']}": sum(
                other["count"] for other in found("address=192.0.2.50") if other["reason"] == item["reason"]
            )
            for item in found("address=192.0.2.50")
        }

    eventually(lambda: counted() == {"allow allowed": 1, "challenge guest_rate": 3})
    (allowed,) = found("address=192.0.2.50&verdict=allow")
    assert {name: allowed[name] for name in ("service", "rateClass", "method", "route", "holder", "signals")} == {
        "service": "edge",
        "rateClass": "hold",
        "method": "POST",
        "route": "/api/reservations",
        "holder": "192.0.2.50",
        "signals": [],
    }
    assert found("address=192.0.2.51") == []
    assert found("since=2999-01-01T00:00:00Z") == []
    counts = client.get("/api/security/statistics?hours=2", headers=admin).get_json()["items"]
    assert {"guest_rate": 3}.items() <= {item["reason"]: item["count"] for item in counts}.items()


def write_decisions(redis_url: str, number: int) -> None:
    note = '["shop","read","GET","/","192.0.2.%d","192.0.2.%d",null,null,[],"r"]'
    with redis.Redis.from_url(redis_url) as connection:
        for index in range(number):
            connection.xadd(STREAM, {"c": 4, "i": 0, "d": note % (index % 3, index % 3)})


def total(desk: Desk) -> int:
    from security.domain import Search

    return sum(record.count for record in handlers.find_decisions(desk, Search(), None, 1000))


def test_what_was_drained_is_not_drained_again_even_if_redis_still_has_it(desk: Desk, redis_url: str) -> None:
    write_decisions(redis_url, 30)

    class Forgetful(Published):
        def forget(self, last_id: str) -> None:
            raise RuntimeError("killed before the stream was cut")

    killed = Desk(desk.database, Forgetful(redis_url), desk.clock, 5, desk.audit_kept, desk.actions_kept)
    with pytest.raises(RuntimeError):
        handlers.drain(killed)
    assert handlers.drain(desk) == 0
    write_decisions(redis_url, 5)
    assert handlers.drain(desk) == 5
    assert total(desk) == 35
    with redis.Redis.from_url(redis_url) as connection:
        assert connection.xlen(STREAM) == 0


def test_while_one_process_drains_another_does_not(desk: Desk, redis_url: str) -> None:
    from security import store

    write_decisions(redis_url, 3)
    handlers.drain(desk)
    write_decisions(redis_url, 3)
    with desk.database.transaction() as connection:
        assert store.lock_position(connection, STREAM) is not None
        assert handlers.drain(desk) == 0
    assert handlers.drain(desk) == 3
    assert total(desk) == 6


def test_a_record_that_somebody_else_wrote_holds_up_nothing(desk: Desk, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as connection:
        connection.xadd(STREAM, {"c": 99, "d": "x"})
        connection.xadd(STREAM, {"other": 1})
        connection.xadd(STREAM, {"c": 4, "d": "[]"})
        connection.xadd(STREAM, {"c": 4, "d": "7"})
    write_decisions(redis_url, 2)
    handlers.drain(desk)
    assert total(desk) == 2


def test_old_decisions_are_deleted(desk: Desk, redis_url: str) -> None:
    write_decisions(redis_url, 3)
    handlers.drain(desk)
    handlers.prune(desk)
    assert total(desk) == 3
    clock = FixedClock(datetime.now(UTC) + timedelta(days=31))
    later = Desk(desk.database, desk.published, clock, 5, desk.audit_kept, desk.actions_kept)
    handlers.prune(later)
    assert total(desk) == 0


def test_the_keeper_goes_on_after_servers_were_away(
    desk: Desk, redis_url: str, valkey: Valkey, postgres: Postgres
) -> None:
    keeper = Keeper(desk, 1000)
    keeper.start()
    try:
        valkey.restart()
        postgres.restart()
        write_decisions(redis_url, 4)
        eventually(lambda: _try_total(desk) == 4, seconds=20)
    finally:
        keeper.stop()
        keeper.end()


def _try_total(desk: Desk) -> int:
    from shared.errors import DependencyUnavailable

    try:
        return total(desk)
    except DependencyUnavailable:
        return -1


def test_it_is_ready_only_with_redis_and_the_database(client: FlaskClient, valkey: Valkey) -> None:
    assert client.get("/health/ready").status_code == 200
    valkey.kill()
    try:
        eventually(lambda: client.get("/health/ready").status_code == 503)
        begun = time.monotonic()
        assert client.get("/api/security/challenge").status_code == 200, "a challenge needs no Redis"
        assert time.monotonic() - begun < 5
    finally:
        valkey.start()
    eventually(lambda: client.get("/health/ready").status_code == 200)
