"""The HTTP models of tickets and of the gate."""

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field

from reservations.resale.domain import Worth
from reservations.tickets.codes import CODE_LONGEST, TicketCodes
from reservations.tickets.domain import Admission, Result, Status, Ticket, TicketState
from reservations.tickets.handlers import Entered
from shared.http import AnswerModel, BodyModel, QueryModel
from shared.http.models import PATH_INT_MAX

SCANNER = r"^[A-Za-z0-9 ._:@-]{1,64}$"
ADMISSIONS_MAX = 100  # of one request; each has a code of some 300 characters

SCANNER_ABOUT = "Name of the gate or device; without it, who is signed in."


class TicketAnswer(AnswerModel):
    """A ticket: the right of one person to see one match."""

    id: UUID
    reservation_id: UUID
    number: int = Field(description="Which of its reservation's tickets, from 1.")
    match_number: int
    category: int
    code: str | None = Field(description="What the QR code holds; null while the ticket opens no gate.")
    status: Status = Field(description="suspended: the log is asked once more.")
    issued_at: datetime

    @classmethod
    def of(cls, ticket: Ticket, codes: TicketCodes) -> Self:
        """The ticket as its owner sees it."""
        return cls(
            id=UUID(ticket.id),
            reservation_id=UUID(ticket.reservation_id),
            number=ticket.number,
            match_number=ticket.match_number,
            category=ticket.category,
            code=codes.sign(ticket) if ticket.state is TicketState.VALID else None,
            status=ticket.status,
            issued_at=ticket.issued_at,
        )


class OwnTicket(TicketAnswer):
    """A ticket, with what its owner may ask for it."""

    face_amount: int = Field(description="What the site sold it for first, in minor units.")
    amount_max: int = Field(description="Highest price of a listing of it, in minor units.")
    currency: str

    @classmethod
    def owned(cls, ticket: Ticket, codes: TicketCodes, worth: Worth) -> Self:
        """The ticket as its owner sees it, before listing it."""
        seen = TicketAnswer.of(ticket, codes)
        return cls(**dict(seen), face_amount=worth.face, amount_max=worth.most, currency=worth.currency)


class Tickets(AnswerModel):
    """The caller's tickets, and how to get the next ones."""

    items: list[TicketAnswer]
    next_cursor: str | None = Field(description="Give it as `cursor` to get the next page; null on the last one.")


class TicketKey(AnswerModel):
    """A public key (RFC 7517, RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    alg: Literal["EdDSA"]
    use: Literal["sig"]


class TicketKeys(AnswerModel):
    """The keys that tickets are signed with, as a JWK set; the newest first."""

    keys: list[TicketKey]


class ShownCode(BodyModel):
    """What a scanner has read."""

    code: str = Field(min_length=1, max_length=CODE_LONGEST, description="What the QR code holds.")
    scanner: str | None = Field(None, pattern=SCANNER, description=SCANNER_ABOUT)
    match_number: int | None = Field(
        None, ge=1, le=PATH_INT_MAX, description="The match behind this gate; tickets for others are refused."
    )


class Admitted(AnswerModel):
    """Let the person in."""

    admitted: Literal[True] = True
    ticket_id: UUID
    match_number: int
    category: int
    number: int
    admitted_at: datetime
    scanner: str

    @classmethod
    def of(cls, ticket: Ticket, admission: Admission) -> Self:
        """What the scanner shows."""
        return cls(
            ticket_id=UUID(ticket.id),
            match_number=ticket.match_number,
            category=ticket.category,
            number=ticket.number,
            admitted_at=admission.admitted_at,
            scanner=admission.scanner,
        )


class OfflineAdmission(BodyModel):
    """Somebody whom a scanner let in by the signature alone."""

    code: str = Field(min_length=1, max_length=CODE_LONGEST)
    admitted_at: AwareDatetime = Field(description="By the scanner's clock.")


class OfflineAdmissions(BodyModel):
    """Whom one scanner let in while it had no network."""

    scanner: str | None = Field(None, pattern=SCANNER, description=SCANNER_ABOUT)
    admissions: list[OfflineAdmission] = Field(min_length=1, max_length=ADMISSIONS_MAX)


class AdmissionAnswer(AnswerModel):
    """What became of an admission."""

    result: Result
    ticket_id: UUID | None
    match_number: int | None
    admitted_at: datetime | None
    scanner: str | None
    first_admitted_at: datetime | None = Field(description="Of a double use: when the ticket was used first.")
    first_scanner: str | None = Field(description="Of a double use: where.")

    @classmethod
    def of(cls, entered: Entered) -> Self:
        """The admission as the gate's staff sees it."""
        ticket, admission = entered.ticket, entered.admission
        first = entered.first if admission is not None and admission.double_use else None
        return cls(
            result=entered.result,
            ticket_id=UUID(ticket.id) if ticket else None,
            match_number=ticket.match_number if ticket else None,
            admitted_at=admission.admitted_at if admission else None,
            scanner=admission.scanner if admission else None,
            first_admitted_at=first.admitted_at if first else None,
            first_scanner=first.scanner if first else None,
        )


class Admissions(AnswerModel):
    """What became of each, in the order in which they were told."""

    items: list[AdmissionAnswer]
    next_cursor: str | None = None


class VoidQuery(QueryModel):
    """Which part of the void tickets."""

    match_number: int | None = Field(None, ge=1, le=PATH_INT_MAX, description="Only tickets for this match.")
    limit: int = Field(1000, ge=1, le=1000)
    cursor: UUID | None = Field(None, description="`nextCursor` of the page before.")


class VoidTickets(AnswerModel):
    """Tickets that open no gate any more."""

    items: list[UUID] = Field(description="As in `jti` of their codes.")
    next_cursor: UUID | None


class DoubleUseQuery(QueryModel):
    """Which part of the double uses."""

    limit: int = Field(50, ge=1, le=200)
    cursor: int = Field(0, ge=0, le=2**53, description="`nextCursor` of the page before.")
