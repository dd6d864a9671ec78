"""What `app.py` makes and the routes use."""

from dataclasses import dataclass

from shared.database import Database
from shared.errors import NotFound
from shop.domain import Match
from shop.interest import Interest
from shop.inventory.apply import Federation
from shop.recommendations.wiring import Advised
from shop.search.handlers import Finder
from shop.snapshot import Content, Snapshots
from shop.stream import Stream


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the routes use."""

    database: Database
    federation: Federation
    snapshots: Snapshots
    stream: Stream
    currency: str
    finder: Finder
    interest: Interest
    advised: Advised

    def match(self, match_number: int) -> tuple[Content, Match]:
        content = self.snapshots.get()
        match = content.matches.get(match_number)
        if match is None:
            raise NotFound(f"there is no match {match_number}")
        return content, match
