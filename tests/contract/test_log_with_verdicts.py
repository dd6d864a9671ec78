"""The log that partners try their readers on: this product's own fold comes to every number and verdict in it."""

import json
from decimal import Decimal
from typing import Any

import pytest

from shared.wire import RawRecord, Refused
from shop.inventory.apply import read_record
from shop.inventory.domain import Changes, Counters, Pool, SaleKey, State
from shop.inventory.fold import LogState, Rules, fold
from tests.contract.schemas import DOCS

HEAD, *LINES = [json.loads(line) for line in (DOCS / "examples" / "log-with-verdicts.jsonl").read_text().splitlines()]
POOL = Pool(HEAD["matchNumber"], HEAD["category"])
RULES = Rules("observer", HEAD["logHoldSeconds"] * 1000)


def _raw(line: dict[str, Any]) -> RawRecord:
    headers = tuple((name, value.encode()) for name, value in line["headers"].items())
    return RawRecord(line["offset"], line["timestampMs"], None, line["value"].encode(), headers)


def _outcome(
    line: dict[str, Any], state: LogState, changes: Changes, refused: list[tuple[Any, Refused]], known: set[SaleKey]
) -> str:
    """What a reader would say of the record just folded."""
    if refused:
        return f"refused {refused[0][1].reason}"
    flags = [evidence.kind for evidence in changes.evidence if evidence.offset == line["offset"]]
    if flags:
        return f"flagged {flags[0]}"
    new = [sale for key, sale in state.sales.items() if key not in known]
    if not new:
        return "applied"
    return "rejected" if new[0].log_state is State.LOST else "admitted"


def _folded() -> list[tuple[str, int, int]]:
    counters = Counters(POOL, Decimal(HEAD["price"]), [(0, HEAD["capacity"])])
    state, changes = LogState({POOL: counters}, {POOL.match_number}), Changes()
    found = []
    for line in LINES:
        known = set(state.sales)
        refused = fold(state, [read_record(0, _raw(line), HEAD["quantityMax"])], RULES, changes)
        found.append((_outcome(line, state, changes, refused, known), counters.pending, counters.reserved))
        assert (counters.held, counters.sold) == (counters.log_held, counters.log_sold), "an observer has one view"
    return found


FOLDED = _folded()


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line['offset']}-{line['outcome']}")
def test_every_record_has_the_outcome_and_leaves_the_numbers_that_are_written(line: dict[str, Any]) -> None:
    assert FOLDED[line["offset"]] == (line["outcome"], line["pending"], line["reserved"]), line["why"]


def test_every_kind_of_outcome_is_in_it() -> None:
    kinds = {line["outcome"].split()[0] for line in LINES}
    assert kinds == {"admitted", "rejected", "applied", "flagged", "refused"}
