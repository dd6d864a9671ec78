"""Mail that goes out: written in the transaction that makes it true, sent by SMTP afterwards.

`write` puts a whole message into a table. A `Postman` in the sender's worker takes what is due, hands it to the mail
server and marks it; the text is deleted then, as it may hold what opens an account. A postman that dies between sending
and marking leaves a mail that is sent once more when its lease ends: at least once, never not at all. Both copies bear
the same `Message-ID`, by which mail programs show one, and the later one says in `X-Matchday-Attempt` which it is.
"""

import contextlib
import random
import smtplib
import ssl
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection

from shared.clock import Clock
from shared.database import Database, tell
from shared.errors import DependencyUnavailable
from shared.settings import MailSettings

log = structlog.get_logger(__name__)

CHANNEL = "mails"
BATCH = 20
SMTP_SECONDS_MAX = 15.0
# A postman that took a mail and died is followed by another after so long; longer than a dialogue with a server that
# answers each step at the last moment.
LEASE_SECONDS = 150.0
POLL_SECONDS = 1.0
RETRY_SECONDS_MIN = 2.0
RETRY_SECONDS_MAX = 900.0
GIVE_UP_AFTER = timedelta(days=3)
KEEP_SENT = timedelta(days=7)
ERROR_LONGEST = 500
ATTACHMENT_BYTES_MAX = 5_000_000


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a mail; `media_type` such as application/pdf."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one person; `kind` says what it is about, for counting, `language` what it is written in."""

    kind: str
    recipient: str
    subject: str
    text: str
    attachments: Sequence[Attachment] = ()
    language: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail that a postman is about to send; `attempts` counts this one."""

    id: str
    kind: str
    recipient: str
    content: bytes
    attempts: int
    created_at: datetime


def mails_table(metadata: sa.MetaData, schema: str) -> sa.Table:
    """The mails of one service. Waiting rows are those with neither `sent_at` nor `given_up_at`."""
    table = sa.Table(
        "mails",
        metadata,
        sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("given_up_at", sa.DateTime(timezone=True)),
        sa.Column("last_error", sa.Text),
        schema=schema,
    )
    waiting = sa.and_(table.c.sent_at.is_(None), table.c.given_up_at.is_(None))
    sa.Index("mails_waiting", table.c.next_attempt_at, postgresql_where=waiting)
    sa.Index("mails_recipient", table.c.recipient, table.c.kind, table.c.created_at)
    sa.Index("mails_created_at", table.c.created_at)
    return table


def write(connection: Connection, table: sa.Table, mail: Mail, sender: str, now: datetime) -> None:
    """Puts a mail into the table and wakes the postman when the transaction commits.

    Raises `ValueError` for a header with a line break, and for attachments that are too large.
    """
    row = {
        "id": mail.id,
        "kind": mail.kind,
        "recipient": mail.recipient,
        "subject": mail.subject,
        "content": render(mail, sender, now),
        "created_at": now,
        "next_attempt_at": now,
    }
    connection.execute(table.insert().values(row))
    tell(connection, "SELECT pg_notify(%(channel)s, '')", {"channel": CHANNEL})


def render(mail: Mail, sender: str, now: datetime) -> bytes:
    """The mail as it goes over the wire."""
    if sum(len(attachment.content) for attachment in mail.attachments) > ATTACHMENT_BYTES_MAX:
        raise ValueError(f"attachments may have {ATTACHMENT_BYTES_MAX} bytes")
    message = EmailMessage(SMTP)
    message["From"] = sender
    message["To"] = mail.recipient
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{mail.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers
    message.set_content(mail.text)
    if mail.language is not None:
        message["Content-Language"] = mail.language  # RFC 3282; of the text, also beside attachments
    for attachment in mail.attachments:
        kind, _, subtype = attachment.media_type.partition("/")
        message.add_attachment(attachment.content, maintype=kind, subtype=subtype, filename=attachment.name)
    return message.as_bytes()


def written_since(connection: Connection, table: sa.Table, recipient: str, kind: str, since: datetime) -> int:
    """How many mails of a kind were written to somebody lately, sent or not."""
    query = sa.select(sa.func.count()).where(
        table.c.recipient == recipient, table.c.kind == kind, table.c.created_at > since
    )
    return connection.execute(query).scalar_one()


@dataclass(frozen=True, slots=True)
class Sent:
    """A mail as its reader may ask about it later."""

    kind: str
    subject: str
    created_at: datetime
    sent_at: datetime | None


def sent_to(connection: Connection, table: sa.Table, recipient: str, limit: int = 1000) -> list[Sent]:
    """The mails to somebody that are still known, the youngest first."""
    columns = [table.c[name] for name in Sent.__dataclass_fields__]
    query = sa.select(*columns).where(table.c.recipient == recipient).order_by(table.c.created_at.desc())
    return [Sent(*row) for row in connection.execute(query.limit(limit))]


def forget(connection: Connection, table: sa.Table, recipient: str) -> None:
    """Deletes all mails to somebody, sent or not."""
    connection.execute(table.delete().where(table.c.recipient == recipient))


def take(connection: Connection, table: sa.Table, now: datetime) -> Taken | None:
    """Takes the mail that is due first; nobody else takes it until the lease ends."""
    due = (
        sa.select(table.c.id)
        .where(table.c.sent_at.is_(None), table.c.given_up_at.is_(None), table.c.next_attempt_at <= now)
        .order_by(table.c.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = (
        table.update()
        .where(table.c.id == due.scalar_subquery())
        .values(attempts=table.c.attempts + 1, next_attempt_at=now + timedelta(seconds=LEASE_SECONDS))
        .returning(*[table.c[name] for name in Taken.__dataclass_fields__])
    )
    row = connection.execute(taken).first()
    return None if row is None else Taken(*row)


def mark_sent(connection: Connection, table: sa.Table, mail_id: str, now: datetime) -> None:
    """It was taken by the mail server; the text goes, the fact stays."""
    connection.execute(table.update().where(table.c.id == mail_id).values(sent_at=now, content=None, last_error=None))


def mark_failed(
    connection: Connection, table: sa.Table, mail: Taken, error: str, now: datetime, *, final: bool
) -> None:
    """It was not taken: for good, or it is tried again later."""
    changes: dict[str, Any] = {"last_error": error[:ERROR_LONGEST]}
    if final:
        changes |= {"given_up_at": now, "content": None}
    else:
        changes["next_attempt_at"] = now + timedelta(seconds=pause_seconds(mail.attempts))
    connection.execute(table.update().where(table.c.id == mail.id).values(changes))


def pause_seconds(attempts: int) -> float:
    """The pause after so many attempts: doubled each time up to a quarter of an hour, never the same for two."""
    longest: float = min(RETRY_SECONDS_MIN * 2 ** min(attempts - 1, 20), RETRY_SECONDS_MAX)
    return longest * random.uniform(0.5, 1.0)


def prune(connection: Connection, table: sa.Table, now: datetime, limit: int = 1000) -> int:
    """Deletes at most `limit` mails that were sent or given up long ago; returns how many."""
    old = sa.select(table.c.id).where(
        table.c.created_at < now - KEEP_SENT - GIVE_UP_AFTER,
        sa.or_(table.c.sent_at.is_not(None), table.c.given_up_at.is_not(None)),
    )
    return connection.execute(table.delete().where(table.c.id.in_(old.limit(limit)))).rowcount


class Refused(Exception):
    """The mail server will never take this mail."""


class MailServer:
    """One connection to the mail server, opened when the first mail needs it."""

    def __init__(self, settings: MailSettings) -> None:
        parts = urlsplit(settings.smtp_url.get_secret_value())
        self._scheme = parts.scheme
        self._host = parts.hostname or ""
        self._port = parts.port or {"smtp": 25, "smtps": 465, "smtp+starttls": 587}[parts.scheme]
        self._login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._sender = settings.mail_from
        self._smtp: smtplib.SMTP | None = None

    def send(self, mail: Taken) -> None:
        """Raises `Refused`, or `OSError` (which smtplib's errors are) when it may be taken later."""
        content = mail.content
        if mail.attempts > 1:
            content = f"X-Matchday-Attempt: {mail.attempts}\r\n".encode() + content
        try:
            if self._smtp is None:
                self._smtp = self._connect()
            self._smtp.sendmail(self._sender, [mail.recipient], content)
        except smtplib.SMTPRecipientsRefused as error:
            ((code, words),) = error.recipients.values()
            self._judge(code, words, error)
        except smtplib.SMTPResponseException as error:
            self._judge(error.smtp_code, error.smtp_error, error)
        except (OSError, smtplib.SMTPException):
            self.close()
            raise

    def _judge(self, code: int, words: bytes | str, error: Exception) -> None:
        # What is wrong with our login may be mended by the operator, so the mail stays.
        final = 500 <= code < 600 and not isinstance(error, smtplib.SMTPAuthenticationError)
        said = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
        self.close()
        if final:
            raise Refused(f"{code} {said}") from error
        raise OSError(f"{code} {said}") from error

    def _connect(self) -> smtplib.SMTP:
        if self._scheme == "smtps":
            trusted = ssl.create_default_context()
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=SMTP_SECONDS_MAX, context=trusted)
        else:
            smtp = smtplib.SMTP(self._host, self._port, timeout=SMTP_SECONDS_MAX)
        if self._scheme == "smtp+starttls":
            smtp.starttls(context=ssl.create_default_context())
        if self._login is not None:
            smtp.login(*self._login)
        return smtp

    def close(self) -> None:
        """Ends the connection; the next mail opens another."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                smtp.quit()


class Postman(threading.Thread):
    """Sends the mails of one service. Any number of processes may have one."""

    def __init__(self, database: Database, table: sa.Table, settings: MailSettings, clock: Clock) -> None:
        super().__init__(name="postman", daemon=True)
        self._database = database
        self._table = table
        self._clock = clock
        self._server = MailServer(settings)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._listener = database.listener(CHANNEL, lambda _payload: self._wake.set(), self._wake.set)
        self.after_send: Callable[[Taken], None] = lambda _mail: None  # where tests kill the process

    def stop(self) -> None:
        """Ends after the mail that is being sent."""
        self._stopping.set()
        self._wake.set()
        self._listener.stop()

    def run(self) -> None:
        self._listener.start()
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                pause = 0.0 if self.run_once() >= BATCH else POLL_SECONDS
            except DependencyUnavailable as error:
                log.warning("postman_waits", error=str(error))
                pause = POLL_SECONDS
            except Exception:
                # What cannot be sent comes again when its lease ends; the others must not wait for it.
                log.exception("postman_failed")
                pause = POLL_SECONDS
            self._wake.wait(pause)
        self._server.close()

    def run_once(self) -> int:
        """Sends what is due now, a bounded share of it; returns how many mails were taken up."""
        try:
            for number in range(BATCH):
                with self._database.transaction() as connection:
                    mail = None if self._stopping.is_set() else take(connection, self._table, self._clock.now())
                if mail is None:
                    return number
                self._send(mail)
        finally:
            self._server.close()
        return BATCH

    def _send(self, mail: Taken) -> None:
        try:
            self._server.send(mail)
        except (OSError, Refused) as error:
            self._put_off(mail, error)
            return
        self.after_send(mail)
        with self._database.transaction() as connection:
            mark_sent(connection, self._table, mail.id, self._clock.now())
        log.info("mail_sent", mail=mail.id, kind=mail.kind, attempts=mail.attempts)

    def _put_off(self, mail: Taken, error: Exception) -> None:
        now = self._clock.now()
        final = isinstance(error, Refused) or now - mail.created_at > GIVE_UP_AFTER
        with self._database.transaction() as connection:
            mark_failed(connection, self._table, mail, str(error), now, final=final)
        say = log.error if final else log.warning
        say("mail_given_up" if final else "mail_waits", mail=mail.id, kind=mail.kind, error=str(error))
