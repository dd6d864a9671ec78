"""Where the stadiums are, for who asks the inventory."""

from shared.venues import VENUES, Venue

__all__ = ["VENUES", "Venue"]
