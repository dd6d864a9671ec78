"""What the shop reads. The numbers come from `shop.inventory` and `shop.listings`; nothing is written here."""

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, text

from shop.domain import LogPosition, Match, Offered, Shelf, ShownPool, shown, stage_of
from shop.inventory import store as inventory
from shop.inventory.venues import VENUES
from shop.listings import store as listings

CITIES = {stadium: venue.city for stadium, venue in VENUES.items()}


def read_shelf(connection: Connection, topic: str, hold_ms: int) -> Shelf:
    """All matches with their pools and the log's position, to be read in one repeatable transaction."""
    pools = inventory.read_pools(connection)
    releasable = inventory.releasable(connection, pools, topic, hold_ms)
    by_match: dict[int, list[ShownPool]] = defaultdict(list)
    for pool in sorted(pools):
        by_match[pool.match_number].append(shown(pools[pool], releasable.get(pool, 0)))
    offered = listings.count_open(connection)
    rows = connection.execute(
        text(
            'SELECT match_number, round_number, date_utc, location, home_team, away_team, "group"'
            " FROM shop.matches ORDER BY match_number"
        )
    )
    matches = (_match(row, tuple(by_match[row[0]]), offered.get(row[0])) for row in rows)
    return Shelf(tuple(matches), _as_of(connection, topic))


def _match(row: Any, pools: tuple[ShownPool, ...], offered: Offered | None) -> Match:
    stage = stage_of(row.round_number, row.group, row.home_team)
    city = CITIES.get(row.location)
    return Match(
        row.match_number, row.round_number, stage, row.date_utc, row.location, city,
        row.home_team, row.away_team, row.group, pools, offered,
    )  # fmt: skip


def _as_of(connection: Connection, topic: str) -> LogPosition | None:
    # One partition is the rule, since each pool needs one total order; of several the first is told.
    row = connection.execute(
        text("SELECT partition, next_offset FROM shop.log_positions WHERE topic = :topic ORDER BY partition LIMIT 1"),
        {"topic": topic},
    ).one_or_none()
    return None if row is None else LogPosition(topic, row.partition, row.next_offset - 1)
