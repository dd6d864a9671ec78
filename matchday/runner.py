"""`up`: starts a site in the foreground and keeps it running until it is told to stop."""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from matchday.console import Console
from matchday.errors import RunnerError, StopRequested
from matchday.health import why_not_ready
from matchday.last_words import has_wrong_settings, last_words
from matchday.parallel import side_by_side
from matchday.paths import CHECKOUT
from matchday.ports import free_port, is_free, require_free
from matchday.processes import STAND_INS, ProcessSpec, SiteProcess, addresses, choose_ports, present
from matchday.run import Run, bound, reap
from matchday.servers import Kafka, Postgres, Server, Valkey
from matchday.site import Document, Site, address_of, without_password
from matchday.stopping import Stop, finish
from matchday.supervisor import Status, Supervised, Supervisor

SERVER_PORTS = {"postgres": 15432, "valkey": 16379, "kafka": 19092}
GIVEN_BY = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL", "kafka": "KAFKA_BOOTSTRAP_SERVERS"}
DISK_BYTES_MIN = 500_000_000
SETUP_SECONDS = 120.0
READY_SECONDS = 300.0
READY_POLL_SECONDS = 0.25
EXPLAIN_EVERY_SECONDS = 10.0
LOGS_CHECKED_SECONDS = 60.0
DEATHS_AT_START_MAX = 5

S = TypeVar("S", bound=Server)


class Runner:
    """One `up` of a site, from its first process to its last."""

    def __init__(self, site: Site, stop: Stop, console: Console | None = None, left_out: Collection[str] = ()) -> None:
        """`left_out` are processes that are not started; nobody answers at their addresses."""
        self.site = site
        self.stop = stop
        self.console = console or Console()
        self.supervisor = Supervisor(self._changed, self.console.say)
        self.addresses: dict[str, str] = {}
        self._document = Document(site.document)
        self._state = "starting"
        self._expected = 0
        self._left_out = left_out
        self._run = Run(site.run_directory)

    def up(self) -> None:
        """Start everything, stay until a stop is asked for, stop everything."""
        self.site.make_directories()
        self._document.remove()
        if ended := reap(self.site.run_directory):
            self.console.say("matchday", f"ended {ended} processes that an interrupted run had left behind")
        specs = present(self.site.given)
        self._expected = sum(spec.name not in self._left_out for spec in specs)
        self._preflight(specs)
        self._run = Run.begin(self.site.run_directory)
        try:
            self._start_servers()
            self._start_processes(specs)
            self._wait_ready()
            self._announce()
            self._stay()
        except StopRequested:
            pass
        finally:
            self._shut_down()

    def _preflight(self, specs: Sequence[ProcessSpec]) -> None:
        free = shutil.disk_usage(self.site.directory).free
        if free < DISK_BYTES_MIN:
            raise RunnerError(
                f"the disk of {self.site.directory} has only {free // 1_000_000} MB left, "
                f"at least {DISK_BYTES_MIN // 1_000_000} MB are needed: free some"
            )
        services = [spec for spec in specs if spec not in STAND_INS]
        require_free([(spec.name, spec.port + self.site.port_offset) for spec in services if spec.port])

    # Servers: each is brought up, and then set up, beside the others.

    def _start_servers(self) -> None:
        side_by_side([self._bring_up_postgres, self._bring_up_valkey, self._bring_up_kafka], self.stop)

    def _bring_up_postgres(self) -> None:
        server = self._launch(Postgres)
        self._use("postgres", server.url() if server else None)
        self._await(server)
        self._follow("migrations", self._begin_set_up("migrations", "matchday.migrate"))

    def _bring_up_valkey(self) -> None:
        server = self._launch(Valkey)
        self._use("valkey", server.url if server else None)
        self._await(server)

    def _bring_up_kafka(self) -> None:
        server = self._launch(Kafka)
        self._use("kafka", server.bootstrap_servers if server else None)
        # It loads while the broker starts, and waits for it.
        set_up = self._begin_set_up("topics", "matchday.broker_setup")
        self._await(server)
        self._follow("topics", set_up)

    def _use(self, name: str, embedded: str | None) -> None:
        variable = GIVEN_BY[name]
        self.addresses[variable] = embedded or self.site.given[variable]

    def _launch(self, kind: type[S]) -> S | None:
        """This site's own server, started; None when the operator has given the address of another."""
        name = kind.name
        if self.site.given.get(GIVEN_BY[name]):
            self.console.say(name, f"uses {without_password(self.site.given[GIVEN_BY[name]])}")
            return None
        server = kind(
            self.site.data / name,
            self._run,
            log=self.site.log(name),
            port=self._server_port(name),
            stop_request=self.stop,
            say=self.console.teller(name),
        )
        server.prepare()
        self.stop.check()
        self.supervisor.start("servers", server)
        return server

    def _await(self, server: Server | None) -> None:
        if server is not None:
            supervised = self.supervisor.find(server.name)
            server.wait_ready(given_up=lambda: supervised.restarts >= DEATHS_AT_START_MAX)
            self.console.say(server.name, f"ready on {server.address}")

    def _server_port(self, name: str) -> int:
        return self._port_near(name, SERVER_PORTS[name])

    def _port_near(self, name: str, port: int) -> int:
        """The port with the site's offset, or another when somebody has it."""
        wanted = port + self.site.port_offset
        if is_free(wanted):
            return wanted
        other = free_port()
        self.console.say(name, f"port {wanted} is in use, takes {other}")
        return other

    def _begin_set_up(self, name: str, module: str) -> subprocess.Popen[bytes]:
        log = self.site.log(name)
        log.unlink(missing_ok=True)
        environment = self.site.environment(self.addresses)
        return self._run.spawn([sys.executable, "-m", module], log, environment=environment, directory=CHECKOUT)

    def _follow(self, name: str, process: subprocess.Popen[bytes]) -> None:
        log = self.site.log(name)
        if finish(process, SETUP_SECONDS, self.stop) != 0:
            raise RunnerError(f"{name}: {last_words(log)} (see {log})")
        self.console.say(name, "done")

    # The site's own processes.

    def _start_processes(self, specs: Sequence[ProcessSpec]) -> None:
        ports = choose_ports(specs, self._process_port)
        told = addresses(specs, ports, self.site.given)
        environment = self.site.environment({**self.addresses, **told})
        for spec in specs:
            if spec.name in self._left_out:
                continue
            self.stop.check()
            process = SiteProcess(spec, self._run, self.site.log(spec.name), environment, ports.get(spec.name))
            self.supervisor.start("processes", process)
        self._changed()

    def _process_port(self, spec: ProcessSpec, port: int) -> int:
        return self._port_near(spec.name, port) if spec in STAND_INS else port + self.site.port_offset

    def _wait_ready(self) -> None:
        members = self.supervisor.members("processes")
        deadline = time.monotonic() + READY_SECONDS
        explain_at = time.monotonic() + EXPLAIN_EVERY_SECONDS
        while waiting := [process for process in members if not is_ready(process)]:
            now = time.monotonic()
            dying = [process for process in members if is_hopeless(process)]
            if dying or now > deadline:
                raise RunnerError("; ".join(f"{p.unit.name} {why_not(p)}" for p in dying or waiting))
            if now > explain_at:
                explain_at = now + EXPLAIN_EVERY_SECONDS
                self._explain(waiting)
            self.stop.sleep(READY_POLL_SECONDS)

    def _explain(self, waiting: Sequence[Supervised]) -> None:
        dead = [process for process in waiting if process.restarts]
        names = ", ".join(process.unit.name for process in waiting if process not in dead)
        if names:
            self.console.say("matchday", f"waits for {names}")
        for process in dead:
            self.console.say(process.unit.name, why_not(process))

    def _announce(self) -> None:
        for process in self.supervisor.members("processes"):
            status = process.status()
            self.console.say(status.name, f"ready on http://{status.address}" if status.address else "runs")
        self.console.say("matchday", f"site {self.site.name} is up; ctrl-C or `make down` stops it")
        # Last, so that whoever waits for it has the lines above.
        self._state = "up"
        self._changed()

    def _stay(self) -> None:
        while not self.stop.wait(LOGS_CHECKED_SECONDS):
            for log in self.site.logs.glob("*.log"):
                with contextlib.suppress(OSError):
                    bound(log)

    def _shut_down(self) -> None:
        self._state = "stopping"
        if self.supervisor.members("servers") or self.supervisor.members("processes"):
            self.console.say("matchday", "stopping")
        self.supervisor.stop(self.stop.forced)
        # What no thread looks after: a step of the set-up that was interrupted.
        reap(self.site.run_directory)
        self._document.remove()
        self.console.say("matchday", f"site {self.site.name} is down")

    # site.json

    def _changed(self) -> None:
        """Write site.json; from the moment when all processes of the site have been started."""
        processes = [member.status() for member in self.supervisor.members("processes")]
        if self._state == "stopping" or len(processes) < self._expected:
            return
        try:
            self._document.write(self._content(processes))
        except OSError as error:
            self.console.say("matchday", f"cannot write {self.site.document}: {error}")

    def _content(self, processes: Sequence[Status]) -> dict[str, Any]:
        return {
            "site": self.site.name,
            "state": self._state,
            "processes": [as_json(status) for status in processes],
            "servers": {name: self._server_json(name) for name in GIVEN_BY},
            "addresses": {name: without_password(url) for name, url in self.addresses.items()},
            "serviceTokenFile": str(self.site.service_token_file),
        }

    def _server_json(self, name: str) -> dict[str, Any]:
        for member in self.supervisor.members("servers"):
            if member.unit.name == name:
                return {"given": False, **as_json(member.status())}
        return {"given": True, "name": name, "address": address_of(self.addresses[GIVEN_BY[name]])}


def as_json(status: Status) -> dict[str, Any]:
    return {
        "name": status.name,
        "pid": status.pid,
        "address": status.address,
        "log": str(status.log),
        "restarts": status.restarts,
    }


def is_ready(process: Supervised) -> bool:
    return process.status().pid is not None and process.unit.ready()


def is_hopeless(process: Supervised) -> bool:
    """Whether it has died so often, or for such a reason, that it will not come up."""
    if process.restarts >= DEATHS_AT_START_MAX:
        return True
    return process.restarts > 0 and has_wrong_settings(process.status().log)


def why_not(process: Supervised) -> str:
    """Why a process is not ready, for the operator."""
    status = process.status()
    if status.restarts or status.address is None:
        return f"ended {status.restarts} times: {last_words(status.log)} (see {status.log})"
    return f"{why_not_ready(status.address)} (see {status.log})"
