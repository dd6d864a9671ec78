"""`make up` and the operator's command, as an operator uses them: real processes, real servers, real signals."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from matchday.paths import CHECKOUT
from matchday.ports import free_port
from tests.eventually import eventually
from tests.offsets import free_port_offset

UP_SECONDS = 120.0
INTERRUPTED_SEED = 20221120
INTERRUPTIONS = 6


@dataclass
class Operator:
    """Somebody at a shell, with a site of their own."""

    environment: dict[str, str]
    var: Path
    site: str

    def run(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            arguments,
            cwd=CHECKOUT,
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
        )

    def matchday(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return self.run(sys.executable, "-m", "matchday", *arguments, **settings)

    def up(self, **settings: str) -> str:
        """`matchday up --detach`, which must succeed; returns what it said."""
        up = self.matchday("up", "--detach", **settings)
        assert up.returncode == 0, up.stdout + up.stderr
        return up.stdout

    def begin_up(self) -> "subprocess.Popen[bytes]":
        """`matchday up` in the foreground of a terminal of its own."""
        with (self.var / "up.out").open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "matchday", "up"],
                cwd=CHECKOUT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return (self.var / "up.out").read_text("utf-8")

    def status(self) -> dict[str, Any]:
        status = json.loads(self.matchday("status", "--json").stdout)
        assert isinstance(status, dict)
        return status

    def processes(self) -> list[psutil.Process]:
        """Everything that runs on behalf of this site, known by its environment or by its data folder."""
        return [process for process in psutil.process_iter() if self._is_mine(process)]

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                return False
            var = str(self.var)
            return process.environ().get("MATCHDAY_VAR") == var or any(var in word for word in process.cmdline())
        except (psutil.Error, OSError):
            return False


@pytest.fixture
def _terminal() -> Iterator[None]:
    """One that can be closed, though these tests may run under nohup: what is ignored, children ignore as well."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def operator(run_directory: Path, _terminal: None) -> Iterator[Operator]:
    var = run_directory / f"var-{free_port()}"
    var.mkdir()
    own = {"MATCHDAY_VAR": str(var), "SITE": "home", "PORT_OFFSET": str(free_port_offset())}
    inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    operator = Operator({**inherited, **own}, var, "home")
    yield operator
    operator.matchday("down")
    for process in operator.processes():
        with contextlib.suppress(psutil.Error):
            process.kill()


def by_name(status: dict[str, Any], name: str) -> dict[str, Any]:
    found = [*status["processes"], *status["servers"].values()]
    return next(entry for entry in found if entry["name"] == name)


def pid_of(operator: Operator, name: str) -> int | None:
    """The process's id as site.json tells it."""
    pid = by_name(json.loads((operator.var / operator.site / "site.json").read_text()), name)["pid"]
    return None if pid is None else int(pid)


def all_ready(operator: Operator) -> bool:
    return operator.matchday("status").returncode == 0


def test_a_site_comes_up_heals_itself_and_goes_without_a_trace(operator: Operator) -> None:
    up = operator.run("make", "up", DETACH="1")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "site home is up" in up.stdout

    status = operator.status()
    assert {entry["health"] for entry in status["processes"]} <= {"ready", "running"}
    assert status["lag"]["records"] == 0
    assert (operator.var / "home" / "site.json").exists()
    token = Path(status["serviceTokenFile"]).read_text()
    assert token not in up.stdout + json.dumps(status)

    page = httpx.get(f"http://{by_name(status, 'mailbox')['address']}/", trust_env=False)
    assert "Nothing has come yet" in page.text
    granted = operator.matchday("users", "grant", "nobody@example.org", "gate")
    assert (granted.returncode, granted.stdout) == (1, "")
    assert "no account has verified this address" in granted.stderr

    again = operator.run("make", "up")
    assert again.returncode == 0
    assert "already run by process" in again.stdout

    for name in ("shop-consumer", "reservations-relay", "valkey", "postgres"):
        pid = pid_of(operator, name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda name=name, pid=pid: pid_of(operator, name) not in (None, pid), what=f"{name} restarts")  # type: ignore[misc]
    eventually(lambda: all_ready(operator), 60, "everything is well again")
    assert by_name(operator.status(), "postgres")["restarts"] == 1

    verify = operator.matchday("verify")
    assert verify.returncode == 0, verify.stdout + verify.stderr
    assert json.loads(verify.stdout)["equal"] is True

    assert operator.run("make", "down").returncode == 0
    assert operator.processes() == []
    assert operator.matchday("status").returncode == 3
    assert not (operator.var / "home" / "site.json").exists()


def test_a_second_site_shares_the_first_one_s_broker_and_a_dropped_database_is_rebuilt(operator: Operator) -> None:
    operator.up(MASTERLIST="small")
    first = operator.status()
    atlas = {
        "SITE": "atlas",
        "PORT_OFFSET": str(free_port_offset()),
        "KAFKA_BOOTSTRAP_SERVERS": first["addresses"]["KAFKA_BOOTSTRAP_SERVERS"],
    }
    operator.up(**atlas)
    second = json.loads(operator.matchday("status", "--json", **atlas).stdout)
    assert second["servers"]["kafka"]["given"] is True
    assert second["servers"]["postgres"]["address"] != first["servers"]["postgres"]["address"]
    assert "published" not in (operator.var / "atlas" / "log" / "topics.log").read_text()
    pools = pools_of(second)
    assert len(pools) == 192
    capacity = httpx.get(f"http://{by_name(second, 'shop')['address']}/api/matches/1/availability")
    assert [pool["capacity"] for pool in capacity.json()["categories"]] == [20, 20, 20]

    assert operator.matchday("down", **atlas).returncode == 0
    assert all_ready(operator), "the first site is untouched"

    _drop_database(operator, atlas, second)
    operator.up(**atlas)
    eventually(lambda: pools_of(json.loads(operator.matchday("status", "--json", **atlas).stdout)) == pools, 30)
    operator.matchday("down", **atlas)
    operator.matchday("down")
    assert operator.processes() == []


def pools_of(status: dict[str, Any]) -> list[tuple[Any, ...]]:
    """All counters of the site's database."""
    with psycopg.connect(status["addresses"]["DATABASE_URL"]) as connection:
        return connection.execute("SELECT * FROM shop.pools ORDER BY match_number, category").fetchall()


def _drop_database(operator: Operator, settings: dict[str, str], status: dict[str, Any]) -> None:
    """Start the stopped site's own PostgreSQL alone and drop its database."""
    from matchday.run import Run
    from matchday.servers import Postgres

    directory = operator.var / settings["SITE"]
    server = Postgres(directory / "data" / "postgres", Run.begin(operator.var / "drop"))
    server.start()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE matchday")
    server.stop()


@pytest.mark.parametrize("number", range(INTERRUPTIONS))
def test_ctrl_c_at_any_moment_leaves_nothing_behind(operator: Operator, number: int) -> None:
    moment = random.Random(INTERRUPTED_SEED + number).uniform(0.0, 9.0)
    up = operator.begin_up()
    deadline = time.monotonic() + moment
    while up.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert up.poll() is None, operator.said()
    os.killpg(up.pid, signal.SIGINT)
    up.wait(60)
    assert operator.processes() == []
    if up.returncode == 0:
        assert operator.said().endswith("site home is down\n")
    else:
        assert " s  " not in operator.said(), "it may only fail before its first step"


def test_a_closed_terminal_stops_the_site(operator: Operator) -> None:
    up = operator.begin_up()
    eventually(lambda: "migrations" in operator.said(), 30)
    os.killpg(up.pid, signal.SIGHUP)
    assert up.wait(60) == 0, operator.said()
    assert operator.processes() == []


def test_what_a_killed_runner_left_is_ended_by_down(operator: Operator) -> None:
    up = operator.begin_up()
    eventually(lambda: "topics" in operator.said(), 60)
    up.kill()
    up.wait()
    assert len(operator.processes()) >= 3
    down = operator.matchday("down")
    assert "left over" in down.stdout
    assert operator.processes() == []


def test_what_a_killed_runner_left_is_ended_by_the_next_up(operator: Operator) -> None:
    up = operator.begin_up()
    eventually(lambda: "topics" in operator.said(), 60)
    up.kill()
    up.wait()
    old = {process.pid for process in operator.processes()}
    operator.up()
    assert not old & {process.pid for process in operator.processes()}
    assert httpx.get(f"http://{by_name(operator.status(), 'shop-consumer')['address']}/health/ready").is_success
    operator.matchday("down")
    assert operator.processes() == []


def test_a_port_in_use_stops_the_start_with_its_owner(operator: Operator) -> None:
    port = int(operator.environment["PORT_OFFSET"]) + 3010
    with listening(port) as pid:
        up = operator.matchday("up")
    assert up.returncode == 1
    assert f"port {port} for shop-consumer is used by process {pid}" in up.stderr
    assert len(up.stderr.strip().splitlines()) == 1
    assert operator.processes() == []


@contextlib.contextmanager
def listening(port: int) -> Iterator[int]:
    """Another program that listens on the port."""
    source = f"""
import socket, time
server = socket.create_server(("127.0.0.1", {port}))
print("up", flush=True)
time.sleep(300)
"""
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"up\n"
        yield other.pid
        other.kill()


def test_a_database_out_of_reach_is_one_clear_sentence(operator: Operator) -> None:
    nowhere = f"postgresql://me:secret@127.0.0.1:{free_port()}/x"
    up = operator.matchday("up", DATABASE_URL=nowhere)
    assert up.returncode == 1
    assert "migrations: DATABASE_URL: " in up.stderr
    assert "secret" not in up.stdout + up.stderr
    assert operator.processes() == []
