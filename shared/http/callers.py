"""Who is calling, and what stands before a handler: who may call a route, and the gate that every request passes.

A service hands `create_http_app` an `Accounts` (whose token is this?) and a `Gate` (may this request go on?); the
kernel knows neither how tokens are verified nor how the gate decides.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from shared.errors import CsrfFailed, Forbidden, MatchdayError, ReauthenticationRequired, Unauthenticated

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CALLER_KEY = "matchday.caller"  # where in the WSGI environment the caller is left
ACCESS_COOKIE = "matchday_access"
CSRF_COOKIE = "matchday_csrf"
CSRF_HEADER = "X-CSRF-Token"
QUESTION_KEY = "matchday.question"  # what the gate was asked about a request that it let through
HEADERS_KEY = "matchday.headers"  # headers that the response gets whatever the handler answers
Environ = Mapping[str, Any]
RateClass = Literal[
    "none", "read", "write", "hold", "pay", "sign_in", "sign_up", "mail", "gate", "webhook", "internal", "nowhere",
    "challenge",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """A signed-in account, as its access token says."""

    id: str
    email: str
    email_verified: bool
    roles: frozenset[str]
    session_id: str
    by_cookie: bool = False
    csrf: str = ""  # hex SHA-256 of the value that a page must send back in X-CSRF-Token
    authenticated_at: float = 0.0  # when its owner last gave the password, seconds since the epoch
    language: str | None = None  # a BCP 47 tag, if its owner has chosen one
    country: str | None = None  # ISO 3166-1 alpha-2, if its owner has told


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from, and the account that sends it; None for a guest and for the service token."""

    address: str
    account: Account | None


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call a route; `roles` are alternatives."""

    kind: Literal["public", "token", "credential", "signed_in"]
    roles: frozenset[str] = frozenset()
    services: bool = False  # whether the service token opens it, too; with roles the door sees to that


PUBLIC = Access("public")  # anybody; where the handler takes the caller, a token must be an account's
TOKEN = Access("token")  # the handler reads a bearer token that is no account's, or takes an account's
# What opens it is in the body or in a cookie of its own: a password, a refresh token, a mailed token. An access token
# that is not valid any more does not stand in the way; the handler gets the caller and checks by itself.
CREDENTIAL = Access("credential")
SIGNED_IN = Access("signed_in")  # an account


def roles(*names: str, services: bool = False) -> Access:
    """Accounts with at least one of these roles; with `services` also who bears the service token."""
    return Access("signed_in", frozenset(names), services)


@dataclass(frozen=True, slots=True)
class Seal:
    """A signature over the body by which a sender is known who is never refused at the gate, whatever others do.

    Both functions get the service's wiring and the header's value. `may_hold` looks at the header alone, so that what
    cannot be signed is judged before its body is read; `holds` says whether it is the signature of these bytes.
    """

    header: str
    may_hold: Callable[[Any, str], bool]
    holds: Callable[[Any, str, bytes], bool]


class Accounts(Protocol):
    """Tells whose token a request bears."""

    def account(self, environ: Environ) -> Account | None:
        """The account; None without a token, or with one that is no account's.

        Raises `Unauthenticated` for an account's token that is not valid (any more).
        """


@dataclass(frozen=True, slots=True)
class Question:
    """What the gate is asked about a request; `route` is the template, such as `/api/matches/{matchNumber}`."""

    address: str
    method: str
    route: str
    rate_class: RateClass
    account_id: str | None
    environ: Environ
    email_verified: bool = True  # whether the account, if there is one, has verified its address


class Gate(Protocol):
    """Decides whether a request may go on: rate limits, block lists, challenges."""

    def check(self, question: Question) -> Sequence[tuple[str, str]]:
        """Headers for the response.

        Raises `Blocked`, `ChallengeRequired`, `RateLimited`, or `DependencyUnavailable` when it cannot tell and the
        route may not go on without. Headers for a refusal are left in the environment under `HEADERS_KEY`.
        """

    def tell(self, question: Question, status: int) -> None:
        """How a request that went on ended: who often fails is found out by this."""


def admit(access: Access, account: Account | None, problem: MatchdayError | None) -> None:
    """Raises `Unauthenticated` or `Forbidden` unless the account may call a route with this access.

    `problem` is what was wrong with the token, if something was.
    """
    if access.kind != "signed_in":
        return
    if account is None:
        raise problem or Unauthenticated("sign in first")
    if access.roles and not access.roles & account.roles:
        raise Forbidden(f"this needs one of the roles {', '.join(sorted(access.roles))}")


def check_fresh(account: Account, now: float, seconds: int) -> None:
    """Raises `ReauthenticationRequired` unless the account's owner gave the password within the last `seconds`.

    A token that was stolen, or a page that was left open, is not enough for what moves money or gives rights.
    """
    if now - account.authenticated_at > seconds:
        raise ReauthenticationRequired("give the password again", maxAge=seconds)


def check_csrf(account: Account, method: str, environ: Environ) -> None:
    """Raises `CsrfFailed` for a change that a browser may have been tricked into.

    Cookies travel by themselves, so a change that is authenticated by one must also bear, in a header that other sites'
    pages cannot set, the value that belongs to the session.
    """
    if not account.by_cookie or method in SAFE_METHODS:
        return
    given = hashlib.sha256(environ.get("HTTP_X_CSRF_TOKEN", "").encode()).hexdigest()
    if not hmac.compare_digest(given, account.csrf):
        raise CsrfFailed(f"send the value of the cookie {CSRF_COOKIE} as {CSRF_HEADER}")
