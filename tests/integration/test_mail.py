"""Mail through a real receiver: it arrives whatever is down, and a copy too many is recognisable."""

import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from matchday.mailbox import MESSAGES_MAX, Mailbox
from matchday.paths import CHECKOUT
from matchday.ports import free_port
from shared.clock import FixedClock, SystemClock
from shared.database import Database
from shared.mail import (
    ATTACHMENT_BYTES_MAX,
    BATCH,
    GIVE_UP_AFTER,
    LEASE_SECONDS,
    Attachment,
    Mail,
    Postman,
    write,
)
from shared.settings import DatabaseSettings, MailSettings, load
from tests.eventually import eventually
from tests.people import Users, open_users, settings_of
from users.tables import mails

SENDER = "tickets@matchday.example"


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_port(), free_port()


class Receiver:
    """A mailbox that can be away."""

    def __init__(self, directory: Path, smtp: int, http: int) -> None:
        self._arguments = (directory, "127.0.0.1", smtp, http)
        self.address = f"http://127.0.0.1:{http}"
        self.smtp_url = f"smtp://127.0.0.1:{smtp}"
        self._mailbox: Mailbox | None = None

    def start(self) -> "Receiver":
        self._mailbox = Mailbox(*self._arguments)
        self._mailbox.start()
        return self

    def stop(self) -> None:
        mailbox, self._mailbox = self._mailbox, None
        if mailbox is not None:
            mailbox.stop()

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.address + path, trust_env=False)

    def messages(self, to: str = "") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get(f"/messages?to={to}").json()["items"]
        return items


@pytest.fixture
def receiver(tmp_path: Path, ports: tuple[int, int]) -> Iterator[Receiver]:
    made = Receiver(tmp_path / "mail", *ports)
    yield made
    made.stop()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(SystemClock().now())


class Office:
    """A table of mails and a postman, run by hand."""

    def __init__(self, database_url: str, smtp_url: str, clock: FixedClock) -> None:
        self.database = Database(load(DatabaseSettings, {"DATABASE_URL": database_url}), "test")
        settings = load(MailSettings, {"SMTP_URL": smtp_url, "MAIL_FROM": SENDER})
        self.clock = clock
        self.postman = Postman(self.database, mails, settings, clock)

    def write(self, to: str = "ada@example.org", text: str = "Hello\n", **more: Any) -> str:
        mail = Mail("test", to, more.pop("subject", "A ticket"), text, **more)
        with self.database.transaction() as connection:
            write(connection, mails, mail, SENDER, self.clock.now())
        return mail.id

    def row(self, mail_id: str) -> Any:
        with self.database.transaction() as connection:
            return connection.execute(mails.select().where(mails.c.id == mail_id)).one()


@pytest.fixture
def office(database_url: str, receiver: Receiver, clock: FixedClock) -> Iterator[Office]:
    made = Office(database_url, receiver.smtp_url, clock)
    yield made
    made.database.close()


def test_a_mail_arrives_as_it_was_written(office: Office, receiver: Receiver) -> None:
    receiver.start()
    pdf = Attachment("ticket.pdf", "application/pdf", b"%PDF-1.7\r\n\x00\xff.\r\n")
    mail_id = office.write(text="Größe: 2\n.\n..two dots\n", subject="Your ticket – Brazil", attachments=[pdf])
    assert office.postman.run_once() == 1
    (message,) = receiver.messages("ADA@example.org")
    assert (message["from"], message["to"]) == (SENDER, ["ada@example.org"])
    assert (message["subject"], message["text"].splitlines()) == (
        "Your ticket – Brazil", ["Größe: 2", ".", "..two dots"],
    )  # fmt: skip
    assert (message["messageId"], message["attempt"]) == (f"<{mail_id}@matchday.example>", 1)
    (attachment,) = message["attachments"]
    assert (attachment["name"], attachment["mediaType"]) == ("ticket.pdf", "application/pdf")
    assert receiver.get(attachment["path"]).content == pdf.content


def test_what_was_sent_is_kept_without_its_text(office: Office, receiver: Receiver) -> None:
    receiver.start()
    mail_id = office.write()
    office.postman.run_once()
    row = office.row(mail_id)
    assert (row.content, row.attempts) == (None, 1)
    assert row.sent_at is not None
    assert office.postman.run_once() == 0
    assert len(receiver.messages()) == 1


def test_mail_waits_for_a_receiver_that_is_down_and_arrives_once(
    office: Office, receiver: Receiver, clock: FixedClock
) -> None:
    mail_id = office.write()
    for _ in range(5):
        assert office.postman.run_once() == 1
        assert office.postman.run_once() == 0  # not again at once
        clock.advance(60)
    assert "refused" in office.row(mail_id).last_error
    receiver.start()
    office.postman.run_once()
    (message,) = receiver.messages()
    assert message["attempt"] == 6
    assert office.row(mail_id).last_error is None


def test_a_mail_that_nobody_takes_for_days_is_given_up(office: Office, clock: FixedClock) -> None:
    mail_id = office.write()
    clock.advance(GIVE_UP_AFTER.total_seconds() + 1)
    office.postman.run_once()
    row = office.row(mail_id)
    assert (row.sent_at, row.content) == (None, None)
    assert row.given_up_at is not None
    clock.advance(86_400)
    assert office.postman.run_once() == 0


class Moody:
    """A mail server that answers as it is told."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = answers
        self.took: list[str] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get(address, "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.took += envelope.rcpt_tos
        return "250 OK"


@pytest.fixture
def moody(ports: tuple[int, int]) -> Iterator[Moody]:
    handler = Moody({"full@example.org": "452 Mailbox full", "gone@example.org": "550 No such user"})
    controller = Controller(handler, hostname="127.0.0.1", port=ports[0])
    controller.start()
    yield handler
    controller.stop()


def test_a_server_s_no_is_final_and_its_later_is_not(office: Office, moody: Moody, clock: FixedClock) -> None:
    ids = [office.write(to) for to in ("gone@example.org", "full@example.org", "ada@example.org")]
    assert office.postman.run_once() == 3
    gone, full, ada = (office.row(mail_id) for mail_id in ids)
    assert gone.given_up_at is not None
    assert "550 No such user" in gone.last_error
    assert (full.given_up_at, full.sent_at) == (None, None)
    assert ada.sent_at is not None
    moody.answers.clear()
    clock.advance(60)
    assert office.postman.run_once() == 1
    assert moody.took == ["ada@example.org", "full@example.org"]


@pytest.mark.parametrize(
    "wrong", [{"to": "a@example.org\r\nBcc: b@example.org"}, {"subject": "Hello\nBcc: b@example.org"}]
)
def test_nobody_writes_headers_into_a_mail(office: Office, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"[Hh]eader|linefeed"):
        office.write(**wrong)


def test_attachments_are_bounded(office: Office) -> None:
    with pytest.raises(ValueError, match="attachments"):
        office.write(attachments=[Attachment("a", "text/plain", b"x" * (ATTACHMENT_BYTES_MAX + 1))])


def test_a_look_takes_a_bounded_share(office: Office, receiver: Receiver) -> None:
    receiver.start()
    for number in range(BATCH + 3):
        office.write(f"{number}@example.org")
    assert office.postman.run_once() == BATCH
    assert office.postman.run_once() == 3


def test_two_postmen_send_each_mail_once(
    database_url: str, office: Office, receiver: Receiver, clock: FixedClock
) -> None:
    receiver.start()
    other = Office(database_url, receiver.smtp_url, clock)
    for number in range(30):
        office.write(f"{number}@example.org")
    office.postman.start()
    other.postman.start()
    try:
        eventually(lambda: len(receiver.messages()) >= 30, what="all arrive")
    finally:
        office.postman.stop()
        other.postman.stop()
        office.postman.join(20)
        other.postman.join(20)
        other.database.close()
    assert sorted(message["to"][0] for message in receiver.messages()) == sorted(f"{n}@example.org" for n in range(30))


# -- the worker, as a process ----------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from shared.mail import Postman
run = Postman._send
made = Postman.__init__
def init(self, *arguments):
    made(self, *arguments)
    self.after_send = lambda mail: os.kill(os.getpid(), signal.SIGKILL)
Postman.__init__ = init
from users.worker import main
main()
"""


@pytest.fixture
def users(database_url: str, receiver: Receiver) -> Iterator[Users]:
    with open_users(database_url, SMTP_URL=receiver.smtp_url) as service:
        yield service


def environment(users: Users, receiver: Receiver) -> dict[str, str]:
    given = settings_of(users.settings.database_url, SMTP_URL=receiver.smtp_url)
    return {**given, "USERS_SECRET": users.settings.users_secret.get_secret_value(), "PYTHONPATH": str(CHECKOUT)}


def test_a_worker_that_is_killed_between_sending_and_marking_sends_once_more_and_says_so(
    users: Users, receiver: Receiver
) -> None:
    """At least once: the second copy has the same Message-ID, and tells that it is a second attempt."""
    receiver.start()
    users.sign_up("ada@example.org")
    env = environment(users, receiver)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=CHECKOUT, env=env, timeout=60, capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (first,) = receiver.messages()
    (row,) = users.rows("SELECT sent_at, attempts, next_attempt_at - now() AS lease FROM users.mails")
    assert (row["sent_at"], row["attempts"]) == (None, 1)
    assert 0 < row["lease"].total_seconds() <= LEASE_SECONDS
    users.rows("UPDATE users.mails SET next_attempt_at = now() RETURNING id")  # the lease ends
    worker = subprocess.Popen([sys.executable, "-m", "users.worker"], cwd=CHECKOUT, env=env, stderr=subprocess.PIPE)
    try:
        eventually(lambda: len(receiver.messages()) == 2, 30, "the mail comes again")
        eventually(lambda: users.rows("SELECT 1 AS one FROM users.mails WHERE sent_at IS NOT NULL"), 30, "it is marked")
    finally:
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=30)
    assert worker.returncode == 0, said
    second = receiver.messages()[0]
    assert (second["messageId"], second["text"]) == (first["messageId"], first["text"])
    assert (first["attempt"], second["attempt"]) == (1, 2)


def test_mail_of_an_account_arrives_when_the_receiver_comes_back(users: Users, receiver: Receiver) -> None:
    users.sign_up("ada@example.org")
    worker = subprocess.Popen(
        [sys.executable, "-m", "users.worker"], cwd=CHECKOUT, env=environment(users, receiver), stderr=subprocess.PIPE
    )
    try:
        eventually(lambda: users.rows("SELECT 1 AS one FROM users.mails WHERE last_error IS NOT NULL"), 30, "it fails")
        receiver.start()
        (message,) = eventually(lambda: receiver.messages("ada@example.org"), 30, "the mail arrives")
        assert message["subject"] == "Confirm your e-mail address"
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=30)


# -- the mailbox -----------------------------------------------------------------------------------------------------


def post(receiver: Receiver, message: EmailMessage) -> None:
    host, _, port = receiver.smtp_url.removeprefix("smtp://").partition(":")
    with smtplib.SMTP(host, int(port), timeout=10) as smtp:
        smtp.send_message(message)


def mail(subject: str = "Hello", text: str = "Text") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "bob@example.org", "ada@example.org", subject
    message.set_content(text)
    return message


def test_the_inbox_shows_mail_and_runs_nothing_of_it(receiver: Receiver) -> None:
    receiver.start()
    evil = mail("<script>alert(1)</script>", "<img src=x onerror=alert(1)>")
    evil.add_attachment("<script>1</script>", subtype="html", filename='"><script>.html')
    post(receiver, evil)
    page = receiver.get("/")
    assert "<script>" not in page.text
    assert "<img" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    (message,) = receiver.messages()
    attachment = receiver.get(message["attachments"][0]["path"])
    assert attachment.headers["Content-Disposition"] == "attachment"


def test_mail_outlives_the_mailbox(receiver: Receiver) -> None:
    receiver.start()
    post(receiver, mail())
    receiver.stop()
    receiver.start()
    assert len(receiver.messages()) == 1
    httpx.delete(receiver.address + "/messages", trust_env=False)
    assert receiver.messages() == []


def test_the_oldest_mail_gives_way(receiver: Receiver) -> None:
    receiver.start()
    folder = receiver._mailbox.folder if receiver._mailbox else None
    assert folder is not None
    for number in range(MESSAGES_MAX + 5):
        folder.add("bob@example.org", ["ada@example.org"], f"Subject: {number}\r\n\r\n".encode())
    listed = receiver.messages()
    assert len(listed) == MESSAGES_MAX
    assert (listed[0]["subject"], listed[-1]["subject"]) == (str(MESSAGES_MAX + 4), "5")


@pytest.mark.parametrize(
    "path", ["/nothing", "/messages/1", "/messages/..%2f..%2fsecret", "/messages/../../etc/passwd", "/messages/x/raw"]
)
def test_the_inbox_has_nothing_else(receiver: Receiver, path: str) -> None:
    receiver.start()
    assert receiver.get(path).status_code == 404


def test_the_inbox_is_ready_as_other_processes_are(receiver: Receiver) -> None:
    receiver.start()
    assert receiver.get("/health/ready").json()["ready"] is True
