"""A twin of the service reservations, as far as payments speaks with it: the same routes, bodies and answers.

with reservations_twin() as twin:
    held = twin.hold(amount=25_000)              # a reservation that is held; `held.credential` opens it
    twin.outcome[held.id] = "asking"             # what it will say when it is told that this one is paid
    twin.fails = 3                               # the next three messages are answered 503
    twin.paid                                    # every such message that it took, in order
    twin.refunds                                 # and those about refunds: (reservation, word, body, key)
"""

import contextlib
import json
import re
import secrets
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

RESERVATION = re.compile(r"/internal/reservations/([0-9a-f-]{36})")
PAID = re.compile(r"/internal/reservations/([0-9a-f-]{36})/paid")
REFUND = re.compile(r"/internal/reservations/([0-9a-f-]{36})/(refunded|refund-failed)")


@dataclass
class Reservation:
    """A reservation of the twin."""

    id: str
    amount: int
    currency: str = "USD"
    status: str = "held"
    expires_at: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(minutes=10))
    email: str = "ada@example.org"
    account_id: str | None = None
    token: str = field(default_factory=secrets.token_urlsafe)
    payment_id: str | None = None
    resold: int = 0

    @property
    def credential(self) -> dict[str, str]:
        """The buyer's own header."""
        return {"Authorization": f"Bearer {self.token}"}

    def answer(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "status": self.status,
            "amount": self.amount,
            "currency": self.currency,
            "expiresAt": self.expires_at.isoformat(),
            "email": self.email,
            "accountId": self.account_id,
            "resold": self.resold,
        }


@dataclass
class Twin:
    """What it knows, what it was told, and how it answers."""

    url: str = ""
    service_token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    reservations: dict[str, Reservation] = field(default_factory=dict)
    outcome: dict[str, str] = field(default_factory=dict)
    paid: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    refunds: list[tuple[str, str, dict[str, Any], str]] = field(default_factory=list)
    fails: int = 0
    status: int = 503
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, amount: int = 25_000, **more: Any) -> Reservation:
        made = Reservation(str(uuid.uuid4()), amount, **more)
        self.reservations[made.id] = made
        return made

    def told_of(self, reservation_id: str) -> list[dict[str, Any]]:
        """What it was told of one reservation."""
        return [body for told, body, _ in self.paid if told == reservation_id]

    def refunds_of(self, reservation_id: str) -> list[tuple[str, dict[str, Any]]]:
        """What it was told of one reservation's refunds."""
        return [(word, body) for told, word, body, _ in self.refunds if told == reservation_id]

    def get(self, reservation_id: str, credential: str | None) -> tuple[int, Any]:
        found = self.reservations.get(reservation_id)
        if found is None:
            return 404, {"code": "not_found"}
        if credential is not None and credential != f"Bearer {found.token}":
            others = {f"Bearer {other.token}" for other in self.reservations.values()}
            return (403, {"code": "forbidden"}) if credential in others else (401, {"code": "unauthenticated"})
        return 200, found.answer()

    def hear_paid(self, reservation_id: str, body: dict[str, Any], key: str) -> tuple[int, Any]:
        with self.lock:
            if self.fails:
                self.fails -= 1
                return self.status, {"code": "told_so"}
            self.paid.append((reservation_id, body, key))
            found = self.reservations.get(reservation_id)
            if found is None:
                return 200, {"outcome": "refused", "reason": "not_found"}
            if found.payment_id not in (None, body["paymentId"]):
                return 200, {"outcome": "refused", "reason": "already_paid"}
            found.payment_id = body["paymentId"]
            outcome = self.outcome.get(
                reservation_id, "reserved" if found.status in ("held", "reserved") else "refused"
            )
            if outcome == "reserved":
                found.status = "reserved"
            return 200, {"outcome": outcome, "reason": "sold_out" if outcome == "refused" else None}

    def hear_refund(self, reservation_id: str, word: str, body: dict[str, Any], key: str) -> tuple[int, Any]:
        with self.lock:
            if self.fails:
                self.fails -= 1
                return self.status, {"code": "told_so"}
            self.refunds.append((reservation_id, word, body, key))
            return 200, {"void": 2 if word == "refunded" else 0}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _twin(self) -> Twin:
        return cast(Twin, cast(Any, self.server).twin)

    def do_GET(self) -> None:
        found = RESERVATION.fullmatch(self.path)
        self._answer(*(self._twin().get(found[1], self.headers.get("X-Caller-Authorization")) if found else (404, {})))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Idempotency-Key"]
        if found := PAID.fullmatch(self.path):
            self._answer(*self._twin().hear_paid(found[1], body, key))
        elif found := REFUND.fullmatch(self.path):
            self._answer(*self._twin().hear_refund(found[1], found[2], body, key))
        else:
            self._answer(404, {})

    def _answer(self, status: int, body: Any) -> None:
        if self.headers.get("Authorization") != f"Bearer {self._twin().service_token}":
            status, body = 401, {"code": "unauthenticated"}
        content = json.dumps(body).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def reservations_twin() -> Iterator[Twin]:
    """A twin on a port of its own, until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    twin = Twin(f"http://127.0.0.1:{server.server_address[1]}")
    cast(Any, server).twin = twin
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield twin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
