"""Keeps processes running: what dies is started again, ever later while it keeps dying.

One thread a process waits for its end, so nothing is polled.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

BACKOFF_FIRST_SECONDS = 0.2
BACKOFF_SECONDS_MAX = 10.0
STEADY_SECONDS = 30.0
JOIN_POLL_SECONDS = 0.05
KILL_SECONDS = 10.0


class Unit(Protocol):
    """What can be supervised: a server or a process of a site."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str | None: ...
    @property
    def log(self) -> Path: ...
    @property
    def stop_signal(self) -> signal.Signals: ...
    @property
    def stop_seconds(self) -> float: ...

    def spawn(self) -> subprocess.Popen[bytes]: ...
    def ready(self) -> bool: ...


class Backoff:
    """The pause before the next start: doubled at each death, from the beginning after a steady life."""

    def __init__(self) -> None:
        self._next = BACKOFF_FIRST_SECONDS

    def after(self, lived_seconds: float) -> float:
        """The pause after a process lived this long; seconds."""
        if lived_seconds >= STEADY_SECONDS:
            self._next = BACKOFF_FIRST_SECONDS
        pause = self._next
        self._next = min(self._next * 2, BACKOFF_SECONDS_MAX)
        return pause


@dataclass(frozen=True)
class Status:
    """One supervised process at this moment; `pid` is None while it waits for its next start."""

    name: str
    pid: int | None
    address: str | None
    log: Path
    restarts: int


class Supervised:
    """A unit and the thread that keeps it running."""

    def __init__(self, unit: Unit, *, changed: Callable[[], None], say: Callable[[str, str], None]) -> None:
        self.unit = unit
        self.restarts = 0
        self._changed = changed
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep_running, name=f"keep-{unit.name}", daemon=True)

    def start(self) -> None:
        """Start the process before returning; its thread looks after it from now on."""
        self._spawn()
        self._thread.start()

    def status(self) -> Status:
        process = self._process
        pid = process.pid if process is not None and process.returncode is None else None
        return Status(self.unit.name, pid, self.unit.address, self.unit.log, self.restarts)

    def kill(self) -> int:
        """SIGKILL the process and nothing else, for tests of faults; returns the id it had."""
        process = self._process
        if process is None:
            raise ProcessLookupError(f"{self.unit.name} is not running")
        process.kill()
        return process.pid

    def begin_stop(self) -> None:
        """Ask the process to end and do not start it again."""
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.unit.stop_signal)

    def finish_stop(self, forced: threading.Event) -> None:
        """Wait for the end; SIGKILL when it takes longer than the unit may, or `forced` is set."""
        deadline = time.monotonic() + self.unit.stop_seconds
        while self._thread.is_alive() and time.monotonic() < deadline and not forced.is_set():
            self._thread.join(JOIN_POLL_SECONDS)
        if self._thread.is_alive():
            self._kill_group()
            self._thread.join(KILL_SECONDS)

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            self._process = self.unit.spawn()
        self._changed()
        return self._process

    def _keep_running(self) -> None:
        backoff = Backoff()
        process = self._process
        while process is not None:
            begun = time.monotonic()
            code = self._wait(process)
            if self._stopping.is_set():
                break
            pause = backoff.after(time.monotonic() - begun)
            self.restarts += 1
            self._changed()
            self._say(self.unit.name, f"{how(code)}; starts again in {pause:g} s (restart {self.restarts})")
            if self._stopping.wait(pause):
                break
            process = self._spawn_again()
        self._changed()

    def _spawn_again(self) -> subprocess.Popen[bytes] | None:
        try:
            return self._spawn()
        except OSError as error:
            # No memory or no process ids just now: counts as one more death.
            self._say(self.unit.name, f"cannot be started: {error}")
            return self._process

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        if process.returncode is None and hasattr(os, "waitid"):
            # Leaves the zombie, so that its id still names its own group when what is left of that is killed.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            self._kill_group()
        return process.wait()

    def _kill_group(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def how(code: int) -> str:
    """The end of a process in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


class Supervisor:
    """All supervised processes of one site, stopped in the reverse order of their groups."""

    def __init__(self, changed: Callable[[], None], say: Callable[[str, str], None]) -> None:
        self._changed = changed
        self._say = say
        self._groups: dict[str, list[Supervised]] = {}
        self._lock = threading.Lock()

    def start(self, group: str, unit: Unit) -> Supervised:
        """Start a unit in the group; groups are stopped last come, first gone."""
        supervised = Supervised(unit, changed=self._changed, say=self._say)
        with self._lock:
            self._groups.setdefault(group, []).append(supervised)
        supervised.start()
        return supervised

    def members(self, group: str) -> list[Supervised]:
        with self._lock:
            return list(self._groups.get(group, ()))

    def find(self, name: str) -> Supervised:
        with self._lock:
            return next(s for members in self._groups.values() for s in members if s.unit.name == name)

    def stop(self, forced: threading.Event) -> None:
        """Stop everything; returns when nothing is left."""
        with self._lock:
            groups = list(self._groups.values())
        for members in reversed(groups):
            stop_all(members, forced)

    def stopped(self) -> bool:
        with self._lock:
            return all(s.status().pid is None for members in self._groups.values() for s in members)


def stop_all(members: Sequence[Supervised], forced: threading.Event) -> None:
    """Stop these side by side."""
    for supervised in members:
        supervised.begin_stop()
    for supervised in members:
        supervised.finish_stop(forced)
