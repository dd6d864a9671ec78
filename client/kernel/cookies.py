"""The cookies of pages. All are HttpOnly: no script of ours needs one.

The session's are those of `users`, by their own names, so that services read them where a proxy leads to them; only the
refresh token is kept for all of the site, since the pages renew sessions themselves (ADR 18).
"""

import secrets
from dataclasses import dataclass, field

from werkzeug.http import dump_cookie

from security.engine.challenge import PASS_COOKIE
from shared.http.callers import ACCESS_COOKIE

REFRESH_COOKIE = "matchday_refresh"
FORM_COOKIE = "matchday_form"
HOLDS_COOKIE = "matchday_holds"
LANGUAGE_COOKIE = "matchday_language"
NOTICE_COOKIE = "matchday_notice"
SESSION_COOKIES = (ACCESS_COOKIE, REFRESH_COOKIE)
PASS_SECONDS = 1800
YEAR_SECONDS = 365 * 86_400
HOLDS_SECONDS = 90 * 86_400
HOLDS_MAX = 12  # reservations of a guest that a browser keeps; a cookie has 4 KiB
NOTICE_SECONDS = 60
COOKIE_LONGEST = 3800


@dataclass
class Jar:
    """What a browser sent, and what it is to keep from now on."""

    sent: dict[str, str]
    secure: bool
    written: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        """A cookie's value; None without one, or with one that is not ours: too long, or with characters that none of
        ours has, and that could not go on in a header to the services."""
        value = self.sent.get(name) or ""
        return value if 0 < len(value) <= COOKIE_LONGEST and value.isascii() and value.isprintable() else None

    def keep(self, name: str, value: str, seconds: int | None = None) -> None:
        """Writes a cookie; without `seconds` it goes when the browser is closed."""
        self.sent[name] = value
        self.written[name] = dump_cookie(
            name, value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="Lax"
        )

    def forget(self, name: str) -> None:
        self.sent.pop(name, None)
        self.written[name] = dump_cookie(name, "", max_age=0, path="/", secure=self.secure, httponly=True)

    def headers(self) -> list[tuple[str, str]]:
        return [("Set-Cookie", written) for written in self.written.values()]

    # Forms

    def form_token(self) -> str:
        """What a form must bear, made once a browser."""
        token = self.get(FORM_COOKIE)
        if token is None:
            token = secrets.token_urlsafe(24)
            self.keep(FORM_COOKIE, token)
        return token

    def renew_form_token(self) -> None:
        """After signing in or out: forms that somebody else was shown before are void."""
        self.keep(FORM_COOKIE, secrets.token_urlsafe(24))

    # Reservations of a guest

    def holds(self) -> dict[str, str]:
        """Reservation → its access token, the youngest last."""
        tokens = (self.get(HOLDS_COOKIE) or "").split("~")
        return {token.partition(".")[0]: token for token in tokens if "." in token}

    def keep_hold(self, token: str) -> None:
        """Keeps a guest's access token, and the youngest of those that are there."""
        held = self.holds()
        held.pop(token.partition(".")[0], None)
        kept = [*held.values(), token][-HOLDS_MAX:]
        self.keep(HOLDS_COOKIE, "~".join(kept), HOLDS_SECONDS)

    # Notices

    def notice(self, name: str) -> None:
        """What the next page says once, by the name of its words."""
        self.keep(NOTICE_COOKIE, name, NOTICE_SECONDS)

    def keep_pass(self, text: str) -> None:
        """What a solved challenge has earned."""
        self.keep(PASS_COOKIE, text, PASS_SECONDS)
