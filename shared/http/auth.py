"""Who is calling: bearer tokens, and the guard of routes that only our own services may call."""

import hmac
import re

from flask import request
from pydantic import SecretStr

from shared.errors import Unauthenticated

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")
TOKEN_LONGEST = 4096


def bearer_token() -> str | None:
    """The token of `Authorization: Bearer …`, None when there is no such header.

    Raises `Unauthenticated` for another scheme or something that cannot be a token.
    """
    header = request.environ.get("HTTP_AUTHORIZATION")
    return None if header is None else bearer_of(header)


def bearer_of(header: str) -> str:
    """The token in the value of an Authorization header. Raises `Unauthenticated`."""
    match = _BEARER.fullmatch(header) if len(header) <= TOKEN_LONGEST else None
    if match is None:
        raise Unauthenticated("the Authorization header must be 'Bearer' and a token")
    return match[1]


class ServiceTokenGuard:
    """Lets only callers pass who know the site's service token."""

    scheme = "serviceToken"

    def __init__(self, token: SecretStr) -> None:
        self._token = token.get_secret_value().encode()

    def __call__(self) -> None:
        """Raises `Unauthenticated` unless the request bears the token."""
        if not self._is(bearer_token()):
            raise Unauthenticated("this route needs the service token")

    def is_borne(self) -> bool:
        """Whether the request bears the token."""
        try:
            return self._is(bearer_token())
        except Unauthenticated:
            return False

    def _is(self, given: str | None) -> bool:
        # Compared in constant time, also when nothing was given, so that the time tells nothing.
        return hmac.compare_digest((given or "").encode(), self._token) and given is not None
