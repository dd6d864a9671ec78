"""Whole purchases on a real site while its processes, and Stripe, are killed: nobody pays twice, or for nothing.

The seed decides who wants what and what dies when; the machine still decides who is first.
"""

import contextlib
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
import pytest
import stripe
from stripe import StripeClient

from matchday.run import Run
from matchday.servers import Kafka, Postgres, Valkey
from tests.eventually import eventually
from tests.shared_sites import common_ground
from tests.sites import RunningSite
from tests.system.test_two_sites import knows_the_matches

PROCESSES = (
    "shop", "shop-consumer", "reservations", "reservations-relay", "reservations-worker", "payments", "payments-worker",
    "mailbox", "stripe-standin",
)  # fmt: skip
VICTIMS = ("payments", "payments-worker", "stripe-standin", "reservations", "reservations-worker")
BUYERS = 10
TRIES = 40
METHODS = (
    "pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_visa_chargeDeclined",
    "pm_card_threeDSecure2Required", None,
)  # fmt: skip
T = TypeVar("T")


@pytest.fixture(scope="module")
def site(_postgres: Postgres, _valkey: Valkey, _kafka: Kafka, server_run: Run, _template: str) -> Iterator[RunningSite]:
    with common_ground(_postgres, _valkey, _kafka, server_run, _template) as ground:
        made = ground.make_site(
            "matchday", only=PROCESSES, HOLD_SECONDS="8", WORKER_POLL_SECONDS="0.2", PAYMENTS_POLL_SECONDS="0.2",
            PAYMENT_GRACE_SECONDS="1", RECONCILE_SECONDS="1",
        )  # fmt: skip
        made.start()
        eventually(lambda: knows_the_matches(made), 60)
        yield made


def _stripe(site: RunningSite) -> StripeClient:
    key = Path(site.environment["STRIPE_SECRET_KEY_FILE"]).read_text("utf-8")
    return StripeClient(
        key,
        base_addresses={"api": site.url("stripe-standin")},
        http_client=stripe.RequestsClient(timeout=10),
        max_network_retries=0,
    )


def _patiently(ask: Callable[[], T | None]) -> T | None:
    """Asks until there is an answer; a process that was just killed gives none."""
    pause = threading.Event()
    for _ in range(TRIES):
        with contextlib.suppress(httpx.HTTPError, stripe.APIConnectionError, stripe.APIError):
            found = ask()
            if found is not None:
                return found
        pause.wait(0.25)
    return None


def _post(site: RunningSite, name: str, path: str, body: Any, headers: dict[str, str]) -> Callable[[], Any]:
    def ask() -> Any:
        answer = httpx.post(site.url(name) + path, json=body, headers=headers, timeout=20, trust_env=False)
        return None if answer.status_code >= 500 else answer

    return ask


def _buy(site: RunningSite, match: int, method: str | None) -> str | None:
    """One buyer, from the hold to the card; the reservation's id, if it came to one."""
    key = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"matchNumber": match, "category": 1, "quantity": 1, "email": f"{uuid.uuid4()}@example.org"}
    held = _patiently(_post(site, "reservations", "/api/reservations?wait=10", body, key))
    if held is None or held.status_code != 201 or held.json()["status"] != "held":
        return None
    credential = {"Authorization": f"Bearer {held.json()['accessToken']}"}
    reservation_id = str(held.json()["id"])
    asked = _patiently(_post(site, "payments", "/api/payments", {"reservationId": reservation_id}, credential))
    if asked is not None and asked.status_code == 201 and method is not None:
        _patiently(lambda: _confirm(site, asked.json()["intentId"], method))
    return reservation_id


def _confirm(site: RunningSite, intent_id: str, method: str) -> bool:
    try:
        _stripe(site).v1.payment_intents.confirm(intent_id, {"payment_method": method})
    except (stripe.CardError, stripe.InvalidRequestError):
        return True  # declined, or paid or cancelled meanwhile
    return True


def _kill(site: RunningSite, chance: random.Random, stopping: threading.Event) -> None:
    while not stopping.wait(chance.uniform(0.2, 1.0)):
        site.kill(chance.choice(VICTIMS))


def _rows(site: RunningSite, query: str) -> list[Any]:
    with psycopg.connect(site.database_url) as connection:
        return connection.execute(query.encode()).fetchall()


def _is_settled(site: RunningSite) -> bool:
    """Every payment is at its end, at Stripe and here, and what was taken is a sale or went back."""
    api = _stripe(site).v1
    states = {row[0]: row[1] for row in _rows(site, "SELECT r.id::text, s.state FROM reservations.reservations r "
                                                     "JOIN shop.sales s ON s.sale_id = r.sale_id")}  # fmt: skip
    sold = set()
    query = "SELECT reservation_id::text, intent_id, status, outcome FROM payments.payments"
    for reservation_id, intent_id, status, outcome in _rows(site, query):
        assert status in ("succeeded", "canceled"), (reservation_id, status)
        if intent_id is None:
            assert status == "canceled"
            continue
        intent = api.payment_intents.retrieve(intent_id)
        assert intent.status == status, (reservation_id, status, intent.status)
        if status != "succeeded":
            continue
        back = api.charges.retrieve(str(intent.latest_charge)).amount_refunded
        if outcome == "reserved":
            assert (states[reservation_id], back) == ("reserved", 0), (reservation_id, states[reservation_id], back)
            assert reservation_id not in sold, "paid twice"
            sold.add(reservation_id)
        else:
            assert (outcome, back) == ("refused", intent.amount), (reservation_id, outcome, back)
    assert sold == {reservation_id for reservation_id, state in states.items() if state == "reserved"}
    books = dict(_rows(site, "SELECT account, sum(amount) FROM payments.ledger_entries GROUP BY account"))
    assert sum(books.values()) == 0
    assert books.get("deposits", 0) == 0, "nobody's money lies about"
    return True


@pytest.mark.parametrize("seed", [1])
def test_through_kills_each_charge_is_a_ticket_or_went_back(site: RunningSite, seed: int) -> None:
    chance = random.Random(seed)
    wishes = [(chance.randint(1, 4), chance.choice(METHODS)) for _ in range(BUYERS)]
    stopping = threading.Event()
    killer = threading.Thread(target=_kill, args=(site, chance, stopping))
    killer.start()
    try:
        with ThreadPoolExecutor(BUYERS) as threads:
            made = list(threads.map(lambda wish: _buy(site, *wish), wishes))
    finally:
        stopping.set()
        killer.join()
    site.wait_ready(seconds=90)
    assert any(made)
    eventually(lambda: _is_settled(site), 90, "all payments are at their end")
    counted = eventually(lambda: site.client("shop-consumer").get("/api/verify", timeout=60), 30)
    assert counted.status_code == 200, counted.text
