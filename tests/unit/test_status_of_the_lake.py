"""What the operator is told of the lake beside the processes: nothing while all is well."""

from typing import Any

import pytest

from matchday.operate import status_lines

PART = {"topic": "sales", "partition": 0, "nextOffset": 5, "endOffset": 5, "lag": 0}


def lines(lake: dict[str, Any] | None) -> list[str]:
    return list(status_lines({"site": "ours", "state": "up", "processes": [], "servers": {}, "lake": lake}))[2:]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"state": "writing", "silentSeconds": 1.0, "partitions": [PART]}, []),
        ({"state": "no writer has been heard of yet", "silentSeconds": None, "partitions": []}, []),
        (
            {
                "state": "waiting: the broker is out of reach",
                "silentSeconds": 2,
                "partitions": [PART | {"lag": 7}, PART],
            },
            ["the lake is 7 records behind, its writer is waiting: the broker is out of reach"],
        ),
        (
            {"state": "writing", "silentSeconds": 90.4, "partitions": [PART]},
            ["the lake's writer has been silent for 90 s"],
        ),
        (None, []),
    ],
)
def test_the_lake_has_a_line_when_something_is_wrong(said: dict[str, Any] | None, shown: list[str]) -> None:
    assert lines(said) == shown
