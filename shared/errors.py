"""The one error tree: each error has a stable `code` and an HTTP `status`; its docstring is its title.

Services derive their own errors from these in their `domain.py`; `shared/http` turns any of them into
problem+json, and nothing else decides how an error looks to a caller.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypedDict


class Violation(TypedDict, total=False):
    """One thing that is wrong with a request: where (exactly one of the first three), a code and a sentence."""

    pointer: str  # RFC 6901, into the body
    parameter: str  # name in the query
    header: str  # name of a header
    code: str
    detail: str


def in_a_line(error: BaseException) -> str:
    """What an error says, or its kind when it says nothing, in one line; for logs and messages."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class MatchdayError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retry_after_seconds: ClassVar[int | None] = None
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # further members of the problem → their JSON Schemas

    def __init__(self, detail: str | None = None, *, retry_after: int | None = None, **extra: Any) -> None:
        """`detail` explains this occurrence to the caller; `extra` are further members of the problem."""
        super().__init__(detail or self.title())
        self.detail = detail
        self.extra: Mapping[str, Any] = extra
        self.retry_after = self.retry_after_seconds if retry_after is None else retry_after

    @classmethod
    def title(cls) -> str:
        """The same words for every occurrence: the first line of the docstring, without its full stop."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0].removesuffix(".")

    def headers(self) -> list[tuple[str, str]]:
        """Headers that belong to this error's response."""
        return [] if self.retry_after is None else [("Retry-After", str(self.retry_after))]


class MalformedJson(MatchdayError):
    """The body is not well-formed JSON."""

    code = "malformed_json"
    status = 400


class BadRequest(MatchdayError):
    """The request cannot be read."""

    code = "bad_request"
    status = 400


class Unauthenticated(MatchdayError):
    """A valid credential is needed."""

    code = "unauthenticated"
    status = 401

    def headers(self) -> list[tuple[str, str]]:
        return [*super().headers(), ("WWW-Authenticate", 'Bearer realm="matchday"')]


class Forbidden(MatchdayError):
    """The credential does not allow this."""

    code = "forbidden"
    status = 403


class ReauthenticationRequired(MatchdayError):
    """Prove once more who you are before you do this."""

    code = "reauthentication_required"
    status = 403
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "maxAge": {"type": "integer", "description": "Seconds for which a password counts here."}
    }


class CsrfFailed(MatchdayError):
    """The request does not prove that it comes from this site's own page."""

    code = "csrf_failed"
    status = 403


class Blocked(MatchdayError):
    """Requests from here are not taken."""

    code = "blocked"
    status = 403


class ChallengeRequired(MatchdayError):
    """Solve a challenge first, and send the solution with the same request."""

    code = "challenge_required"
    status = 403
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "challenge": {"type": "string", "description": "Path of the challenge, at the service `security`."}
    }


class NotFound(MatchdayError):
    """There is nothing here."""

    code = "not_found"
    status = 404


class MethodNotAllowed(MatchdayError):
    """The resource does not take this method."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, detail: str | None = None, *, allowed: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.allowed = sorted(allowed)

    def headers(self) -> list[tuple[str, str]]:
        return [*super().headers(), ("Allow", ", ".join(self.allowed))]


class Conflict(MatchdayError):
    """The request does not fit the present state."""

    code = "conflict"
    status = 409


class IdempotencyKeyReused(Conflict):
    """The idempotency key was used before, with a different request."""

    code = "idempotency_key_reused"


class BodyTooLarge(MatchdayError):
    """The body is larger than allowed."""

    code = "body_too_large"
    status = 413


class UnsupportedMediaType(MatchdayError):
    """The body's media type is not supported."""

    code = "unsupported_media_type"
    status = 415

    def headers(self) -> list[tuple[str, str]]:
        return [*super().headers(), ("Accept", "application/json")]


class ValidationFailed(MatchdayError):
    """The request is well-formed but not valid."""

    code = "validation_failed"
    status = 422

    def __init__(self, detail: str | None = None, *, errors: Sequence[Violation] = ()) -> None:
        super().__init__(detail, errors=list(errors))
        self.errors = list(errors)


class RateLimited(MatchdayError):
    """Too many requests."""

    code = "rate_limited"
    status = 429
    retry_after_seconds = 1


class InternalError(MatchdayError):
    """The service failed unexpectedly."""

    code = "internal_error"
    status = 500


class DependencyUnavailable(MatchdayError):
    """A server that this service needs is out of reach; nothing was changed."""

    code = "dependency_unavailable"
    status = 503
    retry_after_seconds = 1


class BrokerUnavailable(MatchdayError):
    """The message broker is out of reach; nothing was changed."""

    code = "broker_unavailable"
    status = 503
    retry_after_seconds = 2


class Overloaded(MatchdayError):
    """The service works on as many requests as it can; nothing was changed."""

    code = "overloaded"
    status = 503
    retry_after_seconds = 1


class NotReady(MatchdayError):
    """The service is not ready to take requests."""

    code = "not_ready"
    status = 503
    retry_after_seconds = 1


class TooManyStreamsOfAddress(RateLimited):
    """As many streams are open as one address may have."""

    code = "too_many_streams_of_address"
    retry_after_seconds = 5


class TooManyStreams(MatchdayError):
    """As many streams are open as this process serves."""

    code = "too_many_streams"
    status = 503
    retry_after_seconds = 5
