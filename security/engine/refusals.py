"""What a decision is called, and how a refusal is told to the caller."""

from dataclasses import dataclass
from typing import Literal

from security.engine.rules import Code
from shared.errors import Blocked, ChallengeRequired, MatchdayError, RateLimited

CHALLENGE_PATH = "/api/security/challenge"
Verdict = Literal["allow", "challenge", "block"]

DECISIONS: dict[Code, tuple[Verdict, str]] = {
    Code.ALLOWED: ("allow", "allowed"),
    Code.MARKED: ("challenge", "failures"),
    Code.BANNED: ("block", "too_many_failures"),
    Code.SUSPECT: ("challenge", "guest_rate"),
    Code.LIMITED: ("block", "rate_limited"),
    Code.REPLAYED: ("challenge", "solution_used"),
    Code.LISTED: ("block", "listed"),
    Code.SCANNER: ("block", "scanner"),
    Code.LISTED_SUSPECT: ("challenge", "listed"),
}
DETAILS = {
    "failures": "too much has failed from here lately",
    "too_many_failures": "too much has failed from here lately",
    "guest_rate": "many requests come from here",
    "rate_limited": "too many requests come from here",
    "solution_used": "this solution was used before",
    "listed": "requests from here are not taken as they are",
    "scanner": "requests of this program are not taken",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a request; `retry_after` in seconds, 0 when waiting does not help."""

    code: Code
    signals: tuple[str, ...] = ()
    retry_after: int = 0

    @property
    def verdict(self) -> Verdict:
        return DECISIONS[self.code][0]

    @property
    def reasons(self) -> list[str]:
        """What decided first, then what else was noticed."""
        return [DECISIONS[self.code][1], *self.signals]


def refusal(decision: Decision) -> MatchdayError:
    """The error that a refused caller gets. What was noticed about him is not told."""
    reason = decision.reasons[0]
    retry_after = decision.retry_after or None
    if decision.verdict == "challenge":
        return ChallengeRequired(DETAILS[reason], challenge=CHALLENGE_PATH)
    if reason == "rate_limited":
        return RateLimited(DETAILS[reason], retry_after=retry_after)
    return Blocked(DETAILS[reason], retry_after=retry_after)
