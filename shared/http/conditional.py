"""Answers that a client may keep: entity tags and 304."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from flask import Response, request

from shared.http.routes import JSON

# A kept answer is always asked for again, so that nobody sees a number that has changed; asking costs a 304.
REVALIDATE = "public, max-age=0, must-revalidate"


class Tagged(NamedTuple):
    """A body with its entity tag."""

    body: bytes
    etag: str


def tagged(body: bytes) -> Tagged:
    """The body with a strong tag made from its bytes."""
    return Tagged(body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')


def conditional_json(content: Tagged, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """200 with the body, or 304 when the client has it already."""
    extended = [("ETag", content.etag), ("Cache-Control", REVALIDATE), *headers]
    if has_it(request.environ.get("HTTP_IF_NONE_MATCH"), content.etag):
        response = Response(None, 304, extended)
        del response.headers["Content-Type"]
        return response
    return Response(content.body, 200, extended, content_type=JSON)


def has_it(if_none_match: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` header names this tag (weak comparison, as RFC 9110 wants it here)."""
    if not if_none_match:
        return False
    return if_none_match.strip() == "*" or etag in (
        candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")
    )
