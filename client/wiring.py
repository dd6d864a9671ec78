"""What the routes of the pages' scripts need."""

from dataclasses import dataclass

from flask import g

from client.kernel.visits import Visit
from client.live import Live


@dataclass(frozen=True)
class Wiring:
    """Made by `app.py`."""

    live: Live

    @property
    def visit(self) -> Visit:
        """The visit that is being answered."""
        visit: Visit = g.visit
        return visit
