"""Kills at a step of what somebody does: step and process from the seed, the moment within it too.

striker = Striker(site)
striker.at(strike, "pay")       # whoever goes through a plan says which step begins
striker.finish(); striker.done  # what was killed, and at which step
"""

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.eventually import eventually
from tests.shared_sites import Ground
from tests.sites import RunningSite
from tests.system.test_two_sites import knows_the_matches

LATEST_SECONDS = 0.15


@dataclass(frozen=True)
class Strike:
    """Kill `victim` so long after the step began."""

    victim: str
    step: str
    after_seconds: float


def make_strike(seed: int, number: int, victims: Sequence[str], steps: Sequence[str]) -> Strike:
    """Run after run goes through every victim at every step; the moment is the seed's."""
    moment = random.Random(f"strike {seed} {number}").uniform(0, LATEST_SECONDS)
    return Strike(victims[number % len(victims)], steps[number // len(victims) % len(steps)], moment)


@dataclass
class Striker:
    """Carries strikes out, or with `strikes` False, none."""

    site: RunningSite
    strikes: bool = True
    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    _turns: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    _timers: list[threading.Timer] = field(default_factory=list)

    def at(self, strike: Strike, step: str) -> None:
        """To be called when somebody begins a step."""
        if self.strikes and strike.step == step:
            timer = threading.Timer(strike.after_seconds, self._kill, [strike])
            timer.start()
            self._timers.append(timer)

    def _kill(self, strike: Strike) -> None:
        with self._turns[strike.victim]:
            # Once it is at work again: to kill what is only starting strikes no step, and starves the buyers.
            self.site.wait_ready(strike.victim)
            self.site.kill(strike.victim)
            self.done[strike.victim, strike.step] += 1

    def finish(self) -> None:
        """Returns when every strike that was begun is done."""
        for timer in self._timers:
            timer.join()


def start_site(ground: Ground, only: Sequence[str], hold_seconds: float, **more: str) -> RunningSite:
    """A site whose workers look for what a crash left open every second or two, and that limits nobody's rate."""
    made = ground.make_site(
        "matchday", only=only, HOLD_SECONDS=str(hold_seconds), WORKER_POLL_SECONDS="0.2", PAYMENTS_POLL_SECONDS="0.2",
        PAYMENT_GRACE_SECONDS="8", RECONCILE_SECONDS="2", RATE_SCALE="1000", STRIPE_STANDIN_REFUND_SECONDS="0.2",
        **more,
    )  # fmt: skip
    made.start()
    eventually(lambda: knows_the_matches(made), 60)
    return made
