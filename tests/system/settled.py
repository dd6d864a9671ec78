"""Whether a site has come to rest, and what Stripe, the books and the counters say then. For audits after crashes."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import psycopg
import stripe
from psycopg.rows import dict_row

from tests.eventually import eventually
from tests.sites import RunningSite

# Nothing is on its way any more when none of these finds a row.
UNFINISHED = {
    "deliveries of payments": "SELECT * FROM payments.deliveries WHERE delivered_at IS NULL",
    "deliveries of reservations": "SELECT * FROM reservations.deliveries WHERE delivered_at IS NULL",
    "open payments": "SELECT * FROM payments.payments WHERE status NOT IN ('succeeded', 'canceled')",
    "undecided payments": "SELECT * FROM payments.payments WHERE status = 'succeeded'"
    " AND (outcome IS NULL OR outcome = 'asking')",
    "open refunds": "SELECT * FROM payments.refunds WHERE status IN ('new', 'pending')",
    "refunds to come": "SELECT p.id FROM payments.payments p WHERE p.outcome = 'refused'"
    " AND NOT EXISTS (SELECT FROM payments.refunds r WHERE r.payment_id = p.id)",
    "open sales": "SELECT * FROM shop.sales WHERE state IN ('submitted', 'held')",
    "open holds of listings": "SELECT * FROM reservations.resale_holds WHERE state = 'held'",
    "sales that ask again": "SELECT * FROM reservations.reservations WHERE resubmitted",
    "tickets to be offered again": "SELECT * FROM reservations.reservations WHERE relist_due",
    "unsent messages": "SELECT * FROM shop.outbox WHERE published_at IS NULL",
}


@dataclass
class Taken:
    """What Stripe took for one reservation, intent by intent, and gave back; minor units."""

    charges: Counter[str] = field(default_factory=Counter)
    refunds: Counter[str] = field(default_factory=Counter)

    @property
    def kept(self) -> dict[str, int]:
        """By intent, what has not been given back."""
        return {
            intent: amount - self.refunds[intent]
            for intent, amount in self.charges.items()
            if amount != self.refunds[intent]
        }


def rows(site: RunningSite, query: str) -> list[dict[str, Any]]:
    """What a query finds in the site's database."""
    with psycopg.connect(site.database_url, row_factory=dict_row) as connection:
        return connection.execute(query.encode()).fetchall()


def unfinished(site: RunningSite) -> dict[str, list[dict[str, Any]]]:
    """What is still on its way, and where."""
    found = {what: rows(site, query) for what, query in UNFINISHED.items()}
    return {what: some for what, some in found.items() if some}


def wait_for_rest(site: RunningSite, seconds: float) -> None:
    """Returns when nothing is on its way any more. AssertionError with what is."""

    def is_at_rest() -> bool:
        if left := unfinished(site):
            raise AssertionError(left)
        return True

    eventually(is_at_rest, seconds, "everything comes to rest")


def at_stripe(site: RunningSite, secret_key: str) -> dict[str, Taken]:
    """By reservation, as the official library reads it from the stand-in."""
    api = stripe.StripeClient(secret_key, base_addresses={"api": site.url("stripe-standin")})
    taken: defaultdict[str, Taken] = defaultdict(Taken)
    reservation_of: dict[str, str] = {}
    for intent in api.v1.payment_intents.list({"limit": 100}).auto_paging_iter():
        reservation_of[intent.id] = intent.metadata["reservationId"]
        if intent.amount_received:
            taken[reservation_of[intent.id]].charges[intent.id] += intent.amount_received
    for refund in api.v1.refunds.list({"limit": 100}).auto_paging_iter():
        if refund.status == "succeeded":
            intent_id = str(refund.payment_intent)
            taken[reservation_of[intent_id]].refunds[intent_id] += refund.amount
    return dict(taken)


def balances(site: RunningSite) -> Counter[str]:
    """The books' accounts. AssertionError when a transaction does not sum to zero."""
    unbalanced = "SELECT transaction_id FROM payments.ledger_entries GROUP BY 1, currency HAVING sum(amount) <> 0"
    assert not rows(site, unbalanced)
    found = rows(site, "SELECT account, sum(amount)::bigint AS sum FROM payments.ledger_entries GROUP BY 1")
    return Counter({row["account"]: row["sum"] for row in found})


def check_counters(site: RunningSite, sold: int) -> None:
    """So many are sold, nothing is held, and the log says the same."""
    counted = rows(site, "SELECT sum(held)::int AS held, sum(sold)::int AS sold FROM shop.pools")[0]
    assert (counted["held"], counted["sold"]) == (0, sold)
    verified = site.client("shop-consumer").get("/api/verify", headers=site.operator(), timeout=60)
    assert (verified.status_code, verified.json().get("equal")) == (200, True), verified.text
