"""Use cases of one's own account and of operators. For signing in see `handlers.py`, for mailed links `links.py`."""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Connection

from shared import mail
from shared.errors import Forbidden, NotFound
from users import store
from users.domain import (
    Account,
    Purpose,
    RecentSignInRequired,
    Role,
    Search,
    Session,
    check_password,
    email_key,
)
from users.handlers import Site, known_account, of_session, prove_password, replace_password, tell_others
from users.tables import mails

log = structlog.get_logger(__name__)


def profile(site: Site, session_id: str) -> Account:
    """The account. Raises `SessionEnded`."""
    with site.database.transaction() as connection:
        return of_session(connection, session_id, site.clock.now())


def change_profile(site: Site, session_id: str, changes: dict[str, str | None]) -> Account:
    """The account with another country or language. Raises `SessionEnded`."""
    with site.database.transaction() as connection:
        account = of_session(connection, session_id, site.clock.now())
        store.set_profile(connection, account.id, changes)
        return known_account(connection, account.id)


def change_password(site: Site, session_id: str, current: str, password: str) -> None:
    """Another password; all other sessions end. Raises `SessionEnded`, `SignInFailed`, `ValidationFailed`."""
    account = profile(site, session_id)
    check_password(password, account.email, "/newPassword")
    prove_password(site, account, current)
    password_hash = site.passwords.hash(password)
    now = site.clock.now()
    with site.database.transaction() as connection:
        account = of_session(connection, session_id, now)
        store.end_sessions(connection, account.id, but=session_id)
        store.use_mail_tokens(connection, account.id, Purpose.RESET, now)
        replace_password(connection, account, password_hash, now)


def sessions(site: Site, session_id: str) -> list[Session]:
    """Where the account is signed in. Raises `SessionEnded`."""
    now = site.clock.now()
    with site.database.transaction() as connection:
        return store.list_sessions(connection, of_session(connection, session_id, now).id, now)


def end_session(site: Site, session_id: str, other: str) -> None:
    """Ends a session of the account. Raises `SessionEnded`, `NotFound`."""
    with site.database.transaction() as connection:
        account = of_session(connection, session_id, site.clock.now())
        if not store.end_session(connection, account.id, other):
            raise NotFound("there is no such session")


def end_other_sessions(site: Site, session_id: str) -> None:
    """Ends all sessions of the account but this one. Raises `SessionEnded`."""
    with site.database.transaction() as connection:
        account = of_session(connection, session_id, site.clock.now())
        store.end_sessions(connection, account.id, but=session_id)


@dataclass(frozen=True, slots=True)
class Export:
    """All that is known of somebody here."""

    account: Account
    sessions: list[Session]
    mails: list[mail.Sent]


def export(site: Site, session_id: str) -> Export:
    """The account's data. Raises `SessionEnded`."""
    now = site.clock.now()
    with site.database.transaction() as connection:
        account = of_session(connection, session_id, now)
        sent = mail.sent_to(connection, mails, account.email_key) if account.verified else []
        return Export(account, store.list_sessions(connection, account.id, now), sent)


def delete_account(site: Site, session_id: str) -> None:
    """Deletes the account and tells the other services; sales stay, without the person.

    Raises `SessionEnded`, `RecentSignInRequired`.
    """
    now = site.clock.now()
    with site.database.transaction() as connection:
        account = of_session(connection, session_id, now)
        session = store.find_session(connection, session_id, now)
        if session is None or now - session.signed_in_at > timedelta(seconds=site.settings.recent_seconds):
            raise RecentSignInRequired
        known_account(connection, account.id, lock=True)
        _forget(connection, account)
        if account.verified:
            store.ask_for_mail(connection, "deleted", account.email, None, now)
    log.info("account_deleted", account=account.id)


def _forget(connection: Connection, account: Account) -> None:
    path, body = "/internal/accounts/deleted", {"accountId": account.id}
    # An address tells who is to be forgotten only if it was the account's own.
    address = {"email": account.email} if account.verified else {}
    tell_others(connection, account.id, path, body | address, ["reservations"])
    tell_others(connection, account.id, path, body, ["payments", "analytics"])
    store.forget_keys(connection, account.id)
    if account.verified:
        mail.forget(connection, mails, account.email_key)
        store.forget_attempts(connection, account.email_key)
    store.delete_account(connection, account.id)


# -- for operators ---------------------------------------------------------------------------------------------------


def list_accounts(site: Site, search: Search, after: str | None, limit: int) -> list[Account]:
    """Accounts in the order of their ids."""
    with site.database.transaction() as connection:
        return store.list_accounts(connection, search, after, limit)


def set_roles(site: Site, account_id: str, roles: frozenset[Role], session_id: str) -> Account:
    """Gives an account these roles and no others. Raises `NotFound`, `SessionEnded`, `Forbidden` for one's own.

    An access token outlives the session and the roles that it tells of by some minutes; here that does not count.
    """
    with site.database.transaction() as connection:
        admin = of_session(connection, session_id, site.clock.now())
        if Role.ADMIN not in admin.roles:
            raise Forbidden("this needs the role admin")
        if account_id == admin.id:
            raise Forbidden("nobody changes their own roles")
        return _give(connection, store.find_account(connection, account_id, lock=True), roles, admin.id)


def grant(site: Site, email: str, role: Role, *, granted: bool) -> Account:
    """Gives a role to whoever has verified this address, or takes it away. Raises `NotFound`."""
    with site.database.transaction() as connection:
        found = store.find_verified(connection, email_key(email))
        account = found and store.find_account(connection, found.id, lock=True)
        roles = frozenset() if account is None else account.roles
        return _give(connection, account, roles | {role} if granted else roles - {role}, "operator")


def _give(connection: Connection, account: Account | None, roles: frozenset[Role], by: str) -> Account:
    if account is None:
        raise NotFound("no account has verified this address, or there is no such account")
    roles |= {Role.BUYER}
    store.set_roles(connection, account.id, roles)
    log.warning("roles_changed", account=account.id, roles=sorted(role.value for role in roles), by=by)
    return known_account(connection, account.id)
