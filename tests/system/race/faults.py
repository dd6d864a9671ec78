"""Seeded kill -9 of a site's processes while the race runs; the sites' supervisors start them again."""

import random
import threading
import time
from dataclasses import dataclass, field

from tests.sites import RunningSite

KINDS = ("shop-consumer", "reservations-relay", "reservations-worker", "reservations")
KILLS = 10
FIRST_SECONDS = 0.3
PAUSE_SECONDS = (0.5, 2.5)


@dataclass(frozen=True)
class Kill:
    """Which process dies, and how long after the one before."""

    site: int
    process: str
    after_seconds: float


def make_kills(seed: int, sites: int) -> list[Kill]:
    """The same seed, the same kills; each kind of process dies at least twice."""
    chance = random.Random(f"kills {seed}")
    kinds = [*KINDS, *KINDS, *chance.choices(KINDS, k=KILLS - 2 * len(KINDS))]
    chance.shuffle(kinds)
    return [Kill(chance.randrange(sites), kind, chance.uniform(*PAUSE_SECONDS)) for kind in kinds]


@dataclass
class Killer:
    """Kills by the plan."""

    sites: list[RunningSite]
    plan: list[Kill]
    done: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Returns when all that was killed is back."""
        begun = time.monotonic()
        pause = threading.Event()
        pause.wait(FIRST_SECONDS)
        for kill in self.plan:
            pause.wait(kill.after_seconds)
            site = self.sites[kill.site]
            pid = site.kill(kill.process)
            self.done.append(f"{time.monotonic() - begun:.1f} s: {site.name} {kill.process} ({pid})")
        for site in self.sites:
            site.wait_ready()
