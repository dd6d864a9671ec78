"""Writes to buyers what has come due: the tickets, or that the money goes back.

The transaction of the sale only remembers that somebody is to be written; the PDF is made here, by the worker, so that
nobody waits for it while a pool is locked.
"""

from reservations import store
from reservations.domain import MailDue, Reservation
from reservations.handlers import Site
from reservations.tables import mails
from reservations.tickets.codes import TicketCodes
from reservations.tickets.handlers import sheets
from reservations.tickets.letters import given_back_letter, refund_letter, tickets_letter
from shared import mail
from shared.mail import Mail


def write_due(site: Site, codes: TicketCodes, sender: str, limit: int) -> int:
    """Writes at most `limit` letters, each in a transaction of its own, for the postman; returns how many."""
    written = 0
    while written < limit and _write_one(site, codes, sender):
        written += 1
    return written


def _write_one(site: Site, codes: TicketCodes, sender: str) -> bool:
    with site.database.transaction() as connection:
        found = store.lock_mail_due(connection)
        if found is None:
            return False
        reservation, due = found
        pages = sheets(connection, codes, reservation.id) if due is MailDue.TICKETS else []
        letter = tickets_letter(reservation, pages, site.federation.client_id) if pages else _without(reservation, due)
        if letter is not None:
            mail.write(connection, mails, letter, sender, site.clock.now())
        store.set_mail_due(connection, reservation.id, None)
    return True


def _without(reservation: Reservation, due: MailDue) -> Mail | None:
    """Tickets that are not valid any more need no letter of theirs: another one is due."""
    letters = {MailDue.REFUND: refund_letter, MailDue.GIVEN_BACK: given_back_letter}
    return letters[due](reservation) if due in letters else None
