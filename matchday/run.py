"""Which processes belong to a run of a site, written down so that a later run can end what is left over.

A process is known by its id together with its start time, so a number that the system gave to somebody
else in the meantime is never touched. Each process also carries the run's own random id in its environment
(`MATCHDAY_RUN`): that finds a child whose parent was killed before it could write anything down.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

RUN_VARIABLE = "MATCHDAY_RUN"
LOG_BYTES_MAX = 20_000_000
RECORD_BYTES_MAX = 100_000
REAP_SECONDS = 15.0


def start_time(pid: int) -> float | None:
    """When the process was started (seconds since the epoch), or None when there is none."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


@dataclass(frozen=True)
class Recorded:
    """A process as written down: `started` tells it from a later one with the same id."""

    pid: int
    started: float
    stop_signal: int

    def find(self) -> psutil.Process | None:
        # The clock behind start times may be stepped a little between two readings.
        now = start_time(self.pid)
        if now is None or abs(now - self.started) > 1.0:
            return None
        return psutil.Process(self.pid)


class Run:
    """One run of a site's processes; `directory` holds its record until `end`."""

    def __init__(self, directory: Path, identity: str | None = None) -> None:
        self.directory = directory
        self.identity = identity or secrets.token_hex(8)
        self._lock = threading.Lock()
        self._record = directory / "processes.jsonl"

    @classmethod
    def begin(cls, directory: Path) -> "Run":
        """Start a new record; the previous one must have been reaped before."""
        directory.mkdir(parents=True, exist_ok=True)
        run = cls(directory)
        run._record.write_text(json.dumps({"run": run.identity, "owner": os.getpid()}) + "\n", "utf-8")
        return run

    def spawn(
        self,
        argv: Sequence[str | Path],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        stop_signal: int = signal.SIGTERM,
        user: tuple[int, int] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, its output appended to `log`; `user` is (uid, gid)."""
        env = {**(os.environ if environment is None else environment), RUN_VARIABLE: self.identity}
        demotion = {} if user is None else {"user": user[0], "group": user[1], "extra_groups": []}
        log.parent.mkdir(parents=True, exist_ok=True)
        bound(log)
        with log.open("ab") as output:
            process = subprocess.Popen(  # type: ignore[call-overload]
                [str(part) for part in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=directory,
                env=env,
                **demotion,
            )
        try:
            self._write_down(Recorded(process.pid, start_time(process.pid) or 0.0, int(stop_signal)))
        except OSError:
            process.kill()
            process.wait()
            raise
        return process  # type: ignore[no-any-return]

    def _write_down(self, process: "Recorded") -> None:
        with self._lock:
            if self._record.stat().st_size > RECORD_BYTES_MAX:
                self._forget_the_dead()
            with self._record.open("a", encoding="utf-8") as record:
                record.write(json.dumps(asdict(process)) + "\n")

    def _forget_the_dead(self) -> None:
        first, *others = self._record.read_text("utf-8").splitlines(keepends=True)
        alive = [line for line in others if Recorded(**json.loads(line)).find() is not None]
        unfinished = self._record.with_suffix(".unfinished")
        unfinished.write_text(first + "".join(alive), "utf-8")
        unfinished.replace(self._record)

    def end(self) -> None:
        """Forget the record; call it when every process of the run has ended."""
        self._record.unlink(missing_ok=True)


def bound(log: Path) -> None:
    """Keep a log and one older part of it; works while a process appends to it."""
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        shutil.copyfile(log, log.with_suffix(log.suffix + ".1"))
        os.truncate(log, 0)


def leftovers(directory: Path) -> list[Recorded]:
    """What is still there of the run recorded in `directory`, children without a line included."""
    record = directory / "processes.jsonl"
    if not record.exists():
        return []
    lines = [json.loads(line) for line in record.read_text("utf-8").splitlines() if line.endswith("}")]
    written = [Recorded(line["pid"], line["started"], line["stop_signal"]) for line in lines if "pid" in line]
    found = {process.pid: process for process in written if process.find() is not None}
    for line in lines:
        if "run" in line:
            found.update({p.pid: p for p in _carrying(line["run"]) if p.pid not in found})
    return list(found.values())


def _carrying(identity: str) -> Iterator[Recorded]:
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(RUN_VARIABLE) == identity:
                yield Recorded(process.pid, process.create_time(), signal.SIGTERM)
        except (psutil.Error, OSError):
            continue


def reap(directory: Path, seconds: float = REAP_SECONDS) -> int:
    """End what a dead run left behind, first politely; returns how many processes that were."""
    found = leftovers(directory)
    _signal_all(found)
    _, alive = psutil.wait_procs([p for r in found if (p := r.find())], timeout=seconds)
    # What was started while we were asking the others to go, and what did not go.
    for process in {*alive, *(p for r in leftovers(directory) if (p := r.find()))}:
        _send(process, signal.SIGKILL)
    (directory / "processes.jsonl").unlink(missing_ok=True)
    return len(found)


def _signal_all(found: list[Recorded]) -> None:
    for recorded in found:
        if process := recorded.find():
            _send(process, recorded.stop_signal)


def _send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
