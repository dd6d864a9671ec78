"""What the organiser writes on the master list topic."""

import copy
import json
from typing import Any

import pytest

from matchday.masterlist_file import PACKAGED, JsonObject, load_file, problems_in_list
from shared.masterlist import encode_match, match_key
from tests.contract.schemas import GOLDEN, load, validator

RECORDS = load(GOLDEN / "masterlist_records.json")
MATCH = json.loads(RECORDS[0]["value"])
REMOVED = object()


@pytest.mark.parametrize("golden", RECORDS, ids=lambda golden: golden["key"])
def test_a_match_goes_out_byte_by_byte_as_agreed(golden: dict[str, Any]) -> None:
    entry = load_file("small")[golden["match_number"] - 1]
    assert encode_match(entry).decode() == golden["value"]
    assert match_key(entry).decode() == golden["key"]


@pytest.mark.parametrize("name", PACKAGED)
def test_every_packaged_match_fits_the_published_schema(name: str) -> None:
    for entry in load_file(name):
        validator("masterlist-match").validate(json.loads(encode_match(entry)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("group",), None),
        (("group",), ""),
        (("group",), REMOVED),
        (("matchNumber",), "1"),
        (("matchNumber",), 0),
        (("dateUtc",), "2022-11-20 16:00:00Z"),
        (("dateUtc",), "2022-11-20T25:00:00Z"),
        (("location",), "x" * 201),
        (("city",), "Al Khor"),
        (("availability", "category3"), REMOVED),
        (("availability", "category4"), {"available": 1, "pending": 0, "price": 1}),
        (("availability", "category1", "available"), -1),
        (("availability", "category1", "available"), 1_000_001),
        (("availability", "category1", "pending"), 1),
        (("availability", "category1", "price"), "75"),
        (("availability", "category1", "count"), 20),
    ],
)
def test_the_schema_and_the_file_check_refuse_the_same(path: tuple[str, ...], value: Any) -> None:
    match = copy.deepcopy(MATCH)
    inner = match
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    if value is REMOVED:
        del inner[path[-1]]
    assert not validator("masterlist-match").is_valid(match)
    assert list(problems_in_list(json.loads(json.dumps([match]), object_pairs_hook=JsonObject)))
