"""SQL of tickets and admissions: connection first, domain objects in and out, never a commit."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on, insert

from reservations.domain import Reservation
from reservations.tables import admissions, reservations, tickets
from reservations.tickets.domain import Admission, Ticket, TicketState

FIRST = tickets.outerjoin(admissions, (admissions.c.ticket_id == tickets.c.id) & admissions.c.double_use.is_(False))
COLUMNS = (
    tickets.c.id,
    tickets.c.reservation_id,
    tickets.c.number,
    tickets.c.match_number,
    tickets.c.category,
    tickets.c.state,
    tickets.c.issued_at,
    admissions.c.admitted_at,
    tickets.c.replaced_by,
)
ADMISSION_COLUMNS = (
    admissions.c.ticket_id,
    admissions.c.scanner,
    admissions.c.admitted_at,
    admissions.c.received_at,
    admissions.c.offline,
    admissions.c.double_use,
    admissions.c.key,
)


def _ticket(row: Any) -> Ticket:
    ticket_id, reservation_id, number, match_number, category, state, *times = row
    return Ticket(ticket_id, reservation_id, number, match_number, category, TicketState(state), *times)


def issue(connection: Connection, reservation: Reservation, now: datetime) -> bool:
    """Makes the tickets of a sale, or lets those count again that are there and not void; whether they are new."""
    rows = [
        {
            "id": str(uuid.uuid4()),
            "reservation_id": reservation.id,
            "number": number,
            "match_number": reservation.pool.match_number,
            "category": reservation.pool.category,
            "state": TicketState.VALID.value,
            "issued_at": now,
        }
        for number in range(1, reservation.quantity + 1)
    ]
    made = connection.execute(insert(tickets).values(rows).on_conflict_do_nothing().returning(tickets.c.id)).all()
    if not made:
        set_state(connection, reservation.id, TicketState.VALID)
    return bool(made)


def set_state(connection: Connection, reservation_id: str, state: TicketState) -> None:
    """Lets the tickets of a reservation count, wait, or count no more; a void one stays void."""
    own = (tickets.c.reservation_id == reservation_id, tickets.c.state != TicketState.VOID.value)
    connection.execute(update(tickets).where(*own).values(state=state.value))


def revive(connection: Connection, reservation_id: str, state: TicketState) -> None:
    """Lets the tickets count again, or wait, that a reservation had last, though they are void.

    A place that somebody else has by now is not given back.
    """
    last = (
        select(tickets.c.id)
        .ext(distinct_on(tickets.c.number))
        .where(tickets.c.reservation_id == reservation_id)
        .order_by(tickets.c.number, tickets.c.issued_at.desc())
    )
    still_there = tickets.c.replaced_by.is_(None)
    connection.execute(update(tickets).where(tickets.c.id.in_(last), still_there).values(state=state.value))


def replace(connection: Connection, ticket_id: str, successor_id: str) -> None:
    """Makes a ticket void for good: its place is that of another ticket now."""
    void = {"state": TicketState.VOID.value, "replaced_by": successor_id}
    connection.execute(update(tickets).where(tickets.c.id == ticket_id).values(**void))


def void_ids(connection: Connection, match_number: int | None, after: str | None, limit: int) -> list[str]:
    """Ids of void tickets, of one match or of all, in their own order, from behind `after` on."""
    query = select(tickets.c.id).where(tickets.c.state == text(f"'{TicketState.VOID.value}'"))
    if match_number is not None:
        query = query.where(tickets.c.match_number == match_number)
    if after is not None:
        query = query.where(tickets.c.id > after)
    return list(connection.execute(query.order_by(tickets.c.id).limit(limit)).scalars())


def of_reservation(connection: Connection, reservation_id: str) -> list[Ticket]:
    """A reservation's tickets, by number."""
    query = select(*COLUMNS).select_from(FIRST).where(tickets.c.reservation_id == reservation_id)
    return [_ticket(row) for row in connection.execute(query.order_by(tickets.c.number))]


def of_account(connection: Connection, account_id: str, after: tuple[datetime, str] | None, limit: int) -> list[Ticket]:
    """An account's tickets, the newest first, from behind `after` on (issued at, id)."""
    joined = FIRST.join(reservations, reservations.c.id == tickets.c.reservation_id)
    query = select(*COLUMNS).select_from(joined).where(reservations.c.account_id == account_id)
    if after is not None:
        query = query.where(tuple_(tickets.c.issued_at, tickets.c.id) < after)
    rows = connection.execute(query.order_by(tickets.c.issued_at.desc(), tickets.c.id.desc()).limit(limit))
    return [_ticket(row) for row in rows]


def find(connection: Connection, ticket_id: str) -> Ticket | None:
    """A ticket by its id."""
    return find_many(connection, [ticket_id]).get(ticket_id)


def lock(connection: Connection, ids: Sequence[str]) -> dict[str, Ticket]:
    """Tickets by id, locked in one order until the transaction ends: whoever admits waits for whoever else does."""
    statement = text("SELECT id FROM reservations.tickets WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE")
    connection.execute(statement, {"ids": list(ids)})
    return find_many(connection, ids)


def find_many(connection: Connection, ids: Sequence[str]) -> dict[str, Ticket]:
    """Tickets by id."""
    rows = connection.execute(select(*COLUMNS).select_from(FIRST).where(tickets.c.id.in_(ids)))
    return {row[0]: _ticket(row) for row in rows}


def admissions_of(connection: Connection, ids: Sequence[str]) -> dict[str, list[Admission]]:
    """Who went in with these tickets, by ticket, the first one first."""
    query = select(*ADMISSION_COLUMNS).where(admissions.c.ticket_id.in_(ids)).order_by(admissions.c.number)
    found: dict[str, list[Admission]] = {}
    for row in connection.execute(query):
        found.setdefault(row[0], []).append(Admission(*row))
    return found


def insert_admissions(connection: Connection, made: Sequence[Admission]) -> None:
    """Writes down who went in."""
    if made:
        connection.execute(
            admissions.insert(),
            [
                {
                    "ticket_id": admission.ticket_id,
                    "scanner": admission.scanner,
                    "admitted_at": admission.admitted_at,
                    "received_at": admission.received_at,
                    "offline": admission.offline,
                    "double_use": admission.double_use,
                    "key": admission.key,
                }
                for admission in made
            ],
        )


def double_uses(connection: Connection, after: int, limit: int) -> list[tuple[int, Admission]]:
    """Admissions with tickets that were used before, with their numbers, from behind `after` on."""
    query = (
        select(*ADMISSION_COLUMNS, admissions.c.number)
        .where(admissions.c.double_use, admissions.c.number > after)
        .order_by(admissions.c.number)
        .limit(limit)
    )
    return [(row[-1], Admission(*row[:-1])) for row in connection.execute(query)]
