"""Listings as buyers see them, and how they are looked for. No I/O; money is in the currency's minor units."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

OPEN = "open"


@dataclass(frozen=True, slots=True)
class Listing:
    """A ticket for sale, as its newest event tells it. Who sells it is nobody's business."""

    id: str
    version: int
    state: str
    match_number: int
    category: int
    amount: int
    face_amount: int
    currency: str
    by_site: bool
    listed_at: datetime
    changed_at: datetime


class SortKey(StrEnum):
    """What listings are sorted by; a minus in front turns the order round."""

    PRICE = "price"
    PRICE_DOWN = "-price"
    LISTED = "listedAt"
    LISTED_DOWN = "-listedAt"


class Place(NamedTuple):
    """Where a page ended: the sort value (minor units, or microseconds since the epoch) and the id of its last one."""

    value: int
    id: str


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for; None means anything. Prices in minor units."""

    match_number: int | None = None
    category: int | None = None
    amount_min: int | None = None
    amount_max: int | None = None
