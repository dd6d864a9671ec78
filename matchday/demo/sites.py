"""The demo's sites: each as `make up` runs one, with servers of its own, all on the first one's broker."""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from matchday.console import Console
from matchday.errors import RunnerError, StopRequested
from matchday.ports import free_offset
from matchday.processes import PROCESSES
from matchday.run import reap
from matchday.runner import Runner
from matchday.site import Site, held, holder, read_document
from matchday.stopping import Stop
from shared.masterlist import MatchEntry, encode_match
from shared.settings import KafkaSettings, load

NAMES = ("demo-atlas", "demo-borealis", "demo-cygnus")
# Only what a sale and its pages need: a demo is to run beside other work.
LEFT_OUT = ("users-worker", "security", "analytics", "analytics-writer", "analytics-trainer")
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "MATCHDAY_VAR", "MATCHDAY_CACHE", "XDG_CACHE_HOME")
HOLD_SECONDS = 12
# All buyers come from this machine, and nobody is to be held up for it.
SETTINGS = {
    "HOLD_SECONDS": str(HOLD_SECONDS),
    "WORKER_POLL_SECONDS": "0.5",
    "RATE_SCALE": "1000000",
    "ORGANISER": "yes",
    "DATABASE_POOL_SIZE": "4",
    "HTTP_THREADS": "16",
}
LOOK_SECONDS = 0.2


class _Log(Console):
    """What `make up` would print goes into a file of the site."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path

    def say(self, who: str, what: str) -> None:
        with self._lock, self._file.open("a", encoding="utf-8") as file:
            file.write(f"{who:<20} {what}\n")


class DemoSite:
    """One site and the thread that runs it."""

    def __init__(self, name: str, stop: Stop) -> None:
        offset = free_offset(spec.port for spec in PROCESSES if spec.port)
        given = {name: value for name, value in os.environ.items() if name in PASSED_ON} | SETTINGS
        self.name = name
        self.site = Site(name, offset, given=given)
        self.problem: BaseException | None = None
        self._stop = stop
        self._thread = threading.Thread(target=self._run, name=name)
        self._runner: Runner | None = None

    def begin(self, **settings: str) -> None:
        """Starts it, without waiting; `settings` are further environment variables."""
        self.site = Site(self.name, self.site.port_offset, given={**self.site.given, **settings})
        self._thread.start()

    def _run(self) -> None:
        try:
            with held(self.site) as mine:
                if not mine:
                    raise RunnerError(f"site {self.name} runs already: another demo?")
                self.site.make_directories()
                self._runner = Runner(self.site, self._stop, _Log(self.site.log("up")), LEFT_OUT)
                self._runner.up()
        except StopRequested:
            pass
        except BaseException as problem:
            self.problem = problem

    def check(self) -> None:
        """Raises `RunnerError` when the site has come to an end by itself."""
        if self.problem is not None:
            raise RunnerError(f"{self.name}: {self.problem}")
        if self._thread.ident is not None and not self._thread.is_alive() and not self._stop.requested():
            raise RunnerError(f"{self.name} has stopped: see {self.site.logs}")

    def wait_until(self, reached: Callable[["DemoSite"], bool]) -> None:
        """Returns when it is so. Raises `StopRequested`, and `RunnerError` when the site gives up."""
        while not reached(self):
            self.check()
            self._stop.sleep(LOOK_SECONDS)

    def is_launched(self) -> bool:
        return read_document(self.site) is not None

    def is_up(self) -> bool:
        return (read_document(self.site) or {}).get("state") == "up"

    def end(self) -> None:
        """Waits for the end of the thread; a stop must have been asked for."""
        if self._thread.ident is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            shutil.rmtree(self.site.data)

    @cached_property
    def document(self) -> dict[str, Any]:
        """`site.json` of the running site."""
        found = read_document(self.site)
        if found is None:
            raise RunnerError(f"{self.name} is not up")
        return found

    def url(self, process: str) -> str:
        address = next(one["address"] for one in self.document["processes"] if one["name"] == process)
        return f"http://{address}"

    @property
    def bootstrap_servers(self) -> str:
        return str(self.document["addresses"]["KAFKA_BOOTSTRAP_SERVERS"])

    @property
    def database_url(self) -> str:
        assert self._runner is not None
        return self._runner.addresses["DATABASE_URL"]

    def secret(self, name: str) -> str:
        return Path(self.site.secret_files()[f"{name}_FILE"]).read_text("utf-8").strip()

    def kafka(self) -> KafkaSettings:
        """How to reach the broker as somebody beside the sites."""
        return load(KafkaSettings, {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers, "CLIENT_ID": "demo"})


def make_sites(count: int, stop: Stop) -> list[DemoSite]:
    """Sites without a past. Raises `RunnerError` when a demo is running already."""
    sites = [DemoSite(name, stop) for name in NAMES[:count]]
    for one in sites:
        if holder(one.site) is not None:
            raise RunnerError(f"site {one.name} runs already: another demo?")
        reap(one.site.run_directory)
        shutil.rmtree(one.site.directory, ignore_errors=True)
    return sites


def start(sites: Sequence[DemoSite], masterlist: Sequence[MatchEntry]) -> None:
    """Returns when all are up. The first has the broker and is the organiser."""
    first, *others = sites
    first.site.directory.mkdir(parents=True)
    file = first.site.directory / "masterlist.json"
    file.write_bytes(b"[" + b",".join(encode_match(match) for match in masterlist) + b"]")
    first.begin(MASTERLIST=str(file))
    first.wait_until(DemoSite.is_launched)
    for other in others:
        other.begin(KAFKA_BOOTSTRAP_SERVERS=first.bootstrap_servers)
    for one in sites:
        one.wait_until(DemoSite.is_up)
        vars(one).pop("document", None)  # the one of a site that was starting
