"""Kills at a step of somebody's purchase: the step and the process from the seed, the moment within it too."""

import random
import threading
from collections import Counter
from dataclasses import dataclass, field

from tests.sites import RunningSite

VICTIMS = ("payments", "payments-worker", "reservations", "reservations-worker", "stripe-standin")
STEPS = ("hold", "pay", "confirm", "verdict")
LATEST_SECONDS = 0.15


@dataclass(frozen=True)
class Strike:
    """Kill `victim` so long after the step began."""

    victim: str
    step: str
    after_seconds: float


def make_strike(seed: int, number: int) -> Strike:
    """Run after run goes through every victim at every step; the moment is the seed's."""
    moment = random.Random(f"strike {seed} {number}").uniform(0, LATEST_SECONDS)
    return Strike(VICTIMS[number % len(VICTIMS)], STEPS[number // len(VICTIMS) % len(STEPS)], moment)


@dataclass
class Striker:
    """Carries strikes out."""

    site: RunningSite
    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    _turns: dict[str, threading.Lock] = field(default_factory=lambda: {victim: threading.Lock() for victim in VICTIMS})
    _timers: list[threading.Timer] = field(default_factory=list)

    def at(self, strike: Strike, step: str) -> None:
        """To be called when a buyer begins a step."""
        if strike.step == step:
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
