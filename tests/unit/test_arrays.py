"""The text form of arrays; tests/integration reads them back from PostgreSQL."""

from datetime import UTC, datetime

import pytest

from shared.arrays import ArrayDumper


@pytest.mark.parametrize(
    ("listed", "text"),
    [
        ([], "{}"),
        ([1, -2], "{1,-2}"),
        (["a", "b c"], '{"a","b c"}'),
        (["", "NULL", "{,}"], '{"","NULL","{,}"}'),
        (['say "a"', "back\\slash"], '{"say \\"a\\"","back\\\\slash"}'),
        (['"'], '{"\\""}'),
        (["a", None], '{"a",NULL}'),
        ([1, None], "{1,NULL}"),
        ([b"\x00\xff"], '{"\\\\x00ff"}'),
        ([datetime(2022, 11, 20, 16, tzinfo=UTC)], '{"2022-11-20T16:00:00+00:00"}'),
    ],
)
def test_a_list_is_written_as_an_array(listed: list[object], text: str) -> None:
    assert ArrayDumper(list).dump(listed) == text.encode()
