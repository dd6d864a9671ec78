"""Use cases of tickets and of the gate: one function each, one transaction each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from reservations import store as reservations
from reservations.access import Opener
from reservations.handlers import Site
from reservations.paging import Place
from reservations.tickets import store
from reservations.tickets.codes import TicketCodes
from reservations.tickets.domain import (
    Admission,
    AlreadyAdmitted,
    Claims,
    Fixture,
    InvalidTicket,
    Result,
    Scan,
    Sheet,
    Ticket,
    TicketState,
    TicketVoid,
    check_open,
)
from shared.errors import MatchdayError, NotFound
from shared.masterlist import MatchEntry, stage_name
from shop.inventory.catalogue import find_match
from shop.inventory.venues import VENUES

log = structlog.get_logger(__name__)

GROUP_LONGEST = 2


@dataclass(frozen=True, slots=True)
class Entered:
    """What came of a scan: the ticket and who went in with it, or why it is none."""

    ticket: Ticket | None
    admission: Admission | None
    first: Admission | None
    result: Result


def listed(site: Site, opener: Opener, after: Place | None, limit: int) -> tuple[list[Ticket], Place | None]:
    """The caller's tickets, and where the next page begins. A guest's are on one page."""
    with site.database.transaction() as connection:
        if opener.account_id is None:
            return store.of_reservation(connection, opener.reservation_id or ""), None
        found = store.of_account(connection, opener.account_id, after, limit + 1)
    page = found[:limit]
    return page, Place(page[-1].issued_at, page[-1].id) if len(found) > limit else None


def get(site: Site, opener: Opener, ticket_id: str) -> Ticket:
    """A ticket of the caller's. Raises `NotFound`, `Forbidden`."""
    with site.database.transaction() as connection:
        return _own(connection, opener, ticket_id)


def _own(connection: Connection, opener: Opener, ticket_id: str) -> Ticket:
    ticket = store.find(connection, ticket_id)
    if ticket is None:
        raise NotFound("there is no such ticket")
    opener.check(reservations.find(connection, [ticket.reservation_id])[ticket.reservation_id])
    return ticket


def sheet(site: Site, codes: TicketCodes, opener: Opener, ticket_id: str) -> Sheet:
    """What is printed for a ticket. Raises `NotFound`, `Forbidden`, `TicketVoid`."""
    with site.database.transaction() as connection:
        ticket = _own(connection, opener, ticket_id)
        if ticket.state is not TicketState.VALID:
            raise TicketVoid(f"the ticket is {ticket.state.value}")
        pages = sheets(connection, codes, ticket.reservation_id)
    return next(page for page in pages if page.ticket.id == ticket.id)


def sheets(connection: Connection, codes: TicketCodes, reservation_id: str) -> list[Sheet]:
    """What is printed for a reservation: its valid tickets."""
    reservation = reservations.find(connection, [reservation_id])[reservation_id]
    tickets = [each for each in store.of_reservation(connection, reservation_id) if each.state is TicketState.VALID]
    fixture = find_fixture(connection, reservation.pool.match_number)
    if fixture is None:
        raise NotFound("the match is not known (yet)")
    told = (fixture, reservation.price, reservation.currency, reservation.language)
    return [Sheet(each, reservation.quantity, codes.sign(each), *told) for each in tickets]


def find_fixture(connection: Connection, match_number: int) -> Fixture | None:
    """What is told of a match; None when it is not known (yet)."""
    match = find_match(connection, match_number)
    return None if match is None else _fixture(match)


def _fixture(match: MatchEntry) -> Fixture:
    venue = VENUES.get(match.location)
    stage = stage_name(match)
    return Fixture(
        match.match_number,
        stage if len(stage) <= GROUP_LONGEST else None,
        stage,
        match.home_team,
        match.away_team,
        match.location,
        venue.city if venue else None,
        venue.zone if venue else None,
        match.date_utc,
    )


def verify(site: Site, codes: TicketCodes, code: str, scan: Scan, match_number: int | None) -> Entered:
    """Admits with a ticket, once, however many scanners ask at the same time.

    Raises `InvalidTicket`, `WrongMatch`, `TicketVoid`, `AlreadyAdmitted`. The same scanner may ask again with the same
    key, when the answer was lost.
    """
    claims = codes.read(code)
    with site.database.transaction() as connection:
        ticket = store.lock(connection, [claims.ticket_id]).get(claims.ticket_id)
        if ticket is None:
            raise InvalidTicket("the code is signed by this site, but there is no such ticket (any more)")
        known = store.admissions_of(connection, [ticket.id]).get(ticket.id, [])
        for admission in known:
            if admission.is_of(scan):
                return Entered(ticket, admission, admission, "admitted")
        check_open(ticket, match_number)
        if known:
            raise _already(known[0], scan)
        entered = _enter(site, ticket, scan, known)
        store.insert_admissions(connection, [entered])
    return Entered(ticket, entered, entered, "admitted")


def _already(first: Admission, scan: Scan) -> MatchdayError:
    log.warning("ticket_shown_again", ticket=first.ticket_id, scanner=scan.scanner, first=first.scanner)
    moment = first.admitted_at.isoformat().replace("+00:00", "Z")
    return AlreadyAdmitted(f"admitted at {moment}", admittedAt=moment, scanner=first.scanner)


def _enter(site: Site, ticket: Ticket, scan: Scan, known: Sequence[Admission]) -> Admission:
    return Admission(ticket.id, scan.scanner, scan.at, site.clock.now(), scan.offline, bool(known), scan.key)


def sync(site: Site, codes: TicketCodes, scans: Sequence[tuple[str, Scan]]) -> list[Entered]:
    """Takes over whom scanners without a network let in, and finds tickets that were used twice.

    These people are inside, so nothing is refused: each is written down, and told for what it is: `admitted`,
    `double_use`, `ticket_void`, `invalid_ticket`. The same told again changes nothing.
    """
    claims = [_read(codes, code) for code, _ in scans]
    ids = sorted({claim.ticket_id for claim in claims if claim is not None})
    with site.database.transaction() as connection:
        tickets = store.lock(connection, ids)
        known = store.admissions_of(connection, ids)
        made: list[Admission] = []
        results = []
        for claim, (_, scan) in zip(claims, scans, strict=True):
            ticket = tickets.get(claim.ticket_id) if claim else None
            results.append(_take_over(site, ticket, scan, known, made))
        store.insert_admissions(connection, made)
    for double in (admission for admission in made if admission.double_use):
        log.warning("ticket_used_twice", ticket=double.ticket_id, scanner=double.scanner)
    return results


def _read(codes: TicketCodes, code: str) -> Claims | None:
    try:
        return codes.read(code)
    except InvalidTicket:
        return None


def _take_over(
    site: Site, ticket: Ticket | None, scan: Scan, known: dict[str, list[Admission]], made: list[Admission]
) -> Entered:
    if ticket is None:
        return Entered(None, None, None, "invalid_ticket")
    before = known.setdefault(ticket.id, [])
    admission = next((each for each in before if each.is_of(scan)), None)
    if admission is None:
        admission = _enter(site, ticket, scan, before)
        before.append(admission)
        made.append(admission)
    return Entered(ticket, admission, before[0], _result(ticket, admission))


def _result(ticket: Ticket, admission: Admission) -> Result:
    if admission.double_use:
        return "double_use"
    return "admitted" if ticket.state is TicketState.VALID else "ticket_void"


def void(site: Site, match_number: int | None, after: str | None, limit: int) -> tuple[list[str], str | None]:
    """Ids of tickets that were given back, and where the next page begins."""
    with site.database.transaction() as connection:
        found = store.void_ids(connection, match_number, after, limit + 1)
    return found[:limit], found[limit - 1] if len(found) > limit else None


def double_uses(site: Site, after: int, limit: int) -> Iterable[tuple[int, Entered]]:
    """Tickets that were used more than once, in the order in which that was found."""
    with site.database.transaction() as connection:
        found = store.double_uses(connection, after, limit)
        ids = [admission.ticket_id for _, admission in found]
        tickets = store.find_many(connection, ids)
        known = store.admissions_of(connection, ids)
    return [
        (number, Entered(tickets[each.ticket_id], each, known[each.ticket_id][0], "double_use"))
        for number, each in found
    ]
