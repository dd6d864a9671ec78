"""Accounts, sessions and signing keys: what they are, and the rules about them."""

import enum
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import ClassVar

from shared.errors import MatchdayError, Unauthenticated, ValidationFailed

VERIFY_LASTS = timedelta(days=3)
RESET_LASTS = timedelta(hours=1)
PASSWORD_CHARACTERS_MIN = 8
PASSWORD_CHARACTERS_MAX = 256
# Verifiers' clocks may be behind ours, and their caches a little old.
KEY_MARGIN = timedelta(minutes=5)
# The commonest of those that have become public; each is tried first by whoever guesses.
COMMON_PASSWORDS = frozenset(
    """
    12345678 123456789 1234567890 password password1 password12 password123 passw0rd p@ssw0rd p@ssword qwertyui
    qwertyuiop qwerty123 qwerty12 1q2w3e4r 1q2w3e4r5t 1qaz2wsx zaq12wsx asdfghjk asdfghjkl zxcvbnm1 iloveyou iloveyou1
    princess sunshine football football1 baseball superman batman123 starwars trustno1 whatever letmein1 welcome1
    welcome123 monkey123 dragon123 master123 shadow123 michael1 jennifer jessica1 charlie1 computer internet liverpool
    chelsea1 barcelona realmadrid arsenal1 worldcup worldcup2022 matchday changeme admin123 administrator 87654321
    12341234 123123123 987654321 11223344 abcd1234 abc12345 aa123456 a1b2c3d4 test1234
    """.split()  # noqa: SIM905 - a list would take a page
)


class Role(enum.Enum):
    """What an account may do; every account is a buyer."""

    BUYER = "buyer"
    GATE = "gate"
    PARTNER = "partner"
    ADMIN = "admin"


class Purpose(enum.Enum):
    """What a mailed token opens."""

    VERIFY = "verify"
    RESET = "reset"


class SignInFailed(Unauthenticated):
    """The e-mail address or the password is wrong"""

    code: ClassVar[str] = "wrong_credentials"  # its own: who is `unauthenticated` gets other tokens and asks again


class SessionEnded(Unauthenticated):
    """The session has ended; sign in again"""


class RefreshTokenReused(Unauthenticated):
    """The refresh token was used before; its session has ended for everybody"""

    code: ClassVar[str] = "refresh_token_reused"


class InvalidMailToken(MatchdayError):
    """The token is wrong, too old, or was used before"""

    code: ClassVar[str] = "invalid_token"
    status: ClassVar[int] = 422


class PasswordRequired(MatchdayError):
    """Sign in first, or send the account's password with the token"""

    code: ClassVar[str] = "password_required"
    status: ClassVar[int] = 403


class RecentSignInRequired(MatchdayError):
    """Sign in once more before you do this"""

    code: ClassVar[str] = "recent_sign_in_required"
    status: ClassVar[int] = 403


@dataclass(frozen=True, slots=True)
class Account:
    """An account. Any number of unverified ones may claim an address; one at most has verified it."""

    id: str
    email: str
    password_hash: str
    verified_at: datetime | None
    roles: frozenset[Role]
    country: str | None
    language: str | None
    created_at: datetime

    @property
    def verified(self) -> bool:
        return self.verified_at is not None

    @property
    def email_key(self) -> str:
        return email_key(self.email)


@dataclass(frozen=True, slots=True)
class Search:
    """Which accounts an operator looks for: those of an address, whose address begins so, or that have a role."""

    email: str | None = None
    begins: str | None = None
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """From where somebody signed in."""

    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in and what came of it. `csrf` is the hex SHA-256 of what a page must send back."""

    id: str
    account_id: str
    csrf: str
    device: Device
    signed_in_at: datetime
    seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One token of a session's family; each is used once."""

    session_id: str
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class MailToken:
    """What was mailed to somebody to prove that they read their mail."""

    account_id: str
    purpose: Purpose
    expires_at: datetime
    used_at: datetime | None

    def opens(self, purpose: Purpose, now: datetime) -> bool:
        """Whether it may be used for this now."""
        return self.purpose is purpose and self.used_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair; `public` is the key's `x` in base64url, `sealed` the encrypted private part."""

    kid: str
    public: str
    sealed: bytes
    signs_from: datetime


def email_key(email: str) -> str:
    """What makes two addresses the same: the case of letters does not count."""
    return email.casefold()


def normalized(password: str) -> str:
    """The password as it is hashed: what looks the same on two keyboards is the same (RFC 8265)."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, email: str, pointer: str = "/password") -> None:
    """Raises `ValidationFailed` for a password that is guessed soon."""
    plain = password.casefold()
    if plain in COMMON_PASSWORDS or len(set(plain)) < 4:
        raise _weak(pointer, "is one of those that are tried first")
    if plain in (email_key(email), email_key(email).partition("@")[0]):
        raise _weak(pointer, "must not be the e-mail address")


def _weak(pointer: str, detail: str) -> ValidationFailed:
    return ValidationFailed(
        "the password is too weak", errors=[{"pointer": pointer, "code": "too_weak", "detail": detail}]
    )


def signing_key(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """The key that signs now: the youngest whose time has come."""
    return max((key for key in keys if key.signs_from <= now), key=lambda key: key.signs_from, default=None)


def published_keys(keys: Sequence[SigningKey], now: datetime, token_lasts: timedelta) -> list[SigningKey]:
    """The keys that verifiers must know: those to come, that which signs, and those whose tokens are still valid."""
    signing = signing_key(keys, now)
    ordered = sorted(keys, key=lambda key: key.signs_from)
    published = []
    for key, successor in zip_longest(ordered, ordered[1:]):
        is_old = signing is not None and key.signs_from < signing.signs_from
        if not is_old or successor is None or now < successor.signs_from + token_lasts + KEY_MARGIN:
            published.append(key)
    return published


def next_key_signs_from(
    keys: Sequence[SigningKey], now: datetime, lasts: timedelta, lead: timedelta
) -> datetime | None:
    """From when a key that is to be made now will sign; None while none is due."""
    if not keys:
        return now
    ends = max(key.signs_from for key in keys) + lasts
    return max(now + lead, ends) if ends <= now + lead else None
