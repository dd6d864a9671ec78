"""Row-locked reads of the counters: connection first, domain objects out, never a commit.

Pools are always locked before sales, and in the order of their keys, so that two transactions cannot wait for each
other in a circle. What a batch reads together is returned as a function that waits for it (see `shared.database.ask`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from shared.database import Rows, ask
from shop.inventory.domain import HOUR_MS, AnonymousHold, Counters, Follows, Pool, Sale, SaleKey, State

SALE_COLUMNS = (
    "s.client_id, s.sale_id, s.match_number, s.category, s.quantity, s.follows, s.state, s.log_state,"
    ' s.log_held, s.log_sold, s.born_ms, s.partition, s."offset", s.expires_at'
)
HOLD_COLUMNS = 'a.match_number, a.category, a.quantity, a.born_ms, a.partition, a."offset", a.id'
POOL_COLUMNS = "p.match_number, p.category, p.price, p.capacities, p.held, p.sold, p.log_held, p.log_sold"
POOL_KEYS = "unnest(%(match_numbers)s::int[], %(categories)s::int[]) AS k (match_number, category)"

# A hold that the log's clock would outlive if a record were written now, and that the site's counter still counts.
RELEASABLE = """
    SELECT s.match_number, s.category, s.log_held AS quantity
      FROM shop.sales s JOIN shop.log_positions l ON l.topic = %(topic)s AND l.partition = s.partition
     WHERE s.log_held > 0 AND (s.follows = 'log' OR s.follows = 'site' AND s.state IN ('submitted', 'held'))
       AND s.born_ms + %(hold_ms)s <= least(extract(epoch FROM now()) * 1000, l.clock_ms + %(hour_ms)s)
    UNION ALL
    SELECT a.match_number, a.category, a.quantity
      FROM shop.anonymous_holds a JOIN shop.log_positions l ON l.topic = %(topic)s AND l.partition = a.partition
     WHERE a.born_ms + %(hold_ms)s <= least(extract(epoch FROM now()) * 1000, l.clock_ms + %(hour_ms)s)
"""

LOCK_POOLS = f"""
    SELECT {POOL_COLUMNS} FROM shop.pools p JOIN {POOL_KEYS} USING (match_number, category)
     ORDER BY p.match_number, p.category FOR UPDATE OF p
"""
LOCK_TOUCHED_POOLS = f"""
    SELECT {POOL_COLUMNS} FROM shop.pools p JOIN (
        SELECT match_number, category FROM {POOL_KEYS}
         UNION SELECT match_number, category FROM shop.sales
                WHERE log_held > 0 AND partition = %(partition)s AND born_ms <= %(outlived_ms)s
         UNION SELECT match_number, category FROM shop.anonymous_holds
                WHERE partition = %(partition)s AND born_ms <= %(outlived_ms)s
    ) t USING (match_number, category) ORDER BY p.match_number, p.category FOR UPDATE OF p
"""
BATCH_SALES = f"""
    SELECT {SALE_COLUMNS} FROM shop.sales s
     WHERE s.log_held > 0 AND s.partition = %(partition)s AND s.born_ms <= %(outlived_ms)s
     UNION SELECT {SALE_COLUMNS} FROM shop.sales s
      JOIN unnest(%(client_ids)s::text[], %(sale_ids)s::text[]) AS k (client_id, sale_id) USING (client_id, sale_id)
     ORDER BY born_ms, "offset"
"""
BATCH_HOLDS = f"""
    SELECT {HOLD_COLUMNS} FROM shop.anonymous_holds a
     WHERE a.partition = %(partition)s AND a.born_ms <= %(outlived_ms)s
     UNION SELECT {HOLD_COLUMNS}
      FROM unnest(%(match_numbers)s::int[], %(categories)s::int[], %(needs)s::int[]) AS k (match_number, category, need)
     CROSS JOIN LATERAL (
        SELECT * FROM shop.anonymous_holds h
         WHERE h.match_number = k.match_number AND h.category = k.category
           AND NOT (h.partition = %(partition)s AND h.born_ms <= %(outlived_ms)s)
         ORDER BY h.born_ms, h.id LIMIT k.need) a
     ORDER BY born_ms, id
"""


def pool_arrays(pools: Iterable[Pool]) -> dict[str, Any]:
    """Pools as the arrays that a statement takes."""
    listed = list(pools)
    return {
        "match_numbers": [pool.match_number for pool in listed],
        "categories": [pool.category for pool in listed],
    }


def _pools(rows: Rows) -> dict[Pool, Counters]:
    found = {}
    for match_number, category, price, capacities, *numbers in rows:
        pool = Pool(match_number, category)
        found[pool] = Counters(pool, price, [(since, capacity) for since, capacity in capacities], *numbers)
    return found


def _sales(rows: Rows) -> list[Sale]:
    return [_sale(row) for row in rows]


def _sale(row: tuple[Any, ...]) -> Sale:
    log_state = None if row[7] is None else State(row[7])
    key = SaleKey(row[0], row[1], Pool(row[2], row[3]))
    return Sale(key, row[4], Follows(row[5]), State(row[6]), log_state, *row[8:14])


def _holds(rows: Rows) -> list[AnonymousHold]:
    return [AnonymousHold(Pool(row[0], row[1]), *row[2:]) for row in rows]


def lock_pools(connection: Connection, pools: Iterable[Pool]) -> Callable[[], dict[Pool, Counters]]:
    """The named pools that exist, locked until the transaction ends."""
    return ask(connection, LOCK_POOLS, pool_arrays(pools), _pools)


def lock_touched_pools(
    connection: Connection, pools: Iterable[Pool], partition: int, outlived_ms: int
) -> Callable[[], dict[Pool, Counters]]:
    """The named pools, and those with a hold of the partition born at `outlived_ms` or before, locked."""
    values = pool_arrays(pools) | {"partition": partition, "outlived_ms": outlived_ms}
    return ask(connection, LOCK_TOUCHED_POOLS, values, _pools)


def read_pools(connection: Connection) -> dict[Pool, Counters]:
    """Every pool, unlocked."""
    return ask(connection, f"SELECT {POOL_COLUMNS} FROM shop.pools p", {}, _pools)()


def known_matches(connection: Connection, match_numbers: Iterable[int]) -> set[int]:
    """Which of the match numbers the master list has."""
    statement = "SELECT match_number FROM shop.matches WHERE match_number = ANY(%(match_numbers)s::int[])"
    return ask(connection, statement, {"match_numbers": list(match_numbers)}, lambda rows: {row[0] for row in rows})()


def releasable(connection: Connection, pools: Iterable[Pool], topic: str, hold_ms: int) -> dict[Pool, int]:
    """Tickets of these pools whose hold a record written now would release."""
    statement = (
        f"SELECT match_number, category, sum(quantity) FROM ({RELEASABLE}) r"
        f" JOIN {POOL_KEYS} USING (match_number, category) GROUP BY 1, 2"
    )
    values = pool_arrays(pools) | {"topic": topic, "hold_ms": hold_ms, "hour_ms": HOUR_MS}
    return ask(connection, statement, values, lambda rows: {Pool(row[0], row[1]): int(row[2]) for row in rows})()


def find_sales(connection: Connection, client_id: str, sale_ids: Sequence[str]) -> Callable[[], dict[str, Sale]]:
    """This site's own sales by id (each is in one pool). Lock the pool first to keep what is read true."""
    statement = (
        f"SELECT {SALE_COLUMNS} FROM shop.sales s"
        " WHERE s.client_id = %(client_id)s AND s.sale_id = ANY(%(sale_ids)s::text[])"
    )
    values = {"client_id": client_id, "sale_ids": list(sale_ids)}
    return ask(connection, statement, values, lambda rows: {row[1]: _sale(row) for row in rows})


def read_own_sales(connection: Connection) -> list[Sale]:
    """All sales of this site's own buyers, unlocked."""
    return ask(connection, f"SELECT {SALE_COLUMNS} FROM shop.sales s WHERE follows = 'site'", {}, _sales)()


def batch_sales(
    connection: Connection, names: Iterable[tuple[str, str]], partition: int, outlived_ms: int
) -> Callable[[], list[Sale]]:
    """The sales named by (client id, sale id), and those that the partition's clock outlives; oldest first."""
    listed = list(names)
    values = {
        "client_ids": [client_id for client_id, _ in listed],
        "sale_ids": [sale_id for _, sale_id in listed],
        "partition": partition,
        "outlived_ms": outlived_ms,
    }
    return ask(connection, BATCH_SALES, values, _sales)


def batch_anonymous_holds(
    connection: Connection, needs: dict[Pool, int], partition: int, outlived_ms: int
) -> Callable[[], list[AnonymousHold]]:
    """Of each pool the holds that the clock outlives and as many of the oldest others as could be used up."""
    values = pool_arrays(needs) | {
        "needs": list(needs.values()),
        "partition": partition,
        "outlived_ms": outlived_ms,
    }
    return ask(connection, BATCH_HOLDS, values, _holds)
