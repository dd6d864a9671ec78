"""The supervisor, with real processes."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from matchday.errors import RunnerError, StopRequested
from matchday.parallel import side_by_side
from matchday.ports import free_port, is_free, owner, require_free
from matchday.run import Run, reap
from matchday.servers import Valkey
from matchday.stopping import Stop
from matchday.supervisor import Supervisor
from tests.eventually import eventually

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"
)
WITH_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print(child.pid, flush=True)
time.sleep(300)
"""


class Program:
    """A Python program as a unit."""

    address = None
    stop_signal = signal.SIGTERM

    def __init__(self, run: Run, name: str, source: str, stop_seconds: float = 5.0) -> None:
        self.name = name
        self.log = run.directory / f"{name}.log"
        self.stop_seconds = stop_seconds
        self._run = run
        self._source = source

    def spawn(self) -> subprocess.Popen[bytes]:
        return self._run.spawn([sys.executable, "-c", self._source], self.log)

    def ready(self) -> bool:
        return True


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.begin(tmp_path / "run")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(run: Run, said: list[str]) -> Supervisor:
    return Supervisor(lambda: None, lambda who, what: said.append(f"{who} {what}"))


def test_what_dies_is_started_again_and_counted(run: Run, supervisor: Supervisor, said: list[str]) -> None:
    supervised = supervisor.start("all", Program(run, "sleeper", "import time; time.sleep(300)"))
    first = supervised.kill()
    eventually(lambda: supervised.status().pid not in (None, first), what="started again")
    assert supervised.status().restarts == 1
    assert said == ["sleeper was ended by SIGKILL; starts again in 0.2 s (restart 1)"]
    supervisor.stop(threading.Event())
    assert supervisor.stopped()
    assert supervised.status().restarts == 1


def test_what_keeps_dying_waits_longer_each_time(run: Run, supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start("all", Program(run, "faulty", "raise SystemExit(3)"))
    eventually(lambda: len(said) >= 3)
    supervisor.stop(threading.Event())
    assert said[:3] == [
        f"faulty ended with exit code 3; starts again in {pause} s (restart {number})"
        for number, pause in enumerate(("0.2", "0.4", "0.8"), start=1)
    ]


def test_children_of_a_killed_process_do_not_outlive_it(run: Run, supervisor: Supervisor) -> None:
    program = Program(run, "parent", WITH_CHILD)
    supervised = supervisor.start("all", program)
    child = int(eventually(lambda: program.log.read_text().splitlines(), what="the child's id")[0])
    supervised.kill()
    eventually(lambda: not psutil.pid_exists(child), what="the child is gone")
    supervisor.stop(threading.Event())


def test_a_process_that_does_not_stop_is_killed(run: Run, supervisor: Supervisor) -> None:
    program = Program(run, "stubborn", STUBBORN, stop_seconds=0.3)
    supervisor.start("all", program)
    eventually(lambda: "up" in program.log.read_text())
    supervisor.stop(threading.Event())
    assert supervisor.stopped()


def test_a_forced_stop_does_not_wait(run: Run, supervisor: Supervisor) -> None:
    program = Program(run, "stubborn", STUBBORN, stop_seconds=300)
    supervisor.start("all", program)
    eventually(lambda: "up" in program.log.read_text())
    forced = threading.Event()
    forced.set()
    supervisor.stop(forced)
    assert supervisor.stopped()


def test_last_come_is_first_gone(run: Run, supervisor: Supervisor) -> None:
    order: list[str] = []

    class Noting(Program):
        @property
        def stop_signal(self) -> signal.Signals:  # type: ignore[override]
            order.append(self.name)
            return signal.SIGTERM

    for group in ("servers", "processes"):
        supervisor.start(group, Noting(run, group, "import time; time.sleep(300)"))
    order.clear()
    supervisor.stop(threading.Event())
    assert order == ["processes", "servers"]


def test_a_failed_step_stops_the_others_and_is_what_is_told() -> None:
    stop = Stop()

    def waits() -> None:
        stop.sleep(60)

    def fails() -> None:
        raise RunnerError("no disk")

    with pytest.raises(RunnerError, match="no disk"):
        side_by_side([waits, fails], stop)


def test_a_stop_ends_all_steps() -> None:
    stop = Stop()
    threading.Timer(0.1, stop.request).start()
    with pytest.raises(StopRequested):
        side_by_side([lambda: stop.sleep(60), lambda: stop.sleep(60)], stop)


def test_a_process_id_that_was_given_to_another_is_left_alone(tmp_path: Path) -> None:
    run = Run.begin(tmp_path / "run")
    bystander = subprocess.Popen(["sleep", "300"])
    record = tmp_path / "run" / "processes.jsonl"
    with record.open("a") as file:
        file.write(f'{{"pid": {bystander.pid}, "started": 1000.0, "stop_signal": 15}}\n')
    assert reap(run.directory) == 0
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_free_ports_are_free_and_never_given_twice() -> None:
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)


def test_ports_in_use_are_all_told(run: Run) -> None:
    valkey = Valkey(run.directory / "valkey", run).start()
    assert valkey.process is not None
    assert owner(valkey.port).startswith(f"process {valkey.process.pid} (valkey-server ")
    with pytest.raises(RunnerError) as caught:
        require_free([("shop", valkey.port), ("other", free_port())])
    assert f"port {valkey.port} for shop is used by process {valkey.process.pid}" in str(caught.value)
    assert "PORT_OFFSET" in str(caught.value)
    assert "other" not in str(caught.value).split(":")[0]
    valkey.stop()
