"""Why a match is recommended: the hint that lifts it most above the others, said as a code and its parameters."""

import numpy as np

from analytics.recommender.catalogue import Floats
from analytics.recommender.domain import Reason, ReasonCode, Visitor
from analytics.recommender.model import HINTS, History, Scorer
from shared.regions import FAR, closeness, country_of_team, region_of_country

FOLLOWED_SHARE_MIN = 0.15  # of a history, before we say that somebody follows a team
GROUPS = {
    ReasonCode.POPULAR: ("popularity",),
    ReasonCode.POPULAR_IN_COUNTRY: ("country",),
    ReasonCode.REGION: ("region", "neighbours"),
    ReasonCode.HOME_TEAM: ("home",),
    ReasonCode.FOLLOWS_TEAM: ("team", "seen"),
    ReasonCode.LIKE_OTHERS: ("factors",),
}


def reason_of(scorer: Scorer, match: int, lift: Floats, history: History, visitor: Visitor) -> Reason:
    """`lift` is what each hint adds to this match beyond what it adds to the mean match.

    A reason is only given when it is true in the words in which it will be said: that somebody follows a team, when
    much of the history is about it; that a team is of the visitor's country or region, when the table says so.
    """
    row = scorer.catalogue.rows[match]
    followed = _followed(scorer, match, history)
    near = sorted((row.home_team, row.away_team), key=lambda team: -closeness(team, visitor.country))
    home = near[0] if country_of_team(near[0]) == visitor.country else None
    possible = {
        ReasonCode.POPULAR: Reason(ReasonCode.POPULAR),
        ReasonCode.POPULAR_IN_COUNTRY: _in_country(scorer, visitor),
        ReasonCode.REGION: _of_region(near[0], visitor),
        ReasonCode.HOME_TEAM: None if home is None else Reason(ReasonCode.HOME_TEAM, team=home),
        ReasonCode.FOLLOWS_TEAM: None if followed is None else Reason(ReasonCode.FOLLOWS_TEAM, team=followed),
        ReasonCode.LIKE_OTHERS: None if history.is_empty else Reason(ReasonCode.LIKE_OTHERS),
    }
    lifts = {code: sum(lift[HINTS.index(hint)] for hint in hints) for code, hints in GROUPS.items()}
    # The factors know of teams, too: whoever follows one is told so, which says more than "like others".
    if followed is not None:
        lifts[ReasonCode.FOLLOWS_TEAM] = max(lifts[ReasonCode.FOLLOWS_TEAM], lifts[ReasonCode.LIKE_OTHERS])
        possible[ReasonCode.LIKE_OTHERS] = None
    best = max((code for code in possible if possible[code] is not None), key=lambda code: lifts[code])
    return possible[best] or Reason(ReasonCode.POPULAR)


def _followed(scorer: Scorer, match: int, history: History) -> str | None:
    if history.is_empty:
        return None
    share = scorer.affinity(history) * scorer.catalogue.plays[match]
    best = int(np.argmax(share)) if len(share) else 0
    return scorer.catalogue.teams[best] if len(share) and share[best] >= FOLLOWED_SHARE_MIN else None


def _in_country(scorer: Scorer, visitor: Visitor) -> Reason | None:
    model = scorer.model
    if visitor.country not in model.countries or not model.by_country[model.countries.index(visitor.country)].any():
        return None
    return Reason(ReasonCode.POPULAR_IN_COUNTRY, country=visitor.country)


def _of_region(team: str, visitor: Visitor) -> Reason | None:
    if closeness(team, visitor.country) == FAR:
        return None
    return Reason(ReasonCode.REGION, team=team, region=region_of_country(visitor.country))
