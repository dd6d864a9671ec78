"""Synthetic data straight into a lake, for training and tests: one commit a table, and the same run never twice."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from analytics.generator.records import TicketRecord, Told
from analytics.generator.world import VENUES
from analytics.lake.lake import Lake
from analytics.lake.tables import MATCHES, POOLS, SITE_EVENTS, TICKET_MESSAGES, LakeTable
from shared.masterlist import MatchEntry, stage_name
from shared.site_events import SiteEvent

PARTITION = -1  # no topic has it: rows from the topics and these can lie side by side
SOURCE = "synthetic"


class AlreadyThere(Exception):
    """The lake has this run already"""


def append(lake: Lake, masterlist: Sequence[MatchEntry], run: str, told: Iterable[Told], currency: str) -> int:
    """Adds all that is told, and the catalogue if the lake has none; how many rows.

    `run` names what is told, such as its size and seed. Raises `AlreadyThere` when the lake has it.
    """
    lake.create()
    tables = (TICKET_MESSAGES, SITE_EVENTS)
    if all(lake.position(table, f"{SOURCE}-{run}") for table in tables):
        raise AlreadyThere(f"the lake has the synthetic run {run} already")
    everything = list(told)
    messages = [_message(one) for one in everything if isinstance(one, TicketRecord)]
    events = [_event(one) for one in everything if isinstance(one, SiteEvent)]
    write_catalogue(lake, masterlist, currency)
    return _add(lake, TICKET_MESSAGES, run, messages) + _add(lake, SITE_EVENTS, run, events)


def _add(lake: Lake, table: LakeTable, run: str, rows: list[dict[str, Any]]) -> int:
    if lake.position(table, f"{SOURCE}-{run}"):
        return 0  # of a run that was interrupted between the two tables
    first = lake.position(table, SOURCE)
    for offset, row in enumerate(rows, first):
        row |= {"partition": PARTITION, "offset": offset}
    content = pa.Table.from_pylist(rows, table.columns)
    lake.append(table, content, {SOURCE: first + len(rows), f"{SOURCE}-{run}": 1})
    return len(rows)


def _message(record: TicketRecord) -> dict[str, Any]:
    return {
        "line": 0,
        "logged_at": record.at,
        "day": record.at.date(),
        "site": record.client_id,
        "sale_id": record.sale_id,
        "action": str(record.action),
        "match_number": record.match_number,
        "category": record.category,
        "quantity": record.quantity,
        "price": float(record.price),
    }


def _event(event: SiteEvent) -> dict[str, Any]:
    fields = {name: getattr(event, name) for name in SiteEvent.__dataclass_fields__}
    return fields | {"kind": str(event.kind), "day": event.happened_at.date()}


def write_catalogue(lake: Lake, masterlist: Sequence[MatchEntry], currency: str) -> None:
    """The matches and pools, unless the lake has some: the writer's are from the topic."""
    if lake.query("SELECT count(*) AS n FROM matches")[0]["n"] == 0:
        lake.replace(MATCHES, pa.Table.from_pylist([_match(match) for match in masterlist], MATCHES.columns))
    if lake.query("SELECT count(*) AS n FROM pools")[0]["n"] == 0:
        pools = [_pool(match, currency, index) for match in masterlist for index in range(len(match.pools))]
        lake.replace(POOLS, pa.Table.from_pylist(pools, POOLS.columns))


def _match(match: MatchEntry) -> dict[str, Any]:
    return {
        "match_number": match.match_number,
        "round_number": match.round_number,
        "stage": stage_name(match),
        "kick_off": match.date_utc,
        "location": match.location,
        "city": VENUES[match.location].city if match.location in VENUES else None,
        "home_team": match.home_team,
        "away_team": match.away_team,
        "group": match.group,
    }


def _pool(match: MatchEntry, currency: str, index: int) -> dict[str, Any]:
    pool = match.pools[index]
    return {
        "match_number": match.match_number,
        "category": pool.category,
        "capacity": pool.capacity,
        "price": float(pool.price),
        "currency": currency,
    }
