"""What the shop recommends, and why, in the visitor's words.

An extra of the page: whatever goes wrong with it, the page is drawn without it, and not later than it may be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

import structlog
from markupsafe import Markup, escape
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from client import api, fixtures
from client.calls import Json, Refused
from client.kernel.visits import Visit
from client.kernel.words import N_, gettext, language

log = structlog.get_logger(__name__)

SHOWN = 6  # two rows where the window is wide
# By the code of the reason. A name stands alone or after a colon, so that no language has to bend it.
REASONS: Mapping[str, str] = {
    "follows_team": N_("Because you follow %(team)s"),
    "home_team": N_("The team of your country: %(team)s"),
    "region": N_("From your part of the world (%(region)s): %(team)s"),
    "popular_in_country": N_("Popular in your country: %(country)s"),
    "like_others": N_("Liked by others with interests like yours"),
    "popular": N_("Popular with all visitors"),
    "soonest": N_("Among the first to be played"),
}
REGIONS: Mapping[str, str] = {
    "latin_america": N_("Latin America"),
    "north_america": N_("North America"),
    "europe": N_("Europe"),
    "africa": N_("Africa"),
    "middle_east": N_("Middle East"),
    "asia": N_("Asia"),
    "oceania": N_("Oceania"),
}
# What a reason cannot be told without.
NEEDS: Mapping[str, Sequence[str]] = {
    "follows_team": ("team",),
    "home_team": ("team",),
    "region": ("team", "region"),
    "popular_in_country": ("country",),
}
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True, extra="ignore")


class _Match(_Model):
    """As much of a match as is shown here."""

    match_number: int = Field(ge=0, le=10**6)
    home_team: Text
    away_team: Text
    date_utc: AwareDatetime = Field(ge=EARLIEST, lt=LATEST)


class _Reason(_Model):
    """One that there are words for."""

    code: Text
    team: Text | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    region: Text | None = None

    @model_validator(mode="after")
    def _can_be_told(self) -> "_Reason":
        if self.code not in REASONS or (self.region or "europe") not in REGIONS:
            raise ValueError("nobody has words for it")
        if not all(getattr(self, name) for name in NEEDS.get(self.code, ())):
            raise ValueError("it does not say of what it speaks")
        return self


class _Item(_Model):
    match: _Match
    reason: _Reason


class _Answer(_Model):
    """As much of the shop's answer as the page needs."""

    items: list[_Item] = Field(max_length=SHOWN)
    source: Literal["model", "country", "soonest"]
    synthetic: bool


@dataclass(frozen=True)
class Suggestion:
    """A match and the reason in words."""

    match: Json
    why: Markup


@dataclass(frozen=True)
class Recommended:
    """What to show, best first; nothing when nothing is known of the visitor, or nothing sensible was said.

    `synthetic`: made-up data is behind it, and the page must say so.
    """

    items: Sequence[Suggestion] = ()
    synthetic: bool = False


def recommended(visit: Visit) -> Recommended:
    """What the shop recommends to this visitor. Raises nothing, and waits no longer than the setting says."""
    try:
        answer = api.recommendations(visit.calls, SHOWN, visit.settings.recommended_wait_seconds)
        found = _Answer.model_validate_json(answer)
    except Refused:
        return Recommended()
    except ValidationError as error:
        log.warning("recommendations_not_understood", errors=error.error_count())
        return Recommended()
    if found.source == "soonest":
        return Recommended()  # the list below begins with the same
    items = [Suggestion(item.match.model_dump(by_alias=True), why(item.reason)) for item in found.items]
    return Recommended(items, found.synthetic)


def why(reason: _Reason) -> Markup:
    """The reason in the visitor's language; names keep their own direction in it."""
    region = gettext(REGIONS[reason.region]) if reason.region else ""
    names = {"team": fixtures.team(reason.team or ""), "country": _country(reason.country or ""), "region": region}
    marked = {name: Markup("<bdi>{}</bdi>").format(text) for name, text in names.items()}
    return escape(gettext(REASONS[reason.code])) % marked


def _country(code: str) -> str:
    return str(language().locale.territories.get(code, code))
