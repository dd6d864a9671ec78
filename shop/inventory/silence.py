"""After a silence: what a site writes before a hold, so that the hold is born now and not hours ago.

One record moves the log's clock by an hour at most. A hold that is the first record after a night would be born with a
clock that is hours behind, and the next records would end it long before its buyer has paid. So a submit first writes
holds of one ticket that it gives back at once: two records each, which every site counts and forgets.
"""

import uuid
from collections.abc import Iterable

from sqlalchemy import Connection

from shared.kafka.partitions import partition_of
from shared.wire import pool_key
from shop.inventory.domain import HOUR_MS, Follows, Pool, Sale, SaleKey, State
from shop.inventory.positions import read_clocks

PAIRS_MAX = 400  # a month; after a longer silence the first holds may end early, as those of others do


def pairs_needed(clock_ms: int | None, now_ms: int) -> int:
    """How many pairs of records must stand before one that is to bring the clock to `now_ms`."""
    if clock_ms is None:
        return 0
    hours = -((clock_ms - now_ms) // HOUR_MS)
    return min(PAIRS_MAX, max(0, hours) // 2)


def of_pools(connection: Connection, topic: str, pools: Iterable[Pool], now_ms: int) -> dict[Pool, int]:
    """The pairs that the first hold of these pools needs, by pool; of pools in one partition the first has them."""
    clocks = read_clocks(connection, topic)
    first = {partition_of(pool_key(*pool), list(clocks)): pool for pool in reversed(list(pools))} if clocks else {}
    return {pool: pairs_needed(clocks[partition], now_ms) for partition, pool in first.items()}


def passing(hold: Sale) -> Sale:
    """A hold of one ticket in the same pool that is over already."""
    key = SaleKey(hold.key.client_id, str(uuid.uuid4()), hold.key.pool)
    return Sale(key, 1, Follows.SITE, State.CANCELLED, expires_at=hold.expires_at)
