"""Whole sites of ours for system tests: their real processes, supervised as `make up` does it.

    def test_something(make_site):
        ours, atlas = make_site("matchday"), make_site("atlas")     # same broker and topics, own databases
        ours.start()                                                # returns when every process is ready
        answer = ours.client("shop").get("/api/matches")
        pid = ours.kill("shop-consumer")                            # SIGKILL; the supervisor starts it again
        ours.wait_ready("shop-consumer")
        ours.pause("reservations-relay"); ours.resume("reservations-relay")   # SIGSTOP, SIGCONT
        ours.stop()                                                 # clean; `start` again on the same data

A site may run fewer processes: `make_site("atlas", only=["shop", "shop-consumer"])`, and with other settings:
`make_site("atlas", HOLD_SECONDS="2")`. The fixture stops whatever a test leaves running.
"""

import contextlib
import secrets
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil
import redis

from matchday.last_words import last_words
from matchday.ports import free_port
from matchday.processes import SiteProcess, addresses, choose_ports, present
from matchday.run import Run
from matchday.runner import is_ready, why_not
from matchday.servers import Valkey
from matchday.site import Site
from matchday.supervisor import Supervised, Supervisor
from tests.eventually import eventually
from tests.resources import Databases

READY_SECONDS = 60.0


class RunningSite:
    """One site on given servers, with ports of its own."""

    def __init__(
        self, name: str, run: Run, directory: Path, environment: dict[str, str], only: Sequence[str] | None
    ) -> None:
        self.name = name
        self.site = Site(name, var=directory, given={**environment, "CLIENT_ID": name})
        self.site.make_directories()
        known = present(environment)
        self.specs = [spec for spec in known if only is None or spec.name in only]
        # Also of those that do not run here: nobody answers at their addresses.
        self.ports = choose_ports(known, lambda _spec, _port: free_port())
        self.environment = self.site.environment({**environment, **addresses(known, self.ports, environment)})
        self.messages: list[str] = []
        self._run = run
        self._supervisor = Supervisor(lambda: None, self._note)
        self._clients: dict[str, httpx.Client] = {}

    def _note(self, who: str, what: str) -> None:
        self.messages.append(f"{who}: {what}")

    @property
    def database_url(self) -> str:
        return self.environment["DATABASE_URL"]

    @property
    def service_token(self) -> str:
        return self.site.service_token_file.read_text("utf-8")

    def secret(self, name: str) -> str:
        """A secret of the site by the name of its setting."""
        return Path(self.site.secret_files()[f"{name}_FILE"]).read_text("utf-8").strip()

    def start(self, wait: bool = True) -> "RunningSite":
        """Start all processes; with `wait`, return when all are ready."""
        self._supervisor = Supervisor(lambda: None, self._note)
        for spec in self.specs:
            self._supervisor.start(
                "processes",
                SiteProcess(spec, self._run, self.site.log(spec.name), self.environment, self.ports.get(spec.name)),
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, *names: str, seconds: float = READY_SECONDS) -> None:
        """Wait until these processes, or all, are ready."""
        wanted = [self.process(name) for name in names or [spec.name for spec in self.specs]]

        def all_ready() -> bool:
            waiting = [process for process in wanted if not is_ready(process)]
            assert not waiting, "; ".join(f"{p.unit.name} {why_not(p)}" for p in waiting)
            return True

        eventually(all_ready, seconds, f"site {self.name} is ready")

    def process(self, name: str) -> Supervised:
        return self._supervisor.find(name)

    def pid(self, name: str) -> int | None:
        """The process's id; None between its end and its next start."""
        return self.process(name).status().pid

    def restarts(self, name: str) -> int:
        return self.process(name).restarts

    def kill(self, name: str) -> int:
        """kill -9; returns the id that it had. Waits through the pause before a restart, if it is in one."""
        eventually(lambda: self.pid(name) is not None, what=f"{name} runs")
        return self.process(name).kill()

    def pause(self, name: str) -> None:
        """Let the process and its children hang (SIGSTOP)."""
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """End a `pause` (SIGCONT)."""
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> None:
        pid = self.pid(name)
        if pid is None:
            return
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(number)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def client(self, name: str) -> httpx.Client:
        """An HTTP client of the process, without a token."""
        if name not in self._clients:
            self._clients[name] = httpx.Client(base_url=self.url(name), timeout=30, trust_env=False)
        return self._clients[name]

    def operator(self) -> dict[str, str]:
        """The header of the site's own service token."""
        return {"Authorization": f"Bearer {self.service_token}"}

    def log(self, name: str) -> str:
        """All that the process wrote."""
        return self.site.log(name).read_text("utf-8", errors="replace")

    def last_words(self, name: str) -> str:
        return last_words(self.site.log(name))

    def stop(self) -> None:
        """Stop all processes cleanly."""
        self._supervisor.stop(threading.Event())

    def close(self) -> None:
        """End the clients and, should any be left, the processes."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        for member in self._supervisor.members("processes"):
            with contextlib.suppress(psutil.Error):
                self.resume(member.unit.name)  # a test may have left it paused
        self.stop()


class SiteMaker:
    """Makes sites on the tests' servers and one pair of topics; see the module's text."""

    def __init__(self, run: Run, common: dict[str, str], databases: Databases, valkey: Valkey) -> None:
        self._run = run
        self._common = common
        self._databases = databases
        self._valkey = valkey
        self._directory = run.directory / f"sites-{secrets.token_hex(3)}"
        self.sites: list[RunningSite] = []

    def __call__(self, name: str, only: Sequence[str] | None = None, **settings: str) -> RunningSite:
        """A site that is not started yet; `settings` are environment variables."""
        number = len(self.sites) + 1
        own = {"DATABASE_URL": self._databases.create(), "REDIS_URL": self._redis(number)}
        directory = self._directory / str(number)
        site = RunningSite(name, self._run, directory, {**self._common, **own, **settings}, only)
        self.sites.append(site)
        return site

    def _redis(self, number: int) -> str:
        url = self._valkey.url.rpartition("/")[0] + f"/{number}"
        with redis.Redis.from_url(url) as connection:
            connection.flushdb()
        return url

    def close(self) -> None:
        for site in self.sites:
            site.close()
