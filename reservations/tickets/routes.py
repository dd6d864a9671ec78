"""HTTP of tickets and of the gate: parse, one use case, answer."""

import hmac
from uuid import UUID

from flask import Response

from reservations.paging import PageQuery
from reservations.resale import handlers as resale
from reservations.tickets import handlers
from reservations.tickets.domain import AlreadyAdmitted, InvalidTicket, Scan, TicketVoid, WrongMatch
from reservations.tickets.handlers import Entered
from reservations.tickets.pdf import print_tickets, qr_png
from reservations.tickets.schemas import (
    AdmissionAnswer,
    Admissions,
    Admitted,
    DoubleUseQuery,
    OfflineAdmissions,
    OwnTicket,
    ShownCode,
    TicketAnswer,
    TicketKey,
    TicketKeys,
    Tickets,
    VoidQuery,
    VoidTickets,
)
from reservations.wiring import Wiring
from shared.errors import DependencyUnavailable, Forbidden, NotFound, Unauthenticated
from shared.http import TOKEN, Access, Answer, Caller, IdempotencyHeaders, Routes, bearer_token, json_answer

PDF = "application/pdf"
PNG = "image/png"
KEYS_KEPT = "public, max-age=300"
GATE_ROLES = frozenset({"gate", "admin"})
SCANNERS = Access("token", services=True)

routes = Routes("tickets", "Tickets of the signed-in or of a guest's reservation, as code, picture and PDF.")
gate = Routes("gate", "Admit each ticket once, with a network or without.")


@routes.get("/api/tickets", answer=Tickets, access=TOKEN, raises=[DependencyUnavailable])
def list_tickets(wiring: Wiring, caller: Caller, query: PageQuery) -> Tickets:
    """The caller's tickets: all of an account, or those of the reservation that a guest's token opens."""
    opener = wiring.access.opener(caller)
    tickets, place = handlers.listed(wiring.site, opener, query.place(), query.limit)
    items = [TicketAnswer.of(ticket, wiring.codes) for ticket in tickets]
    return Tickets(items=items, next_cursor=place.cursor() if place else None)


@routes.get("/api/tickets/keys", answer=TicketKeys)
def ticket_keys(wiring: Wiring) -> Response:
    """The public keys that tickets are signed with.

    A scanner that has them tells a real code from a forged one without a network. A code is a compact JWS (RFC 7515)
    with `alg` EdDSA, `typ` ticket+jwt and the claims `iss`, `jti` (the ticket), `match`, `category` and `seq`.
    """
    keys = [TicketKey(**key) for key in wiring.codes.jwks()]  # type: ignore[arg-type]
    return json_answer(TicketKeys(keys=keys), headers=[("Cache-Control", KEYS_KEPT)])


@routes.get(
    "/api/tickets/{ticketId}", answer=OwnTicket, access=TOKEN, raises=[NotFound, Forbidden, DependencyUnavailable]
)
def get_ticket(wiring: Wiring, caller: Caller, ticket_id: UUID) -> OwnTicket:
    """A ticket of the caller's, with the highest price that it may be listed for."""
    ticket = handlers.get(wiring.site, wiring.access.opener(caller), str(ticket_id))
    return OwnTicket.owned(ticket, wiring.codes, resale.worth(wiring.site, wiring.settings, ticket.reservation_id))


@routes.get(
    "/api/tickets/{ticketId}.pdf",
    answer=Answer("The ticket, to be printed on A4.", media_type=PDF),
    access=TOKEN,
    raises=[NotFound, Forbidden, TicketVoid, DependencyUnavailable],
)
def get_ticket_pdf(wiring: Wiring, caller: Caller, ticket_id: UUID) -> Response:
    """A ticket of the caller's as PDF."""
    sheet = handlers.sheet(wiring.site, wiring.codes, wiring.access.opener(caller), str(ticket_id))
    named = f'inline; filename="ticket-{ticket_id}.pdf"'
    raw = print_tickets([sheet], wiring.settings.client_id)
    return Response(raw, 200, [("Content-Disposition", named)], content_type=PDF)


@routes.get(
    "/api/tickets/{ticketId}.png",
    answer=Answer("The ticket's QR code.", media_type=PNG),
    access=TOKEN,
    raises=[NotFound, Forbidden, TicketVoid, DependencyUnavailable],
)
def get_ticket_png(wiring: Wiring, caller: Caller, ticket_id: UUID) -> Response:
    """The QR code of a ticket of the caller's as PNG."""
    sheet = handlers.sheet(wiring.site, wiring.codes, wiring.access.opener(caller), str(ticket_id))
    return Response(qr_png(sheet.code), 200, content_type=PNG)


@gate.post(
    "/api/tickets/verify",
    answer=Admitted,
    access=SCANNERS,
    limit="gate",
    raises=[Forbidden, InvalidTicket, WrongMatch, TicketVoid, AlreadyAdmitted, DependencyUnavailable],
)
def verify_ticket(wiring: Wiring, caller: Caller, body: ShownCode, headers: IdempotencyHeaders) -> Admitted:
    """Admit somebody with a ticket, once. For accounts with the role gate or admin, and with the service token.

    Of any number of scanners that ask at the same time exactly one is told to let the person in. A scanner that has
    lost an answer asks again with the same `Idempotency-Key` and is told the same.
    """
    scanner = _scanner(wiring, caller, body.scanner)
    scan = Scan(scanner, wiring.site.clock.now(), headers.idempotency_key)
    entered = handlers.verify(wiring.site, wiring.codes, body.code, scan, body.match_number)
    assert entered.ticket is not None
    assert entered.admission is not None
    return Admitted.of(entered.ticket, entered.admission)


@gate.post(
    "/api/tickets/admissions",
    answer=Admissions,
    access=SCANNERS,
    limit="gate",
    raises=[Forbidden, DependencyUnavailable],
)
def sync_admissions(wiring: Wiring, caller: Caller, body: OfflineAdmissions) -> Admissions:
    """Tell whom a scanner let in while it had no network; finds tickets that were used twice.

    For accounts with the role gate or admin, and with the service token. The same told again changes nothing.
    """
    scanner = _scanner(wiring, caller, body.scanner)
    scans = [(each.code, Scan(scanner, each.admitted_at, offline=True)) for each in body.admissions]
    return Admissions(items=_answers(handlers.sync(wiring.site, wiring.codes, scans)))


@gate.get("/api/tickets/void", answer=VoidTickets, access=SCANNERS, raises=[Forbidden, DependencyUnavailable])
def list_void_tickets(wiring: Wiring, caller: Caller, query: VoidQuery) -> VoidTickets:
    """The tickets that open no gate any more, for a scanner that will have no network.

    For accounts with the role gate or admin, and with the service token. Fetch all pages before the match.
    """
    _scanner(wiring, caller, None)
    after = None if query.cursor is None else str(query.cursor)
    found, place = handlers.void(wiring.site, query.match_number, after, query.limit)
    return VoidTickets(items=[UUID(each) for each in found], next_cursor=None if place is None else UUID(place))


@gate.get("/api/tickets/double-uses", answer=Admissions, access=SCANNERS, raises=[Forbidden, DependencyUnavailable])
def list_double_uses(wiring: Wiring, caller: Caller, query: DoubleUseQuery) -> Admissions:
    """Admissions with tickets that had been used before, in the order in which that was found.

    For accounts with the role gate or admin, and with the service token.
    """
    _scanner(wiring, caller, None)
    found = list(handlers.double_uses(wiring.site, query.cursor, query.limit))
    after = str(found[-1][0]) if len(found) == query.limit else None
    return Admissions(items=_answers([entered for _, entered in found]), next_cursor=after)


def _answers(entered: list[Entered]) -> list[AdmissionAnswer]:
    return [AdmissionAnswer.of(each) for each in entered]


def _scanner(wiring: Wiring, caller: Caller, name: str | None) -> str:
    """Who scans. Raises `Unauthenticated`, `Forbidden` for whom does not work at the gate."""
    if caller.account is not None:
        if not GATE_ROLES & caller.account.roles:
            raise Forbidden("this needs one of the roles admin, gate")
        return name or caller.account.id
    known = wiring.settings.service_token.get_secret_value().encode()
    token = bearer_token()
    if token is None or not hmac.compare_digest(token.encode(), known):
        raise Unauthenticated("sign in as one who works at the gate")
    return name or "service"
