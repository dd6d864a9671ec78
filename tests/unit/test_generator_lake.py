"""Synthetic data in a lake: all that was told, once, labelled, with the catalogue that it is about."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from analytics.generator import files
from analytics.generator.command import generate
from analytics.generator.parameters import SIZES
from analytics.generator.records import TicketRecord
from analytics.generator.simulation import simulate
from analytics.lake.lake import Lake
from analytics.lake.tables import SITE_EVENTS, LakeTable
from matchday.masterlist_file import load_file
from matchday.paths import CHECKOUT

SMALL = CHECKOUT / "matchday" / "masterlists" / "small.json"
MASTERLIST = load_file("small")
FEW = replace(SIZES["small"], buyers=100)
RUN = "few-1"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def fill(lake: Lake, seed: int = 1) -> int:
    return files.append(lake, MASTERLIST, f"few-{seed}", simulate(MASTERLIST, FEW, seed), FEW.currency)


def test_all_that_was_told_is_in_the_lake(lake: Lake) -> None:
    told = list(simulate(MASTERLIST, FEW, 1))
    records = [one for one in told if isinstance(one, TicketRecord)]
    assert fill(lake) == len(told)
    found = lake.query("SELECT count(*) AS n, sum(quantity) AS tickets FROM ticket_messages WHERE site ^@ 'synthetic-'")
    assert found == [{"n": len(records), "tickets": sum(record.quantity for record in records)}]
    assert lake.query("SELECT count(*) AS n FROM site_events WHERE synthetic") == [{"n": len(told) - len(records)}]


def test_each_place_is_given_once_and_never_one_of_a_topic(lake: Lake) -> None:
    fill(lake)
    fill(lake, seed=2)
    found = lake.query('SELECT count(*) = count(DISTINCT "offset") AS once, max("partition") AS p FROM ticket_messages')
    assert found == [{"once": True, "p": -1}]


def test_the_same_run_is_not_added_twice(lake: Lake) -> None:
    fill(lake)
    before = lake.query("SELECT count(*) AS n FROM ticket_messages")
    with pytest.raises(files.AlreadyThere, match=RUN):
        fill(lake)
    assert lake.query("SELECT count(*) AS n FROM ticket_messages") == before


def test_a_run_that_was_interrupted_between_the_tables_is_completed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Lake.append

    def fails_at_events(self: Lake, table: LakeTable, *more: Any) -> None:
        if table is SITE_EVENTS:
            raise OSError("no space left on device")
        append(self, table, *more)

    monkeypatch.setattr(Lake, "append", fails_at_events)
    with pytest.raises(OSError, match="no space"):
        fill(lake)
    monkeypatch.setattr(Lake, "append", append)
    messages = lake.query("SELECT count(*) AS n FROM ticket_messages")
    fill(lake)
    assert lake.query("SELECT count(*) AS n FROM ticket_messages") == messages
    assert lake.query("SELECT count(*) > 0 AS some FROM site_events") == [{"some": True}]


def test_the_catalogue_comes_with_it(lake: Lake) -> None:
    fill(lake)
    assert lake.query("SELECT city, stage FROM matches WHERE match_number = 64") == [
        {"city": "Lusail", "stage": "Final"}
    ]
    assert lake.query("SELECT count(*) AS n, sum(capacity) AS seats FROM pools") == [{"n": 192, "seats": 3840}]


def test_the_command_fills_a_lake_and_not_one_of_real_sales(tmp_path: Path) -> None:
    asked = ["--to", "lake", "--buyers", "50", "--masterlist", str(SMALL)]
    done = CliRunner().invoke(generate, asked, obj={"LAKE_URI": str(tmp_path / "dev")})
    assert done.exit_code == 0, done.output
    refused = CliRunner().invoke(generate, asked, obj={"LAKE_URI": str(tmp_path / "prod"), "ENVIRONMENT": "prod"})
    assert refused.exit_code == 1
    assert "prod" in refused.output
    assert not (tmp_path / "prod").exists()
    forced = CliRunner().invoke(
        generate, [*asked, "--force"], obj={"LAKE_URI": str(tmp_path / "prod"), "ENVIRONMENT": "prod"}
    )
    assert forced.exit_code == 0, forced.output
