"""What is written as an array comes back as it was, whatever the elements hold."""

from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.arrays import ArrayDumper

TEXT = st.text(st.characters(exclude_characters="\x00", codec="utf-8"))
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("kind", "elements"),
    [
        ("text", TEXT),
        ("bigint", st.integers(-(2**63), 2**63 - 1)),
        ("bytea", st.binary()),
        ("timestamptz", MOMENTS),
    ],
)
def test_arrays_survive_the_way_there_and_back(
    database_url: str, kind: str, elements: st.SearchStrategy[object]
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.adapters.register_dumper(list, ArrayDumper)

        @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(st.none() | elements))
        def there_and_back(listed: list[object]) -> None:
            row = connection.execute(f"SELECT %(listed)s::{kind}[]", {"listed": listed}).fetchone()
            assert row is not None
            assert row[0] == listed

        there_and_back()
