"""What a purchase is at the least: the same rows and the same two calls of Stripe, by one program, without any service.

Six transactions on one connection, fsync on, as the services have them: hold, payment, intent, charge, sale, books.
There is no log, no verdict, no gate, no webhook and nobody else to tell.
"""

import uuid
from typing import Any

import psycopg

from benchmarks.shoppers import StripeCalls

SCHEMA = """
CREATE SCHEMA bare_purchase;
SET search_path = bare_purchase;
CREATE TABLE pools (id int PRIMARY KEY, held int NOT NULL, sold int NOT NULL) WITH (fillfactor = 50);
CREATE TABLE sales (id uuid PRIMARY KEY, pool int NOT NULL, quantity int NOT NULL, state text NOT NULL);
CREATE TABLE reservations (id uuid PRIMARY KEY, sale_id uuid NOT NULL UNIQUE, email text NOT NULL,
                           amount bigint NOT NULL);
CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value text NOT NULL);
CREATE TABLE payments (id uuid PRIMARY KEY, reservation_id uuid NOT NULL, amount bigint NOT NULL,
                       intent_id text UNIQUE, status text NOT NULL);
CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payment_id uuid NOT NULL,
                     account text NOT NULL, amount bigint NOT NULL);
CREATE TABLE tickets (id uuid PRIMARY KEY, reservation_id uuid NOT NULL);
INSERT INTO pools SELECT id, 0, 0 FROM generate_series(1, 192) AS id;
"""
BODY = '"body":{"matchNumber":1,"tickets":{"category":1,"quantity":1,"price":75}}'
PENDING = f'{{"meta":{{"action":"TICKET_PENDING"}},{BODY}}}'
RESERVED = PENDING.replace("PENDING", "RESERVED")
AMOUNT = 7500


def prepare(database_url: str) -> None:
    """Makes the tables."""
    with psycopg.connect(database_url) as connection:
        connection.execute(SCHEMA.encode())


class BareBuyer:
    """One connection that buys one ticket after the other."""

    def __init__(self, database_url: str, stripe: StripeCalls) -> None:
        self._connection = psycopg.connect(database_url, options="-c search_path=bare_purchase", prepare_threshold=1)
        self._stripe = stripe

    def buy(self, number: int) -> None:
        """One purchase; raises when anything is not as it should be."""
        reservation, sale, payment = (str(uuid.uuid4()) for _ in range(3))
        pool = number % 192 + 1
        self._do(
            ("SELECT held FROM pools WHERE id = %s FOR UPDATE", pool),
            ("UPDATE pools SET held = held + 1 WHERE id = %s", pool),
            ("INSERT INTO sales VALUES (%s, %s, 1, 'held')", sale, pool),
            ("INSERT INTO reservations VALUES (%s, %s, %s, %s)", reservation, sale, f"{sale}@example.org", AMOUNT),
            ("INSERT INTO outbox (value) VALUES (%s)", PENDING),
        )
        self._do(("INSERT INTO payments VALUES (%s, %s, %s, NULL, 'new')", payment, reservation, AMOUNT))
        intent, secret = self._stripe.create(AMOUNT, payment)
        self._do(("UPDATE payments SET intent_id = %s, status = 'open' WHERE id = %s", intent, payment))
        self._stripe.confirm(intent, secret)
        self._do(
            ("UPDATE payments SET status = 'succeeded' WHERE id = %s", payment),
            ("INSERT INTO ledger (payment_id, account, amount) VALUES (%s, 'stripe', %s)", payment, AMOUNT),
            ("INSERT INTO ledger (payment_id, account, amount) VALUES (%s, 'deposits', %s)", payment, -AMOUNT),
        )
        self._do(
            ("SELECT held FROM pools WHERE id = %s FOR UPDATE", pool),
            ("UPDATE pools SET held = held - 1, sold = sold + 1 WHERE id = %s", pool),
            ("UPDATE sales SET state = 'reserved' WHERE id = %s", sale),
            ("INSERT INTO tickets VALUES (%s, %s)", str(uuid.uuid4()), reservation),
            ("INSERT INTO outbox (value) VALUES (%s)", RESERVED),
        )
        self._do(
            ("INSERT INTO ledger (payment_id, account, amount) VALUES (%s, 'deposits', %s)", payment, AMOUNT),
            ("INSERT INTO ledger (payment_id, account, amount) VALUES (%s, 'sales', %s)", payment, -AMOUNT),
        )

    def _do(self, *statements: tuple[Any, ...]) -> None:
        with self._connection.transaction():
            for statement, *values in statements:
                self._connection.execute(statement, values)

    def close(self) -> None:
        self._connection.close()
        self._stripe.close()
