"""HTTP: what the shop asks."""

from analytics.recommender.schemas import RecommendationQuery, RecommendationsAnswer
from analytics.recommender.serving import NoModel
from analytics.wiring import Wiring
from shared.http import Routes

internal = Routes("recommendations", "Which matches a visitor may like.")


@internal.get("/internal/recommendations", answer=RecommendationsAnswer, raises=[NoModel])
def recommend(wiring: Wiring, query: RecommendationQuery) -> RecommendationsAnswer:
    """Matches that a visitor may like, and why.

    Answered from memory by the current model. Whether a match is sold out is for the shop to know.
    """
    return RecommendationsAnswer.of(wiring.recommender.recommend(query.visitor(), query.limit))
