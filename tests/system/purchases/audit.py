"""Who owes whom once everything has come to rest: Stripe's side, the ledger, reservations, tickets and counters."""

from collections import Counter
from typing import Any

from tests.sites import RunningSite
from tests.system.purchases.buyers import Visit
from tests.system.settled import Taken, at_stripe, balances, check_counters, rows


def reservations(site: RunningSite) -> dict[str, dict[str, Any]]:
    """Every reservation with the state of its sale and the number of its tickets that open the gate."""
    found = rows(
        site,
        "SELECT r.id::text, r.quantity, r.amount, s.state, (SELECT count(*) FROM reservations.tickets t"
        " WHERE t.reservation_id = r.id AND t.state = 'valid') AS tickets"
        " FROM reservations.reservations r JOIN shop.sales s ON s.sale_id = r.sale_id",
    )
    return {row["id"]: row for row in found}


def check(site: RunningSite, secret_key: str) -> Counter[str]:
    """Raises AssertionError when somebody owes something; else how the reservations ended."""
    taken, made = at_stripe(site, secret_key), reservations(site)
    assert set(taken) <= set(made), "nobody pays for what is no reservation"
    kept_in_all = 0
    for reservation_id, row in made.items():
        kept = taken.get(reservation_id, Taken()).kept
        is_sold = row["state"] == "reserved"
        assert list(kept.values()) == ([row["amount"]] if is_sold else []), (row, taken.get(reservation_id))
        assert row["tickets"] == (row["quantity"] if is_sold else 0), row
        kept_in_all += sum(kept.values())
    sums = balances(site)
    assert (sums["stripe"], sums["sales"], sums["deposits"]) == (kept_in_all, -kept_in_all, 0)
    check_counters(site, sum(row["quantity"] for row in made.values() if row["state"] == "reserved"))
    return Counter(row["state"] for row in made.values())


def promises_are_kept(site: RunningSite, visits: list[Visit]) -> None:
    """Who was told that the tickets are his has them."""
    made = reservations(site)
    promised = {"verdict: reserved", "one call: Ticket Purchase Successful"}
    sold = {visit.reservation_id for visit in visits if promised & set(visit.told)}
    assert sold <= {reservation_id for reservation_id, row in made.items() if row["state"] == "reserved"}
