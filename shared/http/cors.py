"""Cross-origin requests: origins on the list may call, with bearer tokens and never with cookies."""

from flask import Response, request

from shared.settings import split_list

ALLOWED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-Challenge-Pass,"
    " X-Challenge-Solution, X-Request-Id, X-Waiting-Place, X-Waiting-Visitor, traceparent"
)
EXPOSED_HEADERS = "ETag, Location, RateLimit, RateLimit-Policy, Retry-After, X-Challenge-Pass, X-Request-Id"
PREFLIGHT_SECONDS = 600


class Cors:
    """The allow-list."""

    def __init__(self, origins: str) -> None:
        self.origins = frozenset(split_list(origins))

    def headers(self, origin: str | None) -> list[tuple[str, str]]:
        """What each response needs, for the origin of its request."""
        if not self.origins:
            return []
        if origin not in self.origins:
            return [("Vary", "Origin")]
        return [
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", origin or ""),
            ("Access-Control-Expose-Headers", EXPOSED_HEADERS),
        ]

    def preflight(self, response: Response) -> None:
        """Adds what a browser asks for before it sends the request itself."""
        asked = "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.environ
        if asked and request.environ.get("HTTP_ORIGIN") in self.origins:
            response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
            response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
