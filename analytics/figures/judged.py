"""What each line of the log counts, as a view in SQL, by the federation's rules.

A line with a sale id is judged by what the log has shown of that sale before it: a hold counts once, a sale is sold
once, nothing is given back that is not held. Lines without one share a balance a pool, as the counters keep it: what is
sold or given back beyond the balance was never held. Such a balance that stops at zero is the sum so far less the
lowest that the sum has been, which needs no loop.

Admission and the end of holds by time are not in it. They decide what may still be held, not what was sold, but for one
case: a sale whose parts are sold by several messages of fewer tickets than its hold, when the log had refused that hold
or ended it.
"""

import duckdb

PENDING, RESERVED, CANCELLED = "TICKET_PENDING", "TICKET_RESERVED", "TICKET_CANCELLED"
SYNTHETIC = "synthetic-%"  # client ids of sites that a simulation has made up

_LINES = f"""
lines AS (
    SELECT "partition", "offset", line, logged_at, coalesce(site, '') AS site, sale_id, action, match_number, category,
        quantity, price, coalesce(site, '') LIKE '{SYNTHETIC}' AS synthetic
    FROM ticket_messages WHERE refused IS NULL
)"""

_SALES = f"""
sales AS (
    SELECT *, greatest(0, asked - taken) AS held_before FROM (
        SELECT *,
            row_number() OVER sale AS number,
            count(*) OVER whole AS lines,
            count(CASE WHEN action = '{RESERVED}' THEN 1 END) OVER whole > 0 AS sold_ever,
            CASE first_value(action) OVER sale WHEN '{PENDING}' THEN first_value(quantity) OVER sale ELSE 0 END
                AS asked,
            first_value(logged_at) OVER sale AS begun_at,
            coalesce(sum(CASE WHEN action <> '{PENDING}' THEN quantity END) OVER before, 0) AS taken,
            count(CASE WHEN action = '{RESERVED}' THEN 1 END) OVER before AS sold_before
        FROM lines WHERE sale_id IS NOT NULL
        WINDOW
            whole AS (PARTITION BY site, sale_id, match_number, category),
            sale AS (PARTITION BY site, sale_id, match_number, category ORDER BY "partition", "offset", line),
            before AS (
                PARTITION BY site, sale_id, match_number, category ORDER BY "partition", "offset", line
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            )
    )
)"""

_JUDGED_SALES = f"""
judged_sales AS (
    SELECT "partition", "offset", line, logged_at, site, sale_id, action, match_number, category, quantity, price,
        synthetic,
        CASE action
            WHEN '{PENDING}' THEN CASE WHEN number = 1 THEN quantity ELSE 0 END
            WHEN '{RESERVED}' THEN CASE WHEN sold_before = 0 OR held_before > 0 THEN quantity ELSE 0 END
            ELSE least(quantity, held_before)
        END AS counted,
        action = '{PENDING}' AND number = 1 AND sold_ever AS converted,
        CASE
            WHEN action = '{PENDING}' AND number > 1 THEN 'duplicate'
            WHEN action = '{PENDING}' AND lines = 1 AND logged_at < now_in_log - hold THEN 'never_finished'
            WHEN action = '{PENDING}' THEN NULL
            WHEN number = 1 AND action = '{RESERVED}' THEN 'orphan_reserved'
            WHEN number = 1 THEN 'orphan_cancelled'
            WHEN held_before > 0 AND logged_at > begun_at + hold THEN 'held_too_long'
            WHEN held_before > 0 AND action = '{RESERVED}' AND quantity <> held_before THEN 'quantity_mismatch'
            WHEN held_before > 0 THEN NULL
            WHEN action = '{RESERVED}' AND sold_before > 0 THEN 'duplicate'
            WHEN action = '{RESERVED}' THEN 'reserved_after_release'
            WHEN sold_before > 0 THEN 'cancelled_after_reserved'
        END AS flag
    FROM sales, (SELECT max(logged_at) AS now_in_log FROM lines), (SELECT INTERVAL '{{hold_seconds}}' SECOND AS hold)
)"""

_BALANCE = f"""
balance AS (
    SELECT *, coalesce(lag(lowest) OVER pool, 0) - lowest AS beyond FROM (
        SELECT *, least(0, min(total) OVER pool) AS lowest FROM (
            SELECT *, sum(CASE WHEN action = '{PENDING}' THEN quantity ELSE -quantity END) OVER pool AS total
            FROM lines WHERE sale_id IS NULL AND site <> {{own}}
            WINDOW pool AS (PARTITION BY match_number, category ORDER BY "partition", "offset", line)
        )
        WINDOW pool AS (PARTITION BY match_number, category ORDER BY "partition", "offset", line)
    )
    WINDOW pool AS (PARTITION BY match_number, category ORDER BY "partition", "offset", line)
)"""

_ANONYMOUS = f"""
anonymous AS (
    SELECT "partition", "offset", line, logged_at, site, sale_id, action, match_number, category, quantity, price,
        synthetic,
        CASE WHEN action = '{CANCELLED}' THEN quantity - beyond ELSE quantity END AS counted,
        false AS converted,
        CASE WHEN beyond > 0 AND action = '{RESERVED}' THEN 'orphan_reserved'
            WHEN beyond > 0 THEN 'orphan_cancelled' END AS flag
    FROM balance
)"""

_STRANGE = """
strange AS (
    SELECT "partition", "offset", line, logged_at, site, sale_id, action, match_number, category, quantity, price,
        synthetic, 0 AS counted, false AS converted, 'own_client_id' AS flag
    FROM lines WHERE sale_id IS NULL AND site = {own}
)"""

JUDGED = f"""
WITH {_LINES}, {_SALES}, {_JUDGED_SALES}, {_BALANCE}, {_ANONYMOUS}, {_STRANGE}
SELECT * FROM judged_sales UNION ALL SELECT * FROM anonymous UNION ALL SELECT * FROM strange
"""


def judged(own: str, hold_seconds: int) -> str:
    """SQL of the log's understood lines with `counted` (tickets), `converted` and `flag`; DuckDB and Spark take it.

    `own` is this site's client id: what bears it without a sale id is not from this site and counts nothing.
    """
    quoted = "'" + own.replace("'", "''") + "'"
    return JUDGED.format(own=quoted, hold_seconds=int(hold_seconds))


def show_judged(connection: duckdb.DuckDBPyConnection, own: str, hold_seconds: int) -> None:
    """Makes the view `judged`."""
    connection.execute(f"CREATE TEMP VIEW judged AS {judged(own, hold_seconds)}")
