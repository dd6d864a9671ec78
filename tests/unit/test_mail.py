"""How a mail looks on the wire, when it is tried again, and which mail servers can be named."""

import email
from datetime import UTC, datetime
from email.policy import default

import pytest

from shared.mail import RETRY_SECONDS_MAX, RETRY_SECONDS_MIN, Mail, pause_seconds, render
from shared.settings import IdentitySettings, MailSettings, load

NOW = datetime(2022, 11, 20, 16, tzinfo=UTC)


def test_lines_end_as_mail_servers_want_them() -> None:
    raw = render(Mail("test", "ada@example.org", "Übergröße", "one\ntwo\r\nthree\n"), "tickets@matchday.example", NOW)
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert raw.isascii()


def test_a_mail_tells_who_it_is_and_that_nobody_wrote_it() -> None:
    mail = Mail("test", "ada@example.org", "Hello", "Text\n")
    message = email.message_from_bytes(render(mail, "tickets@matchday.example", NOW), policy=default)
    assert message["Message-ID"] == f"<{mail.id}@matchday.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime == NOW
    assert render(mail, "tickets@matchday.example", NOW) == render(mail, "tickets@matchday.example", NOW)


def test_pauses_grow_and_end() -> None:
    for attempts in (1, 2, 5, 50, 10_000):
        longest = min(RETRY_SECONDS_MIN * 2 ** (min(attempts, 100) - 1), RETRY_SECONDS_MAX)
        assert longest / 2 <= pause_seconds(attempts) <= longest


@pytest.mark.parametrize(
    "url", ["smtp://127.0.0.1:11025", "smtps://mail.example", "smtp+starttls://me:pass%20word@mail.example:587"]
)
def test_a_mail_server_is_named_by_an_address(url: str) -> None:
    assert load(MailSettings, {"SMTP_URL": url}).smtp_url.get_secret_value() == url


@pytest.mark.parametrize("url", ["mail.example:25", "http://mail.example", "smtp://", "smtp://host:many", "smtp://h:0"])
def test_what_is_no_mail_server_stops_the_process_and_is_not_printed(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        load(MailSettings, {"SMTP_URL": url})
    said = capsys.readouterr().err
    assert "SMTP_URL is wrong" in said
    assert f"given: {url!r}" not in said


@pytest.mark.parametrize("url", ["127.0.0.1:3030", "http://", "http://host:port", "ftp://host", "http://user@host"])
def test_what_is_no_service_stops_the_process(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(IdentitySettings, {"USERS_URL": url})
    assert "USERS_URL is wrong: Value error, an address like http://127.0.0.1:3030" in capsys.readouterr().err
