"""Use cases of signing up, in and out. Passwords are hashed between transactions, as that takes long."""

import contextlib
import hashlib
import hmac
import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from shared import delivery, idempotency
from shared.clock import Clock
from shared.database import Database
from shared.delivery import Delivery
from shared.errors import CsrfFailed, IdempotencyKeyReused, RateLimited
from shared.idempotency import Claim, Verdict
from users import store
from users.domain import (
    Account,
    Device,
    RefreshToken,
    RefreshTokenReused,
    Role,
    Session,
    SessionEnded,
    SignInFailed,
    check_password,
    email_key,
)
from users.keys import KeyRing, access_token
from users.passwords import Passwords
from users.settings import UsersSettings
from users.tables import deliveries, idempotency_keys
from users.vault import Vault, hashed, new_token

log = structlog.get_logger(__name__)

# Of the accounts that only claim an address, those whose password is tried. Whoever comes later cannot push out the
# first, nor whoever came before the last.
FIRST_CLAIMS = 2
LAST_CLAIMS = 3


@dataclass(frozen=True, slots=True)
class Site:
    """What the use cases need."""

    database: Database
    settings: UsersSettings
    clock: Clock
    keys: KeyRing
    passwords: Passwords
    vault: Vault


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What somebody signs up with; `key` is the caller's idempotency key, `content` what it covers."""

    email: str
    password: str
    country: str | None
    language: str | None
    key: str | None
    content: bytes


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An account with a session and its tokens; `csrf` is None for a session that was opened earlier."""

    account: Account
    session: Session
    access_token: str
    refresh_token: str
    refresh_lasts: timedelta
    csrf: str | None


@dataclass(frozen=True, slots=True)
class _Opened:
    """A session as the transaction made it; the access token is signed afterwards."""

    account: Account
    session: Session
    refresh_token: str
    refresh_lasts: timedelta
    csrf: str | None


# -- signing up and in -----------------------------------------------------------------------------------------------


def sign_up(site: Site, wish: NewAccount, device: Device) -> SignedIn:
    """A new account that claims the address, signed in.

    Also for an address that somebody has: only whoever reads its mail can verify it, and hears of this. A repeated
    request is signed in only while the account is as the first one made it: the key ends with the password. Raises
    `ValidationFailed`, `IdempotencyKeyReused`, `SessionEnded`, `Overloaded`.
    """
    check_password(wish.password, wish.email)
    now = site.clock.now()
    password_hash = site.passwords.hash(wish.password)
    account = Account(
        str(uuid.uuid4()), wish.email, password_hash, None, frozenset({Role.BUYER}), wish.country, wish.language, now
    )
    with site.database.transaction() as connection:
        made = claim_key(connection, site, "sign_up", wish.key, wish.content, account.id, now)
        if made != account.id:
            older = known_account(connection, made, lock=True)
            # Now that nobody else changes it: a key that ended meanwhile is free, and makes another account.
            made = claim_key(connection, site, "sign_up", wish.key, wish.content, account.id, now)
        if made == account.id:
            store.insert_account(connection, account)
            store.ask_for_mail(connection, "verify", account.email, account.id, now)
        elif older.verified:
            raise IdempotencyKeyReused("this sign-up is over; sign in")
        else:
            account = older
        opened = _open_session(connection, site, account, device, now)
    return _signed_in(site, opened, now)


def claim_key(
    connection: Connection, site: Site, scope: str, key: str | None, content: bytes, resource_id: str, now: datetime
) -> str:
    """The id of what this request makes, or made when it came before."""
    if key is None:
        return resource_id
    claim = Claim(scope, key, site.vault.fingerprint(content), resource_id)
    outcome = idempotency.claim(connection, idempotency_keys, claim, now)
    return resource_id if outcome.verdict is Verdict.NEW else outcome.resource_id


def known_account(connection: Connection, account_id: str, *, lock: bool = False) -> Account:
    account = store.find_account(connection, account_id, lock=lock)
    if account is None:
        raise SessionEnded("there is no such account any more")
    return account


def sign_in(site: Site, email: str, password: str, device: Device) -> SignedIn:
    """A new session. Raises `SignInFailed`, `RateLimited`, `Overloaded`."""
    proven = _by_password(site, email, password)
    now = site.clock.now()
    fresh = site.passwords.hash(password) if site.passwords.is_outdated(proven.password_hash) else None
    with site.database.transaction() as connection:
        account = store.find_account(connection, proven.id, lock=True)
        if account is None or account.password_hash != proven.password_hash:
            raise SignInFailed("the password was changed meanwhile")
        if fresh is not None:
            store.set_password(connection, account.id, fresh)
        opened = _open_session(connection, site, account, device, now)
    return _signed_in(site, opened, now)


def _by_password(site: Site, email: str, password: str) -> Account:
    """The account with this address and password: the one that has verified the address, or one that claims it.

    A wrong password costs the same number of hashes whichever of them there are.
    """
    key = email_key(email)
    with _counted(site, key):
        with site.database.transaction() as connection:
            claims: list[Account | None] = [*store.find_claims(connection, key, FIRST_CLAIMS, LAST_CLAIMS)]
            missing = [None] * (FIRST_CLAIMS + LAST_CLAIMS - len(claims))
            candidates = [store.find_verified(connection, key), *claims, *missing]
        hashes = [None if candidate is None else candidate.password_hash for candidate in candidates]
        number = site.passwords.find(password, hashes)
        account = None if number is None else candidates[number]
        if account is None:
            raise SignInFailed("the e-mail address or the password is wrong")
        return account


@contextlib.contextmanager
def _counted(site: Site, key: str) -> Iterator[None]:
    """Lets a password be tried for an address. Raises `RateLimited` after too many wrong ones.

    Each attempt counts as a failure until it is none, so that no number of guesses at once gets past the limit.
    """
    now = site.clock.now()
    window = timedelta(seconds=site.settings.sign_in_window_seconds)
    with site.database.transaction() as connection:
        failures, since = store.count_attempt(connection, key, now, window)
    if failures > site.settings.sign_in_failures_max:
        wait = math.ceil((since + window - now).total_seconds())
        raise RateLimited("too many wrong passwords for this address", retry_after=max(1, wait))
    wrong = False
    try:
        yield
    except SignInFailed:
        wrong = True
        raise
    finally:
        if not wrong:
            with site.database.transaction() as connection:
                store.forgive_attempt(connection, key)


def _open_session(connection: Connection, site: Site, account: Account, device: Device, now: datetime) -> _Opened:
    csrf = new_token()
    session = Session(
        str(uuid.uuid4()),
        account.id,
        hashlib.sha256(csrf.encode()).hexdigest(),
        device,
        now,
        now,
        now + timedelta(days=site.settings.session_days),
    )
    store.insert_session(connection, session)
    store.end_oldest_sessions(connection, account.id, site.settings.sessions_max)
    refresh_token, lasts = _give_refresh_token(connection, site, session, now)
    return _Opened(account, session, refresh_token, lasts, csrf)


def _give_refresh_token(connection: Connection, site: Site, session: Session, now: datetime) -> tuple[str, timedelta]:
    token = new_token()
    expires_at = min(session.expires_at, now + timedelta(days=site.settings.session_idle_days))
    store.insert_refresh_token(connection, hashed(token), RefreshToken(session.id, expires_at, None))
    return token, expires_at - now


def _signed_in(site: Site, opened: _Opened, now: datetime) -> SignedIn:
    lasts = timedelta(seconds=site.settings.access_token_seconds)
    token = access_token(site.keys, site.settings.token_issuer, lasts, opened.account, opened.session, now)
    return SignedIn(opened.account, opened.session, token, opened.refresh_token, opened.refresh_lasts, opened.csrf)


@dataclass(frozen=True, slots=True)
class Reauthenticated:
    """An access token that shows that the password was given just now, and how long it is valid, seconds."""

    access_token: str
    expires_in: int


def reauthenticate(site: Site, session_id: str, password: str) -> Reauthenticated:
    """Proves once more who is signed in. The proof is in this token only: the next refresh gives one without.

    Raises `SessionEnded`, `SignInFailed`, `RateLimited`, `Overloaded`.
    """
    now = site.clock.now()
    with site.database.transaction() as connection:
        account = of_session(connection, session_id, now)
    prove_password(site, account, password)
    with site.database.transaction() as connection:
        session = store.find_session(connection, session_id, now)
        account = of_session(connection, session_id, now)
    if session is None:
        raise SessionEnded("the session has ended; sign in again")
    seconds = site.settings.access_token_seconds
    issuer, lasts = site.settings.token_issuer, timedelta(seconds=seconds)
    token = access_token(site.keys, issuer, lasts, account, session, now, password_at=now)
    return Reauthenticated(token, seconds)


def refresh(site: Site, token: str, device: Device, csrf: str | None = None) -> SignedIn:
    """The next tokens of a session; the token is used up. `csrf` is what a page sent along with its cookie.

    A token that was used before has been stolen, or its thief has used it: the session ends for both. Raises
    `SessionEnded`, `RefreshTokenReused`, `CsrfFailed`.
    """
    now = site.clock.now()
    with site.database.transaction() as connection:
        opened = _rotate(connection, site, token, device, csrf, now)
    if opened is None:
        raise RefreshTokenReused("the refresh token was used before; sign in again")
    return _signed_in(site, opened, now)


def _rotate(
    connection: Connection, site: Site, token: str, device: Device, csrf: str | None, now: datetime
) -> _Opened | None:
    found = store.lock_refresh_token(connection, hashed(token))
    session = None if found is None else store.find_session(connection, found.session_id, now)
    if found is None or session is None or now >= found.expires_at:
        raise SessionEnded("the session has ended; sign in again")
    if csrf is not None and not hmac.compare_digest(hashlib.sha256(csrf.encode()).hexdigest(), session.csrf):
        raise CsrfFailed("send the value of the cookie for this header")
    if found.used_at is not None:
        # Not raised here: the end of the session has to be committed.
        store.end_session(connection, None, session.id)
        log.warning("refresh_token_reused", account=session.account_id, session=session.id)
        return None
    store.use_refresh_token(connection, hashed(token), now)
    store.touch_session(connection, session.id, device, now)
    refresh_token, lasts = _give_refresh_token(connection, site, session, now)
    return _Opened(known_account(connection, session.account_id), session, refresh_token, lasts, None)


def sign_out(site: Site, session_id: str | None, refresh_token: str | None) -> None:
    """Ends the session of the access token, or else of the refresh token; there may be none."""
    with site.database.transaction() as connection:
        if session_id is None and refresh_token is not None:
            found = store.lock_refresh_token(connection, hashed(refresh_token))
            session_id = None if found is None else found.session_id
        if session_id is not None:
            store.end_session(connection, None, session_id)


def of_session(connection: Connection, session_id: str, now: datetime) -> Account:
    """The account of a session. An access token outlives its session by some minutes; here it must not."""
    session = store.find_session(connection, session_id, now)
    if session is None:
        raise SessionEnded("the session has ended; sign in again")
    return known_account(connection, session.account_id)


def prove_password(site: Site, account: Account, password: str) -> None:
    """Raises `SignInFailed` unless this is the account's password, and `RateLimited` after too many wrong ones."""
    with _counted(site, account.email_key):
        if site.passwords.find(password, [account.password_hash]) is None:
            raise SignInFailed("the password is wrong")


def tell_others(connection: Connection, account_id: str, path: str, body: dict[str, str], targets: list[str]) -> None:
    """Lets other services know."""
    delivery.send(connection, deliveries, [Delivery(target, path, body, account_id) for target in targets])


def replace_password(connection: Connection, account: Account, password_hash: str, now: datetime) -> None:
    """Another password; a sign-up that is repeated later opens the account no more."""
    # First the account's row, for which a repeated sign-up waits.
    store.set_password(connection, account.id, password_hash)
    store.forget_keys(connection, account.id)
    store.ask_for_mail(connection, "password_changed", account.email, account.id, now)
