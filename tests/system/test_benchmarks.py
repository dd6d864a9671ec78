"""Every benchmark runs to its end and writes what it found. No number is looked at."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from matchday.paths import CHECKOUT

NAMES = ("drain", "holds", "lake", "reads", "purchases", "recommendations", "security", "waiting_room")
QUICK_SECONDS_MAX = 280


@pytest.mark.timeout(QUICK_SECONDS_MAX + 15)
def test_all_benchmarks_run_and_write_their_results(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "benchmarks", "--quick", "--results", str(tmp_path)]
    run = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, timeout=QUICK_SECONDS_MAX)
    assert run.returncode == 0, run.stderr[-3000:]
    for name in NAMES:
        assert "## What limits it" in (tmp_path / f"{name}.md").read_text("utf-8")
        result = json.loads((tmp_path / f"{name}.json").read_text("utf-8"))
        assert result["benchmark"] == name
        assert result["runs"]
        assert "on, synchronous_commit on" in result["machine"]["PostgreSQL"]
