"""What buyers are written about their tickets, each in the reservation's language."""

from collections.abc import Sequence

from reservations.domain import Reservation
from reservations.languages import N_, Tongue, tongue
from reservations.tickets import words
from reservations.tickets.domain import Fixture, Sheet
from reservations.tickets.pdf import print_tickets
from shared.mail import Attachment, Mail

TICKET_SUBJECT = N_("Your ticket: {teams}")
TICKETS_SUBJECT = N_("Your tickets: {teams}")
TICKET = N_("""\
Hello,

here is your ticket for

    {teams}
    {stage}, match {match}
    {place}
    {kick_off}

It admits one person, once: print the attached PDF, or show the QR code on your screen at the gate. Whoever shows it
first goes in, so do not pass it on.

Category {category}, {price}
Reservation {reservation}
""")
TICKETS = N_("""\
Hello,

here are your tickets for

    {teams}
    {stage}, match {match}
    {place}
    {kick_off}

Each admits one person, once: print the attached PDF, or show the QR codes on your screen at the gate. Whoever shows
a code first goes in, so do not pass them on.

Category {category}, {quantity} × {price}
Reservation {reservation}
""")
REFUND_SUBJECT = N_("Your money goes back: match {match}")
REFUND = N_("""\
Hello,

your payment for match {match}, category {category}, came when the tickets were no longer ours to give: the federation's
log had no room left for them. We are sorry. Tickets that you may have got for it are not valid, and what you paid
({total}) goes back to you by itself, in full.

Reservation {reservation}
""")
RESALE_REFUND = N_("""\
Hello,

your payment for match {match}, category {category}, came when the ticket was not to be had any more: somebody else has
bought it, or it is no longer for sale. We are sorry. What you paid ({total}) goes back to you by itself, in full.

Reservation {reservation}
""")
GIVEN_BACK_SUBJECT = N_("Your money was given back: match {match}")
GIVEN_BACK = N_("""\
Hello,

what you paid for match {match}, category {category}, has been given back to you in full ({total}), to the card that you
paid with. The tickets open no gate any more, unless somebody has gone in with one of them.

Reservation {reservation}
""")


def tickets_letter(reservation: Reservation, sheets: Sequence[Sheet], site: str) -> Mail:
    """The tickets, as PDF."""
    fixture, language = sheets[0].fixture, tongue(reservation.language)
    subject, text = (TICKETS_SUBJECT, TICKETS) if len(sheets) > 1 else (TICKET_SUBJECT, TICKET)
    pdf = Attachment(f"tickets-match-{fixture.match_number}.pdf", "application/pdf", print_tickets(sheets, site))
    facts = _facts(language, reservation) | about(language, fixture)
    return _mail("tickets", reservation, language.say(subject, **facts), language.say(text, **facts), [pdf])


def refund_letter(reservation: Reservation) -> Mail:
    """That the money goes back."""
    language = tongue(reservation.language)
    facts = _facts(language, reservation)
    text = RESALE_REFUND if reservation.is_resale else REFUND
    return _mail("refund", reservation, language.say(REFUND_SUBJECT, **facts), language.say(text, **facts))


def given_back_letter(reservation: Reservation) -> Mail:
    """That the money of tickets has gone back, and they are void."""
    language = tongue(reservation.language)
    facts = _facts(language, reservation)
    return _mail(
        "given_back", reservation, language.say(GIVEN_BACK_SUBJECT, **facts), language.say(GIVEN_BACK, **facts)
    )


def _mail(kind: str, to: Reservation, subject: str, text: str, attachments: Sequence[Attachment] = ()) -> Mail:
    return Mail(kind, to.email, subject, text, attachments, tongue(to.language).code)


def _facts(language: Tongue, reservation: Reservation) -> dict[str, object]:
    def money(times: int) -> str:
        return language.together(language.amount(reservation.price * times, reservation.currency))

    return {
        "match": reservation.pool.match_number,
        "category": reservation.pool.category,
        "quantity": reservation.quantity,
        "price": money(1),
        "total": money(reservation.quantity),
        "reservation": reservation.id,
    }


def about(language: Tongue, fixture: Fixture) -> dict[str, object]:
    """What is told of a match."""
    return {
        "teams": words.teams(language, fixture),
        "stage": words.stage(language, fixture),
        "place": words.place(language, fixture),
        "kick_off": " ".join(words.kick_off(language, fixture.date_utc, fixture.zone)),
    }
