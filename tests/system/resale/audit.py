"""Who has what once everything has come to rest: seats, Stripe's side, the ledger, credits, listings and counters."""

from collections import Counter
from typing import Any

from tests.seats import check_credits, check_projection, check_seats
from tests.sites import RunningSite
from tests.system.settled import Taken, at_stripe, balances, check_counters, rows

RESERVATIONS = """
    SELECT r.id::text, r.amount, r.quantity, r.listing_id IS NOT NULL AS is_resale, coalesce(s.state, h.state) AS state,
           EXISTS (SELECT FROM reservations.charges c
                    WHERE c.reservation_id = r.id AND c.reason = 'refunded') AS refunded,
           count(t) FILTER (WHERE t.state = 'valid') AS valid,
           count(t) FILTER (WHERE t.replaced_by IS NOT NULL) AS sold
      FROM reservations.reservations r
      LEFT JOIN reservations.tickets t ON t.reservation_id = r.id
      LEFT JOIN shop.sales s ON s.sale_id = r.sale_id
      LEFT JOIN reservations.resale_holds h ON h.sale_id = r.sale_id
     GROUP BY r.id, s.state, h.state"""


def reservations(site: RunningSite) -> dict[str, dict[str, Any]]:
    """Every reservation, first sale or resale: its state, and its tickets that are valid or were sold on."""
    return {row["id"]: row for row in rows(site, RESERVATIONS)}


def check(site: RunningSite, secret_key: str) -> Counter[str]:
    """Raises AssertionError when somebody owes something; else what there is, counted."""
    made = reservations(site)
    kept = _check_charges(made, at_stripe(site, secret_key))
    seats = check_seats(lambda query: rows(site, query))
    resold = check_credits(lambda query: rows(site, query))
    check_projection(lambda query: rows(site, query))
    _check_ledger(site, kept)
    check_counters(site, sum(row["quantity"] for row in made.values() if _is_sold(row) and not row["is_resale"]))
    ended = Counter(f"{'resale' if row['is_resale'] else 'sale'} {row['state']}" for row in made.values())
    refunded = sum(row["refunded"] for row in made.values())
    return ended + Counter({"resold": resold, "seats": len(seats), "refunded": refunded})


def _is_sold(row: dict[str, Any]) -> bool:
    return bool(row["state"] == "reserved")


def _check_charges(made: dict[str, dict[str, Any]], taken: dict[str, Taken]) -> int:
    """Nobody is charged without a ticket or the money back; how much Stripe has in all."""
    assert set(taken) <= set(made), "nobody pays for what is no reservation"
    kept_in_all = 0
    for reservation_id, row in made.items():
        kept = taken.get(reservation_id, Taken()).kept
        has_tickets = _is_sold(row) and not row["refunded"]
        assert list(kept.values()) == ([row["amount"]] if has_tickets else []), (row, taken.get(reservation_id))
        # What was refunded may have been sold by the site since, and opens no gate.
        tickets = row["valid"] + row["sold"] if has_tickets else row["valid"]
        assert tickets == (row["quantity"] if has_tickets else 0), row
        kept_in_all += sum(kept.values())
    return kept_in_all


def _check_ledger(site: RunningSite, kept: int) -> None:
    sums = balances(site)
    assert (sum(sums.values()), sums["stripe"], sums["deposits"]) == (0, kept, 0)
    payouts = rows(
        site,
        "SELECT account_id::text AS id, paid_at IS NULL AS due, amount, fee FROM payments.payouts",
    )
    owed: Counter[str] = Counter()
    for payout in payouts:
        owed[f"seller:{payout['id']}"] -= payout["amount"] if payout["due"] else 0
    booked = {account: amount for account, amount in sums.items() if account.startswith("seller:")}
    assert {account: amount for account, amount in booked.items() if amount} == {a: n for a, n in owed.items() if n}
    assert sums["fees"] == -sum(payout["fee"] for payout in payouts)
    assert abs(sums["bank"]) == sum(payout["amount"] for payout in payouts if not payout["due"])
