"""The cookies of pages: the access token, the refresh token, and what a page proves that it is ours with."""

from datetime import timedelta

from flask import request
from werkzeug.http import dump_cookie

from shared.http.callers import ACCESS_COOKIE, CSRF_COOKIE
from users.handlers import SignedIn
from users.settings import UsersSettings

REFRESH_COOKIE = "matchday_refresh"
REFRESH_PATH = "/api/users"
COOKIE_LONGEST = 200

Headers = list[tuple[str, str]]


class Cookies:
    """Writes and reads them."""

    def __init__(self, settings: UsersSettings) -> None:
        self._secure = settings.cookies_secure == "on"
        self._access_lasts = timedelta(seconds=settings.access_token_seconds)

    def of(self, signed_in: SignedIn) -> Headers:
        """What a browser is to keep."""
        headers = [
            self._header(ACCESS_COOKIE, signed_in.access_token, self._access_lasts, http_only=True),
            self._refresh(signed_in.refresh_token, signed_in.refresh_lasts),
        ]
        if signed_in.csrf is not None:
            lasts = signed_in.session.expires_at - signed_in.session.signed_in_at
            headers.append(self._header(CSRF_COOKIE, signed_in.csrf, lasts, http_only=False))
        return headers

    def renewed(self, access_token: str) -> Headers:
        """Another access token for the same session."""
        return [self._header(ACCESS_COOKIE, access_token, self._access_lasts, http_only=True)]

    def none(self) -> Headers:
        """What a browser is to forget."""
        gone = timedelta()
        return [
            self._header(ACCESS_COOKIE, "", gone, http_only=True),
            self._refresh("", gone),
            self._header(CSRF_COOKIE, "", gone, http_only=False),
        ]

    def refresh_token(self) -> str | None:
        """The refresh token that the browser sent."""
        token = request.cookies.get(REFRESH_COOKIE)
        return token if token and len(token) <= COOKIE_LONGEST else None

    def _header(self, name: str, value: str, lasts: timedelta, *, http_only: bool) -> tuple[str, str]:
        cookie = dump_cookie(name, value, lasts, path="/", secure=self._secure, httponly=http_only, samesite="Lax")
        return "Set-Cookie", cookie

    def _refresh(self, value: str, lasts: timedelta) -> tuple[str, str]:
        cookie = dump_cookie(
            REFRESH_COOKIE, value, lasts, path=REFRESH_PATH, secure=self._secure, httponly=True, samesite="Strict"
        )
        return "Set-Cookie", cookie
