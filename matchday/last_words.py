"""What a log says last about why its process ended, for a message to the operator."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

TAIL_BYTES = 32_768
WORDS_CHARS_MAX = 400
SETTINGS = "settings: "


def last_words(log: Path) -> str:
    """The last error of a structured log, or else the last line that says something."""
    lines = _tail(log)
    if not lines:
        return "nothing in its log"
    if settings := _wrong_settings(lines):
        return "; ".join(settings)[:WORDS_CHARS_MAX]
    entries = [entry for line in reversed(lines) if (entry := _entry(line)) is not None]
    errors = [entry for entry in entries if entry.get("level") in ("error", "critical")]
    # Of several errors the one with a cause explains most.
    for entry in sorted(errors, key=lambda entry: "exception" not in entry and "error" not in entry):
        return _sentence(entry)[:WORDS_CHARS_MAX]
    return lines[-1][:WORDS_CHARS_MAX]


def has_wrong_settings(log: Path) -> bool:
    """Whether the process ended because of its settings, so that to start it again would change nothing."""
    return bool(_wrong_settings(_tail(log)))


def _wrong_settings(lines: list[str]) -> list[str]:
    """What a process says last when its settings are wrong, in plain lines, since its log is not set up by then."""
    said = list(itertools.takewhile(lambda line: line.startswith(SETTINGS), reversed(lines)))
    return list(dict.fromkeys(reversed(said)))


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _sentence(entry: dict[str, Any]) -> str:
    exception = str(entry.get("exception") or "").strip().splitlines()
    cause = exception[-1] if exception else entry.get("error")
    return f"{entry.get('event')}: {cause}" if cause else str(entry.get("event"))
