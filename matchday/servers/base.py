"""What the three servers share: prepare once, start, be asked whether ready, stop, kill, start again."""

import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Self

from matchday.errors import RunnerError
from matchday.last_words import last_words
from matchday.ports import LOOPBACK, free_port, require_free
from matchday.run import Run
from matchday.stopping import Stop, finish, until

Say = Callable[[str], None]


class Server(ABC):
    """A server on the loopback address that keeps its data in `directory` between starts.

    `start`, `stop`, `kill` and `restart` serve tests and benchmarks; `make up` hands the server to its
    supervisor, which calls `prepare`, `spawn` and `ready` instead.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    stop_seconds: ClassVar[float] = 20.0
    start_seconds: ClassVar[float] = 120.0

    def __init__(
        self,
        directory: Path,
        run: Run,
        *,
        log: Path | None = None,
        port: int | None = None,
        stop_request: Stop | None = None,
        say: Say = print,
    ) -> None:
        self.directory = directory
        self.run = run
        self.log = log or directory.with_suffix(".log")
        self.port = port or free_port()
        self.stop_request = stop_request
        self.say = say
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @abstractmethod
    def prepare(self) -> None:
        """Make the data directory when it is not there; whole or not at all."""

    @abstractmethod
    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process; it may take a moment until it is `ready`."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether the server answers now."""

    def start(self) -> Self:
        """Prepare, start and wait until it answers."""
        self.prepare()
        require_free([(self.name, self.port)])
        self.process = self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self, given_up: Callable[[], bool] | None = None) -> None:
        """Wait until it answers; `given_up` tells that it never will."""
        gone = given_up or self._ended
        in_time = until(lambda: self.ready() or gone(), self.start_seconds, self.stop_request)
        if not in_time or gone() or not self.ready():
            reason = "ends at once" if in_time else f"does not answer within {self.start_seconds:g} s"
            raise RunnerError(f"{self.name} {reason}: {last_words(self.log)} (see {self.log})")

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        """End it cleanly; kill it when that takes too long."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop cleanly and start on the same port with the same data."""
        self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def _tool(self, argv: Sequence[str | Path], *, user: tuple[int, int] | None = None, seconds: float = 60.0) -> None:
        """Run a command of the server to its end; its output goes to the log."""
        process = self.run.spawn(argv, self.log, user=user, directory=Path("/"))
        if finish(process, seconds, self.stop_request) != 0:
            raise RunnerError(f"{self.name}: {Path(argv[0]).name} failed: {last_words(self.log)} (see {self.log})")
