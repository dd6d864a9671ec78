"""`python -m matchday.mailbox`: takes all mail of a site in development, and shows it on a page.

Nothing leaves this machine. Mail comes by SMTP on MAILBOX_SMTP_PORT and is kept as files below MAILBOX_DIRECTORY, the
youngest `MESSAGES_MAX` of them. `http://127.0.0.1:PORT/` shows them to people, `GET /messages` to programs.
"""

import email
import html
import itertools
import json
import os
import re
import signal
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as SmtpSession
from aiosmtpd.smtp import Envelope, Session

MESSAGES_MAX = 500
MESSAGE_BYTES_MAX = 10_000_000
RECIPIENTS_MAX = 100
HTTP_SECONDS_MAX = 30
ID = re.compile(r"[0-9]{20}-[0-9]{6}")
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
article { border-top: 1px solid #8888; padding: 1rem 0 }
h2 { font-size: 1.1rem; margin: 0 }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit }
small { opacity: .75 }
"""


class Folder:
    """The messages, a file each, by ids in the order of their arrival."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)

    def add(self, sender: str, recipients: Sequence[str], content: bytes) -> str:
        """Keeps a message, whole or not at all; the oldest give way."""
        head = f"X-Mailbox-From: {sender}\r\n" + "".join(f"X-Mailbox-To: {to}\r\n" for to in recipients)
        with self._lock:
            message_id = f"{time.time_ns():020d}-{next(self._numbers) % 1_000_000:06d}"
            unfinished = self._directory / f"{message_id}.unfinished"
            unfinished.write_bytes(head.encode() + content)
            unfinished.replace(self._directory / f"{message_id}.eml")
            for old in self.ids()[MESSAGES_MAX:]:
                self._file(old).unlink(missing_ok=True)
        return message_id

    def ids(self) -> list[str]:
        """The youngest first."""
        return sorted((path.stem for path in self._directory.glob("*.eml")), reverse=True)

    def _file(self, message_id: str) -> Path:
        return self._directory / f"{message_id}.eml"

    def raw(self, message_id: str) -> bytes | None:
        """The message as it came, with the envelope in two headers of ours."""
        try:
            return self._file(message_id).read_bytes() if ID.fullmatch(message_id) else None
        except FileNotFoundError:
            return None

    def message(self, message_id: str) -> EmailMessage | None:
        raw = self.raw(message_id)
        return None if raw is None else email.message_from_bytes(raw, policy=default)

    def clear(self) -> None:
        for message_id in self.ids():
            self._file(message_id).unlink(missing_ok=True)


def as_json(message_id: str, message: EmailMessage) -> dict[str, Any]:
    """A message for programs."""
    body = message.get_body(("plain", "html"))
    return {
        "id": message_id,
        "receivedAt": datetime.fromtimestamp(int(message_id[:20]) / 1e9, UTC).isoformat(),
        "from": message["X-Mailbox-From"],
        "to": message.get_all("X-Mailbox-To", []),
        "subject": str(message["Subject"] or ""),
        "messageId": str(message["Message-ID"] or ""),
        "attempt": int(message["X-Matchday-Attempt"] or 1),
        "text": body.get_content() if body is not None else "",
        "attachments": [
            {
                "name": part.get_filename() or "",
                "mediaType": part.get_content_type(),
                "bytes": len(_content(part)),
                "path": f"/messages/{message_id}/attachments/{number}",
            }
            for number, part in enumerate(message.iter_attachments())
        ],
    }


def _content(part: Any) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


class Receiver:
    """What aiosmtpd calls when a message has come."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    async def handle_RCPT(
        self, _server: SmtpSession, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= RECIPIENTS_MAX:
            return "452 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SmtpSession, _session: Session, envelope: Envelope) -> str:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        self._folder.add(envelope.mail_from or "", envelope.rcpt_tos, content)
        return "250 Kept"


class Inbox(BaseHTTPRequestHandler):
    """The page, and the same for programs."""

    timeout = HTTP_SECONDS_MAX
    folder: Folder

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        match parts.path.strip("/").split("/"):
            case [""]:
                self._send(200, "text/html; charset=utf-8", page(self.folder).encode())
            case ["health", "live" | "ready"]:
                self._json({"live": True, "ready": True, "service": "mailbox"})
            case ["messages"]:
                self._json({"items": self._listed(parse_qs(parts.query).get("to", [""])[0])})
            case ["messages", message_id]:
                message = self.folder.message(message_id)
                self._json(None if message is None else as_json(message_id, message))
            case ["messages", message_id, "raw"]:
                self._file("message/rfc822", self.folder.raw(message_id))
            case ["messages", message_id, "attachments", number]:
                self._attachment(self.folder.message(message_id), number)
            case _:
                self._json(None)

    def do_DELETE(self) -> None:
        if self.path != "/messages":
            self._json(None)
            return
        self.folder.clear()
        self._json({"items": []})

    def _listed(self, to: str) -> list[dict[str, Any]]:
        found = ((message_id, self.folder.message(message_id)) for message_id in self.folder.ids())
        listed = [as_json(message_id, message) for message_id, message in found if message is not None]
        return [each for each in listed if not to or to.casefold() in map(str.casefold, each["to"])]

    def _attachment(self, message: EmailMessage | None, number: str) -> None:
        parts = [] if message is None else list(message.iter_attachments())
        if number.isdecimal() and int(number) < len(parts):
            self._file(parts[int(number)].get_content_type(), _content(parts[int(number)]))
        else:
            self._json(None)

    def _json(self, content: Any) -> None:
        status = 404 if content is None else 200
        self._send(status, "application/json", json.dumps(content or {"detail": "there is no such thing"}).encode())

    def _file(self, media_type: str, content: bytes | None) -> None:
        if content is None:
            self._json(None)
        else:
            # Whatever somebody mailed: to be saved, never to be shown as a page of ours.
            self._send(200, media_type, content, ("Content-Disposition", "attachment"))

    def _send(self, status: int, media_type: str, content: bytes, *more: tuple[str, str]) -> None:
        self.send_response(status)
        policy = ("Content-Security-Policy", PAGE_POLICY)
        for name, value in (policy, ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"), *more):
            self.send_header(name, value)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Whoever looks at mail leaves no line in the log."""


def page(folder: Folder) -> str:
    """All messages for people."""
    shown = [_article(message_id, message) for message_id in folder.ids() if (message := folder.message(message_id))]
    title = f"{len(shown)} messages" if len(shown) != 1 else "1 message"
    articles = "".join(shown) or "<p>Nothing has come yet.</p>"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style><h1>{title}</h1>{articles}</html>'
    )


def _article(message_id: str, message: EmailMessage) -> str:
    known = as_json(message_id, message)
    links = "".join(
        f'<li><a href="{html.escape(each["path"])}">{html.escape(each["name"])}</a> ({each["bytes"]} bytes)</li>'
        for each in known["attachments"]
    )
    return (
        f"<article><h2>{html.escape(known['subject'])}</h2>"
        f"<small>to {html.escape(', '.join(known['to']))} · {known['receivedAt']}</small>"
        f"<pre>{html.escape(known['text'])}</pre><ul>{links}</ul></article>"
    )


class Mailbox:
    """The receiver and its page; usable in a process of its own or in a test."""

    def __init__(self, directory: Path, host: str, smtp_port: int, http_port: int) -> None:
        self.folder = Folder(directory)
        # A dialogue may be cut off anywhere; the sender tries again.
        self._smtp = Controller(
            Receiver(self.folder), hostname=host, port=smtp_port, data_size_limit=MESSAGE_BYTES_MAX, decode_data=False
        )
        handler = type("BoundInbox", (Inbox,), {"folder": self.folder})
        self._http = ThreadingHTTPServer((host, http_port), handler)
        self._http.daemon_threads = True

    def start(self) -> None:
        self._smtp.start()
        threading.Thread(target=self._http.serve_forever, name="inbox", daemon=True).start()

    def stop(self) -> None:
        self._smtp.stop()
        self._http.shutdown()
        self._http.server_close()


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    directory = Path(os.environ["MAILBOX_DIRECTORY"])
    host = os.environ.get("HOST", "127.0.0.1")
    mailbox = Mailbox(directory, host, int(os.environ["MAILBOX_SMTP_PORT"]), int(os.environ["PORT"]))
    mailbox.start()
    stopping.wait()
    mailbox.stop()


if __name__ == "__main__":
    main()
