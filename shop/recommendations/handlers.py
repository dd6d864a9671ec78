"""The use case: what to recommend to who asks."""

from collections.abc import Sequence
from datetime import datetime

from shared.http.callers import Account
from shared.visitors import Visitor
from shop.domain import Match
from shop.recommendations.adviser import Advice, Adviser
from shop.recommendations.domain import Choice, Recommendations, Source, by_rule, is_sensible, offered


def recommend(
    adviser: Adviser,
    matches: Sequence[Match],
    account: Account | None,
    visitor: Visitor,
    limit: int,
    now: datetime | None,
) -> Recommendations:
    """At most `limit` matches with tickets that begin after `now`: as analytics advises, else by the country rule."""
    possible = offered(matches, now)
    if not possible:
        return by_rule(possible, visitor.country, limit)
    known = {match.match_number: match for match in matches}
    account_id = None if account is None else account.id
    advice = adviser.advise(account_id, visitor, lambda advice: _holds_water(advice, known, visitor))
    if advice is None:
        return by_rule(possible, visitor.country, limit)
    numbers = {match.match_number for match in possible}
    items = [
        Choice(known[item.match_number], item.reason.reason()) for item in advice.items if item.match_number in numbers
    ][:limit]
    if not items:
        return by_rule(possible, visitor.country, limit)
    return Recommendations(items, Source.MODEL, visitor.country, advice.model_version, advice.synthetic)


def _holds_water(advice: Advice, known: dict[int, Match], visitor: Visitor) -> bool:
    """Each match at most once, and a reason that is true of it. A match of a newer master list may be unknown."""
    numbers = [item.match_number for item in advice.items]
    if len(set(numbers)) != len(numbers):
        return False
    return all(
        is_sensible(item.reason.reason(), known[item.match_number], visitor.country)
        for item in advice.items
        if item.match_number in known
    )
