"""What the route uses."""

from dataclasses import dataclass
from datetime import datetime

from shared.clock import Clock
from shared.visitors import Visitors
from shop.recommendations.adviser import Adviser


@dataclass(frozen=True, slots=True)
class Advised:
    """Who advises, and on what the answer depends. `ends_at_kick_off`: what has begun is not recommended."""

    adviser: Adviser
    visitors: Visitors
    clock: Clock
    ends_at_kick_off: bool
    country_header: str = ""

    @property
    def vary(self) -> str:
        """The request's headers that the answer depends on."""
        return ", ".join(name for name in ("Authorization", "Cookie", "Accept-Language", self.country_header) if name)

    def open_after(self) -> datetime | None:
        """Matches that begin later may be recommended; None: all may."""
        return self.clock.now() if self.ends_at_kick_off else None
