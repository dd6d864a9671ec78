"""Where the stadiums are: the master list tells their names only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Venue:
    """A stadium's city and its time zone, by IANA's name."""

    city: str
    zone: str


VENUES: Mapping[str, Venue] = {
    stadium: Venue(**about)
    for stadium, about in json.loads((files(__package__) / "venues.json").read_text("utf-8")).items()
}
