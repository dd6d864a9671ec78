"""The processes of a site: names, modules and ports."""

import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from matchday.health import is_ready
from matchday.paths import CHECKOUT
from matchday.ports import LOOPBACK
from matchday.run import Run


@dataclass(frozen=True)
class ProcessSpec:
    """A kind of process; `port` is None for one that does not listen, PORT_OFFSET is added to it otherwise."""

    name: str
    module: str
    port: int | None = None

    def exists(self) -> bool:
        """Whether its module can be run."""
        try:
            return find_spec(self.module if "." in self.module else f"{self.module}.__main__") is not None
        except ModuleNotFoundError:
            return False


PROCESSES = (
    ProcessSpec("shop", "shop", 3000),
    ProcessSpec("shop-consumer", "shop_consumer", 3010),
    ProcessSpec("reservations", "reservations", 3020),
    ProcessSpec("reservations-relay", "reservations.relay"),
    ProcessSpec("reservations-worker", "reservations.worker"),
)


def present() -> list[ProcessSpec]:
    """The processes of this checkout."""
    return [spec for spec in PROCESSES if spec.exists()]


class SiteProcess:
    """One process of a site, to be supervised; `port` is where it listens, if it does."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    # A service lets what is in flight finish for 10 s.
    stop_seconds: ClassVar[float] = 15.0

    def __init__(
        self, spec: ProcessSpec, run: Run, log: Path, environment: Mapping[str, str], port: int | None
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.log = log
        self.port = port
        self._run = run
        self._environment = dict(environment)
        if port is not None:
            self._environment |= {"HOST": LOOPBACK, "PORT": str(port)}

    @property
    def address(self) -> str | None:
        return None if self.port is None else f"{LOOPBACK}:{self.port}"

    def spawn(self) -> subprocess.Popen[bytes]:
        return self._run.spawn(
            [sys.executable, "-m", self.spec.module],
            self.log,
            environment=self._environment,
            directory=CHECKOUT,
            stop_signal=self.stop_signal,
        )

    def ready(self) -> bool:
        """Whether it takes requests; what does not listen is ready once it runs."""
        return self.address is None or is_ready(self.address)
