"""SQL of the schema `users`: connection first, domain objects in and out, never a commit."""

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, case, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from users.domain import (
    Account,
    Device,
    MailToken,
    Purpose,
    RefreshToken,
    Role,
    Search,
    Session,
    SigningKey,
    email_key,
)
from users.tables import (
    accounts,
    idempotency_keys,
    mail_requests,
    mail_tokens,
    refresh_tokens,
    sessions,
    sign_in_attempts,
    signing_keys,
)

ADDRESS_LOCK = 0x55534D4C  # with a hash of the address: one at a time verifies it
KEYS_LOCK = 0x55534B59  # one at a time makes signing keys
ACCOUNT = (
    accounts.c.id,
    accounts.c.email,
    accounts.c.password_hash,
    accounts.c.verified_at,
    accounts.c.roles,
    accounts.c.country,
    accounts.c.language,
    accounts.c.created_at,
)
SESSION = (
    sessions.c.id,
    sessions.c.account_id,
    sessions.c.csrf,
    sessions.c.address,
    sessions.c.user_agent,
    sessions.c.signed_in_at,
    sessions.c.seen_at,
    sessions.c.expires_at,
)


def _account(row: Any) -> Account | None:
    if row is None:
        return None
    id_, email, password_hash, verified_at, roles, country, language, created_at = row
    return Account(id_, email, password_hash, verified_at, frozenset(map(Role, roles)), country, language, created_at)


def _session(row: Any) -> Session | None:
    if row is None:
        return None
    id_, account_id, csrf, address, user_agent, signed_in_at, seen_at, expires_at = row
    return Session(id_, account_id, csrf, Device(address, user_agent), signed_in_at, seen_at, expires_at)


# -- accounts --------------------------------------------------------------------------------------------------------


def insert_account(connection: Connection, account: Account) -> None:
    """Writes a new account."""
    connection.execute(
        accounts.insert().values(
            id=account.id,
            email=account.email,
            email_key=account.email_key,
            password_hash=account.password_hash,
            verified_at=account.verified_at,
            roles=sorted(role.value for role in account.roles),
            country=account.country,
            language=account.language,
            created_at=account.created_at,
        )
    )


def find_account(connection: Connection, account_id: str, *, lock: bool = False) -> Account | None:
    """An account by its id; with `lock` nobody else changes it until the transaction ends."""
    query = select(*ACCOUNT).where(accounts.c.id == account_id)
    return _account(connection.execute(query.with_for_update() if lock else query).first())


def find_verified(connection: Connection, key: str) -> Account | None:
    """The account that has verified this address."""
    query = select(*ACCOUNT).where(accounts.c.email_key == key, accounts.c.verified_at.is_not(None))
    return _account(connection.execute(query).first())


def find_unverified(connection: Connection, key: str) -> Account | None:
    """The youngest account that claims this address without having verified it."""
    return next(iter(find_claims(connection, key, 0, 1)), None)


def find_claims(connection: Connection, key: str, first: int, last: int) -> list[Account]:
    """The accounts that claimed this address first and last without having verified it, the youngest before others."""
    query = select(*ACCOUNT).where(accounts.c.email_key == key, accounts.c.verified_at.is_(None))
    ways = (
        (query.order_by(accounts.c.created_at.desc(), accounts.c.id.desc()), last),
        (query.order_by(accounts.c.created_at, accounts.c.id), first),
    )
    rows = [row for way, limit in ways for row in connection.execute(way.limit(limit))]
    found = {account.id: account for row in rows if (account := _account(row)) is not None}
    return list(found.values())


def end_claims(connection: Connection, key: str) -> None:
    """Deletes all accounts that claim this address, with their sessions, tokens and keys."""
    ended = delete(accounts).where(accounts.c.email_key == key, accounts.c.verified_at.is_(None))
    ids = connection.execute(ended.returning(accounts.c.id)).scalars().all()
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.resource_id.in_(ids)))


def forget_keys(connection: Connection, account_id: str) -> None:
    """No sign-up that made this account can be repeated."""
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.resource_id == account_id))


def lock_address(connection: Connection, key: str) -> None:
    """Lets one transaction at a time decide who has an address."""
    statement = text("SELECT pg_advisory_xact_lock(:space, :address)")
    connection.execute(statement, {"space": ADDRESS_LOCK, "address": zlib.crc32(key.encode()) - 2**31})


def set_verified(connection: Connection, account_id: str, now: datetime) -> None:
    """The account's owner reads the mail of its address."""
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(verified_at=now))


def set_password(connection: Connection, account_id: str, password_hash: str) -> None:
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(password_hash=password_hash))


def set_profile(connection: Connection, account_id: str, changes: dict[str, str | None]) -> None:
    if changes:
        connection.execute(update(accounts).where(accounts.c.id == account_id).values(changes))


def set_roles(connection: Connection, account_id: str, roles: frozenset[Role]) -> None:
    names = sorted(role.value for role in roles)
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(roles=names))


def delete_account(connection: Connection, account_id: str) -> None:
    """Deletes the account with its sessions and tokens."""
    connection.execute(delete(accounts).where(accounts.c.id == account_id))


def list_accounts(connection: Connection, search: Search, after: str | None, limit: int) -> list[Account]:
    """Accounts that fit, in the order of their ids."""
    query = select(*ACCOUNT).order_by(accounts.c.id).limit(limit)
    if search.email is not None:
        query = query.where(accounts.c.email_key == email_key(search.email))
    if search.begins is not None:
        query = query.where(accounts.c.email_key.startswith(email_key(search.begins), autoescape=True))
    if search.role is not None:
        query = query.where(accounts.c.roles.contains([search.role.value]))
    if after is not None:
        query = query.where(accounts.c.id > after)
    return [account for row in connection.execute(query) if (account := _account(row)) is not None]


# -- sessions --------------------------------------------------------------------------------------------------------


def insert_session(connection: Connection, session: Session) -> None:
    connection.execute(
        sessions.insert().values(
            id=session.id,
            account_id=session.account_id,
            csrf=session.csrf,
            address=session.device.address,
            user_agent=session.device.user_agent,
            signed_in_at=session.signed_in_at,
            seen_at=session.seen_at,
            expires_at=session.expires_at,
        )
    )


def find_session(connection: Connection, session_id: str, now: datetime) -> Session | None:
    """A session that has not ended."""
    query = select(*SESSION).where(sessions.c.id == session_id, sessions.c.expires_at > now)
    return _session(connection.execute(query).first())


def list_sessions(connection: Connection, account_id: str, now: datetime) -> list[Session]:
    """An account's sessions, the youngest first."""
    query = select(*SESSION).where(sessions.c.account_id == account_id, sessions.c.expires_at > now)
    rows = connection.execute(query.order_by(sessions.c.signed_in_at.desc(), sessions.c.id))
    return [session for row in rows if (session := _session(row)) is not None]


def touch_session(connection: Connection, session_id: str, device: Device, now: datetime) -> None:
    """The session was used from there."""
    changes = {"seen_at": now, "address": device.address, "user_agent": device.user_agent}
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(changes))


def end_session(connection: Connection, account_id: str | None, session_id: str) -> bool:
    """Ends a session (of this account); False when there is none."""
    statement = delete(sessions).where(sessions.c.id == session_id)
    if account_id is not None:
        statement = statement.where(sessions.c.account_id == account_id)
    return connection.execute(statement).rowcount == 1


def end_sessions(connection: Connection, account_id: str, but: str | None = None) -> None:
    """Ends all sessions of an account, or all but one."""
    statement = delete(sessions).where(sessions.c.account_id == account_id)
    connection.execute(statement if but is None else statement.where(sessions.c.id != but))


def end_oldest_sessions(connection: Connection, account_id: str, keep: int) -> None:
    """Ends the sessions that an account has beyond so many."""
    kept = select(sessions.c.id).where(sessions.c.account_id == account_id).order_by(sessions.c.signed_in_at.desc())
    connection.execute(
        delete(sessions).where(sessions.c.account_id == account_id, sessions.c.id.not_in(kept.limit(keep)))
    )


def insert_refresh_token(connection: Connection, hashed: bytes, token: RefreshToken) -> None:
    connection.execute(
        refresh_tokens.insert().values(hash=hashed, session_id=token.session_id, expires_at=token.expires_at)
    )


def lock_refresh_token(connection: Connection, hashed: bytes) -> RefreshToken | None:
    """A refresh token; nobody else can use it until the transaction ends."""
    query = select(refresh_tokens.c.session_id, refresh_tokens.c.expires_at, refresh_tokens.c.used_at)
    row = connection.execute(query.where(refresh_tokens.c.hash == hashed).with_for_update()).first()
    return None if row is None else RefreshToken(*row)


def use_refresh_token(connection: Connection, hashed: bytes, now: datetime) -> None:
    connection.execute(update(refresh_tokens).where(refresh_tokens.c.hash == hashed).values(used_at=now))


# -- mail ------------------------------------------------------------------------------------------------------------


def ask_for_mail(connection: Connection, kind: str, email: str, account_id: str | None, now: datetime) -> None:
    """Lets the worker write a mail."""
    row = {"kind": kind, "email": email, "account_id": account_id, "created_at": now}
    connection.execute(mail_requests.insert().values(row))


def take_mail_requests(connection: Connection, limit: int) -> list[tuple[str, str, str | None]]:
    """Takes the oldest requests away: (kind, e-mail, account)."""
    oldest = select(mail_requests.c.id).order_by(mail_requests.c.id).limit(limit).with_for_update(skip_locked=True)
    taken = delete(mail_requests).where(mail_requests.c.id.in_(oldest))
    columns = (mail_requests.c.id, mail_requests.c.kind, mail_requests.c.email, mail_requests.c.account_id)
    rows = sorted(connection.execute(taken.returning(*columns)), key=lambda row: row[0])
    return [(kind, email, account_id) for _, kind, email, account_id in rows]


def insert_mail_token(connection: Connection, hashed: bytes, token: MailToken) -> None:
    connection.execute(
        mail_tokens.insert().values(
            hash=hashed, account_id=token.account_id, purpose=token.purpose.value, expires_at=token.expires_at
        )
    )


def find_mail_token(connection: Connection, hashed: bytes, *, lock: bool = False) -> MailToken | None:
    """What was mailed; with `lock` nobody else can use it until the transaction ends."""
    query = select(
        mail_tokens.c.account_id, mail_tokens.c.purpose, mail_tokens.c.expires_at, mail_tokens.c.used_at
    ).where(mail_tokens.c.hash == hashed)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else MailToken(row[0], Purpose(row[1]), row[2], row[3])


def use_mail_tokens(connection: Connection, account_id: str, purpose: Purpose, now: datetime) -> None:
    """None of these opens anything any more."""
    mine = and_(mail_tokens.c.account_id == account_id, mail_tokens.c.purpose == purpose.value)
    connection.execute(update(mail_tokens).where(mine, mail_tokens.c.used_at.is_(None)).values(used_at=now))


# -- guessing --------------------------------------------------------------------------------------------------------


def count_attempt(connection: Connection, key: str, now: datetime, window: timedelta) -> tuple[int, datetime]:
    """Counts one attempt to sign in as a failure: how many there are, and since when."""
    is_old = sign_in_attempts.c.since < now - window
    counted = (
        insert(sign_in_attempts)
        .values(email_key=key, failures=1, since=now)
        .on_conflict_do_update(
            index_elements=[sign_in_attempts.c.email_key],
            set_={
                "failures": case((is_old, 1), else_=sign_in_attempts.c.failures + 1),
                "since": case((is_old, now), else_=sign_in_attempts.c.since),
            },
        )
        .returning(sign_in_attempts.c.failures, sign_in_attempts.c.since)
    )
    failures, since = connection.execute(counted).one()
    return failures, since


def forgive_attempt(connection: Connection, key: str) -> None:
    """The attempt that was counted last was none: the password was right."""
    mine = sign_in_attempts.c.email_key == key
    fewer = {"failures": func.greatest(sign_in_attempts.c.failures - 1, 0)}
    connection.execute(update(sign_in_attempts).where(mine).values(fewer))


def forget_attempts(connection: Connection, key: str) -> None:
    connection.execute(delete(sign_in_attempts).where(sign_in_attempts.c.email_key == key))


# -- keys ------------------------------------------------------------------------------------------------------------


def lock_keys(connection: Connection) -> None:
    """Lets one transaction at a time make or remove keys."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:space)"), {"space": KEYS_LOCK})


def list_keys(connection: Connection) -> list[SigningKey]:
    """All keys, in the order in which they sign."""
    columns = (signing_keys.c.kid, signing_keys.c.public, signing_keys.c.sealed, signing_keys.c.signs_from)
    return [SigningKey(*row) for row in connection.execute(select(*columns).order_by(signing_keys.c.signs_from))]


def insert_key(connection: Connection, key: SigningKey) -> None:
    row = {"kid": key.kid, "public": key.public, "sealed": key.sealed, "signs_from": key.signs_from}
    connection.execute(signing_keys.insert().values(row))


def delete_keys(connection: Connection, kids: Sequence[str]) -> int:
    return connection.execute(delete(signing_keys).where(signing_keys.c.kid.in_(kids))).rowcount


# -- what is old -----------------------------------------------------------------------------------------------------


def prune(connection: Connection, now: datetime, kept: timedelta, limit: int) -> int:
    """Deletes what has no use any more, a bounded share of each table; returns how many rows.

    `kept` is how long used refresh tokens and counted attempts stay.
    """
    old = (
        (sessions, sessions.c.id, sessions.c.expires_at < now),
        (refresh_tokens, refresh_tokens.c.hash, refresh_tokens.c.used_at < now - kept),
        (mail_tokens, mail_tokens.c.hash, mail_tokens.c.expires_at < now),
        (sign_in_attempts, sign_in_attempts.c.email_key, sign_in_attempts.c.since < now - kept),
    )
    pruned = 0
    for table, key, condition in old:
        chosen = select(key).where(condition).limit(limit).with_for_update(skip_locked=True)
        pruned += connection.execute(delete(table).where(key.in_(chosen))).rowcount
    return pruned
