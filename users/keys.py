"""`python -m users.keys list | rotate | revoke KID`: the keys that access tokens are signed with, and signing itself.

A new key is published some time before it signs, so that every verifier knows it by then; an old one stays published
until the last token that it signed has expired.
"""

import base64
import hashlib
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection

from shared.clock import Clock, SystemClock
from shared.database import Database
from shared.errors import InternalError, NotFound
from shared.http.identity import ALGORITHM, AUDIENCE, TOKEN_TYPE
from shared.settings import load
from users import store
from users.domain import Account, Session, SigningKey, next_key_signs_from, published_keys, signing_key
from users.settings import KeySettings
from users.vault import Unreadable, Vault

log = structlog.get_logger(__name__)

KEPT_SECONDS = 5.0  # how long a process may not have noticed a change of the keys


def new_key(vault: Vault, signs_from: datetime) -> SigningKey:
    """A fresh key pair; its id is the public key's thumbprint (RFC 7638)."""
    private = Ed25519PrivateKey.generate()
    public = _text(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    canonical = orjson.dumps({"crv": "Ed25519", "kty": "OKP", "x": public})
    kid = _text(hashlib.sha256(canonical).digest())
    return SigningKey(kid, public, vault.seal(private.private_bytes_raw()), signs_from)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def as_jwk(key: SigningKey) -> dict[str, str]:
    """The public key as RFC 8037 writes it."""
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM, "kid": key.kid, "x": key.public}


class KeyRing:
    """The keys of the site, read from the table at most every few seconds."""

    def __init__(
        self, database: Database, settings: KeySettings, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._vault = Vault(settings.users_secret)
        self._lasts = timedelta(days=settings.key_days)
        self._lead = timedelta(seconds=settings.key_lead_seconds)
        self._token_lasts = timedelta(seconds=settings.access_token_seconds)
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._keys: list[SigningKey] = []
        self._private: dict[str, Ed25519PrivateKey] = {}

    def signing(self) -> tuple[str, Ed25519PrivateKey]:
        """The id and the private part of the key that signs now. Raises `DependencyUnavailable`."""
        with self._lock:
            self._read()
            key = signing_key(self._readable(), self._clock.now())
            if key is None:
                raise InternalError("there is no key to sign with")
            return key.kid, self._private[key.kid]

    def jwks(self) -> dict[str, Any]:
        """The public keys. Raises `DependencyUnavailable`."""
        with self._lock:
            self._read()
            keys = published_keys(self._keys, self._clock.now(), self._token_lasts)
        return {"keys": [as_jwk(key) for key in keys]}

    def _read(self) -> None:
        if self._monotonic() - self._read_at < KEPT_SECONDS:
            return
        with self._database.transaction() as connection:
            keys = store.list_keys(connection)
        self._take_over(keys)
        if signing_key(self._readable(), self._clock.now()) is None:
            # The first start, or USERS_SECRET is another one: what was signed stays valid, what is signed is new.
            self.rotate(at_once=True)
            with self._database.transaction() as connection:
                self._take_over(store.list_keys(connection))
        self._read_at = self._monotonic()

    def _take_over(self, keys: list[SigningKey]) -> None:
        private = {}
        for key in keys:
            try:
                private[key.kid] = self._private.get(key.kid) or self._open(key)
            except Unreadable:
                log.error("signing_key_unreadable", kid=key.kid)
        self._keys, self._private = keys, private

    def _open(self, key: SigningKey) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._vault.open(key.sealed))

    def _readable(self) -> list[SigningKey]:
        return [key for key in self._keys if key.kid in self._private]

    def rotate(self, *, at_once: bool = False, wanted: bool = False) -> SigningKey | None:
        """Makes the next key when it is due, and removes those that no valid token needs.

        `wanted` makes one although none is due; `at_once` lets it sign without being published first.
        """
        now = self._clock.now()
        with self._database.transaction() as connection:
            store.lock_keys(connection)
            keys = store.list_keys(connection)
            self._remove_old(connection, keys, now)
            signs_from = self._signs_from(keys, now, at_once=at_once, wanted=wanted)
            if signs_from is None:
                return None
            made = new_key(self._vault, signs_from)
            store.insert_key(connection, made)
        log.info("signing_key_made", kid=made.kid, signs_from=made.signs_from.isoformat())
        return made

    def _signs_from(self, keys: list[SigningKey], now: datetime, *, at_once: bool, wanted: bool) -> datetime | None:
        if at_once:
            # Several processes may come here at their first start; the first one's key is everybody's.
            readable = [key for key in keys if self._is_readable(key)]
            return None if signing_key(readable, now) is not None and not wanted else now
        return now + self._lead if wanted else next_key_signs_from(keys, now, self._lasts, self._lead)

    def _is_readable(self, key: SigningKey) -> bool:
        try:
            self._vault.open(key.sealed)
        except Unreadable:
            return False
        return True

    def _remove_old(self, connection: Connection, keys: list[SigningKey], now: datetime) -> None:
        needed = {key.kid for key in published_keys(keys, now, self._token_lasts)}
        old = [key.kid for key in keys if key.kid not in needed]
        if old:
            store.delete_keys(connection, old)
            log.info("signing_keys_removed", kids=old)

    def revoke(self, kid: str) -> None:
        """Removes a key that others may have: its tokens are void once verifiers have looked. Raises `NotFound`."""
        with self._database.transaction() as connection:
            store.lock_keys(connection)
            if not store.delete_keys(connection, [kid]):
                raise NotFound(f"there is no key {kid}")
        self.rotate(at_once=True)
        log.warning("signing_key_revoked", kid=kid)


def access_token(
    ring: KeyRing,
    issuer: str,
    lasts: timedelta,
    account: Account,
    session: Session,
    now: datetime,
    password_at: datetime | None = None,
) -> str:
    """A signed access token (RFC 9068). Raises `DependencyUnavailable`.

    `password_at` is when the owner gave the password; when the session began, unless it was since then.
    """
    kid, private = ring.signing()
    claims = {
        "iss": issuer,
        "aud": [AUDIENCE],
        "sub": account.id,
        "email": account.email,
        "email_verified": account.verified,
        "roles": sorted(role.value for role in account.roles),
        "sid": session.id,
        "csrf": session.csrf,
        "auth_time": int((password_at or session.signed_in_at).timestamp()),
        "iat": int(now.timestamp()),
        "exp": int((now + lasts).timestamp()),
        "jti": str(uuid.uuid4()),
    }
    if account.language is not None:
        claims["locale"] = account.language  # as OpenID Connect names it
    if account.country is not None:
        claims["country"] = account.country
    return jwt.encode(claims, private, ALGORITHM, headers={"kid": kid, "typ": TOKEN_TYPE})


def main(arguments: list[str]) -> int:
    """The operator's command."""
    settings = load(KeySettings)
    database = Database(settings, "users-keys")
    ring = KeyRing(database, settings, SystemClock())
    try:
        return _command(ring, database, arguments)
    finally:
        database.close()


def _command(ring: KeyRing, database: Database, arguments: list[str]) -> int:
    if arguments == ["rotate"]:
        ring.rotate(wanted=True)
    elif arguments[:1] == ["revoke"] and len(arguments) == 2:
        ring.revoke(arguments[1])
    elif arguments != ["list"]:
        print("expected: list, rotate or revoke KID", file=sys.stderr)  # noqa: T201
        return 2
    with database.transaction() as connection:
        for key in store.list_keys(connection):
            print(key.kid, "signs from", key.signs_from.isoformat())  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
