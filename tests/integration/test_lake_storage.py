"""The lake's commits, upkeep and erasure, in a folder and on a real S3-compatible server alike."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from analytics.lake.erase import ERASURES, erase
from analytics.lake.lake import Lake, LakeUnavailable, StalePosition
from analytics.lake.sizes import sizes
from analytics.lake.tables import SITE_EVENTS, TICKET_MESSAGES
from analytics.lake.upkeep import keep_up
from matchday.run import Run
from tests.eventually import eventually
from tests.lakes import Place, events, in_bucket, in_folder, messages
from tests.s3 import S3

OURS, OTHERS = "a-pseudonym-to-forget", "somebody-else"


@pytest.fixture(scope="module")
def s3(server_run: Run) -> Iterator[S3]:
    server = S3(server_run.directory / "s3", server_run)
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return in_folder(tmp_path) if request.param == "folder" else in_bucket(request.getfixturevalue("s3"))


@pytest.fixture
def lake(place: Place) -> Lake:
    lake = place.lake()
    lake.create()
    lake.create()
    return lake


def count(lake: Lake, table: str) -> int:
    return int(lake.query(f"SELECT count(*) AS n FROM {table}")[0]["n"])


def test_what_is_committed_is_read_with_its_positions(lake: Lake) -> None:
    lake.append(TICKET_MESSAGES, messages(0, 1, 2), {"sales-0": 3}, {"sales-0": 0})
    lake.append(TICKET_MESSAGES, messages(3, day=1), {"sales-0": 4}, {"sales-0": 3})
    assert lake.positions(TICKET_MESSAGES, ["sales-0", "sales-1"]) == {"sales-0": 4, "sales-1": 0}
    assert lake.query("SELECT sum(quantity)::INT AS tickets, count(DISTINCT day) AS days FROM ticket_messages") == [
        {"tickets": 8, "days": 2}
    ]


def test_who_has_read_from_elsewhere_writes_nothing(lake: Lake) -> None:
    lake.append(TICKET_MESSAGES, messages(0, 1), {"sales-0": 2}, {"sales-0": 0})
    with pytest.raises(StalePosition):
        lake.append(TICKET_MESSAGES, messages(0, 1), {"sales-0": 2}, {"sales-0": 0})
    assert count(lake, "ticket_messages") == 2


def test_of_writers_at_the_same_moment_one_commits(place: Place, lake: Lake) -> None:
    outcomes: list[str] = []
    for turn in range(5):
        together = threading.Barrier(4)

        def write(turn: int = turn, together: threading.Barrier = together) -> None:
            writer = place.lake()
            together.wait(30)
            try:
                writer.append(TICKET_MESSAGES, messages(turn), {"sales-0": turn + 1}, {"sales-0": turn})
                outcomes.append("committed")
            except StalePosition:
                outcomes.append("stale")

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(outcomes) == ["committed"] * 5 + ["stale"] * 15
    assert count(lake, "ticket_messages") == 5


def test_small_files_become_one_and_rows_stay(lake: Lake) -> None:
    for offset in range(10):
        lake.append(TICKET_MESSAGES, messages(offset), {"sales-0": offset + 1})
    reader = lake.open(TICKET_MESSAGES)
    before = lake.query('SELECT * FROM ticket_messages ORDER BY "offset"')
    keep_up(lake, small_files_max=4)
    assert [size.files for size in sizes(lake) if size.name == "ticket_messages"] == [1]
    assert lake.query('SELECT * FROM ticket_messages ORDER BY "offset"') == before
    assert lake.position(TICKET_MESSAGES, "sales-0") == 10
    # Who has looked before goes on reading the files that were replaced.
    assert reader.to_pyarrow_table().num_rows == 10


def test_a_commit_beside_compaction_stands(lake: Lake) -> None:
    for offset in range(6):
        lake.append(TICKET_MESSAGES, messages(offset), {"sales-0": offset + 1})
    joining = lake.open(TICKET_MESSAGES)
    lake.append(TICKET_MESSAGES, messages(6), {"sales-0": 7}, {"sales-0": 6})
    joining.optimize.compact()
    assert count(lake, "ticket_messages") == 7
    assert lake.position(TICKET_MESSAGES, "sales-0") == 7


def test_what_was_replaced_or_never_committed_is_deleted_in_time(place: Place) -> None:
    lake = place.lake()
    lake.create(keep_seconds=1)
    for offset in range(4):
        lake.append(TICKET_MESSAGES, messages(offset), {"sales-0": offset + 1})
    torn = place.folder / "v1" / "ticket_messages" / "day=2022-11-20" / "part-killed.parquet"
    torn.write_bytes(b"PAR1 and then nothing")
    assert count(lake, "ticket_messages") == 4

    def tidy() -> bool:
        keep_up(lake, small_files_max=2)
        files = list((place.folder / "v1" / "ticket_messages" / "day=2022-11-20").glob("*.parquet"))
        return torn not in files and len(files) == 1

    eventually(tidy, 60)
    assert count(lake, "ticket_messages") == 4


def test_an_erased_account_leaves_no_byte(place: Place) -> None:
    lake = place.lake()
    lake.create(keep_seconds=1)
    lake.append(SITE_EVENTS, events([OURS, OTHERS, None]), {"events-0": 3})
    lake.append(SITE_EVENTS, events([OTHERS, OURS], first=3), {"events-0": 5})
    assert place.holding(OURS)
    assert erase(lake, [OURS], 7) == 2
    assert count(lake, "site_events") == 3
    assert lake.positions(SITE_EVENTS, ["events-0", ERASURES]) == {"events-0": 5, ERASURES: 7}

    def gone() -> bool:
        keep_up(lake, small_files_max=2)
        return not place.holding(OURS)

    eventually(gone, 60)
    assert place.holding(OTHERS)
    assert count(lake, "site_events") == 3


def test_after_an_erasure_the_next_account_is_erased_and_others_are_found_by_their_texts(lake: Lake) -> None:
    lake.append(SITE_EVENTS, events([OURS, OTHERS, "a-third", None]), {"events-0": 4})
    assert [erase(lake, [subject], number) for number, subject in enumerate([OURS, "a-third", OURS], 1)] == [1, 1, 0]
    assert lake.query("SELECT subject FROM site_events WHERE subject = $who", {"who": OTHERS}) == [{"subject": OTHERS}]
    outside = lake.open(SITE_EVENTS).to_pyarrow_dataset().to_table(filter=ds.field("subject") == OTHERS)
    assert outside.num_rows == 1
    assert lake.position(SITE_EVENTS, ERASURES) == 3


def test_an_account_is_erased_from_files_whose_texts_are_views(lake: Lake) -> None:
    lake.append(SITE_EVENTS, events([OURS, OTHERS, None]), {"events-0": 3})
    lake.open(SITE_EVENTS).delete('"offset" = 2')
    assert erase(lake, [OURS], 1) == 1
    assert lake.query("SELECT subject FROM site_events WHERE subject = $who", {"who": OTHERS}) == [{"subject": OTHERS}]


def test_an_account_with_many_events_is_erased_without_its_neighbours(lake: Lake) -> None:
    for first in range(0, 2600, 1300):
        lake.append(SITE_EVENTS, events([OURS, OTHERS] * 650, first=first), {"events-0": first + 1300})
    assert erase(lake, [OURS], 1) == 1300
    assert count(lake, "site_events") == 1300


@pytest.mark.parametrize("had_events", [True, False])
def test_who_knows_nothing_of_an_erasure_appends_nothing(lake: Lake, had_events: bool) -> None:
    lake.append(SITE_EVENTS, events([OURS if had_events else OTHERS]), {"events-0": 1})
    since = lake.positions(SITE_EVENTS, ["events-0", ERASURES])
    erase(lake, [OURS], 1)
    with pytest.raises(StalePosition):
        lake.append(SITE_EVENTS, events([OURS], first=1), {"events-0": 2, ERASURES: 0}, since)
    assert lake.query(f"SELECT * FROM site_events WHERE subject = '{OURS}'") == []


def test_a_store_out_of_reach_is_named_so() -> None:
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "max_retries": "0"}
    with pytest.raises(LakeUnavailable):
        Lake("s3://lake/x", nowhere | keys).check()
