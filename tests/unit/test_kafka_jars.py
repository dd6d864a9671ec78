"""Kafka's jars: exactly the files of the lock, or one clear sentence."""

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from matchday.errors import RunnerError, StopRequested
from matchday.servers import jars
from matchday.servers.jars import Jar, class_path, read_lock
from matchday.stopping import Stop

CONTENT = {"one": b"first jar", "two": b"second jar"}
Transfer = Callable[[Jar, Path], Path]


def quiet(line: str) -> None:
    """An operator who does not look."""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "test.lock"
    lines = [
        f"org.example:{name}:1.0 {hashlib.sha256(content).hexdigest()} {len(content)}"
        for name, content in CONTENT.items()
    ]
    path.write_text("# a comment\n" + "\n".join(lines) + "\n")
    return path


def registry(content: dict[str, bytes], calls: list[str]) -> Transfer:
    """A stand-in for the package registry; it writes what it has to the staging folder."""

    def transfer(jar: Jar, staging: Path) -> Path:
        calls.append(jar.artifact)
        path = staging / jar.filename
        path.write_bytes(content[jar.artifact])
        return path

    return transfer


def failing(error: Exception) -> Transfer:
    def transfer(jar: Jar, staging: Path) -> Path:
        raise error

    return transfer


def test_the_lock_names_kafka_and_all_that_it_needs_with_their_hashes() -> None:
    locked = read_lock()
    assert locked[0].filename == "kafka_2.13-4.3.1.jar"
    assert len(locked) == 46
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in locked)
    assert len({jar.filename for jar in locked}) == len(locked)


def test_jars_are_fetched_once_and_found_again(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    said: list[str] = []
    monkeypatch.setattr(jars, "_transfer", registry(CONTENT, calls))
    found = class_path(said.append, lock=lock, cache=tmp_path / "cache")
    assert [Path(path).name for path in found.split(os.pathsep)] == ["one-1.0.jar", "two-1.0.jar"]
    assert said == ["fetched 2 of 2 jars (0 of 0 MB)"]
    assert class_path(said.append, lock=lock, cache=tmp_path / "cache") == found
    assert sorted(calls) == ["one", "two"]
    assert sorted(path.name for path in (tmp_path / "cache" / "kafka").iterdir()) == ["one-1.0.jar", "two-1.0.jar"]


def test_a_jar_with_another_hash_is_refused_and_not_kept(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(jars, "_transfer", registry({**CONTENT, "two": b"forged jar"}, calls))
    with pytest.raises(RunnerError, match=r"org\.example:two:1\.0: what came has the SHA-256 .* expected is"):
        class_path(quiet, lock=lock, cache=tmp_path / "cache")
    assert not (tmp_path / "cache" / "kafka" / "two-1.0.jar").exists()
    assert calls.count("two") == jars.ATTEMPTS_MAX


def test_an_unfinished_file_is_fetched_again(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(jars, "_transfer", registry(CONTENT, calls))
    class_path(quiet, lock=lock, cache=tmp_path / "cache")
    (tmp_path / "cache" / "kafka" / "one-1.0.jar").write_bytes(b"fir")
    class_path(quiet, lock=lock, cache=tmp_path / "cache")
    assert calls.count("one") == 2
    assert (tmp_path / "cache" / "kafka" / "one-1.0.jar").read_bytes() == CONTENT["one"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ConnectionError("refused"), "no answer from the package registry .*check the network"),
        (RuntimeError("not found"), "the package registry does not have it"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on the disk of .*MATCHDAY_CACHE"),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot write Kafka's jars to .*Permission denied"),
    ],
)
def test_what_goes_wrong_is_one_clear_sentence(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    monkeypatch.setattr(jars, "_transfer", failing(error))
    with pytest.raises(RunnerError, match=sentence):
        class_path(quiet, lock=lock, cache=tmp_path / "cache")
    assert list((tmp_path / "cache" / "kafka").iterdir()) == []


def test_a_stop_ends_the_wait_for_downloads(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop()
    stop.request()
    monkeypatch.setattr(jars, "_transfer", registry(CONTENT, []))
    with pytest.raises(StopRequested):
        class_path(quiet, stop, lock=lock, cache=tmp_path / "cache")
