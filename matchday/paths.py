"""Where the runner keeps things. Everything of a site is below `var/<site>/` of the checkout."""

import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("MATCHDAY_VAR") or CHECKOUT / "var").absolute()


def cache_directory() -> Path:
    """The user's cache, shared by all checkouts: downloads only, safe to delete at any time."""
    if given := os.environ.get("MATCHDAY_CACHE"):
        return Path(given).expanduser().resolve()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "matchday"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matchday"
