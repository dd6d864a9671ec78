"""What an organiser is told about a file before anything is sent."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from matchday.errors import RunnerError
from matchday.masterlist import masterlist
from matchday.masterlist_file import FILE_BYTES_MAX, PACKAGED, WrongMasterlist, load_file
from shared.masterlist import MATCHES_MAX, encode_match

Match = dict[str, Any]
REMOVED = object()


@pytest.fixture
def matches() -> list[Match]:
    return [json.loads(encode_match(entry)) for entry in load_file("small")[:3]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    def to_file(content: Any) -> Path:
        path = tmp_path / "list.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content, indent=1).encode())
        return path

    return to_file


def problems(path: Path) -> list[str]:
    with pytest.raises(WrongMasterlist) as refused:
        load_file(path)
    return [problem.removeprefix(str(path)) for problem in refused.value.problems]


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_list_is_loaded_by_its_name(name: str) -> None:
    assert [entry.match_number for entry in load_file(name)] == list(range(1, 65))


def test_what_is_loaded_goes_out_as_it_stands_in_the_file(matches: list[Match], write: Any) -> None:
    assert [json.loads(encode_match(entry)) for entry in load_file(write(matches))] == matches


def test_every_error_is_named_with_its_line_and_its_pointer(matches: list[Match], write: Any) -> None:
    matches[0]["group"] = None
    del matches[1]["homeTeam"]
    matches[1]["availability"]["category2"]["price"] = "125"
    matches[2]["matchNumber"] = matches[0]["matchNumber"]
    matches[2]["availability"]["category4"] = matches[2]["availability"].pop("category3")
    path = write(matches)
    lines = [number for number, line in enumerate(path.read_text().splitlines(), 1) if line == " {"]
    assert [problem.split(" must ")[0].split(" is ")[0] for problem in problems(path)] == [
        f", match at line {lines[0]}: /0/group",
        f", match at line {lines[1]}: /1/homeTeam",
        f", match at line {lines[1]}: /1/availability/category2/price",
        f", match at line {lines[2]}: /2/availability/category4",
        f", match at line {lines[2]}: /2/availability/category3",
        f", match at line {lines[2]}: /2/matchNumber",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("matchNumber", "1"),
        ("matchNumber", 1.0),
        ("matchNumber", True),
        ("matchNumber", 0),
        ("roundNumber", None),
        ("dateUtc", "2022-11-20 16:00:00Z"),
        ("dateUtc", "2022-11-20T16:00:00+00:00"),
        ("dateUtc", "2022-02-30T16:00:00Z"),
        ("dateUtc", "2022-11-20T16:0:00Z"),
        ("dateUtc", 20221120),
        ("location", ""),
        ("location", " Al Bayt Stadium"),
        ("location", "x" * 201),
        ("homeTeam", "Qa\x00tar"),
        ("awayTeam", "\ud800"),
        ("group", ""),
        ("group", None),
        ("availability", []),
        ("homeTeamScore", None),
    ],
)
def test_a_field_that_is_not_as_strict_partners_want_it_is_refused(
    matches: list[Match], write: Any, field: str, value: Any
) -> None:
    matches[0][field] = value
    assert len(problems(write(matches))) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("available", -1),
        ("available", "20"),
        ("available", 20.0),
        ("available", 1_000_001),
        ("pending", 1),
        ("pending", None),
        ("pending", False),
        ("price", -1),
        ("price", True),
        ("price", "75"),
        ("price", 75.001),
        ("price", 1e400),
        ("count", 20),
        ("available", REMOVED),
        ("pending", REMOVED),
        ("price", REMOVED),
    ],
)
def test_a_pool_that_is_not_as_strict_partners_want_it_is_refused(
    matches: list[Match], write: Any, field: str, value: Any
) -> None:
    pool = matches[0]["availability"]["category1"]
    pool[field] = value
    if value is REMOVED:
        del pool[field]
    text = json.dumps(matches).replace("Infinity", "1e400")
    assert len(problems(write(text.encode()))) == 1


@pytest.mark.parametrize("element", [1, None, "x", [1]])
def test_what_is_no_match_is_named(matches: list[Match], write: Any, element: Any) -> None:
    assert "/3 must be an object" in problems(write([*matches, element]))[0]


def test_a_key_given_twice_is_named(write: Any, matches: list[Match]) -> None:
    text = json.dumps(matches).replace('"group": "A"', '"group": "A", "group": "B"', 1)
    assert problems(write(text.encode())) == [", match at line 1: /0/group is given more than once"]


def test_a_key_is_shown_as_a_json_pointer(write: Any, matches: list[Match]) -> None:
    matches[0]["a/b~c\n"] = 1
    assert "/0/'a~1b~0c\\n' is not part of the format" in problems(write(matches))[0]


@pytest.mark.parametrize("document", [{}, [], None, 7, {"body": {"masterlist": []}}, [0] * (MATCHES_MAX + 1)])
def test_anything_but_an_array_of_matches_is_refused(write: Any, document: Any) -> None:
    assert problems(write(document)) == [f": must be an array of 1 to {MATCHES_MAX} matches"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "line 1, column 1: is not JSON"),
        (b'[\n {"matchNumber": 1,}\n]', "line 2, column "),
        (b"[NaN]", "is not JSON (NaN is no JSON number)"),
        (b"\xff\xfe", "is not UTF-8 (byte 0)"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"[" + b"1" * 5_000 + b"]", "is not JSON"),
        (b" " * (FILE_BYTES_MAX + 1), "larger than"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_one_sentence(write: Any, content: bytes, told: str) -> None:
    found = problems(write(content))
    assert len(found) == 1
    assert told in found[0]


def test_a_byte_order_mark_is_no_error(matches: list[Match], write: Any) -> None:
    assert len(load_file(write(b"\xef\xbb\xbf" + json.dumps(matches).encode()))) == 3


def test_a_missing_file_is_told_with_the_names_of_the_packaged_lists() -> None:
    with pytest.raises(RunnerError, match=r"nowhere\.json: no such file.*world-cup-2022, small"):
        load_file("nowhere.json")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="no such file"):
        load_file(tmp_path)


def run(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(masterlist, ["publish", *arguments], obj=environment)


def test_a_dry_run_checks_and_sends_nothing() -> None:
    result = run("small", "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "small: 64 matches, 3840 tickets, no errors; nothing was sent (dry run)\n"


def test_a_wrong_file_is_refused_by_the_command_before_any_broker_is_asked(write: Any) -> None:
    result = run(str(write([{}])), environment={})
    assert result.exit_code == 1
    assert result.stderr.count("is missing; must be") == 8
    assert result.stderr.startswith("Error: ")
    assert result.stderr.endswith("8 errors: the file is refused\n")


def test_another_price_is_published_with_a_warning(matches: list[Match], write: Any) -> None:
    matches[1]["availability"]["category1"]["price"] = 80
    result = run(str(write(matches)), "--dry-run")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: match 2: partners that accept only 75, 125, 195")


def test_a_broker_that_is_away_is_one_sentence_and_exit_code_1() -> None:
    # Nothing listens on the discard port of the loopback.
    result = run("small", environment={"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"})
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "127.0.0.1:9: the broker is out of reach" in result.stderr


def test_a_missing_address_is_named_as_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("KAFKA_")]:
        monkeypatch.delenv(name)
    result = run("small")
    assert result.exit_code == 2
