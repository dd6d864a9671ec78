"""Every failure as problem+json (RFC 9457), with one place that knows how each looks."""

from urllib.parse import quote

import orjson
import structlog
from flask import Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from shared import errors, tracing

log = structlog.get_logger(__name__)

_PATH_SAFE = "/:@!$&'()*+,;=~"  # besides letters, digits, "_", ".", "-"
PROBLEM_TYPE = "application/problem+json"
_BY_STATUS: dict[int, type[errors.MatchdayError]] = {
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.BodyTooLarge,
    415: errors.UnsupportedMediaType,
    422: errors.ValidationFailed,
    429: errors.RateLimited,
}


def problem_type(code: str) -> str:
    """A reference to where the code is explained: this service's own documentation page."""
    return f"/docs#{code}"


def as_error(exception: Exception) -> errors.MatchdayError:
    """The error of ours that an exception stands for. What is unexpected is logged and tells the caller nothing."""
    if isinstance(exception, errors.MatchdayError):
        return exception
    if isinstance(exception, MethodNotAllowed):
        return errors.MethodNotAllowed(allowed=list(exception.valid_methods or ()))
    if isinstance(exception, RequestEntityTooLarge):
        return errors.BodyTooLarge()
    if isinstance(exception, HTTPException) and exception.code is not None and exception.code < 500:
        return _BY_STATUS.get(exception.code, errors.BadRequest)()
    log.error("unexpected_error", exc_info=exception)
    return errors.InternalError()


def problem_response(error: errors.MatchdayError) -> Response:
    """The error as a response."""
    document = {
        "type": problem_type(error.code),
        "title": error.title(),
        "status": error.status,
        "detail": error.detail or error.title(),
        "instance": quote(request.path, safe=_PATH_SAFE),
        "code": error.code,
        "requestId": tracing.request_id(),
    }
    body = orjson.dumps(document | dict(error.extra), default=str)
    response = Response(body, error.status, error.headers(), content_type=PROBLEM_TYPE)
    response.headers["Cache-Control"] = "no-store"
    return response
