"""Records of the topics as rows of the lake: column by column, since a model for each record would be too slow."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from analytics.lake.tables import MATCHES, POOLS, SITE_EVENTS, TICKET_MESSAGES, LakeTable
from shared.masterlist import MatchEntry, stage_name
from shared.site_events import SiteEvent, decode_event
from shared.venues import VENUES
from shared.wire import RawRecord, Refused, decode

# What a sender may write and a column does not hold is null in the lake.
INT16_MAX, INT32_MAX, INT64_MAX = 2**15 - 1, 2**31 - 1, 2**63 - 1
MILLISECONDS_MAX = 253_402_300_799_999  # the end of the year 9999
MESSAGE_COLUMNS = (
    "offset", "line", "logged_at", "site", "sale_id", "action", "match_number", "category", "quantity", "price",
    "refused",
)  # fmt: skip
EVENT_COLUMNS = ("offset", *(name for name in SITE_EVENTS.columns.names if name not in ("partition", "offset", "day")))


@dataclass(frozen=True, slots=True)
class Rows:
    """What a batch of records became: `left_out` by the reason, for those of which there is no row."""

    table: pa.Table
    left_out: dict[str, int]


def message_rows(partition: int, records: Sequence[RawRecord], quantity_max: int) -> Rows:
    """A row for each line of a message, and one for each refused record."""
    rows: list[tuple[Any, ...]] = []
    add = rows.append
    for record in records:
        offset, stamp = record.offset, record.timestamp
        try:
            message = decode(record.value, record.headers, quantity_max)
        except Refused as why:
            add((offset, 0, stamp, None, None, None, None, None, None, None, why.reason))
            continue
        about = (stamp, message.client_id, message.sale_id, message.action.value, message.match_number)
        for number, line in enumerate(message.lines):
            add((offset, number, *about, line.category, line.quantity, line.price, None))
    columns = _columns(MESSAGE_COLUMNS, rows)
    columns["logged_at"] = _moments(columns["logged_at"])
    columns["category"] = [_fitting(value, INT32_MAX) for value in columns["category"]]
    return Rows(_table(TICKET_MESSAGES, partition, columns, "logged_at"), {})


def event_rows(partition: int, records: Sequence[RawRecord], erased: Collection[str]) -> Rows:
    """A row for each event; none for a record that is no event, nor for an event of an account that was erased."""
    rows: list[tuple[Any, ...]] = []
    left_out: dict[str, int] = {}
    for record in records:
        try:
            event = decode_event(record.value)
            reason = "erased" if event.subject in erased else None if _fits(event) else "out_of_range"
        except ValueError:
            reason = "no_event"
        if reason is None:
            rows.append((record.offset, *(getattr(event, name) for name in EVENT_COLUMNS[1:])))
        else:
            left_out[reason] = left_out.get(reason, 0) + 1
    columns = _columns(EVENT_COLUMNS, rows)
    columns["kind"] = [kind.value for kind in columns["kind"]]
    return Rows(_table(SITE_EVENTS, partition, columns, "happened_at"), left_out)


def catalogue_rows(matches: Iterable[MatchEntry], currency: str) -> tuple[pa.Table, pa.Table]:
    """Tables `matches` and `pools`."""
    listed = sorted(matches, key=lambda match: match.match_number)
    return (
        pa.Table.from_pylist([_match(match) for match in listed], MATCHES.columns),
        pa.Table.from_pylist([pool for match in listed for pool in _pools(match, currency)], POOLS.columns),
    )


def _match(match: MatchEntry) -> dict[str, Any]:
    venue = VENUES.get(match.location)
    return {
        "match_number": match.match_number,
        "round_number": match.round_number,
        "stage": stage_name(match),
        "kick_off": match.date_utc,
        "location": match.location,
        "city": None if venue is None else venue.city,
        "home_team": match.home_team,
        "away_team": match.away_team,
        "group": match.group,
    }


def _pools(match: MatchEntry, currency: str) -> Iterable[dict[str, Any]]:
    for pool in match.pools:
        yield {
            "match_number": match.match_number,
            "category": pool.category,
            "capacity": pool.capacity,
            "price": float(pool.price),
            "currency": currency,
        }


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, Sequence[Any]]:
    return dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True))


def _table(table: LakeTable, partition: int, columns: dict[str, Sequence[Any]], moment: str) -> pa.Table:
    schema = table.columns
    arrays = {name: pa.array(values, schema.field(name).type) for name, values in columns.items()}
    count = len(columns["offset"])
    arrays["partition"] = pa.repeat(pa.scalar(partition, pa.int32()), count)
    arrays["day"] = arrays[moment].cast(pa.date32())
    return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)


def _moments(stamps: Sequence[int]) -> pa.Array:
    """Milliseconds since the epoch, as the broker or a sender gave them, within what a date can be."""
    held = [stamp if 0 <= stamp <= MILLISECONDS_MAX else 0 for stamp in stamps]
    return pa.array(held, pa.timestamp("ms", tz="UTC")).cast(pa.timestamp("us", tz="UTC"))


def _fitting(value: int | None, most: int) -> int | None:
    return value if value is not None and -most <= value <= most else None


def _fits(event: SiteEvent) -> bool:
    numbers = (event.match_number, event.category, event.quantity)
    small = all(number is None or -INT32_MAX <= number <= INT32_MAX for number in numbers)
    large = event.amount is None or -INT64_MAX <= event.amount <= INT64_MAX
    return small and large and datetime(1970, 1, 1, tzinfo=UTC) <= event.happened_at
