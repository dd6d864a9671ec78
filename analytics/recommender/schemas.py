"""The HTTP models of recommendations."""

from pydantic import Field

from analytics.recommender.domain import Reason, ReasonCode, Recommendations, Recommended, Visitor
from shared.http import AnswerModel, QueryModel

LIMIT_MAX = 200


class RecommendationQuery(QueryModel):
    """Who is to get recommendations."""

    subject: str | None = Field(None, pattern=r"^[!-~]{1,100}$", description="The account's pseudonym.")
    country: str | None = Field(None, pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2.")
    language: str | None = Field(None, pattern=r"^[a-z]{2,3}$", description="ISO 639.")
    limit: int = Field(10, ge=1, le=LIMIT_MAX)

    def visitor(self) -> Visitor:
        return Visitor(self.subject, self.country, self.language)


class ReasonAnswer(AnswerModel):
    """Why a match is recommended."""

    code: ReasonCode
    team: str | None = Field(description="As the master list writes it; with follows_team, home_team and region.")
    country: str | None = Field(description="ISO 3166-1 alpha-2; with popular_in_country.")
    region: str | None = Field(description="With region.")

    @classmethod
    def of(cls, reason: Reason) -> "ReasonAnswer":
        return cls(code=reason.code, team=reason.team, country=reason.country, region=reason.region)


class RecommendedAnswer(AnswerModel):
    """One match."""

    match_number: int
    score: float = Field(description="Compares within one answer only.")
    reason: ReasonAnswer

    @classmethod
    def of(cls, item: Recommended) -> "RecommendedAnswer":
        return cls(match_number=item.match_number, score=item.score, reason=ReasonAnswer.of(item.reason))


class RecommendationsAnswer(AnswerModel):
    """Matches for a visitor, best first; none that has begun."""

    items: list[RecommendedAnswer]
    model_version: str
    synthetic: bool = Field(description="Whether the model has learnt from synthetic data.")

    @classmethod
    def of(cls, found: Recommendations) -> "RecommendationsAnswer":
        items = [RecommendedAnswer.of(item) for item in found.items]
        return cls(items=items, model_version=found.model_version, synthetic=found.synthetic)
