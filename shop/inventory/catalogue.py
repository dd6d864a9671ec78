"""How the master list gets into the catalogue: descriptive fields are updated, counters never reset.

A pool's first capacity counts from the beginning of the sales log. Buyers see a later one at once; verdicts count it
from a fixed time after its publication, by the sales log's clock. So every site has read it before the first record
that it counts for, and a site that reads everything anew judges alike.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import orjson
from sqlalchemy import Connection, text

from shared.masterlist import MatchEntry, PoolEntry, parse_masterlist
from shared.wire import RawRecord, Refused
from shop.inventory import store
from shop.inventory.domain import Counters, Pool
from shop.inventory.positions import lock_position, move_position
from shop.inventory.records import keep_refused

CAPACITIES_MAX = 1000
CAPACITY_DELAY_MS = 10_000


def apply_masterlist(
    connection: Connection, topic: str, partition: int, start: int, end: int, raw_records: Sequence[RawRecord]
) -> int:
    """Applies a batch of the master list's topic, exactly once; returns how many records were refused.

    Raises `StalePosition` and changes nothing when the position is not `start`.
    """
    lock_position(connection, topic, partition, start)()
    refused = []
    for raw in raw_records:
        try:
            for entry in parse_masterlist(raw.value):
                apply_match(connection, entry, raw.timestamp)
        except Refused as reason:
            refused.append((raw, reason))
    keep_refused(connection, topic, partition, refused)
    move_position(connection, topic, partition, end, None)
    return len(refused)


def apply_match(connection: Connection, entry: MatchEntry, since_ms: int) -> None:
    """Writes one match and its pools; `since_ms` is when the organiser published it."""
    connection.execute(
        text(
            'INSERT INTO shop.matches (match_number, round_number, date_utc, location, home_team, away_team, "group")'
            " VALUES (:match_number, :round_number, :date_utc, :location, :home_team, :away_team, :group)"
            " ON CONFLICT (match_number) DO UPDATE SET round_number = excluded.round_number,"
            " date_utc = excluded.date_utc, location = excluded.location, home_team = excluded.home_team,"
            ' away_team = excluded.away_team, "group" = excluded."group"'
        ),
        {
            "match_number": entry.match_number,
            "round_number": entry.round_number,
            "date_utc": entry.date_utc,
            "location": entry.location,
            "home_team": entry.home_team,
            "away_team": entry.away_team,
            "group": entry.group,
        },
    )
    known = store.lock_pools(connection, [Pool(entry.match_number, pool.category) for pool in entry.pools])()
    for pool in entry.pools:
        _apply_pool(connection, entry.match_number, pool, known, since_ms)


def _apply_pool(
    connection: Connection, match_number: int, entry: PoolEntry, known: dict[Pool, Counters], since_ms: int
) -> None:
    pool = Pool(match_number, entry.category)
    counters = known.get(pool)
    capacities = [(0, entry.capacity)] if counters is None else _changed(counters, entry.capacity, since_ms)
    connection.execute(
        text(
            "INSERT INTO shop.pools (match_number, category, price, capacities)"
            " VALUES (:match_number, :category, :price, CAST(:capacities AS jsonb))"
            " ON CONFLICT (match_number, category) DO UPDATE"
            " SET price = excluded.price, capacities = excluded.capacities"
        ),
        {
            "match_number": match_number,
            "category": entry.category,
            "price": entry.price,
            "capacities": orjson.dumps(capacities).decode(),
        },
    )


def _changed(counters: Counters, capacity: int, since_ms: int) -> list[tuple[int, int]]:
    if counters.capacity == capacity:
        return counters.capacities
    since = max(since_ms + CAPACITY_DELAY_MS, counters.capacities[-1][0] + 1)
    # The oldest changes are forgotten last: the first capacity is what a recount begins with.
    kept = counters.capacities
    if len(kept) >= CAPACITIES_MAX:
        kept = [kept[0], *kept[2:]]
    return [*kept, (since, capacity)]


def find_match(connection: Connection, match_number: int) -> MatchEntry | None:
    """A match as the master list described it last, without its pools."""
    row = connection.execute(
        text(
            'SELECT match_number, round_number, date_utc, location, home_team, away_team, "group"'
            " FROM shop.matches WHERE match_number = :match_number"
        ),
        {"match_number": match_number},
    ).one_or_none()
    if row is None:
        return None
    number, round_number, date_utc, location, home_team, away_team, group = row
    return MatchEntry(number, round_number, date_utc, location, home_team, away_team, group, ())


def begun_matches(connection: Connection, now: datetime) -> list[int]:
    """The numbers of matches whose kick-off is over."""
    statement = "SELECT match_number FROM shop.matches WHERE date_utc <= :now ORDER BY match_number"
    return list(connection.execute(text(statement), {"now": now}).scalars())


def find_price(connection: Connection, pool: Pool) -> Decimal | None:
    """What a ticket of the pool costs now, in major units; None when there is no such pool."""
    statement = "SELECT price FROM shop.pools WHERE match_number = :match_number AND category = :category"
    return connection.execute(text(statement), pool._asdict()).scalar_one_or_none()


def has_matches(connection: Connection) -> bool:
    """Whether the master list has brought any match yet."""
    return bool(connection.execute(text("SELECT EXISTS (SELECT FROM shop.matches)")).scalar_one())
