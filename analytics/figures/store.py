"""SQL over the lake: bookings, money, countries, and what forecasts are made from, by the view `judged`."""

from datetime import datetime
from typing import Any

import duckdb

from analytics.figures.domain import (
    Basis,
    Bookings,
    Country,
    Group,
    MoneyGroup,
    Position,
    Revenue,
    Seen,
    Span,
    Summary,
)
from analytics.figures.forecast import HALF_LIFE_SECONDS
from analytics.figures.hours import DAY_SECONDS, DAYS_MAX, HOUR_SECONDS, HourOfDay, OperationalTime
from analytics.figures.judged import CANCELLED, PENDING, RESERVED, SYNTHETIC
from shared.masterlist import PRICE_MAX

Connection = duckdb.DuckDBPyConnection
MINOR_UNITS = 100
# Partners write what they want, and it stays in the log: a price that no master list may have is none.
_PRICE = f"coalesce(CASE WHEN price BETWEEN 0 AND {PRICE_MAX} THEN price END, list_price, 0)"
WITHIN = "logged_at >= $since AND logged_at < $until"
HAPPENED = "happened_at >= $since AND happened_at < $until"
_TIMES = {
    "day": "strftime({0}, '%Y-%m-%d')",
    "hour": "strftime({0}, '%Y-%m-%dT%H:00:00Z')",
    "hourOfDay": "strftime({0}, '%H')",
}
_OF_CATALOGUE = {
    Group.TOTAL: "'total'",
    Group.MATCH: "CAST(match_number AS VARCHAR)",
    Group.CATEGORY: "CAST(category AS VARCHAR)",
    Group.POOL: "match_number || '-' || category",
    Group.ROUND: "coalesce(CAST(round_number AS VARCHAR), '')",
    Group.TEAM: "coalesce(team, '')",
}
# The catalogue's pools, and those that only the log knows; they have no capacity until the catalogue is in the lake.
_POOLS = """
named AS (
    SELECT match_number, category FROM pools
    UNION SELECT match_number, category FROM ticket_messages WHERE refused IS NULL
),
catalogue AS (
    SELECT match_number, category, coalesce(capacity, 0) AS capacity, coalesce(currency, '') AS currency,
        price AS list_price, round_number, home_team, away_team, kick_off
    FROM named LEFT JOIN pools USING (match_number, category) LEFT JOIN matches USING (match_number)
)"""
_COUNTED = f"""
    count("offset") AS messages,
    coalesce(sum(counted) FILTER (action = '{PENDING}'), 0) AS holds,
    coalesce(sum(counted) FILTER (action = '{RESERVED}'), 0) AS sold,
    coalesce(sum(counted) FILTER (action = '{CANCELLED}'), 0) AS cancelled,
    coalesce(sum(counted) FILTER (action = '{PENDING}' AND sale_id IS NOT NULL), 0) AS holds_tied,
    coalesce(sum(counted) FILTER (converted), 0) AS holds_sold"""


def _rows(connection: Connection, sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    return connection.execute(sql, parameters).fetchall()


def bookings(connection: Connection, group: Group, span: Span, limit: int) -> list[Bookings]:
    """At most `limit` groups: the newest first for times, else the most sold."""
    order = "key DESC" if group.value in _TIMES else "sold DESC, length(key), key"
    sql = (_by_pools(group) if group in _OF_CATALOGUE else _by_lines(group)) + f" ORDER BY {order} LIMIT $limit"
    return [Bookings(*row) for row in _rows(connection, sql, {**span.parameters(), "limit": limit})]


def _by_pools(group: Group) -> str:
    team = ", unnest(list_distinct([home_team, away_team])) AS team" if group is Group.TEAM else ""
    return f"""
        WITH {_POOLS},
        members AS (
            SELECT match_number, category, capacity, {_OF_CATALOGUE[group]} AS key FROM (SELECT *{team} FROM catalogue)
        ),
        places AS (SELECT key, sum(capacity) AS capacity FROM members GROUP BY key),
        found AS (
            SELECT key, {_COUNTED} FROM members JOIN judged USING (match_number, category) WHERE {WITHIN} GROUP BY key
        )
        SELECT key, capacity, coalesce(messages, 0), coalesce(holds, 0), coalesce(sold, 0) AS sold,
            coalesce(cancelled, 0), coalesce(holds_tied, 0), coalesce(holds_sold, 0)
        FROM places LEFT JOIN found USING (key)"""


def _by_lines(group: Group) -> str:
    key = "site" if group is Group.SITE else _TIMES[group.value].format("logged_at")
    return f"""
        WITH found AS (SELECT {key} AS key, {_COUNTED} FROM judged WHERE {WITHIN} GROUP BY 1)
        SELECT key, coalesce((SELECT sum(capacity) FROM pools), 0), messages, holds, sold, cancelled, holds_tied,
            holds_sold
        FROM found"""


_MONEY = {
    MoneyGroup.TOTAL: "'total'",
    MoneyGroup.MATCH: "coalesce(CAST(match_number AS VARCHAR), '')",
    MoneyGroup.CATEGORY: "coalesce(CAST(category AS VARCHAR), '')",
    MoneyGroup.SITE: "site",
    MoneyGroup.COUNTRY: "coalesce(country, '')",
    MoneyGroup.DAY: _TIMES["day"].format("moment"),
    MoneyGroup.HOUR: _TIMES["hour"].format("moment"),
}


def revenue(connection: Connection, group: MoneyGroup, span: Span, own: str, limit: int) -> list[Revenue]:
    """Money by group and currency. Countries are known of this site's buyers only."""
    order = "key DESC, currency" if group.value in _TIMES else "sum(paid + partners) DESC, length(key), key, currency"
    others = "" if group is MoneyGroup.COUNTRY else " UNION ALL SELECT * FROM elsewhere"
    sql = f"""
        WITH {_POOLS},
        reservations AS (
            SELECT reservation_id, max(match_number) AS match_number, max(category) AS category, max(country) AS country
            FROM site_events WHERE reservation_id IS NOT NULL GROUP BY 1
        ),
        here AS (
            SELECT $own AS site, coalesce(e.match_number, r.match_number) AS match_number,
                coalesce(e.category, r.category) AS category, coalesce(e.country, r.country) AS country,
                happened_at AS moment, coalesce(currency, '') AS currency,
                CASE WHEN kind = 'payment_succeeded' THEN amount ELSE 0 END AS paid,
                CASE WHEN kind = 'refund_made' THEN amount ELSE 0 END AS refunded, 0 AS partners
            FROM site_events e LEFT JOIN reservations r USING (reservation_id)
            WHERE kind IN ('payment_succeeded', 'refund_made') AND amount IS NOT NULL AND {HAPPENED}
        ),
        elsewhere AS (
            SELECT site, match_number, category, NULL AS country, logged_at AS moment, currency, 0 AS paid,
                0 AS refunded,
                CAST(round(counted * {_PRICE} * {MINOR_UNITS}) AS BIGINT) AS partners
            FROM judged JOIN catalogue USING (match_number, category)
            WHERE action = '{RESERVED}' AND counted > 0 AND site <> $own AND {WITHIN}
        )
        SELECT {_MONEY[group]} AS key, currency, sum(paid), sum(refunded), sum(partners)
        FROM (SELECT * FROM here{others}) GROUP BY 1, 2 ORDER BY {order} LIMIT $limit"""
    rows = _rows(connection, sql, {**span.parameters(), "own": own, "limit": limit})
    return [Revenue(key, currency, int(paid), int(back), int(others)) for key, currency, paid, back, others in rows]


def countries(connection: Connection, span: Span, limit: int) -> list[Country]:
    """What visitors of this site did, by their country; `` is for those whose country is not known."""
    sql = f"""
        WITH stories AS (
            SELECT reservation_id, count(*) FILTER (kind = 'reservation_reserved') > 0 AS sold, max(country) AS country
            FROM site_events WHERE reservation_id IS NOT NULL GROUP BY 1
        ),
        told AS (
            SELECT e.*, coalesce(e.country, s.country, '') AS key, s.sold AS ended_sold
            FROM site_events e LEFT JOIN stories s USING (reservation_id) WHERE {HAPPENED}
        )
        SELECT key, count(*) FILTER (kind = 'match_viewed'),
            coalesce(sum(quantity) FILTER (kind = 'reservation_submitted'), 0),
            coalesce(sum(quantity) FILTER (kind = 'reservation_reserved'), 0) AS sold,
            coalesce(sum(quantity) FILTER (kind IN ('reservation_cancelled', 'reservation_expired')), 0),
            count(DISTINCT reservation_id) FILTER (kind = 'reservation_submitted'),
            count(DISTINCT reservation_id) FILTER (kind = 'reservation_submitted' AND ended_sold)
        FROM told GROUP BY key ORDER BY sold DESC, key LIMIT $limit"""
    return [Country(*row) for row in _rows(connection, sql, {**span.parameters(), "limit": limit})]


def show_orders(connection: Connection) -> None:
    """Makes the table `orders`, which forecasts ask more than one question of: what counts is judged once for all."""
    connection.execute(f"""
        CREATE TEMP TABLE orders AS SELECT match_number, category, logged_at, counted FROM judged
        WHERE action = '{RESERVED}' AND counted > 0""")


def hours_of_day(connection: Connection, now: datetime) -> list[HourOfDay]:
    """The `orders` of all pools by hour of the last whole days; `now` in UTC without a zone.

    The last day ends now. A day that the log does not reach back to the beginning of has seen some hours longer than
    others, and so has, of its pool, the one in which that is sold out: they are left out.
    """
    sql = f"""
        WITH aged AS (
            SELECT *, CAST(floor(greatest(0, epoch($now) - epoch(logged_at)) / {DAY_SECONDS}) AS INTEGER) AS days_ago
            FROM orders
        ),
        sold_out AS (
            SELECT match_number, category, min(days_ago) AS days_ago
            FROM aged JOIN pools USING (match_number, category)
            GROUP BY match_number, category, capacity HAVING sum(counted) >= capacity
        ),
        whole AS (
            SELECT floor((epoch($now) - epoch(min(logged_at))) / {DAY_SECONDS}) AS days FROM ticket_messages
        )
        SELECT a.days_ago, hour(logged_at), count(*)
        FROM aged a LEFT JOIN sold_out s USING (match_number, category)
        WHERE a.days_ago > coalesce(s.days_ago, -1) AND a.days_ago < least({DAYS_MAX}, (SELECT days FROM whole))
        GROUP BY ALL"""
    return [HourOfDay(*row) for row in _rows(connection, sql, {"now": now})]


# When it was, in operational time, as `OperationalTime.of` has it.
_OPERATIONAL = f"""floor(epoch(logged_at) / {DAY_SECONDS}) * {DAY_SECONDS} + $before[hour(logged_at) + 1]
    + $paces[hour(logged_at) + 1] * (epoch(logged_at) % {HOUR_SECONDS})"""


def seen(connection: Connection, now: float, time: OperationalTime, match_number: int | None) -> list[Seen]:
    """The pools with what forecasts are made from, by the `orders`; `now` in operational time."""
    sql = f"""
        WITH weighed AS (
            SELECT match_number, category, counted,
                pow(0.5, greatest(0, $now - ({_OPERATIONAL})) / {HALF_LIFE_SECONDS}) AS weight
            FROM orders
        ),
        summed AS (
            SELECT match_number, category, sum(counted) AS sold, sum(weight) AS orders, sum(weight * counted) AS tickets
            FROM weighed GROUP BY ALL
        )
        SELECT p.match_number, p.category, p.capacity, coalesce(sold, 0), kick_off, coalesce(orders, 0),
            coalesce(tickets, 0), (SELECT min(logged_at) FROM ticket_messages)
        FROM pools p LEFT JOIN summed USING (match_number, category) LEFT JOIN matches USING (match_number)
        WHERE $number IS NULL OR p.match_number = $number ORDER BY 1, 2"""
    parameters = {"now": now, "number": match_number, "paces": list(time.paces), "before": list(time.before)}
    return [Seen(*row) for row in _rows(connection, sql, parameters)]


def summary(connection: Connection, own: str) -> Summary:
    """The few numbers that are watched."""
    sql = f"""
        WITH sums AS (
            SELECT match_number, category, sum(counted) FILTER (action = '{RESERVED}') AS sold,
                sum(counted) FILTER (action = '{RESERVED}' AND site = $own) AS own,
                sum(counted) FILTER (action = '{PENDING}') AS holds,
                sum(counted) FILTER (action = '{CANCELLED}') AS cancelled, max(logged_at) AS newest
            FROM judged GROUP BY ALL
        )
        SELECT coalesce(sum(own), 0), coalesce(sum(sold), 0) - coalesce(sum(own), 0), coalesce(sum(holds), 0),
            coalesce(sum(cancelled), 0), count(capacity), count(*) FILTER (sold >= capacity),
            count(*) FILTER (sold > capacity), max(newest)
        FROM pools FULL JOIN sums USING (match_number, category)"""
    (row,) = _rows(connection, sql, {"own": own})
    here, elsewhere, holds, cancelled, pools, sold_out, oversold = (int(number) for number in row[:-1])
    return Summary(here, elsewhere, holds, cancelled, pools, sold_out, oversold, row[-1])


def basis(connection: Connection, span: Span) -> Basis:
    """How far the lake reaches, and whether anything made up takes part in what lies within the span."""
    log, events = (
        tuple(Position(*row) for row in connection.execute(
            f'SELECT "partition", max("offset") + 1 FROM {table} GROUP BY 1 ORDER BY 1').fetchall())
        for table in ("ticket_messages", "site_events")
    )  # fmt: skip
    sql = f"""
        SELECT EXISTS (SELECT 1 FROM ticket_messages WHERE refused IS NULL AND site LIKE '{SYNTHETIC}' AND {WITHIN})
            OR EXISTS (SELECT 1 FROM site_events WHERE synthetic AND {HAPPENED})"""
    ((synthetic,),) = _rows(connection, sql, dict(span.parameters()))
    return Basis(log, events, bool(synthetic))
