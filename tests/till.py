"""The payments service on a real PostgreSQL and the real stand-in, with a twin of reservations; stepped by the test.

    with open_till(database_url, directory) as till:
        held = till.twin.hold(amount=25_000)
        payment = till.pay(held)                        # POST /api/payments
        till.buyer_pays(payment)                        # what the buyer's page does at Stripe
        till.settle()                                   # events, deliveries and the worker, until nothing is left to do
        till.payment(payment["id"]), till.books()

The HTTP side runs in this process, behind a real socket, for the stand-in to post its events to; `settle` does what
the worker's process would do.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import psycopg
from psycopg.rows import dict_row
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from matchday.ports import free_port
from payments import handlers
from payments.app import create_app
from payments.gateway import Gateway
from payments.handlers import Site
from payments.reservations import TARGET, Reservations
from payments.settings import PaymentsSettings, WorkerSettings
from payments.tables import deliveries
from payments.worker import Worker
from shared.clock import SystemClock
from shared.database import Database
from shared.delivery import Courier
from shared.http import identity
from shared.settings import load
from tests.eventually import eventually
from tests.no_redis import NO_REDIS
from tests.reservations_twin import Reservation, Twin, reservations_twin
from tests.standin import PUBLISHABLE_KEY, SECRET_KEY, WEBHOOK_SECRET, StandinProcess, standin
from tests.tokens import Signer

STEPS_MAX = 50


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@dataclass
class Till:
    """The service and all around it."""

    twin: Twin
    stripe: StandinProcess
    http: httpx.Client
    site: Site
    worker: Worker
    courier: Courier
    sql: psycopg.Connection[dict[str, Any]]
    settings: PaymentsSettings
    server: BaseWSGIServer
    signer: Signer
    faults: list[str] = field(default_factory=list)

    @property
    def operator(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.twin.service_token}"}

    # Calls

    def ask_to_pay(self, held: Reservation, key: str | None = None, **headers: str) -> httpx.Response:
        """POST /api/payments with the buyer's own credential."""
        more = {"Idempotency-Key": key} if key else {}
        body = {"reservationId": held.id}
        return self.http.post("/api/payments", json=body, headers={**held.credential, **more, **headers})

    def pay(self, held: Reservation) -> dict[str, Any]:
        answer = self.ask_to_pay(held)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def internal(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        """What one of the site's own services posts."""
        headers = self.operator | ({"Idempotency-Key": key} if key else {})
        return self.http.post(f"/internal/{path}", json=body, headers=headers)

    def charge_card(self, held: Reservation, number: str = "4242424242424242", **changed: Any) -> httpx.Response:
        card = {"number": number, "expirationMonth": 12, "expirationYear": 2034, "cvc": "123"}
        body = {
            "reservationId": held.id,
            "amount": held.amount,
            "currency": held.currency,
            "email": held.email,
            "card": card,
        }
        return self.internal("payments/card", body | changed)

    def refund(self, payment_id: str, key: str | None = None, **body: Any) -> httpx.Response:
        return self.internal(f"payments/{payment_id}/refunds", body, key)

    def tell_outcome(self, payment: dict[str, Any], outcome: str, key: str | None = None) -> httpx.Response:
        """Message of reservations: what became of the tickets."""
        body = {"reservationId": payment["reservationId"], "outcome": outcome, "reason": "sold_out"}
        return self.internal(f"payments/{payment['id']}/outcome", body, key)

    # The buyer's side of Stripe

    def buyer_pays(self, payment: dict[str, Any], method: str = "pm_card_visa") -> Any:
        """What the page does with the client secret; raises the card's error."""
        browser = self.stripe.client(PUBLISHABLE_KEY).v1.payment_intents
        told: Any = {"payment_method": method, "client_secret": payment["clientSecret"]}
        return browser.confirm(payment["intentId"], told)

    def at_stripe(self, payment: dict[str, Any]) -> Any:
        return self.stripe.api.v1.payment_intents.retrieve(payment["intentId"])

    def intents_of(self, held: Reservation) -> list[Any]:
        """All intents that Stripe has for a reservation."""
        listed = self.stripe.api.v1.payment_intents.list({"limit": 100}).auto_paging_iter()
        return [intent for intent in listed if intent.metadata.to_dict().get("reservationId") == held.id]

    # What goes on by itself

    def deliver(self) -> None:
        """The courier's work, without its pauses."""
        for _ in range(STEPS_MAX):
            self.sql.execute("UPDATE payments.deliveries SET next_attempt_at = now() WHERE delivered_at IS NULL")
            if self.courier.run_once() == 0:
                return

    def work(self) -> None:
        """The worker's work, without its pauses."""
        self.sql.execute("UPDATE payments.refunds SET next_try_at = now()")
        self.sql.execute("UPDATE payments.payments SET checked_at = created_at - interval '1 day'")
        self.worker._compared_at = float("-inf")
        self.worker.run_once()

    def settle(self) -> None:
        """Until nothing is left to do."""
        eventually(self.stripe.quiet, what="all events are taken")
        self.deliver()
        self.work()
        eventually(self.stripe.quiet, what="all events are taken")
        self.deliver()

    # What there is

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return self.sql.execute(query.encode(), values).fetchall()

    def payment(self, payment_id: str) -> dict[str, Any]:
        (row,) = self.rows("SELECT * FROM payments.payments WHERE id = %s", payment_id)
        return row

    def payments_of(self, held: Reservation) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM payments.payments WHERE reservation_id = %s ORDER BY created_at", held.id)

    def refunds(self, payment_id: str) -> list[tuple[int, str]]:
        query = "SELECT amount, status FROM payments.refunds WHERE payment_id = %s ORDER BY created_at"
        return [(row["amount"], row["status"]) for row in self.rows(query, payment_id)]

    def books(self, payment_id: str) -> dict[str, int]:
        """The balances of one payment, without those that are zero."""
        query = (
            "SELECT account, sum(amount)::bigint AS amount FROM payments.ledger_entries e"
            " JOIN payments.ledger_transactions t ON t.id = e.transaction_id WHERE t.payment_id = %s"
            " GROUP BY account HAVING sum(amount) <> 0"
        )
        return {row["account"]: row["amount"] for row in self.rows(query, payment_id)}

    def unbalanced(self) -> int:
        books = self.http.get("/internal/ledger", headers=self.operator).json()
        return int(books["unbalanced"]) + abs(sum(int(item["amount"]) for item in books["items"]))


@contextlib.contextmanager
def open_till(database_url: str, directory: Path, **more: str) -> Iterator[Till]:
    """The service on a database; `more` are further settings."""
    port = free_port()
    with reservations_twin() as twin, standin(directory, f"http://127.0.0.1:{port}") as stripe:
        given = {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "DATABASE_URL": database_url,
            "DATABASE_POOL_SIZE": "16",
            "SERVICE_TOKEN": twin.service_token,
            "RESERVATIONS_URL": twin.url,
            "USERS_URL": "http://127.0.0.1:9",
            "STRIPE_API_BASE": stripe.url,
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_SECONDS_MAX": "1",
            "STRIPE_RETRIES": "0",
            "PAYMENT_GRACE_SECONDS": "0",
            "RECONCILE_SECONDS": "0.001",
            "RECONCILE_HOURS": "0.02",
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "ANALYTICS_SECRET": "a-secret-of-analytics",
            **NO_REDIS,
            **more,
        }
        with _serve(twin, stripe, given) as till:
            yield till


@contextlib.contextmanager
def _serve(twin: Twin, stripe: StandinProcess, given: dict[str, str]) -> Iterator[Till]:
    settings = load(PaymentsSettings, given)
    signer = Signer()
    with mock.patch.object(identity, "fetch_from", return_value=signer.jwks):
        app = create_app(settings)
    server = make_server(settings.host, settings.port, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    worker_settings = load(WorkerSettings, given)
    database = Database(worker_settings, "test-worker")
    site = Site(
        database,
        Gateway(worker_settings, settings.client_id),
        Reservations(twin.url, settings.service_token),
        SystemClock(),
    )
    courier = Courier(database, deliveries, TARGET, twin.url, settings.service_token, handlers.told)
    with (
        psycopg.connect(settings.database_url, autocommit=True, row_factory=dict_row) as sql,
        httpx.Client(base_url=f"http://127.0.0.1:{settings.port}", timeout=60, trust_env=False) as http,
    ):
        yield Till(twin, stripe, http, site, Worker(site, worker_settings), courier, sql, settings, server, signer)
    courier.close()
    site.reservations.close()
    server.shutdown()
    server.server_close()
    thread.join()
    app.stop()
    app.end()
    database.close()
