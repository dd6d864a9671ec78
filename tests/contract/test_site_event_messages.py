"""Events of one site on the wire: as the golden file has them, within the schema, and readable again."""

import json
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.site_events import EventKind, SiteEvent, decode_event, encode_event, key_of
from tests.contract.schemas import DOCS, load

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parent / "golden" / "site_events.json").read_text("utf-8"))
SCHEMA: Any = load(DOCS / "schemas" / "site-event.schema.json")


def event_of(golden: dict[str, Any]) -> SiteEvent:
    told = golden["event"]
    moment = datetime.fromisoformat(told["happened_at"])
    return SiteEvent(**{**told, "kind": EventKind(told["kind"]), "happened_at": moment})


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: str(golden["event"]["kind"]))
def test_an_event_is_written_to_the_byte_as_it_always_was(golden: dict[str, Any]) -> None:
    event = event_of(golden)
    assert encode_event(event) == golden["value"].encode()
    assert key_of(event) == golden["key"].encode()
    assert decode_event(golden["value"].encode()) == event


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: str(golden["event"]["kind"]))
def test_what_is_written_is_within_the_schema(golden: dict[str, Any]) -> None:
    Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(
        json.loads(golden["value"])
    )


def test_the_schema_has_all_kinds_and_members() -> None:
    assert set(SCHEMA["properties"]["kind"]["enum"]) == set(EventKind)
    assert len(SCHEMA["properties"]) == len(fields(SiteEvent))
