"""What buyers are written about their tickets."""

from collections.abc import Sequence

from reservations.domain import Reservation
from reservations.tickets.domain import Sheet
from reservations.tickets.pdf import kick_off, print_tickets
from shared.mail import Attachment, Mail

TICKETS = """\
Hello,

here {are} your {tickets} for

    {home} – {away}
    {stage}, match {match}
    {stadium}
    {kick_off}

{Each} admits one person, once: print the attached PDF, or show the QR
code on your screen at the gate. Whoever shows a code first goes in, so
do not pass it on.

Category {category}, {quantity} x {price} {currency}
Reservation {reservation}
"""
REFUND = """\
Hello,

your payment for match {match}, category {category}, came when the tickets were no
longer ours to give: the federation's log had no room left for them. We
are sorry. Tickets that you may have got for it are not valid, and what
you paid ({quantity} x {price} {currency}) goes back to you by itself, in full.

Reservation {reservation}
"""
RESALE_REFUND = """\
Hello,

your payment for match {match}, category {category}, came when the ticket was not to be had
any more: somebody else has bought it, or it is no longer for sale. We are sorry. What you
paid ({price} {currency}) goes back to you by itself, in full.

Reservation {reservation}
"""
GIVEN_BACK = """\
Hello,

what you paid for match {match}, category {category}, has been given back to you in
full ({quantity} x {price} {currency}), to the card that you paid with. The tickets
open no gate any more, unless somebody has gone in with one of them.

Reservation {reservation}
"""


def tickets_letter(reservation: Reservation, sheets: Sequence[Sheet], site: str) -> Mail:
    """The tickets, as PDF."""
    fixture = sheets[0].fixture
    several = len(sheets) > 1
    place = f"{fixture.stadium}, {fixture.city}" if fixture.city else fixture.stadium
    text = TICKETS.format(
        are="are" if several else "is",
        tickets="tickets" if several else "ticket",
        Each="Each" if several else "It",
        home=fixture.home_team,
        away=fixture.away_team,
        stage=fixture.stage,
        stadium=place,
        kick_off=kick_off(fixture.date_utc, fixture.zone).replace("\n", " "),
        **_facts(reservation),
    )
    pdf = Attachment(f"tickets-match-{fixture.match_number}.pdf", "application/pdf", print_tickets(sheets, site))
    subject = f"Your {'tickets' if several else 'ticket'}: {fixture.home_team} – {fixture.away_team}"
    return Mail("tickets", reservation.email, subject, text, [pdf])


def refund_letter(reservation: Reservation) -> Mail:
    """That the money goes back."""
    text = (RESALE_REFUND if reservation.is_resale else REFUND).format(**_facts(reservation))
    return Mail("refund", reservation.email, f"Your money goes back: match {reservation.pool.match_number}", text)


def given_back_letter(reservation: Reservation) -> Mail:
    """That the money of tickets has gone back, and they are void."""
    subject = f"Your money was given back: match {reservation.pool.match_number}"
    return Mail("given_back", reservation.email, subject, GIVEN_BACK.format(**_facts(reservation)))


def _facts(reservation: Reservation) -> dict[str, object]:
    return {
        "match": reservation.pool.match_number,
        "category": reservation.pool.category,
        "quantity": reservation.quantity,
        "price": f"{reservation.price:.2f}",
        "currency": reservation.currency,
        "reservation": reservation.id,
    }
