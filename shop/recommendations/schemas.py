"""The HTTP models of recommendations."""

from pydantic import Field

from shared.http import AnswerModel, QueryModel
from shop.recommendations.domain import Choice, Reason, ReasonCode, Recommendations, Source
from shop.schemas import MatchAnswer

LIMIT_MAX = 24


class RecommendationQuery(QueryModel):
    """How many are wanted."""

    limit: int = Field(6, ge=1, le=LIMIT_MAX)


class ReasonAnswer(AnswerModel):
    """Why a match is recommended."""

    code: ReasonCode
    team: str | None = Field(description="As the master list writes it; with follows_team, home_team and region.")
    country: str | None = Field(description="ISO 3166-1 alpha-2; with popular_in_country.")
    region: str | None = Field(description="With region, such as `latin_america`.")

    @classmethod
    def of(cls, reason: Reason) -> "ReasonAnswer":
        return cls(code=reason.code, team=reason.team, country=reason.country, region=reason.region)


class RecommendedMatch(AnswerModel):
    """A match and why it is recommended."""

    match: MatchAnswer
    reason: ReasonAnswer

    @classmethod
    def of(cls, choice: Choice, currency: str) -> "RecommendedMatch":
        return cls(match=MatchAnswer.of(choice.match, currency), reason=ReasonAnswer.of(choice.reason))


class RecommendationsAnswer(AnswerModel):
    """Matches with tickets that who asks may like, best first."""

    items: list[RecommendedMatch]
    source: Source = Field(
        description="Whether the model has answered, or else a rule: the visitor's country, or what is played soonest."
    )
    country: str | None = Field(description="Where the visitor seems to be from, ISO 3166-1 alpha-2.")
    model_version: str | None = Field(description="null unless the model has answered.")
    synthetic: bool = Field(description="Whether the model has learnt from synthetic data: pages say so.")

    @classmethod
    def of(cls, found: Recommendations, currency: str) -> "RecommendationsAnswer":
        return cls(
            items=[RecommendedMatch.of(choice, currency) for choice in found.items],
            source=found.source,
            country=found.country,
            model_version=found.model_version,
            synthetic=found.synthetic,
        )
