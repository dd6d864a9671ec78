"""The processes of a site: names, modules, ports, and the addresses by which they know each other."""

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
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
    """A kind of process; `port` is None for one that does not listen, PORT_OFFSET is added to it otherwise.

    `told_as` is the variable that tells all processes where this one is; an address that the operator gives wins.
    `address` is its form, with `{port}` or the name of the further port. `further_ports` are given to the process in
    variables of these names.
    """

    name: str
    module: str
    port: int | None = None
    told_as: str | None = None
    address: str = "http://{host}:{port}"
    further_ports: tuple[tuple[str, int], ...] = ()

    def exists(self) -> bool:
        """Whether its module can be run."""
        try:
            return find_spec(self.module if "." in self.module else f"{self.module}.__main__") is not None
        except ModuleNotFoundError:
            return False


PROCESSES = (
    ProcessSpec("shop", "shop", 3000, "SHOP_URL"),
    ProcessSpec("shop-consumer", "shop_consumer", 3010, "SHOP_CONSUMER_URL"),
    ProcessSpec("users", "users", 3030, "USERS_URL"),
    ProcessSpec("users-worker", "users.worker"),
    ProcessSpec("security", "security", 3050, "SECURITY_URL"),
    ProcessSpec("reservations", "reservations", 3020, "RESERVATIONS_URL"),
    ProcessSpec("reservations-relay", "reservations.relay"),
    ProcessSpec("reservations-worker", "reservations.worker"),
    ProcessSpec("payments", "payments", 3040, "PAYMENTS_URL"),
    ProcessSpec("payments-worker", "payments.worker"),
    ProcessSpec("analytics", "analytics", 3060, "ANALYTICS_URL"),
    ProcessSpec("analytics-writer", "analytics.writer"),
    ProcessSpec("analytics-trainer", "analytics.trainer"),
    ProcessSpec("client", "client", 9000, "PUBLIC_URL"),
)
# What stands in development for a server of others; not started when the operator gives the address of a real one.
# It takes another port when its own is in use.
STAND_INS: tuple[ProcessSpec, ...] = (
    ProcessSpec(
        "mailbox",
        "matchday.mailbox",
        18025,
        "SMTP_URL",
        "smtp://{host}:{MAILBOX_SMTP_PORT}",
        further_ports=(("MAILBOX_SMTP_PORT", 11025),),
    ),
    ProcessSpec("stripe-standin", "matchday.stripe_standin", 12111, "STRIPE_API_BASE"),
)


def present(given: Mapping[str, str]) -> list[ProcessSpec]:
    """The processes of this checkout, with the stand-ins that the operator's settings do not replace."""
    stand_ins = [spec for spec in STAND_INS if not given.get(spec.told_as or "")]
    return [spec for spec in (*PROCESSES, *stand_ins) if spec.exists()]


def choose_ports(specs: Sequence[ProcessSpec], choose: Callable[[ProcessSpec, int], int]) -> dict[str, int]:
    """A port for each process that listens, by its name, and the further ones by their variables."""
    ports = {spec.name: choose(spec, spec.port) for spec in specs if spec.port}
    return ports | {name: choose(spec, port) for spec in specs for name, port in spec.further_ports}


def addresses(specs: Sequence[ProcessSpec], ports: Mapping[str, int], given: Mapping[str, str]) -> dict[str, str]:
    """What every process is told of the others: USERS_URL and so on, and the further ports."""
    told = {
        spec.told_as: given.get(spec.told_as) or spec.address.format(host=LOOPBACK, port=ports[spec.name], **ports)
        for spec in specs
        if spec.told_as
    }
    return told | {name: str(ports[name]) for spec in specs for name, _ in spec.further_ports}


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
