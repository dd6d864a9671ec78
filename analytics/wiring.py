"""What `app.py` makes and the routes use."""

from dataclasses import dataclass

from pydantic import SecretStr

from analytics.figures.looks import Looks
from analytics.lake.lake import Lake
from analytics.recommender.serving import Recommender
from shared.clock import Clock
from shared.database import Database


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the routes use."""

    database: Database
    lake: Lake
    secret: SecretStr  # makes pseudonyms
    figures: Looks
    clock: Clock
    recommender: Recommender
