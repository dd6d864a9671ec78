"""What must hold of tickets that are sold again, as queries: for models in one process and for audits of whole sites.

`rows` runs a query and returns its rows as dicts.
"""

from collections.abc import Callable
from typing import Any

Rows = Callable[[str], list[dict[str, Any]]]

# A seat is a ticket with all that came after it. `is_back`: the money of the last one has gone back.
SEATS = """
    WITH RECURSIVE seat AS (
        SELECT t.id AS root, t.id, t.state, t.replaced_by, t.reservation_id FROM reservations.tickets t
         WHERE NOT EXISTS (SELECT FROM reservations.tickets o WHERE o.replaced_by = t.id)
         UNION ALL
        SELECT s.root, t.id, t.state, t.replaced_by, t.reservation_id
          FROM reservations.tickets t JOIN seat s ON s.replaced_by = t.id)
    SELECT root::text, count(*)::int AS owners, count(*) FILTER (WHERE state = 'valid') AS valid,
           count(*) FILTER (WHERE state = 'valid' AND replaced_by IS NOT NULL) AS valid_though_sold,
           bool_or(replaced_by IS NULL AND (SELECT c.reason = 'refunded' FROM reservations.charges c
                    WHERE c.reservation_id = seat.reservation_id AND c.outcome <> 'refused')) AS is_back
      FROM seat GROUP BY root"""


def check_seats(rows: Rows) -> list[dict[str, Any]]:
    """A seat is exactly one person's, or nobody's when its money has gone back and the site has it; the seats."""
    seats = rows(SEATS)
    for seat in seats:
        assert seat["valid_though_sold"] == 0, seat
        assert seat["valid"] == (0 if seat["is_back"] else 1), seat
    return seats


def check_credits(rows: Rows) -> int:
    """Each seller is credited once for each listing that was sold, at its price; how many were sold."""
    sold = rows(
        "SELECT id::text, seller_id::text, price FROM reservations.listings"
        " WHERE state = 'sold' AND NOT by_site ORDER BY id"
    )
    credited = rows("SELECT listing_id::text, account_id::text, price FROM payments.payouts ORDER BY listing_id")
    assert [tuple(row.values()) for row in sold] == [tuple(row.values()) for row in credited]
    return len(sold)


def check_projection(rows: Rows) -> None:
    """The shop knows each listing as reservations does."""
    theirs = (
        "SELECT id::text, version, state, match_number, category, price AS amount, face_price AS face_amount, currency,"
        " by_site, created_at AS listed_at, changed_at FROM reservations.listings ORDER BY id"
    )
    ours = (
        "SELECT id::text, version, state, match_number, category, amount, face_amount, currency,"
        " by_site, listed_at, changed_at FROM shop.listings ORDER BY id"
    )
    assert rows(ours) == rows(theirs)
