"""Use cases of mailed links: proving that somebody reads the mail of an address, and a new password."""

import uuid
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from users import store
from users.domain import Account, InvalidMailToken, MailToken, PasswordRequired, Purpose, Role, check_password
from users.handlers import Site, claim_key, known_account, of_session, prove_password, replace_password, tell_others
from users.vault import hashed


def ask_to_verify(site: Site, session_id: str) -> None:
    """Has the mail that verifies the address sent once more. Raises `SessionEnded`."""
    now = site.clock.now()
    with site.database.transaction() as connection:
        account = of_session(connection, session_id, now)
        store.ask_for_mail(connection, "verify", account.email, account.id, now)


def verify_email(site: Site, token: str, account_id: str | None, password: str | None) -> Account:
    """The account has verified its address. `account_id` is who is signed in, `password` proves it otherwise.

    The token alone is not enough: whoever signs up with somebody else's address must not get their reservations by
    their clicking on a link. Raises `InvalidMailToken`, `PasswordRequired`, `SignInFailed`, `RateLimited`.
    """
    now = site.clock.now()
    with site.database.transaction() as connection:
        account = _mailed(connection, token, Purpose.VERIFY, now)
    if account_id != account.id:
        if password is None:
            raise PasswordRequired
        prove_password(site, account, password)
    with site.database.transaction() as connection:
        account = _mailed(connection, token, Purpose.VERIFY, now, lock=True)
        return _verify(connection, account, now)


def _mailed(connection: Connection, token: str, purpose: Purpose, now: datetime, *, lock: bool = False) -> Account:
    found: MailToken | None = store.find_mail_token(connection, hashed(token), lock=lock)
    if found is None or not found.opens(purpose, now):
        raise InvalidMailToken
    return known_account(connection, found.account_id, lock=lock)


def _verify(connection: Connection, account: Account, now: datetime) -> Account:
    """Gives the address to the account, unless another has verified it first."""
    store.use_mail_tokens(connection, account.id, Purpose.VERIFY, now)
    if account.verified:
        return account
    _lock_free_address(connection, account)
    store.set_verified(connection, account.id, now)
    _tell_verified(connection, account)
    return replace(account, verified_at=now)


def _lock_free_address(connection: Connection, account: Account) -> None:
    """Nobody else decides who has the address until the transaction ends; nobody has it yet."""
    store.lock_address(connection, account.email_key)
    if store.find_verified(connection, account.email_key) is not None:
        raise InvalidMailToken("another account has verified this address")


def _tell_verified(connection: Connection, account: Account) -> None:
    body = {"accountId": account.id, "email": account.email}
    tell_others(connection, account.id, "/internal/accounts/verified", body, ["reservations"])


def forgot_password(site: Site, email: str, key: str | None, content: bytes) -> None:
    """Has a mail sent that lets its reader choose a new password; no different for an address that nobody has."""
    now = site.clock.now()
    request_id = str(uuid.uuid4())
    with site.database.transaction() as connection:
        if claim_key(connection, site, "forgot_password", key, content, request_id, now) == request_id:
            store.ask_for_mail(connection, "reset", email, None, now)


def reset_password(site: Site, token: str, password: str) -> None:
    """A new password by a mailed token, which also verifies the address; all sessions end.

    Of an address that nobody has verified, the accounts that claim it may be strangers'. They are gone then, with their
    sessions and keys, and the reader of the mail has a new account.

    Raises `InvalidMailToken`, `ValidationFailed`, `Overloaded`.
    """
    now = site.clock.now()
    with site.database.transaction() as connection:
        account = _mailed(connection, token, Purpose.RESET, now)
    check_password(password, account.email)
    password_hash = site.passwords.hash(password)
    with site.database.transaction() as connection:
        account = _mailed(connection, token, Purpose.RESET, now, lock=True)
        if not account.verified:
            account = _take_address(connection, account, password_hash, now)
        store.use_mail_tokens(connection, account.id, Purpose.RESET, now)
        store.end_sessions(connection, account.id)
        store.forget_attempts(connection, account.email_key)
        replace_password(connection, account, password_hash, now)


def _take_address(connection: Connection, claim: Account, password_hash: str, now: datetime) -> Account:
    """A new account for who reads the mail of this claim's address; all claims end."""
    _lock_free_address(connection, claim)
    account = Account(str(uuid.uuid4()), claim.email, password_hash, now, frozenset({Role.BUYER}), None, None, now)
    store.end_claims(connection, claim.email_key)
    store.insert_account(connection, account)
    _tell_verified(connection, account)
    return account
