"""Tickets across the processes of a site: bought, mailed, printed, admitted; paid too late; and processes killed."""

import contextlib
import json
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from matchday.run import Run
from matchday.servers import Kafka, Postgres, Valkey
from tests.eventually import eventually
from tests.shared_sites import common_ground
from tests.sites import RunningSite
from tests.system.test_two_sites import knows_the_matches
from tests.tickets import page_texts, scan_pages

PROCESSES = (
    "shop", "shop-consumer", "reservations", "reservations-relay", "reservations-worker", "payments", "payments-worker",
    "mailbox", "stripe-standin",
)  # fmt: skip
HOLD_SECONDS = 8
GOOD, DECLINED = "4242424242424242", "4000000000000002"
PENDING, RESERVED, CANCELLED = "TICKET_PENDING", "TICKET_RESERVED", "TICKET_CANCELLED"


@pytest.fixture(scope="module")
def site(_postgres: Postgres, _valkey: Valkey, _kafka: Kafka, server_run: Run, _template: str) -> Iterator[RunningSite]:
    with common_ground(_postgres, _valkey, _kafka, server_run, _template) as ground:
        made = ground.make_site(
            "matchday", only=PROCESSES, HOLD_SECONDS=str(HOLD_SECONDS), WORKER_POLL_SECONDS="0.1",
            RATE_SCALE="1000",
        )  # fmt: skip
        made.start()
        eventually(lambda: knows_the_matches(made), 60)
        yield made


@pytest.fixture
def email() -> str:
    """Somebody new."""
    return f"{secrets.token_hex(6)}@example.org"


def purchase(site: RunningSite, email: str, match: int, card: str = GOOD, key: str = "") -> httpx.Response:
    body = {
        "email": email,
        "matchNumber": match,
        "tickets": {"category": 1, "quantity": 2, "price": 75},
        "card": {"number": card, "expirationMonth": 12, "expirationYear": 2040, "cvc": "123"},
    }
    headers = {"Idempotency-Key": key} if key else {}
    return site.client("reservations").post("/api/reservation", json=body, headers=headers)


def hold(site: RunningSite, email: str, match: int) -> dict[str, Any]:
    body = {"matchNumber": match, "category": 1, "quantity": 2, "email": email}
    answer = site.client("reservations").post("/api/reservations", params={"wait": 20}, json=body)
    assert answer.json()["status"] == "held", answer.text
    made: dict[str, Any] = answer.json()
    return made


def status(site: RunningSite, made: dict[str, Any]) -> str:
    path = f"/internal/reservations/{made['id']}"
    return str(site.client("reservations").get(path, headers=site.operator()).json()["status"])


def paid(site: RunningSite, made: dict[str, Any], payment: str) -> str:
    body = {"paymentId": payment, "amount": made["amount"], "currency": made["currency"]}
    path = f"/internal/reservations/{made['id']}/paid"
    answer = site.client("reservations").post(path, json=body, headers=site.operator())
    return str(answer.json()["outcome"])


def rows(site: RunningSite, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(site.database_url) as connection:
        return connection.execute(query.encode(), values).fetchall()


def told(site: RunningSite, match: int) -> list[str]:
    """What the others have read about the match, in order."""
    sent = rows(site, "SELECT value FROM shop.outbox WHERE key = %s AND published_at IS NOT NULL ORDER BY id",
                f"{match}-1".encode())  # fmt: skip
    return [json.loads(value)["meta"]["action"] for (value,) in sent]


def mails(site: RunningSite, email: str) -> list[Any]:
    items: list[Any] = site.client("mailbox").get("/messages", params={"to": email}).json()["items"]
    return items


def verify(site: RunningSite, code: str) -> httpx.Response:
    return site.client("reservations").post("/api/tickets/verify", json={"code": code}, headers=site.operator())


def test_tickets_bought_in_one_call_come_by_mail_and_admit_once(site: RunningSite, email: str) -> None:
    bought = purchase(site, email, 1)
    assert (bought.status_code, bought.json()["message"]) == (200, "Ticket Purchase Successful"), bought.text
    (mail,) = eventually(lambda: mails(site, email), 30, "the mail arrives")
    (attached,) = mail["attachments"]
    pdf = site.client("mailbox").get(attached["path"]).content
    assert all(f"Ticket {number} of 2" in text for number, text in enumerate(page_texts(pdf), 1))
    codes = [code for page in scan_pages(pdf) for code in page]
    assert len(set(codes)) == 2
    for code in codes:
        assert verify(site, code).status_code == 200
        assert verify(site, code).json()["code"] == "already_admitted"
    eventually(lambda: told(site, 1) == [PENDING, RESERVED], 30)
    assert rows(site, "SELECT amount, status FROM payments.payments WHERE email = %s", email) == [(15_000, "succeeded")]


def test_what_is_refunded_in_full_opens_no_gate_and_the_log_hears_nothing_of_it(site: RunningSite, email: str) -> None:
    made = purchase(site, email, 6).json()
    tickets = rows(site, "SELECT id::text FROM reservations.tickets WHERE reservation_id = %s", made["id"])
    ((payment,),) = rows(site, "SELECT id::text FROM payments.payments WHERE reservation_id = %s", made["id"])
    eventually(lambda: told(site, 6) == [PENDING, RESERVED], 30)
    refund = site.client("payments").post(f"/internal/payments/{payment}/refunds", json={}, headers=site.operator())
    assert refund.status_code == 201, refund.text

    def void() -> set[str]:
        path = "/api/tickets/void?matchNumber=6"
        return set(site.client("reservations").get(path, headers=site.operator()).json()["items"])

    eventually(lambda: void() == {ticket for (ticket,) in tickets}, what="the tickets are void")
    assert status(site, made) == "reserved"
    assert rows(site, "SELECT count(*) FROM shop.outbox WHERE key = %s", b"6-1") == [(2,)]


def test_a_declined_card_leaves_the_log_as_if_nothing_had_been(site: RunningSite, email: str) -> None:
    refused = purchase(site, email, 2, DECLINED)
    assert (refused.status_code, refused.json()["code"]) == (402, "card_declined"), refused.text
    eventually(lambda: told(site, 2) == [PENDING, CANCELLED], 30)
    assert mails(site, email) == []
    pool = site.client("shop").get("/api/matches/2/availability").json()["categories"][0]
    eventually(
        lambda: (
            site.client("shop").get("/api/matches/2/availability").json()["categories"][0]["pending"]
            == pool["capacity"]
        ),
        30,
    )


def test_what_is_paid_too_late_is_sold_after_all_while_the_log_has_room(site: RunningSite, email: str) -> None:
    made = hold(site, email, 3)
    eventually(lambda: status(site, made) == "expired", HOLD_SECONDS + 30)
    # A payment that payments does not know; what it is told about it waits there for an operator.
    payment = secrets.token_hex(8)
    assert paid(site, made, payment) == "asking"
    eventually(lambda: status(site, made) == "reserved", 30)
    eventually(lambda: told(site, 3) == [PENDING, CANCELLED, PENDING, RESERVED], 30)
    assert paid(site, made, payment) == "reserved"
    headers = {"Authorization": f"Bearer {made['accessToken']}"}
    tickets = site.client("reservations").get("/api/tickets", headers=headers).json()["items"]
    assert [ticket["status"] for ticket in tickets] == ["valid", "valid"]
    query = "SELECT body ->> 'outcome' FROM reservations.deliveries WHERE path LIKE %s"
    assert rows(site, query, f"%{payment}/outcome") == [("reserved",)]


def test_what_is_paid_too_late_goes_back_when_others_have_the_tickets(site: RunningSite, email: str) -> None:
    made = hold(site, email, 4)
    eventually(lambda: status(site, made) == "expired", HOLD_SECONDS + 30)
    for _ in range(10):
        assert purchase(site, f"{secrets.token_hex(6)}@example.org", 4).status_code == 200
    assert paid(site, made, secrets.token_hex(8)) == "refused"
    assert status(site, made) == "expired"


def test_a_purchase_whose_service_is_killed_between_charge_and_sale_ends_in_tickets_and_one_charge(
    site: RunningSite, email: str
) -> None:
    charged = "SELECT 1 FROM payments.payments WHERE email = %s AND status = 'succeeded'"
    held = "SELECT s.state FROM reservations.reservations JOIN shop.sales s USING (sale_id) WHERE email = %s"
    site.pause("stripe-standin")
    buyer = threading.Thread(target=_buy_in_vain, args=(site, email))
    buyer.start()
    eventually(lambda: rows(site, held, email) == [("held",)], 30, "the tickets are held")
    with psycopg.connect(site.database_url) as lock:
        # Nobody can sell of this pool while it is locked: the charge comes, and the sale waits.
        lock.execute("SELECT * FROM shop.pools WHERE match_number = 5 AND category = 1 FOR UPDATE")
        site.resume("stripe-standin")
        eventually(lambda: rows(site, charged, email), 30, "the card is charged")
        site.kill("reservations")
    buyer.join(60)
    site.wait_ready("reservations")
    again = eventually(lambda: _bought(site, email), 60, "the same key tells the end")
    assert rows(site, charged, email) == [(1,)]
    (found,) = rows(site, "SELECT count(*) FROM reservations.tickets WHERE reservation_id = %s", again["id"])
    assert found == (2,)
    eventually(lambda: told(site, 5)[-1:] == [RESERVED], 30)
    assert told(site, 5).count(RESERVED) == 1


def _buy_in_vain(site: RunningSite, email: str) -> None:
    with contextlib.suppress(httpx.HTTPError):
        purchase(site, email, 5, key=email)


def _bought(site: RunningSite, email: str) -> dict[str, Any]:
    answer = purchase(site, email, 5, key=email)
    found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
    return found


def test_a_letter_is_written_once_whenever_the_worker_is_killed(site: RunningSite) -> None:
    buyers = [f"{secrets.token_hex(6)}@example.org" for _ in range(6)]
    for number, buyer in enumerate(buyers):
        assert purchase(site, buyer, 6).status_code == 200
        if number % 2:
            site.kill("reservations-worker")
    for buyer in buyers:
        eventually(lambda buyer=buyer: mails(site, buyer), 60, "the mail arrives")  # type: ignore[misc]
    written = rows(site, "SELECT recipient FROM reservations.mails WHERE recipient = ANY(%s)", buyers)
    assert sorted(recipient for (recipient,) in written) == sorted(buyers)
