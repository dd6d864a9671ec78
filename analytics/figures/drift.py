"""SQL over the lake: what sites of the federation did that they should not have, with the records that show it."""

import duckdb

from analytics.figures.domain import Drift, Oversold, Trace
from analytics.figures.judged import RESERVED

# Tickets sold after the last one: what a line sells beyond the capacity, in the log's order.
_OVERSOLD = f"""
running AS (
    SELECT j.*, capacity, sum(counted) OVER (
        PARTITION BY match_number, category ORDER BY "partition", "offset", line
    ) AS so_far
    FROM judged j JOIN pools USING (match_number, category) WHERE action = '{RESERVED}' AND counted > 0
),
oversold AS (
    SELECT 'oversold' AS kind, site, "partition", "offset", line, logged_at, sale_id, match_number, category, quantity,
        least(counted, so_far - capacity) AS beyond
    FROM running WHERE so_far > capacity
)"""
_FLAGGED = """
flagged AS (
    SELECT flag AS kind, site, "partition", "offset", line, logged_at, sale_id, match_number, category, quantity,
        quantity AS beyond
    FROM judged WHERE flag IS NOT NULL
),
mispriced AS (
    SELECT 'price_mismatch' AS kind, site, "partition", "offset", line, logged_at, sale_id, match_number, category,
        quantity, quantity AS beyond
    FROM judged j JOIN pools p USING (match_number, category) WHERE j.price <> p.price
)"""
_DRIFT = f"""
WITH {_OVERSOLD}, {_FLAGGED},
traces AS (SELECT * FROM oversold UNION ALL SELECT * FROM flagged UNION ALL SELECT * FROM mispriced),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY kind, site ORDER BY "partition", "offset", line) AS number FROM traces
)
SELECT kind, site, count(*) AS records, CAST(sum(beyond) AS BIGINT) AS tickets, min(logged_at), max(logged_at),
    list({{
        'partition': "partition", 'offset': "offset", 'logged_at': logged_at, 'sale_id': sale_id,
        'match_number': match_number, 'category': category, 'quantity': quantity, 'beyond': CAST(beyond AS BIGINT)
    }} ORDER BY number) FILTER (number <= $evidence)
FROM numbered GROUP BY kind, site ORDER BY kind = 'oversold' DESC, tickets DESC, kind, site LIMIT $limit"""


def drifts(connection: duckdb.DuckDBPyConnection, limit: int, evidence: int) -> list[Drift]:
    """At most `limit` kinds of drift by site, who oversold first, each with at most `evidence` records."""
    rows = connection.execute(_DRIFT, {"limit": limit, "evidence": evidence}).fetchall()
    return [
        Drift(kind, site, records, tickets, first, last, tuple(Trace(**trace) for trace in traces or ()))
        for kind, site, records, tickets, first, last, traces in rows
    ]


def oversold_pools(connection: duckdb.DuckDBPyConnection, limit: int) -> list[Oversold]:
    """At most `limit` pools of which more is sold than there is, the worst first."""
    sql = f"""
        WITH sums AS (
            SELECT match_number, category, CAST(sum(counted) AS BIGINT) AS sold FROM judged
            WHERE action = '{RESERVED}' GROUP BY ALL
        )
        SELECT match_number, category, capacity, sold FROM sums JOIN pools USING (match_number, category)
        WHERE sold > capacity ORDER BY sold - capacity DESC, match_number, category LIMIT $limit"""
    return [Oversold(*row) for row in connection.execute(sql, {"limit": limit}).fetchall()]
