"""Rates as settings write them: `account 20/s 100, guest 50/s 500, address 500/s 5000`."""

import re
from dataclasses import dataclass

from security.engine.rules import MICROSECONDS

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}
SCOPES = ("account", "guest", "address")
_RATE = re.compile(r"([0-9]{1,7})/([smh]) ([0-9]{1,7})")
FORM = "scopes (account, guest, address) with requests per s, m or h and how many at once, like 'account 20/s 100'"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests at once, and one more every `interval` µs."""

    interval: int
    capacity: int

    def scaled(self, factor: float) -> "Rate":
        """The same for `factor` times as many requests."""
        return Rate(max(1, round(self.interval / factor)), max(1, round(self.capacity * factor)))

    @property
    def window_seconds(self) -> int:
        """In how long an empty bucket fills again, whole seconds."""
        return max(1, -(-self.interval * self.capacity // MICROSECONDS))


@dataclass(frozen=True, slots=True)
class Rates:
    """What one class of routes takes.

    `account`: from an account, or from somebody who has solved a challenge; `guest`: from all at one address who are
    neither, beyond which they are challenged; `address`: from all at one address, beyond which nobody is let in.
    """

    account: Rate | None = None
    guest: Rate | None = None
    address: Rate | None = None

    def scaled(self, factor: float) -> "Rates":
        """The same for `factor` times as many requests."""
        return Rates(*(rate and rate.scaled(factor) for rate in (self.account, self.guest, self.address)))


def parse(text: str) -> Rates:
    """The rates that a setting names. Raises `ValueError`."""
    found: dict[str, Rate] = {}
    for part in text.split(","):
        scope, _, rate = part.strip().partition(" ")
        match = _RATE.fullmatch(rate)
        if scope not in SCOPES or scope in found or match is None or int(match[1]) == 0 or int(match[3]) == 0:
            raise ValueError(FORM)
        found[scope] = Rate(UNIT_SECONDS[match[2]] * MICROSECONDS // int(match[1]), int(match[3]))
    return Rates(**found)
