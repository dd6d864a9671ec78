"""The lake's tables: what is committed is seen, once, with the positions of its sources."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake.exceptions import TableNotFoundError

from analytics.lake.lake import Lake
from analytics.lake.tables import POOLS, SITE_EVENTS, TICKET_MESSAGES

NOW = datetime(2022, 11, 20, 16, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "it's a lake"))
    lake.create()
    lake.create()
    return lake


def messages(*offsets: int) -> pa.Table:
    rows = [
        {"partition": 0, "offset": offset, "line": 0, "logged_at": NOW, "day": NOW.date(), "quantity": 2}
        for offset in offsets
    ]
    return pa.Table.from_pylist(rows, TICKET_MESSAGES.columns)


def events(*ids: str) -> pa.Table:
    rows = [
        {"partition": 0, "offset": offset, "event_id": id_, "kind": "searched", "happened_at": NOW}
        | {"day": NOW.date(), "synthetic": False}
        for offset, id_ in enumerate(ids)
    ]
    return pa.Table.from_pylist(rows, SITE_EVENTS.columns)


def test_empty_tables_can_be_asked(lake: Lake) -> None:
    assert lake.query("SELECT count(*) AS n FROM ticket_messages") == [{"n": 0}]
    assert lake.position(TICKET_MESSAGES, "sales-0") == 0


def test_a_lake_that_was_never_made_is_empty_to_its_readers(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    assert lake.query("SELECT count(*) AS n FROM site_events") == [{"n": 0}]
    with pytest.raises(TableNotFoundError):
        lake.open(SITE_EVENTS)


def test_rows_and_positions_are_one_commit(lake: Lake) -> None:
    lake.append(TICKET_MESSAGES, messages(0, 1, 2), {"sales-0": 3})
    lake.append(TICKET_MESSAGES, messages(3), {"sales-0": 4, "sales-1": 9})
    assert lake.position(TICKET_MESSAGES, "sales-0") == 4
    assert lake.position(TICKET_MESSAGES, "sales-1") == 9
    found = lake.query(
        'SELECT sum("offset") AS n, max(day) AS day FROM ticket_messages WHERE day = $day', {"day": NOW.date()}
    )
    assert found == [{"n": 6, "day": NOW.date()}]


def test_an_event_that_came_twice_is_seen_once(lake: Lake) -> None:
    lake.append(SITE_EVENTS, events("a", "b", "a"), {"events-0": 3})
    assert lake.query("SELECT event_id FROM site_events ORDER BY 1") == [{"event_id": "a"}, {"event_id": "b"}]


def test_the_catalogue_is_written_whole(lake: Lake) -> None:
    row = {"match_number": 1, "category": 1, "capacity": 20, "price": 75.0, "currency": "USD"}
    lake.replace(POOLS, pa.Table.from_pylist([row, row | {"category": 2}], POOLS.columns))
    lake.replace(POOLS, pa.Table.from_pylist([row], POOLS.columns))
    assert lake.query("SELECT * FROM pools") == [row]


def test_moments_are_utc_without_a_zone(lake: Lake) -> None:
    lake.append(TICKET_MESSAGES, messages(0), {"sales-0": 1})
    sql = "SELECT logged_at, date_trunc('hour', logged_at) AS hour FROM ticket_messages WHERE logged_at >= $since"
    plain = NOW.replace(tzinfo=None)
    assert lake.query(sql, {"since": NOW}) == [{"logged_at": plain, "hour": plain}]
    east = (NOW + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=3)))
    assert lake.query(sql, {"since": east}) == []


def test_nothing_is_fetched_from_the_network(lake: Lake) -> None:
    with lake.connect() as connection, pytest.raises(duckdb.Error, match=r"(?i)extension"):
        connection.execute("SELECT * FROM read_parquet('s3://bucket/file')")
