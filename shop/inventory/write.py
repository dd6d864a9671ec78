"""Writes of the counters: connection first, domain objects in, each kind in one statement, never a commit."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from shared.database import tell
from shop.inventory.domain import AnonymousHold, Counters, Evidence, Sale
from shop.inventory.store import pool_arrays

WRITE_POOLS = """
    UPDATE shop.pools p SET held = n.held, sold = n.sold, log_held = n.log_held, log_sold = n.log_sold
      FROM unnest(%(match_numbers)s::int[], %(categories)s::int[], %(held)s::bigint[], %(sold)s::bigint[],
                  %(log_held)s::bigint[], %(log_sold)s::bigint[])
        AS n (match_number, category, held, sold, log_held, log_sold)
     WHERE p.match_number = n.match_number AND p.category = n.category
"""
INSERT_SALES = """
    INSERT INTO shop.sales (client_id, sale_id, match_number, category, quantity, follows, state, log_state,
                            log_held, log_sold, born_ms, partition, "offset", expires_at)
    SELECT * FROM unnest(%(client_ids)s::text[], %(sale_ids)s::text[], %(match_numbers)s::int[], %(categories)s::int[],
        %(quantities)s::int[], %(follows)s::text[], %(states)s::text[], %(log_states)s::text[], %(log_held)s::int[],
        %(log_sold)s::int[], %(born_ms)s::bigint[], %(partitions)s::int[], %(offsets)s::bigint[],
        %(expires_at)s::timestamptz[])
"""
UPDATE_SALES = """
    UPDATE shop.sales s SET state = n.state, log_state = n.log_state, log_held = n.log_held, log_sold = n.log_sold,
           born_ms = n.born_ms, partition = n.partition, "offset" = n.place
      FROM unnest(%(client_ids)s::text[], %(sale_ids)s::text[], %(match_numbers)s::int[], %(categories)s::int[],
                  %(states)s::text[], %(log_states)s::text[], %(log_held)s::int[], %(log_sold)s::int[],
                  %(born_ms)s::bigint[], %(partitions)s::int[], %(offsets)s::bigint[])
        AS n (client_id, sale_id, match_number, category, state, log_state, log_held, log_sold, born_ms, partition,
              place)
     WHERE s.client_id = n.client_id AND s.sale_id = n.sale_id
       AND s.match_number = n.match_number AND s.category = n.category
"""
INSERT_HOLDS = """
    INSERT INTO shop.anonymous_holds (match_number, category, quantity, born_ms, partition, "offset")
    SELECT * FROM unnest(%(match_numbers)s::int[], %(categories)s::int[], %(quantities)s::int[], %(born_ms)s::bigint[],
                         %(partitions)s::int[], %(offsets)s::bigint[])
"""
UPDATE_HOLDS = """
    UPDATE shop.anonymous_holds a SET quantity = n.quantity
      FROM unnest(%(ids)s::bigint[], %(quantities)s::int[]) AS n (id, quantity) WHERE a.id = n.id
"""
INSERT_EVIDENCE = """
    INSERT INTO shop.evidence (kind, partition, "offset", client_id, sale_id, match_number, category, quantity, detail)
    SELECT * FROM unnest(%(kinds)s::text[], %(partitions)s::int[], %(offsets)s::bigint[], %(client_ids)s::text[],
        %(sale_ids)s::text[], %(match_numbers)s::int[], %(categories)s::int[], %(quantities)s::int[],
        %(details)s::text[])
"""

COUNT_SOLD = """
    INSERT INTO shop.sold_by_minute AS m (minute, client_id, tickets)
    SELECT * FROM unnest(%(minutes)s::bigint[], %(client_ids)s::text[], %(tickets)s::bigint[])
        ON CONFLICT (minute, client_id) DO UPDATE SET tickets = m.tickets + excluded.tickets
"""


def write_pools(connection: Connection, pools: Iterable[Counters]) -> None:
    """Writes the four numbers of locked pools."""
    listed = list(pools)
    if listed:
        values = pool_arrays(counters.pool for counters in listed)
        for name in ("held", "sold", "log_held", "log_sold"):
            values[name] = [getattr(counters, name) for counters in listed]
        tell(connection, WRITE_POOLS, values)


def insert_sales(connection: Connection, sales: Sequence[Sale]) -> None:
    """Writes new sales."""
    if sales:
        values = _sale_arrays(sales)
        values["quantities"] = [sale.quantity for sale in sales]
        values["follows"] = [sale.follows.value for sale in sales]
        values["expires_at"] = [sale.expires_at for sale in sales]
        tell(connection, INSERT_SALES, values)


def update_sales(connection: Connection, sales: Sequence[Sale]) -> None:
    """Writes what can change of sales that exist."""
    if sales:
        tell(connection, UPDATE_SALES, _sale_arrays(sales))


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
        values = pool_arrays(held.pool for held in left)
        values["quantities"] = [held.quantity for held in left]
        values["born_ms"] = [held.born_ms for held in left]
        values["partitions"] = [held.partition for held in left]
        values["offsets"] = [held.offset for held in left]
        tell(connection, INSERT_HOLDS, values)


def update_anonymous_holds(connection: Connection, holds: Sequence[AnonymousHold]) -> None:
    """Writes what is left of anonymous holds that exist; those used up go."""
    gone = [held.id for held in holds if held.quantity == 0]
    left = [held for held in holds if held.quantity > 0]
    if gone:
        tell(connection, "DELETE FROM shop.anonymous_holds WHERE id = ANY(%(ids)s::bigint[])", {"ids": gone})
    if left:
        values = {"ids": [held.id for held in left], "quantities": [held.quantity for held in left]}
        tell(connection, UPDATE_HOLDS, values)


def insert_evidence(connection: Connection, evidence: Sequence[Evidence]) -> None:
    """Keeps what an operator should know, with the record that shows it."""
    if evidence:
        values = pool_arrays(item.pool for item in evidence)
        values["kinds"] = [item.kind for item in evidence]
        values["partitions"] = [item.partition for item in evidence]
        values["offsets"] = [item.offset for item in evidence]
        values["client_ids"] = [item.client_id for item in evidence]
        values["sale_ids"] = [item.sale_id for item in evidence]
        values["quantities"] = [item.quantity for item in evidence]
        values["details"] = [item.detail for item in evidence]
        tell(connection, INSERT_EVIDENCE, values)


def count_sold(connection: Connection, sold: Mapping[tuple[int, str], int]) -> None:
    """Adds tickets sold, by (minute of the log's clock, who sold them)."""
    if sold:
        values = {
            "minutes": [minute for minute, _ in sold],
            "client_ids": [client_id for _, client_id in sold],
            "tickets": list(sold.values()),
        }
        tell(connection, COUNT_SOLD, values)
