"""The users service in this process on a real PostgreSQL, and its worker's steps by hand.

with open_users(database_url) as users:
    ada = users.sign_up("ada@example.org")                 # a Person: .access, .refresh, .call("GET", "/api/users/me")
    users.deliver()                                        # what the worker would do about mail
    users.mails("ada@example.org")                         # what it would send, the youngest last
    users.verify(ada)
"""

import base64
import contextlib
import email
import email.policy
import json
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from typing import Any

import psycopg
from psycopg.rows import dict_row
from werkzeug.test import TestResponse

from shared.clock import Clock, FixedClock, SystemClock
from shared.database import Database
from shared.http import HttpApp
from shared.settings import load
from tests.contract.door import NOWHERE
from tests.no_redis import NO_REDIS
from tests.resources import Databases
from users import letters
from users.app import create_app
from users.keys import KeyRing
from users.letters import Office
from users.settings import UsersSettings, UsersWorkerSettings

PASSWORD = "correct horse battery"
# The cheapest that the settings allow: tests sign in often.
QUICK = {"PASSWORD_MEMORY_KIB": "8192", "PASSWORD_ROUNDS": "1"}
TABLES = (
    "accounts", "sessions", "refresh_tokens", "mail_tokens", "mail_requests", "mails", "deliveries", "idempotency_keys",
    "sign_in_attempts",
)  # fmt: skip


@dataclass
class Person:
    """Somebody with an account and a session."""

    users: "Users"
    email: str
    id: str
    access: str
    refresh: str
    password: str = PASSWORD

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        """One request with the access token."""
        return self.users.call(method, path, token=self.access, **options)

    def renew(self) -> TestResponse:
        """The next tokens; kept when there are some."""
        answer = self.users.call("POST", "/api/users/refresh", json={"refreshToken": self.refresh})
        if answer.status_code == 200:
            body = answer.get_json()
            self.access, self.refresh = body["accessToken"], body["refreshToken"]
        return answer


@dataclass
class Users:
    """The service and its database."""

    app: HttpApp
    settings: UsersSettings
    office: Office
    sql: psycopg.Connection[dict[str, Any]]
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def service_token(self) -> str:
        return self.settings.service_token.get_secret_value()

    def call(self, method: str, path: str, *, token: str | None = None, **options: Any) -> TestResponse:
        """One request, without cookies; `token` goes into Authorization."""
        headers = dict(options.pop("headers", {})) | ({"Authorization": f"Bearer {token}"} if token else {})
        client = self.app.test_client(use_cookies=False)
        return client.open(path, method=method, headers=headers, **options)

    def sign_up(self, email: str | None = None, password: str = PASSWORD, **more: Any) -> Person:
        """A new account, signed in."""
        email = email or f"{secrets.token_hex(6)}@example.org"
        answer = self.call("POST", "/api/users/signup", json={"email": email, "password": password, **more})
        assert answer.status_code == 201, answer.get_data(as_text=True)
        return self._person(answer, email, password)

    def try_to_sign_in(self, email: str, password: str = PASSWORD) -> TestResponse:
        return self.call("POST", "/api/users/signin", json={"email": email, "password": password})

    def sign_in(self, email: str, password: str = PASSWORD) -> Person:
        answer = self.try_to_sign_in(email, password)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return self._person(answer, email, password)

    def _person(self, answer: TestResponse, email: str, password: str) -> Person:
        body = answer.get_json()
        return Person(self, email, body["user"]["id"], body["accessToken"], body["refreshToken"], password)

    def deliver(self) -> int:
        """Writes the mails that were asked for."""
        return letters.write_letters(self.office, 100)

    def mails(self, address: str, kind: str | None = None) -> list[EmailMessage]:
        """What waits to be sent to somebody, the oldest first."""
        rows = self.rows(
            "SELECT kind, content FROM users.mails WHERE recipient = %s AND content IS NOT NULL ORDER BY created_at",
            address.casefold(),
        )
        parse = email.message_from_bytes
        return [parse(row["content"], policy=email.policy.SMTP) for row in rows if kind in (None, row["kind"])]

    def mailed_token(self, address: str, kind: str) -> str:
        """The token in the last mail of this kind."""
        self.deliver()
        text = self.mails(address, kind)[-1].get_content()
        return token_in(text)

    def verify(self, person: Person) -> Person:
        """The person clicks on the link, signed in."""
        token = self.mailed_token(person.email, "verify")
        answer = person.call("POST", "/api/users/email/verify", json={"token": token})
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return person

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with self.lock:
            return self.sql.execute(query.encode(), values).fetchall()

    def count(self, table: str) -> int:
        return int(self.rows(f"SELECT count(*) AS n FROM users.{table}")[0]["n"])

    def facts(self) -> dict[str, Any]:
        """All that a request could have changed, except for how often somebody tried to sign in."""
        return {table: self.rows(f"SELECT * FROM users.{table} ORDER BY 1") for table in TABLES[:-1]}

    def told(self, path: str) -> list[dict[str, Any]]:
        """What other services are to be told."""
        return self.rows("SELECT target, body FROM users.deliveries WHERE path = %s ORDER BY number", path)

    def clear(self) -> None:
        """As if nobody had ever come."""
        with self.lock:
            self.sql.execute(f"TRUNCATE {', '.join(f'users.{table}' for table in TABLES)}".encode())


def token_in(text: str) -> str:
    """The code that a mail shows."""
    found = re.search(r"\?token=([\w-]+)", text)
    assert found, text
    return found[1]


def claims_of(token: str) -> dict[str, Any]:
    """What an access token says, unverified."""
    part = token.split(".")[1]
    decoded = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert isinstance(decoded, dict)
    return decoded


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def settings_of(database_url: str, **more: str) -> dict[str, str]:
    """The environment of the service and its worker."""
    return {
        "PORT": "3030",
        "DATABASE_URL": database_url,
        "SERVICE_TOKEN": secrets.token_urlsafe(32),
        "USERS_SECRET": secrets.token_urlsafe(32),
        "SMTP_URL": f"smtp://{NOWHERE}",
        **NO_REDIS,
        **QUICK,
        **more,
    }


@contextlib.contextmanager
def open_users(database_url: str, clock: Clock | None = None, **more: str) -> Iterator[Users]:
    """The service on this database; `more` are further settings."""
    given = settings_of(database_url, **more)
    settings = load(UsersSettings, given)
    clock = clock or SystemClock()
    app = create_app(settings, clock)
    worker = load(UsersWorkerSettings, given)
    database = Database(worker, "test")
    try:
        with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as sql:
            yield Users(app, settings, Office(database, worker, clock), sql)
    finally:
        app.stop()
        app.end()
        database.close()


def ring_of(users: Users, clock: Clock) -> KeyRing:
    """Another process' view of the keys."""
    return KeyRing(users.office.database, users.settings, clock)


@contextlib.contextmanager
def open_with_a_clock(databases: Databases) -> Iterator[tuple[Users, FixedClock]]:
    """The service on a database of its own, with a clock that a test moves; the database is dropped at the end."""
    clock = FixedClock(SystemClock().now())
    with open_users(databases.create(), clock) as service:
        yield service, clock
    databases.drop_all()


def admin(users: Users) -> Person:
    """Somebody whom the operator has made an admin."""
    person = users.verify(users.sign_up())
    body = {"email": person.email, "role": "admin"}
    assert users.call("POST", "/internal/accounts/roles", token=users.service_token, json=body).status_code == 200
    return users.sign_in(person.email)


def reset_password(users: Users, email: str, password: str) -> None:
    """Somebody who reads the mailbox sets another password."""
    users.call("POST", "/api/users/password/forgotten", json={"email": email})
    body = {"token": users.mailed_token(email, "reset"), "password": password}
    assert users.call("POST", "/api/users/password/reset", json=body).status_code == 204
