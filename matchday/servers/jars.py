"""Kafka's jars: the exact files of `kafka.lock`, fetched once a user and checked by their SHA-256.

Resolving the dependencies anew at each start takes half a minute and could give other files; the lock file
names each jar, so they are fetched side by side and nothing else is trusted.
"""

import errno
import hashlib
import os
import queue
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matchday.errors import RunnerError
from matchday.paths import cache_directory
from matchday.stopping import Stop

LOCK_FILE = Path(__file__).with_name("kafka.lock")
DOWNLOADS_AT_ONCE = 6
SAY_EVERY = 10
ATTEMPTS_MAX = 3
DOWNLOAD_TIMEOUT_SECONDS = 30

Say = Callable[[str], None]


@dataclass(frozen=True)
class Jar:
    """One line of the lock file; `size` in bytes."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def read_lock(path: Path = LOCK_FILE) -> list[Jar]:
    """The jars in the order of the class path."""
    jars = []
    for line in path.read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            coordinates, sha256, size = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, sha256, int(size)))
    return jars


def class_path(say: Say, stop: Stop | None = None, *, lock: Path = LOCK_FILE, cache: Path | None = None) -> str:
    """The class path of all jars, downloading those that are missing; `say` is told the progress."""
    directory = (cache or cache_directory()) / "kafka"
    jars = read_lock(lock)
    missing = [jar for jar in jars if not _is_whole(directory / jar.filename, jar)]
    if missing:
        try:
            _download(missing, directory, say, stop)
        except OSError as error:
            raise RunnerError(_explain(error, directory)) from error
    return os.pathsep.join(str(directory / jar.filename) for jar in jars)


def _is_whole(path: Path, jar: Jar) -> bool:
    # A file gets its final name only after its hash was checked; the size guards against a disk's mishaps.
    try:
        return path.stat().st_size == jar.size
    except OSError:
        return False


def _explain(error: OSError, directory: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk of {directory}: free 200 MB, or set MATCHDAY_CACHE to another folder"
    return f"cannot write Kafka's jars to {directory}: {error.strerror or error}"


def _download(jars: list[Jar], directory: Path, say: Say, stop: Stop | None) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix="download-", dir=directory))
    todo: queue.SimpleQueue[Jar] = queue.SimpleQueue()
    done: queue.SimpleQueue[Jar | BaseException] = queue.SimpleQueue()
    for jar in jars:
        todo.put(jar)
    try:
        for _ in range(min(DOWNLOADS_AT_ONCE, len(jars))):
            # Daemons: a stop does not wait for a slow transfer.
            threading.Thread(target=_work, args=(todo, done, staging, directory), daemon=True).start()
        _follow(jars, done, say, stop)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _follow(jars: list[Jar], done: "queue.SimpleQueue[Jar | BaseException]", say: Say, stop: Stop | None) -> None:
    total = sum(jar.size for jar in jars)
    so_far = 0
    for number in range(1, len(jars) + 1):
        result = _next(done, stop)
        if isinstance(result, BaseException):
            raise result
        so_far += result.size
        if number % SAY_EVERY == 0 or number == len(jars):
            say(f"fetched {number} of {len(jars)} jars ({so_far // 1_000_000} of {total // 1_000_000} MB)")


def _next(done: "queue.SimpleQueue[Jar | BaseException]", stop: Stop | None) -> "Jar | BaseException":
    while True:
        if stop is not None:
            stop.check()
        try:
            return done.get(timeout=0.1)
        except queue.Empty:
            continue


def _work(
    todo: "queue.SimpleQueue[Jar]",
    done: "queue.SimpleQueue[Jar | BaseException]",
    staging: Path,
    directory: Path,
) -> None:
    while True:
        try:
            jar = todo.get_nowait()
        except queue.Empty:
            return
        try:
            _fetch(jar, staging, directory)
            done.put(jar)
        except Exception as error:
            done.put(error)
            return


def _fetch(jar: Jar, staging: Path, directory: Path) -> None:
    """Download one jar to the staging folder, check it, and give it its final name in one step."""
    problem = ""
    for _ in range(ATTEMPTS_MAX):
        try:
            path = _transfer(jar, staging)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
                raise
            problem = f"no answer from the package registry ({type(error).__name__}): check the network"
            continue
        except RuntimeError:
            problem = "the package registry does not have it"
            continue
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found == jar.sha256:
            path.replace(directory / jar.filename)
            return
        path.unlink()
        problem = f"what came has the SHA-256 {found}, expected is {jar.sha256}"
    raise RunnerError(f"cannot fetch {jar.group}:{jar.artifact}:{jar.version}: {problem}")


def _transfer(jar: Jar, staging: Path) -> Path:
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=staging, timeout=DOWNLOAD_TIMEOUT_SECONDS)
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    if artifact.cached_path is not None:
        artifact.cached_path.unlink(missing_ok=True)  # what an earlier attempt left unfinished
    return Path(artifact.resolve())
