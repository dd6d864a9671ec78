"""What is recommended to whom, and why."""

from dataclasses import dataclass
from enum import StrEnum


class ReasonCode(StrEnum):
    """Why a match is recommended; the pages say it in words."""

    FOLLOWS_TEAM = "follows_team"
    HOME_TEAM = "home_team"
    REGION = "region"
    POPULAR_IN_COUNTRY = "popular_in_country"
    LIKE_OTHERS = "like_others"
    POPULAR = "popular"


@dataclass(frozen=True, slots=True)
class Reason:
    """`team` as the master list writes it, `country` by ISO 3166-1, `region` by the table of regions."""

    code: ReasonCode
    team: str | None = None
    country: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: a pseudonym, a country and a language, each if it is known."""

    subject: str | None = None
    country: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Recommended:
    """One match; greater scores are better, and compare within one answer only."""

    match_number: int
    score: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class Recommendations:
    """An answer, best first; `synthetic` when the model has learnt from synthetic rows."""

    items: tuple[Recommended, ...]
    model_version: str
    synthetic: bool
