"""The reservations service in this process on a real PostgreSQL, with no broker behind it: no verdict ever comes.

with open_service(database_url) as service:
    answer = service.buy(match=1, category=1, quantity=2)          # POST /api/reservations
    answer = service.call("GET", f"/api/reservations/{id}", token=token)
    service.facts()                                                # all that a request could have changed
"""

import contextlib
import json
import secrets
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row
from werkzeug.test import TestResponse

from reservations import worker
from reservations.app import create_app
from reservations.handlers import Site
from reservations.settings import ReservationsSettings, WorkerSettings
from shared.clock import SystemClock
from shared.database import Database
from shared.http import HttpApp
from shared.settings import load
from tests.contract.door import NOWHERE, fill
from tests.no_redis import NO_REDIS

FACTS = {
    "pools": "SELECT * FROM shop.pools ORDER BY match_number, category",
    "sales": "SELECT * FROM shop.sales ORDER BY sale_id",
    "outbox": "SELECT id, key, value, headers, published_at FROM shop.outbox ORDER BY id",
    "reservations": "SELECT * FROM reservations.reservations ORDER BY id",
    "keys": "SELECT * FROM reservations.idempotency_keys ORDER BY key",
    "charges": "SELECT * FROM reservations.charges ORDER BY payment_id",
    "tickets": "SELECT * FROM reservations.tickets ORDER BY id",
    "admissions": "SELECT * FROM reservations.admissions ORDER BY number",
    "deliveries": "SELECT * FROM reservations.deliveries ORDER BY number",
    "inbox": "SELECT id, source FROM reservations.inbox ORDER BY id",
    "mails": "SELECT * FROM reservations.mails ORDER BY created_at, id",
    "listings": "SELECT * FROM reservations.listings ORDER BY id",
    "resale_holds": "SELECT * FROM reservations.resale_holds ORDER BY sale_id",
}


@dataclass
class Service:
    """The service and its database."""

    app: HttpApp
    settings: ReservationsSettings
    sql: psycopg.Connection[dict[str, Any]]

    @property
    def service_token(self) -> str:
        return self.settings.service_token.get_secret_value()

    def call(self, method: str, path: str, *, token: str | None = None, **options: Any) -> TestResponse:
        """One request; `token` goes into Authorization."""
        headers = dict(options.pop("headers", {})) | ({"Authorization": f"Bearer {token}"} if token else {})
        return self.app.test_client().open(path, method=method, headers=headers, **options)

    def buy(
        self,
        match: int = 1,
        category: int = 1,
        quantity: int = 1,
        email: str | None = None,
        *,
        key: str | None = None,
        wait: float | None = None,
        token: str | None = None,
        **more: Any,
    ) -> TestResponse:
        """A buyer's request; a new buyer unless `email` says who, or `token`, which signs an account in."""
        body: dict[str, Any] = {
            "matchNumber": match,
            "category": category,
            "quantity": quantity,
            **({"email": email or f"{uuid.uuid4()}@example.org"} if email or not token else {}),
            **more,
        }
        headers = {"Idempotency-Key": key} if key else {}
        path = "/api/reservations" + (f"?wait={wait:g}" if wait is not None else "")
        return self.call("POST", path, json=body, headers=headers, token=token)

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return self.sql.execute(query.encode(), values).fetchall()

    def facts(self) -> dict[str, list[dict[str, Any]]]:
        """Everything that a request of a buyer can change."""
        return {name: self.rows(query) for name, query in FACTS.items()}

    def held(self, match: int = 1, category: int = 1) -> int:
        """How many tickets of the pool are on hold here."""
        (row,) = self.rows("SELECT held FROM shop.pools WHERE match_number = %s AND category = %s", match, category)
        return int(row["held"])

    def count_as(self, match: int = 1, category: int = 1, **counters: int) -> None:
        """Sets counters as if the log had said so: `held`, `sold`."""
        for name, value in counters.items():
            self.sql.execute(
                f"UPDATE shop.pools SET {name} = %(value)s, log_{name} = %(value)s"
                " WHERE match_number = %(match)s AND category = %(category)s".encode(),
                {"value": value, "match": match, "category": category},
            )

    def judge(self, reservation_id: str, verdict: str = "held") -> None:
        """The log's verdict on a reservation, as the consumer would write it: `held` or `lost`."""
        values = {"id": reservation_id, "verdict": verdict}
        held = verdict == "held"
        self.sql.execute(
            'UPDATE shop.sales s SET state = %(verdict)s, log_state = %(verdict)s, partition = 0, "offset" = 0,'
            f" log_held = {'s.quantity' if held else '0'}, born_ms = extract(epoch FROM now()) * 1000"
            " FROM reservations.reservations r WHERE r.sale_id = s.sale_id AND r.id = %(id)s".encode(),
            values,
        )
        moved = "log_held = log_held + r.quantity" if held else "held = held - r.quantity"
        self.sql.execute(
            f"UPDATE shop.pools p SET {moved} FROM reservations.reservations r WHERE r.id = %(id)s"
            " AND (p.match_number, p.category) = (r.match_number, r.category)".encode(),
            values,
        )

    def sold(self, match: int = 1, category: int = 1, quantity: int = 1, **options: Any) -> dict[str, Any]:
        """A reservation that is held and confirmed, as its buyer got it."""
        made: dict[str, Any] = self.buy(match, category, quantity, **options).get_json()
        self.judge(made["id"])
        answer = self.call("POST", f"/internal/reservations/{made['id']}/confirm", token=self.service_token)
        assert answer.get_json()["status"] == "reserved", answer.text
        return made

    def told(self) -> list[str]:
        """What the outbox says to the other sites, in order."""
        return [json.loads(message["value"])["meta"]["action"] for message in self.facts()["outbox"]]

    def clear(self) -> None:
        """As if nobody had ever asked for anything."""
        names = (
            "reservations", "idempotency_keys", "charges", "tickets", "admissions", "deliveries", "inbox", "mails",
            "listings", "resale_holds",
        )  # fmt: skip
        ours = ", ".join(f"reservations.{name}" for name in names)
        self.sql.execute(f"TRUNCATE shop.sales, shop.outbox, {ours}".encode())
        self.sql.execute("UPDATE shop.pools SET held = 0, sold = 0, log_held = 0, log_sold = 0")

    def broker_unseen(self, seconds: float) -> None:
        """The relay saw the broker so long ago."""
        self.sql.execute(
            "INSERT INTO shop.relay_leases (topic, holder, expires_at, broker_seen_at, marked)"
            " VALUES (%s, 'a relay', now(), now() - make_interval(secs => %s), '{}')"
            " ON CONFLICT (topic) DO UPDATE SET broker_seen_at = excluded.broker_seen_at",
            (self.settings.sales_topic, seconds),
        )


@contextlib.contextmanager
def open_service(database_url: str, **more: str) -> Iterator[Service]:
    """The service on a database with the small master list; `more` are further settings."""
    fill(database_url)
    given = {
        "PORT": "3020",
        "DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
        "SERVICE_TOKEN": secrets.token_urlsafe(32),
        "TOKEN_SECRET": secrets.token_urlsafe(32),
        "TICKET_KEYS": secrets.token_urlsafe(32),
        **NO_REDIS,
        **more,
    }
    with _open(load(ReservationsSettings, given)) as service:
        yield service


@contextlib.contextmanager
def open_replica(service: Service, **changed: Any) -> Iterator[Service]:
    """A second process of the service, as it were: on the same database, with other settings if need be."""
    with _open(service.settings.model_copy(update=changed)) as replica:
        yield replica


@contextlib.contextmanager
def _open(settings: ReservationsSettings) -> Iterator[Service]:
    app = create_app(settings)
    with psycopg.connect(settings.database_url, autocommit=True, row_factory=dict_row) as sql:
        yield Service(app, settings, sql)
    app.stop()
    app.end()


@contextlib.contextmanager
def open_worker(service: Service, **more: str) -> Iterator[Callable[[], None]]:
    """Lets the worker look once, whenever it is called; it sends no mail and posts nothing. `more` are settings."""
    given = {
        "DATABASE_URL": service.settings.database_url,
        "KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
        "SERVICE_TOKEN": service.service_token,
        "TICKET_KEYS": service.settings.ticket_keys.get_secret_value(),
        "SMTP_URL": "smtp://127.0.0.1:1",
        "ANALYTICS_SECRET": "a-secret-of-analytics",
        **more,
    }
    settings = load(WorkerSettings, given)
    database = Database(settings, "worker")
    site = Site(database, settings.federation(), SystemClock())

    def once() -> None:
        worker.run_once(site, settings)

    yield once
    database.close()


def is_problem(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The answer's problem, which has this status and code."""
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.get_json(force=True)
    assert (problem["status"], problem["code"]) == (status, code), problem
    return problem
