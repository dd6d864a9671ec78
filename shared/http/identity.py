"""Whose access token a request bears: verified by the public keys of `users`, which this process keeps.

The keys are fetched when the process starts and looked at again in the background; while `users` is out of reach those
that are known go on verifying. A key that is not known lets the process ask once more, though not often: who makes key
ids up must not make us ask.
"""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm
from werkzeug.http import parse_cookie

from shared.errors import DependencyUnavailable, MatchdayError, Unauthenticated
from shared.http.auth import TOKEN_LONGEST, bearer_of
from shared.http.callers import ACCESS_COOKIE, Account, Environ
from shared.settings import IdentitySettings

log = structlog.get_logger(__name__)

ALGORITHM = "EdDSA"
AUDIENCE = "matchday"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - RFC 9068
JWKS_PATH = "/.well-known/jwks.json"
CLAIMS = ["iss", "aud", "sub", "email", "email_verified", "roles", "sid", "iat", "exp", "jti", "csrf"]
SKEW_SECONDS = 10  # that two machines' clocks may differ by
FETCH_SECONDS_MAX = 2.0
UNKNOWN_KEY_SECONDS = 5.0  # pause between two looks that an unknown key causes, and after a look that failed
VERIFIED_MAX = 10_000  # tokens that are known to be good

Jwks = Mapping[str, Any]


def fetch_from(users_url: str) -> Callable[[], Jwks]:
    """Asks the service `users` for its keys."""

    def fetch() -> Jwks:
        response = httpx.get(users_url + JWKS_PATH, timeout=FETCH_SECONDS_MAX, trust_env=False)
        response.raise_for_status()
        found = response.json()
        if not isinstance(found, dict):
            raise ValueError("the key set is no object")
        return found

    return fetch


def read_keys(jwks: Jwks) -> dict[str, Ed25519PublicKey]:
    """The keys by their ids; what is no signing key of our kind is passed over. Raises `ValueError` for none at all."""
    keys = {}
    for entry in jwks.get("keys", ()):
        if entry.get("kty") == "OKP" and entry.get("crv") == "Ed25519" and entry.get("use") == "sig":
            key = OKPAlgorithm.from_jwk({name: entry[name] for name in ("kty", "crv", "x")})
            if isinstance(key, Ed25519PublicKey):
                keys[str(entry["kid"])] = key
    if not keys:
        raise ValueError("there is no key")
    return keys


class KeySet:
    """The keys that are known, and when to ask for others."""

    def __init__(self, fetch: Callable[[], Jwks], on_change: Callable[[], None]) -> None:
        self._fetch = fetch
        self._on_change = on_change
        self._lock = threading.Lock()
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._looked_for_at = float("-inf")
        self.reached = False

    def key(self, kid: str) -> Ed25519PublicKey:
        """The key of this id. Raises `Unauthenticated`, or `DependencyUnavailable` when it cannot be told."""
        found = self._keys.get(kid) or self._look_for(kid)
        if found is not None:
            return found
        if not self.reached:
            raise DependencyUnavailable("the keys that access tokens are signed with are out of reach")
        raise Unauthenticated("the access token is not signed by a key of ours")

    def _look_for(self, kid: str) -> Ed25519PublicKey | None:
        with self._lock:  # who comes meanwhile waits for the same answer
            # Looks that the background took do not count: a key may have been made right after one.
            if kid not in self._keys and time.monotonic() - self._looked_for_at > UNKNOWN_KEY_SECONDS:
                self._looked_for_at = time.monotonic()
                self._refresh()
            return self._keys.get(kid)

    def refresh(self) -> None:
        """Looks at the keys again; keeps those that are known when there is no answer."""
        with self._lock:
            self._refresh()

    def _refresh(self) -> None:
        try:
            keys = read_keys(self._fetch())
        except (
            httpx.HTTPError,
            MatchdayError,
            jwt.PyJWTError,
            ValueError,
            LookupError,
            AttributeError,
            TypeError,
        ) as error:
            self.reached = False
            log.warning("signing_keys_out_of_reach", error=str(error), known=len(self._keys))
            return
        self.reached = True
        if keys.keys() != self._keys.keys():
            self._keys = keys
            self._on_change()


class JwksAccounts:
    """Accounts by their access tokens: `shared.http.Accounts`."""

    def __init__(
        self,
        fetch: Callable[[], Jwks],
        issuer: str,
        refresh_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._refresh_seconds = refresh_seconds
        self._now = now
        self._verified: dict[str, tuple[Account, float]] = {}
        self._keys = KeySet(fetch, self._verified.clear)
        self._stopping = threading.Event()

    @classmethod
    def of(cls, settings: IdentitySettings) -> "JwksAccounts":
        """Verifies by the keys of the service `users`, whose address is a setting; already started."""
        accounts = cls(fetch_from(settings.users_url), settings.token_issuer, settings.jwks_refresh_seconds)
        accounts.start()
        return accounts

    def start(self) -> None:
        """Begins to look at the keys in the background."""
        threading.Thread(target=self._keep_fresh, name="jwks", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _keep_fresh(self) -> None:
        while not self._stopping.is_set():
            self._keys.refresh()
            self._stopping.wait(self._refresh_seconds if self._keys.reached else UNKNOWN_KEY_SECONDS)

    def account(self, environ: Environ) -> Account | None:
        """The account whose token stands in `Authorization`, or else in the cookie of pages; None without one.

        A bearer token that has not the form of a JWT is somebody else's, such as a guest's.
        """
        header = environ.get("HTTP_AUTHORIZATION")
        if header is not None:
            token = bearer_of(header)
            return self.verify(token) if token.count(".") == 2 else None
        cookies = environ.get("HTTP_COOKIE", "")
        if ACCESS_COOKIE not in cookies:
            return None
        cookie = parse_cookie(cookies).get(ACCESS_COOKIE)
        return dataclasses.replace(self.verify(cookie), by_cookie=True) if cookie else None

    def verify(self, token: str) -> Account:
        """The account of an access token. Raises `Unauthenticated`, `DependencyUnavailable`."""
        known = self._verified.get(token)
        account, expires_at = known or self._verify(token)
        if self._now() > expires_at + SKEW_SECONDS:
            self._verified.pop(token, None)
            raise Unauthenticated("the access token has expired")
        if known is None:
            if len(self._verified) >= VERIFIED_MAX:
                self._verified.clear()
            self._verified[token] = (account, expires_at)
        return account

    def _verify(self, token: str) -> tuple[Account, float]:
        if len(token) > TOKEN_LONGEST:
            raise Unauthenticated("the access token is too long")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("typ") != TOKEN_TYPE or header.get("alg") != ALGORITHM:
                raise Unauthenticated("this is no access token of ours")
            claims = self._decode(token, str(header.get("kid")))
        except (jwt.InvalidTokenError, ValueError) as error:
            raise Unauthenticated("the access token is not valid") from error
        if claims["iat"] > self._now() + SKEW_SECONDS:
            raise Unauthenticated("the access token is not valid yet")
        return _account(claims), float(claims["exp"])

    def _decode(self, token: str, kid: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            self._keys.key(kid),
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=self._issuer,
            # Times are compared here, by a clock that tests can move.
            options={"require": CLAIMS, "verify_exp": False, "verify_iat": False},
        )


def _account(claims: Mapping[str, Any]) -> Account:
    return Account(
        id=str(claims["sub"]),
        email=str(claims["email"]),
        email_verified=claims["email_verified"] is True,
        roles=frozenset(map(str, claims["roles"])),
        session_id=str(claims["sid"]),
        csrf=str(claims["csrf"]),
        authenticated_at=_seconds(claims.get("auth_time")),
        language=_text(claims.get("locale")),
        country=_text(claims.get("country")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(auth_time: object) -> float:
    # A token from before there was this claim is good for what needs no fresh proof.
    return float(auth_time) if isinstance(auth_time, int) else 0.0
