"""HTTP: what a visitor may like."""

from flask import Response, request

from shared.errors import DependencyUnavailable
from shared.http import Routes
from shared.http.callers import Caller
from shared.http.routes import json_answer
from shop.recommendations.handlers import recommend
from shop.recommendations.schemas import RecommendationQuery, RecommendationsAnswer
from shop.wiring import Wiring

SENDS = {"Vary": "What the answer depends on.", "Cache-Control": "For the visitor's own browser only."}

recommendations = Routes("recommendations", "What a visitor may like.")


@recommendations.get("/api/recommendations", answer=RecommendationsAnswer, sends=SENDS, raises=[DependencyUnavailable])
def list_recommendations(wiring: Wiring, caller: Caller, query: RecommendationQuery) -> Response:
    """Matches with tickets that the caller may like, best first, and why.

    By the account's history and the visitor's country. Where analytics cannot tell, the team of the visitor's country
    comes first, then those of its region, then what is played soonest; `source` says which it was.
    """
    advised = wiring.advised
    visitor = advised.visitors.visitor(request.environ, caller.account)
    found = recommend(
        advised.adviser,
        wiring.snapshots.get().shelf.matches,
        caller.account,
        visitor,
        query.limit,
        advised.open_after(),
    )
    headers = [("Cache-Control", "private, no-cache"), ("Vary", advised.vary)]
    return json_answer(RecommendationsAnswer.of(found, wiring.currency), headers=headers)
