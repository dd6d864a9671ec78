"""The mails of accounts: the worker finds out who asked, and whether somebody is to be written to."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import Connection

from shared import mail
from shared.clock import Clock
from shared.database import Database
from shared.mail import Mail
from shared.texts import Texts
from users import store
from users.domain import RESET_LASTS, VERIFY_LASTS, Account, MailToken, Purpose, email_key
from users.settings import UsersWorkerSettings
from users.tables import mails
from users.vault import hashed, new_token

AN_HOUR = timedelta(hours=1)
TRANSLATIONS = Texts(Path(__file__).parent / "translations")
# Subject and text in English, which are also their names in the catalogues.
TEXTS = {
    "verify": (
        "Confirm your e-mail address",
        """\
Welcome to Matchday.

Confirm that this address is yours, within three days:

    {link}

Or give this code where you are asked for it:

    {token}

If you did not sign up, do nothing: nobody can use your address.
""",
    ),
    "known": (
        "You already have an account",
        """\
Somebody, perhaps you, has signed up at Matchday with this address. It belongs to your account already, so nothing
has changed.

If it was you, sign in as usual. A new password is to be had here:

    {link}
""",
    ),
    "reset": (
        "Choose a new password",
        """\
Somebody, perhaps you, has asked for a new password for your account. Choose one within an hour:

    {link}

Or give this code where you are asked for it:

    {token}

If it was not you, do nothing: your password stays as it is.
""",
    ),
    "password_changed": (
        "Your password was changed",
        """\
The password of your account was changed just now, and all other sessions have ended.

If it was not you, choose a new one at once:

    {link}
""",
    ),
    "deleted": (
        "Your account was deleted",
        """\
Your account and what we knew about you were deleted, as you wished. Tickets that you bought stay valid.
""",
    ),
}


@dataclass(frozen=True, slots=True)
class Office:
    """What writing mails needs."""

    database: Database
    settings: UsersWorkerSettings
    clock: Clock


def write_letters(office: Office, limit: int) -> int:
    """Writes the mails that were asked for; returns how many requests were looked at."""
    now = office.clock.now()
    with office.database.transaction() as connection:
        requests = store.take_mail_requests(connection, limit)
        for kind, email, account_id in requests:
            _answer(connection, office, kind, email, account_id, now)
    return len(requests)


def _answer(
    connection: Connection, office: Office, kind: str, email: str, account_id: str | None, now: datetime
) -> None:
    owner = store.find_verified(connection, email_key(email))
    if kind == "verify":
        _answer_new(connection, office, account_id, owner, now)
    elif kind == "reset":
        account = owner or store.find_unverified(connection, email_key(email))
        if account is not None and _may_write(connection, office, kind, email, now):
            token = _token(connection, account, Purpose.RESET, now + RESET_LASTS)
            _write(connection, office, kind, email, account.language, "reset-password", token, now)
    # Of what happens to an account that only claims an address, nobody needs to hear.
    elif (account_id is None or (owner is not None and owner.id == account_id)) and _may_write(
        connection, office, kind, email, now
    ):
        # Of an account that was deleted nobody knows the language any more.
        _write(connection, office, kind, email, owner.language if owner else None, "forgot-password", None, now)


def _answer_new(
    connection: Connection, office: Office, account_id: str | None, owner: Account | None, now: datetime
) -> None:
    """Lets a new account verify its address, or tells whoever has it."""
    account = None if account_id is None else store.find_account(connection, account_id)
    if account is None or account.verified:
        return
    kind = "verify" if owner is None else "known"
    if not _may_write(connection, office, kind, account.email, now):
        return
    if owner is not None:
        _write(connection, office, kind, owner.email, owner.language, "forgot-password", None, now)
    else:
        token = _token(connection, account, Purpose.VERIFY, now + VERIFY_LASTS)
        _write(connection, office, kind, account.email, account.language, "verify-email", token, now)


def _may_write(connection: Connection, office: Office, kind: str, email: str, now: datetime) -> bool:
    """Nobody's mailbox is filled by who asks again and again."""
    written = mail.written_since(connection, mails, email_key(email), kind, now - AN_HOUR)
    return written < office.settings.mails_an_hour_max


def _token(connection: Connection, account: Account, purpose: Purpose, expires_at: datetime) -> str:
    token = new_token()
    store.insert_mail_token(connection, hashed(token), MailToken(account.id, purpose, expires_at, None))
    return token


def _write(
    connection: Connection,
    office: Office,
    kind: str,
    email: str,
    language: str | None,
    page: str,
    token: str | None,
    now: datetime,
) -> None:
    subject, text = (TRANSLATIONS.in_language(language, each) for each in TEXTS[kind])
    query = f"?{urlencode({'token': token})}" if token else ""
    filled = text.format(link=f"{office.settings.public_url}/{page}{query}", token=token)
    # In one spelling, so that mails to one person can be counted, and deleted.
    letter = Mail(kind, email_key(email), subject, filled, language=TRANSLATIONS.nearest([language]))
    mail.write(connection, mails, letter, office.settings.mail_from, now)
