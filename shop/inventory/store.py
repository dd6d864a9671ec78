"""Row-locked statements of the counters: connection first, domain objects in and out, never a commit.

Pools are always locked before sales, and in the order of their keys, so that two transactions cannot wait for each
other in a circle.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, text

from shop.inventory.domain import (
    HOUR_MS,
    AnonymousHold,
    Counters,
    Evidence,
    Follows,
    Pool,
    Sale,
    SaleKey,
    State,
)

SALE_COLUMNS = (
    "s.client_id, s.sale_id, s.match_number, s.category, s.quantity, s.follows, s.state, s.log_state,"
    ' s.log_held, s.log_sold, s.born_ms, s.partition, s."offset", s.expires_at'
)
POOL_COLUMNS = "p.match_number, p.category, p.price, p.capacities, p.held, p.sold, p.log_held, p.log_sold"
POOL_ARRAYS = "unnest(CAST(:match_numbers AS int[]), CAST(:categories AS int[]))"

# A hold that the log's clock would outlive if a record were written now, and that the site's counter still counts.
RELEASABLE = """
    SELECT s.match_number, s.category, s.log_held AS quantity
      FROM shop.sales s JOIN shop.log_positions l ON l.topic = :topic AND l.partition = s.partition
     WHERE s.log_held > 0 AND (s.follows = 'log' OR s.follows = 'site' AND s.state IN ('submitted', 'held'))
       AND s.born_ms + :hold_ms <= least(extract(epoch FROM now()) * 1000, l.clock_ms + :hour_ms)
    UNION ALL
    SELECT a.match_number, a.category, a.quantity
      FROM shop.anonymous_holds a JOIN shop.log_positions l ON l.topic = :topic AND l.partition = a.partition
     WHERE a.born_ms + :hold_ms <= least(extract(epoch FROM now()) * 1000, l.clock_ms + :hour_ms)
"""


def _pool_arrays(pools: Iterable[Pool]) -> dict[str, list[int]]:
    listed = list(pools)
    return {
        "match_numbers": [pool.match_number for pool in listed],
        "categories": [pool.category for pool in listed],
    }


def _counters(row: Any) -> Counters:
    capacities = [(int(since), int(capacity)) for since, capacity in row[3]]
    return Counters(Pool(row[0], row[1]), row[2], capacities, row[4], row[5], row[6], row[7])


def _sale(row: Any) -> Sale:
    log_state = None if row[7] is None else State(row[7])
    key = SaleKey(row[0], row[1], Pool(row[2], row[3]))
    return Sale(key, row[4], Follows(row[5]), State(row[6]), log_state, *row[8:14])


def lock_pools(connection: Connection, pools: Iterable[Pool]) -> dict[Pool, Counters]:
    """The named pools that exist, locked until the transaction ends."""
    rows = connection.execute(
        text(
            f"SELECT {POOL_COLUMNS} FROM shop.pools p JOIN {POOL_ARRAYS} AS k (match_number, category)"
            " USING (match_number, category) ORDER BY p.match_number, p.category FOR UPDATE OF p"
        ),
        _pool_arrays(pools),
    )
    return {counters.pool: counters for counters in map(_counters, rows)}


def lock_touched_pools(
    connection: Connection, pools: Iterable[Pool], partition: int, outlived_ms: int
) -> dict[Pool, Counters]:
    """The named pools, and those with a hold of the partition born at `outlived_ms` or before, locked."""
    rows = connection.execute(
        text(
            f"SELECT {POOL_COLUMNS} FROM shop.pools p JOIN (SELECT * FROM {POOL_ARRAYS} AS k (match_number, category)"
            " UNION SELECT match_number, category FROM shop.sales"
            "  WHERE log_held > 0 AND partition = :partition AND born_ms <= :outlived_ms"
            " UNION SELECT match_number, category FROM shop.anonymous_holds"
            "  WHERE partition = :partition AND born_ms <= :outlived_ms) k USING (match_number, category)"
            " ORDER BY p.match_number, p.category FOR UPDATE OF p"
        ),
        _pool_arrays(pools) | {"partition": partition, "outlived_ms": outlived_ms},
    )
    return {counters.pool: counters for counters in map(_counters, rows)}


def read_pools(connection: Connection) -> dict[Pool, Counters]:
    """Every pool, unlocked."""
    rows = connection.execute(text(f"SELECT {POOL_COLUMNS} FROM shop.pools p"))
    return {counters.pool: counters for counters in map(_counters, rows)}


def known_matches(connection: Connection, match_numbers: Iterable[int]) -> set[int]:
    """Which of the match numbers the master list has."""
    rows = connection.execute(
        text("SELECT match_number FROM shop.matches WHERE match_number = ANY(CAST(:match_numbers AS int[]))"),
        {"match_numbers": list(match_numbers)},
    )
    return {row[0] for row in rows}


def write_pools(connection: Connection, pools: Iterable[Counters]) -> None:
    """Writes the four numbers of locked pools."""
    listed = list(pools)
    if not listed:
        return
    values = _pool_arrays(counters.pool for counters in listed)
    for name in ("held", "sold", "log_held", "log_sold"):
        values[name] = [getattr(counters, name) for counters in listed]
    connection.execute(
        text(
            "UPDATE shop.pools p SET held = n.held, sold = n.sold, log_held = n.log_held, log_sold = n.log_sold"
            " FROM unnest(CAST(:match_numbers AS int[]), CAST(:categories AS int[]), CAST(:held AS bigint[]),"
            " CAST(:sold AS bigint[]), CAST(:log_held AS bigint[]), CAST(:log_sold AS bigint[]))"
            " AS n (match_number, category, held, sold, log_held, log_sold)"
            " WHERE p.match_number = n.match_number AND p.category = n.category"
        ),
        values,
    )


def releasable(connection: Connection, pools: Iterable[Pool], topic: str, hold_ms: int) -> dict[Pool, int]:
    """Tickets of these pools whose hold a record written now would release."""
    rows = connection.execute(
        text(
            f"SELECT match_number, category, sum(quantity) FROM ({RELEASABLE}) r"
            f" JOIN {POOL_ARRAYS} AS k (match_number, category) USING (match_number, category) GROUP BY 1, 2"
        ),
        _pool_arrays(pools) | {"topic": topic, "hold_ms": hold_ms, "hour_ms": HOUR_MS},
    )
    return {Pool(row[0], row[1]): int(row[2]) for row in rows}


def find_sales(connection: Connection, client_id: str, sale_ids: Sequence[str]) -> dict[str, Sale]:
    """This site's own sales by id (each is in one pool). Lock the pool first to keep what is read true."""
    rows = connection.execute(
        text(
            f"SELECT {SALE_COLUMNS} FROM shop.sales s WHERE s.client_id = :client_id"
            " AND s.sale_id = ANY(CAST(:sale_ids AS text[]))"
        ),
        {"client_id": client_id, "sale_ids": list(sale_ids)},
    )
    return {sale.key.sale_id: sale for sale in map(_sale, rows)}


def read_own_sales(connection: Connection) -> list[Sale]:
    """All sales of this site's own buyers, unlocked."""
    return [
        _sale(row)
        for row in connection.execute(text(f"SELECT {SALE_COLUMNS} FROM shop.sales s WHERE follows = 'site'"))
    ]


def batch_sales(
    connection: Connection, names: Iterable[tuple[str, str]], partition: int, outlived_ms: int
) -> list[Sale]:
    """The sales named by (client id, sale id), and those that the partition's clock outlives; oldest first."""
    listed = list(names)
    rows = connection.execute(
        text(
            f"SELECT {SALE_COLUMNS} FROM shop.sales s"
            " WHERE s.log_held > 0 AND s.partition = :partition AND s.born_ms <= :outlived_ms"
            f" UNION SELECT {SALE_COLUMNS} FROM shop.sales s"
            " JOIN unnest(CAST(:client_ids AS text[]), CAST(:sale_ids AS text[])) AS k (client_id, sale_id)"
            ' USING (client_id, sale_id) ORDER BY born_ms, "offset"'
        ),
        {
            "client_ids": [client_id for client_id, _ in listed],
            "sale_ids": [sale_id for _, sale_id in listed],
            "partition": partition,
            "outlived_ms": outlived_ms,
        },
    )
    return [_sale(row) for row in rows]


def batch_anonymous_holds(
    connection: Connection, needs: dict[Pool, int], partition: int, outlived_ms: int
) -> list[AnonymousHold]:
    """Of each pool the holds that the clock outlives and as many of the oldest others as could be used up."""
    values: dict[str, Any] = _pool_arrays(needs)
    values |= {"needs": list(needs.values()), "partition": partition, "outlived_ms": outlived_ms}
    rows = connection.execute(
        text(
            'SELECT match_number, category, quantity, born_ms, partition, "offset", id FROM shop.anonymous_holds'
            " WHERE partition = :partition AND born_ms <= :outlived_ms"
            ' UNION SELECT a.match_number, a.category, a.quantity, a.born_ms, a.partition, a."offset", a.id'
            " FROM unnest(CAST(:match_numbers AS int[]), CAST(:categories AS int[]), CAST(:needs AS int[]))"
            " AS k (match_number, category, need) CROSS JOIN LATERAL (SELECT * FROM shop.anonymous_holds h"
            "  WHERE h.match_number = k.match_number AND h.category = k.category"
            "  AND NOT (h.partition = :partition AND h.born_ms <= :outlived_ms)"
            "  ORDER BY h.born_ms, h.id LIMIT k.need) a ORDER BY born_ms, id"
        ),
        values,
    )
    return [AnonymousHold(Pool(row[0], row[1]), row[2], row[3], row[4], row[5], row[6]) for row in rows]


def insert_sales(connection: Connection, sales: Sequence[Sale]) -> None:
    """Writes new sales."""
    if sales:
        connection.execute(
            text(
                "INSERT INTO shop.sales (client_id, sale_id, match_number, category, quantity, follows, state,"
                ' log_state, log_held, log_sold, born_ms, partition, "offset", expires_at) SELECT * FROM unnest('
                "CAST(:client_ids AS text[]), CAST(:sale_ids AS text[]), CAST(:match_numbers AS int[]),"
                " CAST(:categories AS int[]), CAST(:quantities AS int[]), CAST(:follows AS text[]),"
                " CAST(:states AS text[]), CAST(:log_states AS text[]), CAST(:log_held AS int[]),"
                " CAST(:log_sold AS int[]), CAST(:born_ms AS bigint[]), CAST(:partitions AS int[]),"
                " CAST(:offsets AS bigint[]), CAST(:expires_at AS timestamptz[]))"
            ),
            _sale_arrays(sales)
            | {
                "expires_at": [sale.expires_at for sale in sales],
                "quantities": [sale.quantity for sale in sales],
                "follows": [sale.follows.value for sale in sales],
            },
        )


def update_sales(connection: Connection, sales: Sequence[Sale]) -> None:
    """Writes what can change of sales that exist."""
    if sales:
        connection.execute(
            text(
                "UPDATE shop.sales s SET state = n.state, log_state = n.log_state, log_held = n.log_held,"
                ' log_sold = n.log_sold, born_ms = n.born_ms, partition = n.partition, "offset" = n.place FROM unnest('
                "CAST(:client_ids AS text[]), CAST(:sale_ids AS text[]), CAST(:match_numbers AS int[]),"
                " CAST(:categories AS int[]), CAST(:states AS text[]), CAST(:log_states AS text[]),"
                " CAST(:log_held AS int[]), CAST(:log_sold AS int[]), CAST(:born_ms AS bigint[]),"
                " CAST(:partitions AS int[]), CAST(:offsets AS bigint[])) AS n (client_id, sale_id, match_number,"
                " category, state, log_state, log_held, log_sold, born_ms, partition, place)"
                " WHERE s.client_id = n.client_id AND s.sale_id = n.sale_id"
                " AND s.match_number = n.match_number AND s.category = n.category"
            ),
            _sale_arrays(sales),
        )


def _sale_arrays(sales: Sequence[Sale]) -> dict[str, list[Any]]:
    return {
        "client_ids": [sale.key.client_id for sale in sales],
        "sale_ids": [sale.key.sale_id for sale in sales],
        "match_numbers": [sale.key.pool.match_number for sale in sales],
        "categories": [sale.key.pool.category for sale in sales],
        "states": [sale.state.value for sale in sales],
        "log_states": [None if sale.log_state is None else sale.log_state.value for sale in sales],
        "log_held": [sale.log_held for sale in sales],
        "log_sold": [sale.log_sold for sale in sales],
        "born_ms": [sale.born_ms for sale in sales],
        "partitions": [sale.partition for sale in sales],
        "offsets": [sale.offset for sale in sales],
    }


def insert_anonymous_holds(connection: Connection, holds: Sequence[AnonymousHold]) -> None:
    """Writes what is left of new anonymous holds."""
    left = [held for held in holds if held.quantity > 0]
    if left:
        connection.execute(
            text(
                'INSERT INTO shop.anonymous_holds (match_number, category, quantity, born_ms, partition, "offset")'
                " SELECT * FROM unnest(CAST(:match_numbers AS int[]), CAST(:categories AS int[]),"
                " CAST(:quantities AS int[]), CAST(:born_ms AS bigint[]), CAST(:partitions AS int[]),"
                " CAST(:offsets AS bigint[]))"
            ),
            _pool_arrays(held.pool for held in left)
            | {
                "quantities": [held.quantity for held in left],
                "born_ms": [held.born_ms for held in left],
                "partitions": [held.partition for held in left],
                "offsets": [held.offset for held in left],
            },
        )


def update_anonymous_holds(connection: Connection, holds: Sequence[AnonymousHold]) -> None:
    """Writes what is left of anonymous holds that exist; those used up go."""
    gone = [held.id for held in holds if held.quantity == 0]
    left = [held for held in holds if held.quantity > 0]
    if gone:
        connection.execute(
            text("DELETE FROM shop.anonymous_holds WHERE id = ANY(CAST(:ids AS bigint[]))"), {"ids": gone}
        )
    if left:
        connection.execute(
            text(
                "UPDATE shop.anonymous_holds a SET quantity = n.quantity"
                " FROM unnest(CAST(:ids AS bigint[]), CAST(:quantities AS int[])) AS n (id, quantity)"
                " WHERE a.id = n.id"
            ),
            {"ids": [held.id for held in left], "quantities": [held.quantity for held in left]},
        )


def insert_evidence(connection: Connection, evidence: Sequence[Evidence]) -> None:
    """Keeps what an operator should know, with the record that shows it."""
    if evidence:
        connection.execute(
            text(
                'INSERT INTO shop.evidence (kind, partition, "offset", client_id, sale_id, match_number, category,'
                " quantity, detail) SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:partitions AS int[]),"
                " CAST(:offsets AS bigint[]), CAST(:client_ids AS text[]), CAST(:sale_ids AS text[]),"
                " CAST(:match_numbers AS int[]), CAST(:categories AS int[]), CAST(:quantities AS int[]),"
                " CAST(:details AS text[]))"
            ),
            _pool_arrays(item.pool for item in evidence)
            | {
                "kinds": [item.kind for item in evidence],
                "partitions": [item.partition for item in evidence],
                "offsets": [item.offset for item in evidence],
                "client_ids": [item.client_id for item in evidence],
                "sale_ids": [item.sale_id for item in evidence],
                "quantities": [item.quantity for item in evidence],
                "details": [item.detail for item in evidence],
            },
        )


def group_by_pool(holds: Iterable[AnonymousHold]) -> dict[Pool, deque[AnonymousHold]]:
    """First in, first out, a pool."""
    grouped: dict[Pool, deque[AnonymousHold]] = defaultdict(deque)
    for held in holds:
        grouped[held.pool].append(held)
    return grouped
