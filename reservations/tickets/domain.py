"""Tickets and admissions: what is printed, and what the gate asks. No I/O; `now` is an argument."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Literal

from shared.errors import MatchdayError

Status = Literal["valid", "admitted", "suspended", "void"]  # of a ticket, for its owner
Result = Literal["admitted", "double_use", "ticket_void", "invalid_ticket"]  # of an admission


class TicketState(StrEnum):
    """Whether a ticket opens the gate."""

    VALID = "valid"
    SUSPENDED = "suspended"  # paid, but the log must admit the sale once more
    VOID = "void"  # given back


class InvalidTicket(MatchdayError):
    """This is no ticket of this site"""

    code: ClassVar[str] = "invalid_ticket"
    status: ClassVar[int] = 422


class AlreadyAdmitted(MatchdayError):
    """Somebody was admitted with this ticket"""

    code: ClassVar[str] = "already_admitted"
    status: ClassVar[int] = 409
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "admittedAt": {"type": "string", "format": "date-time", "description": "When."},
        "scanner": {"type": "string", "description": "Where."},
    }


class TicketVoid(MatchdayError):
    """The ticket is not valid any more"""

    code: ClassVar[str] = "ticket_void"
    status: ClassVar[int] = 409


class WrongMatch(MatchdayError):
    """The ticket is for another match"""

    code: ClassVar[str] = "wrong_match"
    status: ClassVar[int] = 409
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "matchNumber": {"type": "integer", "description": "The match that the ticket is for."}
    }


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right of one person to see one match; `number` counts the tickets of its reservation from 1.

    `replaced_by` is the ticket of who has bought its place; the old one is void then.
    """

    id: str
    reservation_id: str
    number: int
    match_number: int
    category: int
    state: TicketState
    issued_at: datetime
    admitted_at: datetime | None = None
    replaced_by: str | None = None

    @property
    def status(self) -> Status:
        """In one word for its owner: valid, admitted, suspended or void."""
        if self.state is TicketState.VALID and self.admitted_at is not None:
            return "admitted"
        return self.state.value


@dataclass(frozen=True, slots=True)
class Claims:
    """What a ticket's code says; nothing about a person."""

    ticket_id: str
    match_number: int
    category: int
    number: int


@dataclass(frozen=True, slots=True)
class Scan:
    """A code that was held before a scanner: by whom, when, and a key by which a repeated request is known."""

    scanner: str
    at: datetime
    key: str | None = None
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """Somebody who went in with a ticket. `double_use`: not the first one."""

    ticket_id: str
    scanner: str
    admitted_at: datetime
    received_at: datetime
    offline: bool
    double_use: bool
    key: str | None = None

    def is_of(self, scan: Scan) -> bool:
        """Whether this scan is told once more, since its answer was lost on the way."""
        if scan.offline:
            return self.offline and (self.scanner, self.admitted_at) == (scan.scanner, scan.at)
        return scan.key is not None and not self.offline and (self.scanner, self.key) == (scan.scanner, scan.key)


@dataclass(frozen=True, slots=True)
class Fixture:
    """What a ticket tells about its match; `zone` is an IANA name, or None when nobody knows it.

    `group` is the letter of its group, or None; `stage` is in English, as the master list has it.
    """

    match_number: int
    group: str | None
    stage: str
    home_team: str
    away_team: str
    stadium: str
    city: str | None
    zone: str | None
    date_utc: datetime


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page to print: a ticket, its code, and what it is for."""

    ticket: Ticket
    of: int
    code: str
    fixture: Fixture
    price: Decimal
    currency: str
    language: str = "en"


def check_open(ticket: Ticket, match_number: int | None) -> None:
    """Raises `WrongMatch` or `TicketVoid` unless the ticket opens the gate of this match (None: of any)."""
    if match_number is not None and ticket.match_number != match_number:
        raise WrongMatch(f"the ticket is for match {ticket.match_number}", matchNumber=ticket.match_number)
    if ticket.state is not TicketState.VALID:
        raise TicketVoid(f"the ticket is {ticket.state.value}")
