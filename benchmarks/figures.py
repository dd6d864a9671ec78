"""Percentiles of one run; median and spread of several."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the sorted values do not exceed (nearest rank); 0 when there are none."""
    if not ordered:
        return 0.0
    # The product may be a little above the whole number that is meant.
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


@dataclass(frozen=True, slots=True)
class Spread:
    """Several repetitions of one measurement."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self, decimals: int = 0) -> str:
        """The median, with the least and the greatest when there are several: `1,234 (1,180–1,290)`."""
        form = f",.{decimals}f"
        if len(self.values) == 1:
            return format(self.values[0], form)
        return f"{self.median:{form}} ({min(self.values):{form}}–{max(self.values):{form}})"
