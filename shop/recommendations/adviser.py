"""The way to analytics: one question, a short time for all of its answer, and no trust in what it says."""

import time
from collections.abc import Callable
from typing import Annotated

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from shared import metrics
from shared.masterlist import MATCHES_MAX
from shared.site_events import pseudonym
from shared.visitors import Visitor
from shop.recommendations.breaker import Breaker
from shop.recommendations.domain import Reason, ReasonCode
from shop.recommendations.settings import RecommendationSettings

log = structlog.get_logger(__name__)

PATH = "/internal/recommendations"
ASKED = 200  # more than will be shown: some may be sold out
ANSWER_BYTES_MAX = 256 * 1024
CONNECTIONS_MAX = 8  # so many requests at most wait for analytics at once
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True, extra="ignore")


class AdvisedReason(_Model):
    """A reason as analytics gives it."""

    code: Annotated[ReasonCode, Field(strict=False)]
    team: Text | None = None
    country: Text | None = None
    region: Text | None = None

    def reason(self) -> Reason:
        return Reason(self.code, self.team, self.country, self.region)


class AdvisedMatch(_Model):
    """A match as analytics advises it."""

    match_number: int
    reason: AdvisedReason


class Advice(_Model):
    """An answer of analytics."""

    items: list[AdvisedMatch] = Field(max_length=MATCHES_MAX)
    model_version: Text
    synthetic: bool


class NoAdvice(Exception):
    """Analytics has not answered in time, or nothing that can be read."""


class Adviser:
    """Asks analytics unless it has failed lately."""

    def __init__(
        self,
        settings: RecommendationSettings,
        token: SecretStr,
        secret: SecretStr,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`token` is the service token; `secret` makes the accounts' pseudonyms."""
        self._seconds = settings.recommendations_seconds_max
        self._secret = secret
        self._now = now
        self._breaker = Breaker(settings.recommendations_failures_max, settings.recommendations_pause_seconds, now)
        self._http = httpx.Client(
            base_url=settings.analytics_url,
            headers={"Authorization": f"Bearer {token.get_secret_value()}"},
            timeout=httpx.Timeout(self._seconds),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            trust_env=False,
        )

    def advise(self, account_id: str | None, visitor: Visitor, holds_water: Callable[[Advice], bool]) -> Advice | None:
        """What analytics advises; None when it cannot be used, for whatever reason.

        `holds_water` says whether an answer of the right form makes sense.
        """
        if not self._breaker.may_ask():
            metrics.ADVICE.labels("not_asked").inc()
            return None
        try:
            advice = self._ask(self._query(account_id, visitor))
            if not holds_water(advice):
                raise NoAdvice("it is not about these matches or this visitor")
        except NoAdvice as error:
            self._breaker.failed()
            metrics.ADVICE.labels("failed").inc()
            log.warning("no_advice", error=str(error))
            return None
        self._breaker.succeeded()
        metrics.ADVICE.labels("given").inc()
        return advice

    def close(self) -> None:
        self._http.close()

    def _query(self, account_id: str | None, visitor: Visitor) -> dict[str, str]:
        subject = None if account_id is None else pseudonym(self._secret, account_id)
        known = {"subject": subject, "country": visitor.country, "language": visitor.language}
        return {name: value for name, value in known.items() if value} | {"limit": str(ASKED)}

    def _ask(self, query: dict[str, str]) -> Advice:
        ends = self._now() + self._seconds
        try:
            with self._http.stream("GET", PATH, params=query) as answer:
                if answer.status_code != 200:
                    raise NoAdvice(f"status {answer.status_code}")
                return Advice.model_validate_json(self._body(answer, ends))
        except httpx.HTTPError as error:
            raise NoAdvice(repr(error)) from error
        except ValidationError as error:
            raise NoAdvice(f"not an answer: {error.error_count()} errors") from error

    def _body(self, answer: httpx.Response, ends: float) -> bytes:
        # The time-out of the library is for each piece: who sends a byte now and then could keep a buyer waiting.
        body = b""
        for piece in answer.iter_bytes():
            body += piece
            if len(body) > ANSWER_BYTES_MAX:
                raise NoAdvice("the answer is too long")
            if self._now() > ends:
                raise NoAdvice("the answer is too slow")
        return body
