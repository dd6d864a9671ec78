"""`python -m matchday.demo`: sites, buyers and partners for a while, then an audit; exit code 0 when it holds."""

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

from matchday.demo.audit import audit
from matchday.demo.partners import Partners
from matchday.demo.screen import Screen
from matchday.demo.shoppers import Shoppers
from matchday.demo.sites import NAMES, DemoSite, make_sites, start
from matchday.errors import RunnerError, StopRequested
from matchday.masterlist_file import load_file
from matchday.stopping import SAME_WISH_SECONDS, Stop
from shared.errors import BrokerUnavailable
from shared.masterlist import MatchEntry

MATCHES = (24, 39, 8, 28, 11, 3, 20, 64)
SHOW_SECONDS = 1.0
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Wish:
    """What the operator asks for."""

    seconds: float = 60.0
    sites: int = 2
    seed: int = 2022

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Wish":
        """DEMO_SECONDS, DEMO_SITES and DEMO_SEED. Raises `RunnerError` for a wrong one."""
        return cls(
            _number(environ, "DEMO_SECONDS", 60, 1, 86_400),
            _number(environ, "DEMO_SITES", 2, 1, len(NAMES)),
            _number(environ, "DEMO_SEED", 2022, 0, 2**31),
        )


def _number(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    given = environ.get(name) or str(default)
    if not given.isdecimal() or not least <= int(given) <= most:
        raise RunnerError(f"{name} is wrong: {given!r}; expected is {least} to {most}")
    return int(given)


class Interrupts:
    """The first ctrl-C while tickets are sold ends the sale; any other takes everything down."""

    def __init__(self) -> None:
        self.stop = Stop()
        self.enough = threading.Event()
        self.selling = False
        self._heard = 0.0

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signal API's form
        now = time.monotonic()
        if now - self._heard < SAME_WISH_SECONDS:
            return  # `make` and its whole group are sent one ctrl-C
        self._heard = now
        if self.selling and number == signal.SIGINT and not self.enough.is_set():
            self.enough.set()
        else:
            self.enough.set()
            self.stop.request()


def small_masterlist() -> list[MatchEntry]:
    """A few matches that many like, twenty tickets a category: soon most are sold out."""
    return [match for match in load_file("small") if match.match_number in MATCHES]


def main() -> int:
    interrupts = Interrupts()
    interrupts.listen()
    try:
        wish = Wish.of(os.environ)
        sites = make_sites(wish.sites, interrupts.stop)
    except RunnerError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    try:
        return _demo(wish, sites, interrupts)
    except StopRequested:
        return EXIT_INTERRUPTED
    except (RunnerError, BrokerUnavailable) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    finally:
        interrupts.stop.request()
        for site in sites:
            site.end()


def _demo(wish: Wish, sites: Sequence[DemoSite], interrupts: Interrupts) -> int:
    masterlist = small_masterlist()
    screen = Screen(sites, masterlist)
    screen.say(f"starting {', '.join(site.name for site in sites)} ({sites[0].site.logs} and so on tell how)")
    start(sites, masterlist)
    screen.say("\n".join(screen.addresses()))
    shoppers = Shoppers(sites, masterlist, wish.seed)
    partners = Partners(sites[0].kafka(), masterlist, wish.seconds, wish.seed)
    try:
        interrupts.selling = True
        shoppers.start()
        partners.start()
        screen.say(f"selling for {wish.seconds:g} s")
        _watch(wish.seconds, screen, shoppers, partners, interrupts)
    finally:
        interrupts.selling = False
        shoppers.stop()
        partners.stop()
    interrupts.stop.check()
    if partners.problem is not None:
        raise RunnerError(f"the partners by Kafka: {partners.problem}")
    screen.say("the sale is over; the audit waits until the last holds have ended")
    found = audit(sites, masterlist, shoppers.told, interrupts.stop.wait)
    interrupts.stop.check()
    screen.report(found)
    return 0 if found.holds else 1


def _watch(seconds: float, screen: Screen, shoppers: Shoppers, partners: Partners, interrupts: Interrupts) -> None:
    ends_at = time.monotonic() + seconds
    while (left := ends_at - time.monotonic()) > 0 and not interrupts.enough.is_set():
        screen.show(left, shoppers, partners)
        interrupts.enough.wait(min(SHOW_SECONDS, left))


if __name__ == "__main__":
    sys.exit(main())
