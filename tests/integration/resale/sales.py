"""What the tests of resale do with a market, and ask of it."""

import email
import email.policy
from email.message import EmailMessage
from typing import Any

from tests.market import Market, Person

FACE, PRICE, FEE = 7500, 8000, 400  # a ticket's first price, what it is sold again for, and the site's share; cents


def statuses(market: Market, person: Person) -> list[str]:
    return sorted(ticket["status"] for ticket in market.tickets(person))


def state(market: Market, listing: dict[str, Any]) -> tuple[str, str | None]:
    (row,) = market.rows("SELECT state, reason FROM reservations.listings WHERE id = %s", listing["id"])
    return row["state"], row["reason"]


def sold(market: Market, seller: Person, buyer: Person) -> tuple[dict[str, Any], str]:
    """A ticket of one that another has bought; the listing and the payment."""
    (ticket,) = market.ticket(seller)
    listing = market.offer(seller, ticket)
    payment = market.pay(market.hold(buyer, listing["id"]).get_json())
    market.settle()
    assert state(market, listing) == ("sold", None)
    return listing, payment


def payment_of(market: Market, person: Person) -> str:
    query = "SELECT id::text FROM payments.payments WHERE account_id = %s AND status = 'succeeded' ORDER BY created_at"
    return str(market.rows(query, person.id)[-1]["id"])


def letter_of(market: Market, kind: str) -> EmailMessage:
    (row,) = market.rows("SELECT content FROM reservations.mails WHERE kind = %s", kind)
    parsed = email.message_from_bytes(row["content"], policy=email.policy.SMTP)
    assert isinstance(parsed, EmailMessage)
    return parsed
