"""Resale with all who have a part in it: reservations, payments and shop in this process, on one real PostgreSQL.

with open_market(database_url) as market:
    ada, bob = market.person(), market.person()
    (ticket,) = market.ticket(ada)                      # bought, paid, and in the log
    listing = market.offer(ada, ticket, 80)
    held = market.hold(bob, listing["id"]).get_json()
    payment = market.pay(held)                          # Stripe says that it has the money
    market.settle()                                     # all that is to be told is told, and the workers have looked
    market.tickets(bob), market.books(), market.payouts(ada)

Nothing is between the services: what one has to tell another stands in its deliveries until the test delivers it, once
or twice, whole or without the answer being heard. What Stripe would say, the test says.
"""

import contextlib
import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import httpx
from pydantic import SecretStr
from werkzeug.test import TestResponse

from payments import handlers as payments_handlers
from payments import refunding
from payments import store as payments_store
from payments.app import create_app as create_payments
from payments.domain import Held, Intent, Refund, RefundStatus, Status, StripeRefund
from payments.reservations import Reservations as Asked
from payments.settings import PaymentsSettings
from payments.tables import deliveries as payments_deliveries
from reservations.handlers import Site as Reservations
from reservations.resale.letters import write_when_credited
from reservations.tables import deliveries as reservations_deliveries
from shared import delivery
from shared.clock import SystemClock
from shared.database import Database
from shared.delivery import OnDelivered, Reply, Taken, Verdict
from shared.http import HttpApp, identity
from shared.settings import load
from shop.app import create_app as create_shop
from shop.settings import ShopSettings
from tests.contract.door import NOWHERE
from tests.counter import Service, open_service, open_worker
from tests.no_redis import NO_REDIS
from tests.tokens import Signer

DELIVERIES_MAX = 500
SENDER = "tickets@matchday.example"
TABLES = {"reservations": reservations_deliveries, "payments": payments_deliveries}


@dataclass
class Person:
    """Somebody with an account."""

    id: str
    email: str
    token: str


@dataclass
class Market:
    """The three services and what goes on between them."""

    reservations: Service
    payments: HttpApp
    shop: HttpApp
    payments_site: payments_handlers.Site
    work: Callable[[], None]
    signer: Signer
    heard: dict[str, OnDelivered]  # what each sender does with an answer
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    # People

    def person(self, *roles: str) -> Person:
        account_id, email = str(uuid.uuid4()), f"person-{next(self._numbers)}@example.org"
        claims = {**self.signer.claims(*roles, account_id=account_id), "email": email, "auth_time": int(time.time())}
        return Person(account_id, email, self.signer.sign(claims))

    def ticket(self, person: Person, quantity: int = 1, category: int = 1, **more: Any) -> list[str]:
        """Ids of tickets that somebody has bought, paid for, and that the log has shown to be sold."""
        made = self.reservations.buy(1, category, quantity, token=person.token, **more).get_json()
        self.reservations.judge(made["id"])
        self.pay(made)
        self.settle()
        self.show_in_log(made["id"])
        return [each["id"] for each in self.tickets(person) if each["reservationId"] == made["id"]]

    def show_in_log(self, reservation_id: str) -> None:
        """The log has shown TICKET_RESERVED."""
        self.reservations.sql.execute(
            "UPDATE shop.sales s SET log_state = 'reserved' FROM reservations.reservations r"
            " WHERE r.sale_id = s.sale_id AND r.id = %s",
            (reservation_id,),
        )

    def tickets(self, person: Person) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.call(person, "GET", "/api/tickets?limit=200").get_json()["items"]
        return items

    def call(self, person: Person | None, method: str, path: str, **options: Any) -> TestResponse:
        return self.reservations.call(method, path, token=person.token if person else None, **options)

    # Listings

    def put_up(self, person: Person, ticket_id: str, price: float, key: str | None = None) -> TestResponse:
        headers = {"Idempotency-Key": key} if key else {}
        body = {"ticketId": ticket_id, "price": price}
        return self.call(person, "POST", "/api/resale/listings", json=body, headers=headers)

    def offer(self, person: Person, ticket_id: str, price: float = 80) -> dict[str, Any]:
        answer = self.put_up(person, ticket_id, price)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.get_json()
        return made

    def reprice(self, person: Person, listing_id: str, price: float) -> TestResponse:
        return self.call(person, "PATCH", f"/api/resale/listings/{listing_id}", json={"price": price})

    def withdraw(self, person: Person, listing_id: str) -> TestResponse:
        return self.call(person, "DELETE", f"/api/resale/listings/{listing_id}")

    def end(self, admin: Person, listing_id: str, note: str = "a test") -> TestResponse:
        return self.call(admin, "POST", f"/api/resale/listings/{listing_id}/end", json={"note": note})

    def hold(self, person: Person | None, listing_id: str, key: str | None = None, **body: Any) -> TestResponse:
        headers = {"Idempotency-Key": key} if key else {}
        return self.call(person, "POST", f"/api/resale/listings/{listing_id}/hold", json=body, headers=headers)

    def admit(self, code: str) -> TestResponse:
        return self.reservations.call(
            "POST", "/api/tickets/verify", token=self.reservations.service_token, json={"code": code}
        )

    def shown(self, query: str = "") -> list[dict[str, Any]]:
        """What buyers see at the shop."""
        answer = self.shop.test_client().get(f"/api/listings{query}")
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.get_json()["items"]
        return items

    # Money

    def pay(self, held: dict[str, Any], amount: int | None = None) -> str:
        """Stripe has taken the money for a reservation, whatever became of the reservation; the payment's id."""
        found = self.reservations.call(
            "GET", f"/internal/reservations/{held['id']}", token=self.reservations.service_token
        ).get_json()
        payment_id, wanted = str(uuid.uuid4()), amount or found["amount"]
        told = Held(held["id"], "held", found["amount"], "USD", SystemClock().now(), found["email"], found["accountId"])
        intent = Intent(
            f"pi_{payment_id}", Status.SUCCEEDED, wanted, wanted, "USD", "secret", f"ch_{payment_id}", None, None,
            payment_id, None, 0,
        )  # fmt: skip
        with self.payments_site.database.transaction() as connection:
            assert payments_store.insert_payment(connection, payment_id, told, None), "it is paid already"
            payment = payments_store.find(connection, payment_id, lock=True)
            assert payment is not None
            payments_handlers.apply_intent(connection, payment, intent)
        return payment_id

    def refund(self, payment_id: str) -> None:
        """An operator gives all back that may be; raises what forbids it. Stripe does it when things settle."""
        refunding.decide(self.payments_site, payment_id, None, "asked", None, b"")

    def stripe_refunds(self) -> int:
        """Stripe gives back what it is to give back; returns how much that was."""
        rows = self.rows("SELECT id::text, payment_id::text FROM payments.refunds WHERE status = 'new' ORDER BY id")
        for row in rows:
            self.stripe_says_of(row["id"], RefundStatus.SUCCEEDED)
        return len(rows)

    def stripe_says_of(self, refund_id: str, status: RefundStatus) -> None:
        with self.payments_site.database.transaction() as connection:
            known = payments_store.find_refund(connection, refund_id)
            assert isinstance(known, Refund)
            told = StripeRefund(
                f"re_{known.id}", status, known.amount, known.currency, f"pi_{known.payment_id}", known.id, None
            )
            refunding.apply(connection, told)

    def books(self) -> dict[str, int]:
        """The balances of all accounts, sellers by their id, without those that are zero."""
        query = "SELECT account, sum(amount)::bigint AS amount FROM payments.ledger_entries GROUP BY 1"
        return {row["account"]: row["amount"] for row in self.rows(query) if row["amount"]}

    def payouts(self, person: Person) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {person.token}"}
        items: list[dict[str, Any]] = (
            self.payments.test_client().get("/api/payouts", headers=headers).get_json()["items"]
        )
        return items

    # What goes on by itself

    def deliver(self, sender: str, *, answer_is_heard: bool = True) -> int:
        """Delivers what one service has to tell the others; returns how much.

        When the answer is not heard the courier has died after the receiver had done its work: it comes again.
        """
        database, done = self.payments_site.database, 0
        self.reservations.sql.execute(f"UPDATE {sender}.deliveries SET next_attempt_at = now()".encode())
        for target in ("payments", "shop", "reservations"):
            with database.transaction() as connection:
                taken = delivery.take(connection, TABLES[sender], target, 100)
            for each in taken:
                self._deliver(sender, each, answer_is_heard)
                done += 1
        return done

    def _deliver(self, sender: str, taken: Taken, answer_is_heard: bool) -> None:
        app = {"payments": self.payments, "shop": self.shop, "reservations": self.reservations.app}[taken.target]
        headers = {
            "Authorization": f"Bearer {self.reservations.service_token}",
            "Idempotency-Key": taken.id,
        }
        answer = app.test_client().post(taken.path, json=taken.body, headers=headers)
        assert answer.status_code in (200, 204), (taken, answer.text)
        if not answer_is_heard:
            return
        with self.payments_site.database.transaction() as connection:
            reply = Reply(Verdict.DELIVERED, answer.status_code, answer.get_json(silent=True), None)
            if delivery.mark(connection, TABLES[sender], taken, reply):
                self.heard[sender](connection, taken, reply.answer)

    def settle(self) -> None:
        """Until nobody has anything to tell or to do."""
        for _ in range(DELIVERIES_MAX):
            self.work()
            if not self.deliver("payments") + self.deliver("reservations") + self.stripe_refunds():
                return
        raise AssertionError("it never comes to rest")

    def let_holds_end(self) -> None:
        """The time of all holds on listings is over."""
        self.reservations.sql.execute("UPDATE reservations.resale_holds SET expires_at = now() - interval '1 second'")

    # What there is

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return self.reservations.rows(query, *values)

    def clear(self) -> None:
        """As if nobody had ever come."""
        self.reservations.clear()
        names = ("payouts", "refunds", "ledger_entries", "ledger_transactions", "payments", "inbox", "deliveries")
        self.reservations.sql.execute(
            f"TRUNCATE shop.listings, {', '.join(f'payments.{name}' for name in names)} CASCADE".encode()
        )


@contextlib.contextmanager
def open_market(database_url: str, **more: str) -> Iterator[Market]:
    """The services on a database; `more` are further settings. The small list's matches are long over."""
    signer = Signer()
    settings = {"RESALE_ENDS_AT_KICK_OFF": "off", "PURCHASE_LIMIT": "50", **more}
    with (
        mock.patch.object(identity, "fetch_from", return_value=signer.jwks),
        open_service(database_url, **settings) as service,
    ):
        given = {
            "PORT": "3040",
            "DATABASE_URL": database_url,
            "KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
            "SERVICE_TOKEN": service.service_token,
            "STRIPE_API_BASE": f"http://{NOWHERE}",
            "STRIPE_SECRET_KEY": "sk_test_of_nobody",
            "STRIPE_WEBHOOK_SECRET": "whsec_of_nobody",
            "ANALYTICS_SECRET": "a-secret-of-analytics",
            **NO_REDIS,
        }
        payments, shop = create_payments(load(PaymentsSettings, given)), create_shop(load(ShopSettings, given))
        with open_worker(service, **settings) as work:
            database = Database(load(PaymentsSettings, given), "market")
            asked = Asked("http://reservations", SecretStr(service.service_token))
            asked._http = httpx.Client(
                transport=httpx.WSGITransport(service.app), base_url="http://reservations", headers=asked._http.headers
            )
            site = payments_handlers.Site(database, mock.Mock(), asked, SystemClock())
            ours = Reservations(database, service.settings.federation(), SystemClock())
            heard = {"payments": payments_handlers.told, "reservations": write_when_credited(ours, SENDER)}
            yield Market(service, payments, shop, site, work, signer, heard)
            asked.close()
            database.close()
        for app in (payments, shop):
            app.stop()
            app.end()
