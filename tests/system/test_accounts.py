"""Accounts across processes: mail comes, other services hear, keys change under a verifier, users may be away."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import psycopg
import pytest

from matchday.paths import CHECKOUT
from matchday.run import Run
from matchday.servers import Kafka, Postgres, Valkey
from tests.eventually import eventually
from tests.people import PASSWORD, token_in
from tests.shared_sites import common_ground
from tests.sites import RunningSite

PROCESSES = ("users", "users-worker", "mailbox", "reservations", "reservations-relay")


@pytest.fixture(scope="module")
def site(_postgres: Postgres, _valkey: Valkey, _kafka: Kafka, server_run: Run, _template: str) -> Iterator[RunningSite]:
    """A site whose verifiers look at the keys every second, and whose new keys sign at once."""
    with common_ground(_postgres, _valkey, _kafka, server_run, _template) as ground:
        yield ground.make_site("matchday", only=PROCESSES, JWKS_REFRESH_SECONDS="1", KEY_LEAD_SECONDS="0").start()


@pytest.fixture
def email() -> str:
    """Somebody new."""
    return f"{secrets.token_hex(6)}@example.org"


def sign_up(site: RunningSite, email: str) -> Any:
    answer = site.client("users").post("/api/users/signup", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    site.client("users").cookies.clear()
    return answer.json()


def sign_in(site: RunningSite, email: str) -> Any:
    answer = site.client("users").post("/api/users/signin", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    site.client("users").cookies.clear()
    return answer.json()


def mails(site: RunningSite, email: str) -> list[Any]:
    items: list[Any] = site.client("mailbox").get("/messages", params={"to": email}).json()["items"]
    return items


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def ask_reservations(site: RunningSite, token: str) -> httpx.Response:
    """Another service, which verifies by itself."""
    return site.client("reservations").get("/api/reservations", headers=bearer(token))


def keys(site: RunningSite, *arguments: str) -> None:
    """The operator's command."""
    environment = {**os.environ, **site.environment}
    done = subprocess.run(
        [sys.executable, "-m", "users.keys", *arguments],
        cwd=CHECKOUT,
        env=environment,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def test_an_account_from_sign_up_to_its_end(site: RunningSite, email: str) -> None:
    ada = sign_up(site, email)
    (mail,) = eventually(lambda: mails(site, email), what="the mail arrives")
    verified = site.client("users").post(
        "/api/users/email/verify", json={"token": token_in(mail["text"])}, headers=bearer(ada["accessToken"])
    )
    assert verified.json()["emailVerified"] is True
    assert ask_reservations(site, sign_in(site, email)["accessToken"]).json()["items"] == []

    def delivered(path: str, target: str) -> bool:
        with psycopg.connect(site.database_url) as connection:
            query = "SELECT delivered_at FROM users.deliveries WHERE path = %s AND target = %s AND subject = %s"
            row = connection.execute(query, (path, target, ada["user"]["id"])).fetchone()
        return row is not None and row[0] is not None

    eventually(lambda: delivered("/internal/accounts/verified", "reservations"), what="reservations hears of it")
    gone = site.client("users").delete("/api/users/me", headers=bearer(ada["accessToken"]))
    assert gone.status_code == 204
    eventually(lambda: delivered("/internal/accounts/deleted", "reservations"), what="reservations hears of its end")
    eventually(lambda: len(mails(site, email)) == 2, what="the farewell arrives")


def test_keys_change_under_a_service_that_verifies(site: RunningSite, email: str) -> None:
    old = sign_up(site, email)["accessToken"]
    assert ask_reservations(site, old).status_code == 200
    keys(site, "rotate")

    def signed_by_another() -> str:
        token = str(sign_in(site, email)["accessToken"])
        return token if kid(token) != kid(old) else ""

    new = eventually(signed_by_another, what="the new key signs")
    # The verifier has not been told of anything: it meets a key that it does not know, and asks. Not twice within
    # moments, though, whoever sends it made-up keys: then it hears of the new one when it looks by itself.
    eventually(lambda: ask_reservations(site, new).status_code == 200, what="the new key verifies")
    assert ask_reservations(site, old).status_code == 200
    keys(site, "revoke", kid(old))
    eventually(lambda: ask_reservations(site, old).status_code == 401, what="the revoked key verifies nothing more")
    assert ask_reservations(site, new).status_code == 200


def test_others_go_on_verifying_while_users_is_away(site: RunningSite, email: str) -> None:
    ada = sign_up(site, email)
    eventually(lambda: ask_reservations(site, ada["accessToken"]).status_code == 200, what="its key verifies")
    site.pause("users")
    try:
        fresh = [ask_reservations(site, ada["accessToken"]).status_code for _ in range(20)]
        assert set(fresh) == {200}
    finally:
        site.resume("users")
    site.kill("users")
    assert ask_reservations(site, ada["accessToken"]).status_code == 200
    forged = ask_reservations(site, ada["accessToken"][:-6] + "AAAAAA")
    assert forged.status_code == 401
    site.wait_ready("users")
    assert site.client("users").get("/api/users/me", headers=bearer(ada["accessToken"])).status_code == 200


def test_the_operator_gives_a_role(site: RunningSite, email: str) -> None:
    ada = sign_up(site, email)
    (mail,) = eventually(lambda: mails(site, email), what="the mail arrives")
    site.client("users").post(
        "/api/users/email/verify", json={"token": token_in(mail["text"])}, headers=bearer(ada["accessToken"])
    )
    body = {"email": email, "role": "admin"}
    granted = site.client("users").post("/internal/accounts/roles", json=body, headers=site.operator())
    assert granted.json()["roles"] == ["admin", "buyer"]
    token = sign_in(site, email)["accessToken"]
    assert site.client("users").get("/api/users/accounts", headers=bearer(token)).status_code == 200


def test_no_secret_is_in_a_log(site: RunningSite, email: str) -> None:
    ada = sign_up(site, email)
    (mail,) = eventually(lambda: mails(site, email), what="the mail arrives")
    site.client("users").post("/api/users/refresh", json={"refreshToken": ada["refreshToken"]})
    site.client("users").post("/api/users/email/verify", json={"token": token_in(mail["text"]), "password": "wrong"})
    written = "".join(site.log(name) for name in PROCESSES)
    assert "/api/users/signup" in written
    for secret in (PASSWORD, ada["accessToken"], ada["refreshToken"], token_in(mail["text"]), site.service_token):
        assert secret not in written
