"""What `up` looks at before it starts anything."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from matchday.errors import RunnerError
from matchday.runner import DISK_BYTES_MIN, Runner
from matchday.site import Site
from matchday.stopping import Stop


def test_a_full_disk_is_one_clear_sentence_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site("full", var=tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=DISK_BYTES_MIN - 1))
    with pytest.raises(RunnerError, match=r"the disk of .*/full has only 499 MB left, at least 500 MB are needed"):
        Runner(site, Stop()).up()
    assert not site.run_directory.exists() or not any(site.run_directory.iterdir())
