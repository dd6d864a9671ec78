"""What admins change, from the acting service to the log; and the password that money and roles want."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from security.app import create_app
from security.settings import SecuritySettings
from shared.audit import TARGET
from shared.clock import FixedClock
from shared.delivery import Courier
from shared.http import HttpApp, identity
from shared.settings import load
from tests.counter import is_problem
from tests.no_redis import NO_REDIS
from tests.people import Person, Users, claims_of, open_users
from tests.tokens import Signer
from users.tables import deliveries

TOKEN = "the-service-token-of-these-tests"
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
ENTRY = {"kind": "block", "network": "198.51.100.0/24", "reason": "a test"}


@pytest.fixture
def users(database_url: str) -> Iterator[Users]:
    with open_users(database_url, SERVICE_TOKEN=TOKEN) as users:
        yield users


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def security(database_url: str, redis_url: str, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpApp]:
    monkeypatch.setattr(identity, "fetch_from", lambda _: signer.jwks)
    given = {"PORT": "1", "DATABASE_URL": database_url, "SERVICE_TOKEN": TOKEN, **NO_REDIS, "REDIS_URL": redis_url}
    app = create_app(load(SecuritySettings, given))
    yield app
    app.stop()
    app.end()


@pytest.fixture
def client(security: HttpApp) -> FlaskClient:
    return security.test_client(use_cookies=False)


def admin_of(users: Users) -> Person:
    """Somebody whose token says admin."""
    person = users.verify(users.sign_up())
    body = {"email": person.email, "role": "admin", "granted": True}
    assert users.call("POST", "/internal/accounts/roles", token=TOKEN, json=body).status_code == 200
    return users.sign_in(person.email)


def roles_of(admin: Person, account_id: str, *names: str) -> TestResponse:
    return admin.call("PUT", f"/api/users/accounts/{account_id}/roles", json={"roles": list(names)})


def written(users: Users) -> list[dict[str, Any]]:
    """What `security` is to be told by users, in order."""
    return users.rows("SELECT path, body FROM users.deliveries WHERE target = %s ORDER BY number", TARGET)


def posted(users: Users, client: FlaskClient) -> list[dict[str, Any]]:
    """Hands on what waits, each twice as a courier may; the log afterwards, oldest first."""
    for row in written(users):
        for _ in range(2):
            assert client.post(row["path"], json=row["body"], headers=OPERATOR).status_code == 204
    return actions(client)


def actions(client: FlaskClient, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/admin/audit", query_string=query, headers=OPERATOR).get_json()[
        "items"
    ]
    return found[::-1]


def test_what_an_admin_does_comes_to_the_log_with_who_what_where_and_how_it_ended(
    users: Users, client: FlaskClient
) -> None:
    admin, ben = admin_of(users), users.sign_up()
    answer = admin.call(
        "PUT", f"/api/users/accounts/{ben.id}/roles", json={"roles": ["gate"]}, headers={"X-Request-Id": "r-1"}
    )
    assert answer.status_code == 200
    assert roles_of(admin, str(uuid.uuid4()), "gate").status_code == 404
    granted, given, missed = posted(users, client)
    assert (given["service"], given["operation"], given["method"]) == ("users", "setRoles", "PUT")
    assert (given["accountId"], given["email"], given["address"]) == (admin.id, admin.email, "127.0.0.1")
    assert (given["path"], given["requestId"]) == (f"/api/users/accounts/{ben.id}/roles", "r-1")
    assert (given["request"], given["status"]) == ('{"roles":["gate"]}', 200)
    assert given["at"] <= given["endedAt"]
    assert missed["status"] == 404, "what was tried in vain is there, too"
    assert (granted["operation"], granted["email"], granted["status"]) == ("grantRole", None, 200)


def test_who_may_not_leaves_no_entry_and_looks_leave_none(users: Users) -> None:
    admin, ben = admin_of(users), users.sign_up()
    before = len(written(users))
    assert roles_of(ben, admin.id, "admin").status_code == 403
    assert admin.call("GET", "/api/users/accounts").status_code == 200
    assert admin.call("PUT", f"/api/users/accounts/{ben.id}/roles", json={"roles": ["king"]}).status_code == 422
    assert len(written(users)) == before


def test_an_action_whose_process_died_stands_in_the_log_without_an_outcome(
    users: Users, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, ben = admin_of(users), users.sign_up()
    monkeypatch.setattr("users.accounts.set_roles", lambda *_: (_ for _ in ()).throw(SystemExit))
    monkeypatch.setattr("shared.audit.DeliveredAudit.end", lambda *_: None)
    with pytest.raises(SystemExit):
        roles_of(admin, ben.id, "gate")
    last = posted(users, client)[-1]
    assert (last["operation"], last["status"], last["endedAt"]) == ("setRoles", None, None)


def test_an_entry_is_posted_by_a_courier_before_its_outcome(users: Users) -> None:
    admin, ben = admin_of(users), users.sign_up()
    roles_of(admin, ben.id, "gate")
    subjects = users.rows("SELECT subject, path FROM users.deliveries WHERE target = %s ORDER BY number", TARGET)
    begun, ended = subjects[-2:]
    assert begun["subject"] == ended["subject"]
    assert ended["path"] == f"{begun['path']}/{begun['subject']}/outcome"
    assert Courier.__doc__  # the order of one subject is what tests/integration/test_delivery.py shows
    assert deliveries.schema == "users"


def test_security_writes_its_own_actions_at_once(client: FlaskClient, signer: Signer) -> None:
    ada = signer.bearer("admin")
    made = client.post("/api/security/lists", json=ENTRY, headers=ada)
    assert made.status_code == 201
    path = f"/internal/security/lists/{made.get_json()['id']}"
    assert client.delete(path, headers=OPERATOR).status_code == 204
    added, removed = actions(client)
    assert (added["operation"], added["email"], added["status"]) == ("addEntry", "ada@example.org", 201)
    assert '"reason":"a test"' in added["request"]
    assert (removed["operation"], removed["accountId"], removed["path"]) == ("removeEntryInternally", None, path)


def test_the_log_is_searched_and_read_in_pages(client: FlaskClient, signer: Signer) -> None:
    for number in range(3):
        body = {**ENTRY, "network": f"198.51.100.{number}"}
        client.post("/api/security/lists", json=body, headers=signer.bearer("admin", account_id=str(uuid.uuid4())))
    first = client.get("/api/admin/audit?limit=2", headers=OPERATOR).get_json()
    second = client.get(f"/api/admin/audit?limit=2&cursor={first['nextCursor']}", headers=OPERATOR).get_json()
    assert [len(first["items"]), len(second["items"]), second["nextCursor"]] == [2, 1, None]
    account = second["items"][0]["accountId"]
    assert [found["accountId"] for found in actions(client, accountId=account)] == [account]
    assert len(actions(client, operation="addEntry", service="security", path="/api/security/")) == 3
    assert actions(client, path="/api/payments/") == []
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert actions(client, since=tomorrow) == []
    assert len(actions(client, until=tomorrow)) == 3


def test_the_log_is_for_admins_and_nobody_can_write_it_from_outside(client: FlaskClient, signer: Signer) -> None:
    assert client.get("/api/admin/audit", headers=signer.bearer("gate", "partner")).status_code == 403
    assert client.get("/api/admin/audit").status_code == 401
    assert client.get("/api/admin/audit", headers=signer.bearer("admin")).status_code == 200
    assert client.post("/internal/admin-actions", json={}, headers=signer.bearer("admin")).status_code == 401
    unknown = f"/internal/admin-actions/{uuid.uuid4()}/outcome"
    body = {"status": 200, "endedAt": datetime.now(UTC).isoformat()}
    is_problem(client.post(unknown, json=body, headers=OPERATOR), 404, "not_found")


# The password, once more


def test_a_password_from_long_ago_does_not_give_roles_until_it_is_given_again(database_url: str) -> None:
    # An hour ago by the service's clock: the door goes by the real one.
    with open_users(
        database_url,
        FixedClock(datetime.now(UTC) - timedelta(hours=1)),
        SERVICE_TOKEN=TOKEN,
        ACCESS_TOKEN_SECONDS="3600",
    ) as long_ago:
        admin, ben = admin_of(long_ago), long_ago.sign_up()
        problem = is_problem(roles_of(admin, ben.id, "gate"), 403, "reauthentication_required")
        assert problem["maxAge"] == 300
        assert admin.call("GET", "/api/users/accounts").status_code == 200, "to look is no matter of money"


def test_the_password_given_again_opens_it_and_the_next_refresh_does_not(users: Users) -> None:
    admin, ben = admin_of(users), users.sign_up()
    users.rows("UPDATE users.sessions SET signed_in_at = now() - interval '1 hour' RETURNING id")
    admin.renew()
    is_problem(roles_of(admin, ben.id, "gate"), 403, "reauthentication_required")
    path = "/api/users/me/reauthentication"
    is_problem(admin.call("POST", path, json={"password": "not this one"}), 401, "wrong_credentials")
    is_problem(roles_of(admin, ben.id, "gate"), 403, "reauthentication_required")
    answer = admin.call("POST", path, json={"password": admin.password})
    proof = answer.get_json()
    assert (answer.status_code, proof["freshSeconds"]) == (200, 300)
    assert "matchday_access=" in answer.headers["Set-Cookie"]
    assert abs(claims_of(proof["accessToken"])["auth_time"] - time.time()) < 60
    admin.access = proof["accessToken"]
    assert roles_of(admin, ben.id, "gate").status_code == 200
    admin.renew()
    is_problem(roles_of(admin, ben.id, "buyer"), 403, "reauthentication_required")


def test_a_guesser_of_the_password_at_an_open_page_has_to_wait(users: Users) -> None:
    admin = admin_of(users)
    wrong = {"password": "guessed and wrong"}
    statuses = [
        admin.call("POST", "/api/users/me/reauthentication", json=wrong).status_code
        for _ in range(users.settings.sign_in_failures_max + 1)
    ]
    assert set(statuses[:-1]) == {401}
    assert statuses[-1] == 429


def test_who_is_no_admin_any_more_or_has_signed_out_gives_no_roles_by_an_old_token(users: Users) -> None:
    admin, other, ben = admin_of(users), admin_of(users), users.sign_up()
    assert roles_of(other, admin.id).status_code == 200
    is_problem(roles_of(admin, ben.id, "admin"), 403, "forbidden")
    is_problem(roles_of(other, other.id, "gate"), 403, "forbidden")
    assert other.call("POST", "/api/users/signout").status_code == 204
    is_problem(roles_of(other, ben.id, "admin"), 401, "unauthenticated")


def test_accounts_are_found_by_the_beginning_of_the_address_and_by_role(users: Users) -> None:
    admin = admin_of(users)
    users.sign_up("Wanda_W@example.org")
    users.sign_up("wandaXw@example.org")

    def found(**query: str) -> list[str]:
        items = admin.call("GET", "/api/users/accounts", query_string=query).get_json()["items"]
        return sorted(item["email"] for item in items)

    assert found(begins="wanda_") == ["Wanda_W@example.org"], "an underscore is no wildcard"
    assert len(found(begins="WANDA")) == 2
    assert found(role="admin") == [admin.email]
    assert found(role="admin", begins="wanda") == []
