"""List entries, decisions as the audit log keeps them, and which class of limits a path belongs to."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from shared.errors import Conflict

SAFE = ("GET", "HEAD", "OPTIONS")
# As the routes themselves declare it, for a proxy that asks about a path; the first that fits counts.
CLASSES: tuple[tuple[str, str, str], ...] = (
    ("", r"/internal/.*|/api/security/check", "internal"),
    ("GET", r"/api/security/challenge", "challenge"),
    ("POST", r"/api/reservations|/api/resale/listings/[^/]+/hold", "hold"),
    ("POST", r"/api/reservation|/api/payments", "pay"),
    ("POST", r"/api/payments/webhook", "webhook"),
    ("POST", r"/api/tickets/(?:verify|admissions)", "gate"),
    ("POST", r"/api/users/signup", "sign_up"),
    ("POST", r"/api/users/(?:signin|refresh|email/verify|password/reset|me/password|me/reauthentication)", "sign_in"),
    ("POST", r"/api/users/(?:email/verification|password/forgotten)", "mail"),
)


class ListFull(Conflict):
    """The lists have as many entries as they take."""

    code = "list_full"


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One entry of the lists: a network or an account."""

    id: str
    kind: str
    network: str | None
    account_id: str | None
    reason: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Record:
    """What was decided `count` times, alike, between `first_at` and `at`."""

    at: datetime
    first_at: datetime
    count: int
    verdict: str
    reason: str
    service: str
    rate_class: str
    method: str
    route: str
    address: str
    holder: str
    account_id: str | None
    pass_id: str | None
    signals: tuple[str, ...]
    request_id: str | None
    id: int = 0

    def same(self) -> tuple[object, ...]:
        """What makes two decisions alike."""
        return (
            self.verdict, self.reason, self.service, self.rate_class, self.method, self.route, self.address,
            self.account_id, self.pass_id, self.signals,
        )  # fmt: skip


def fold(records: Iterable[Record]) -> list[Record]:
    """Alike decisions as one record each, with their number: a flood must not fill the log."""
    folded: dict[tuple[object, ...], Record] = {}
    for record in records:
        known = folded.get(record.same())
        folded[record.same()] = (
            record if known is None else replace(known, at=record.at, count=known.count + record.count)
        )
    return list(folded.values())


@dataclass(frozen=True, slots=True)
class Search:
    """Which decisions are looked for."""

    address: str | None = None
    account_id: str | None = None
    verdict: str | None = None
    reason: str | None = None
    rate_class: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AdminAction:
    """Something that an admin, or without an account the bearer of the service token, changed or tried to.

    `request` is the body that was sent. Without `status` the outcome is not known: it is on its way, or the process
    has died. `number` is the place in the log.
    """

    id: str
    at: datetime
    service: str
    operation: str
    method: str
    path: str
    account_id: str | None
    email: str | None
    address: str
    request_id: str | None
    request: str | None
    status: int | None = None
    ended_at: datetime | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class ActionSearch:
    """Which actions are looked for; `path` is how it begins."""

    account_id: str | None = None
    email: str | None = None
    service: str | None = None
    operation: str | None = None
    path: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How often something was decided within an hour."""

    hour: datetime
    rate_class: str
    verdict: str
    reason: str
    count: int


def rate_class_of(method: str, path: str) -> str:
    """The class that a path's limits are those of."""
    for wanted, pattern, name in CLASSES:
        if wanted in ("", method) and re.fullmatch(pattern, path):
            return name
    return "read" if method in SAFE else "write"
