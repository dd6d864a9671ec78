"""What the operator is told of a log."""

import json
from pathlib import Path

from matchday.last_words import has_wrong_settings, last_words


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "log"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_plain_log_s_last_line_counts(tmp_path: Path) -> None:
    assert last_words(written(tmp_path, "first", "FATAL: no", "")) == "FATAL: no"


def test_of_a_structured_log_the_last_error_with_a_cause_counts(tmp_path: Path) -> None:
    lines = [
        {"level": "error", "event": "old", "error": "long ago"},
        {"level": "error", "event": "crashed", "exception": "Traceback\n  File\nValueError: no such pool"},
        {"level": "error", "event": "Unexpected exit from worker-1"},
        {"level": "info", "event": "stopped"},
    ]
    assert last_words(written(tmp_path, *map(json.dumps, lines))) == "crashed: ValueError: no such pool"
    assert last_words(written(tmp_path, json.dumps(lines[2]))) == "Unexpected exit from worker-1"


def test_wrong_settings_are_told_whole_and_once_whatever_an_earlier_start_has_logged(tmp_path: Path) -> None:
    log = tmp_path / "log"
    said = "settings: RATE_HOLD is wrong\nsettings: PORT is missing\n"
    log.write_text('{"level": "error", "event": "of an earlier start", "error": "old"}\n' + said * 3)
    assert last_words(log) == "settings: RATE_HOLD is wrong; settings: PORT is missing"
    assert has_wrong_settings(log)


def test_settings_that_were_mended_since_are_not_the_reason(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('settings: PORT is missing\n{"level": "error", "event": "failed", "error": "new"}\n')
    assert not has_wrong_settings(log)
    assert last_words(log) == "failed: new"


def test_an_empty_or_missing_log_is_told_as_such(tmp_path: Path) -> None:
    assert last_words(written(tmp_path)) == last_words(tmp_path / "none") == "nothing in its log"


def test_only_the_end_of_a_large_log_is_read(tmp_path: Path) -> None:
    assert last_words(written(tmp_path, *["x" * 1000] * 200, "the end")) == "the end"
