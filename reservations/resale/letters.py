"""What sellers are written: that their ticket is sold, and what they get for it."""

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import Connection

from reservations import store
from reservations.domain import Reservation
from reservations.handlers import Site
from reservations.languages import N_, tongue
from reservations.resale.domain import major
from reservations.tables import mails
from reservations.telling import CREDITS
from reservations.tickets.domain import Fixture
from reservations.tickets.handlers import find_fixture
from reservations.tickets.letters import about
from shared import mail
from shared.delivery import OnDelivered, Taken
from shared.mail import Mail

log = structlog.get_logger(__name__)

SOLD_SUBJECT = N_("Your ticket is sold: {teams}")
SOLD = N_("""\
Hello,

somebody has bought and paid for the ticket that you offered:

    {teams}
    {stage}, match {match}
    {place}
    {kick_off}

Your own ticket opens no gate any more; the buyer has got a new one.

You get {amount}: the price of {price} less our fee of {fee}. It is credited to you now, and your account shows
it as due until it is paid out.

Offer {listing}
""")
WITHHELD = N_("""\
{withheld} of the price is kept back: it was refunded to you for the same tickets.
""")


def write_when_credited(site: Site, sender: str) -> OnDelivered:
    """What is done when payments has answered: whose credit it has booked, is written how much it is.

    The letter is written in the transaction that marks the credit as told, and so once.
    """

    def hear(connection: Connection, taken: Taken, answer: object) -> None:
        if taken.path != CREDITS:
            return
        seller = _seller(connection, taken.body)
        fixture = find_fixture(connection, seller.pool.match_number) if seller is not None else None
        if seller is None or fixture is None or not isinstance(answer, dict):
            log.warning("seller_not_written", listing=taken.body["listingId"])
            return
        letter = sold_letter(seller, fixture, taken.body["listingId"], answer)
        mail.write(connection, mails, letter, sender, site.clock.now())

    return hear


def _seller(connection: Connection, credit: Mapping[str, Any]) -> Reservation | None:
    """The reservation by which the seller had the ticket; None when it is nobody's any more."""
    number = credit["soldReservationId"]
    found = store.find(connection, [number]).get(number)
    return found if found is not None and found.account_id == credit["sellerId"] else None


def sold_letter(seller: Reservation, fixture: Fixture, listing_id: str, credit: Mapping[str, Any]) -> Mail:
    """That the ticket is sold; `credit` is payments' answer: `price`, `fee`, `withheld` and `amount` in minor units,
    and `currency`."""
    language = tongue(seller.language)
    money = {
        name: language.together(language.amount(major(credit[name]), credit["currency"]))
        for name in ("price", "fee", "withheld", "amount")
    }
    facts = about(language, fixture) | money | {"match": fixture.match_number, "listing": listing_id}
    subject, text = (language.say(each, **facts) for each in (SOLD_SUBJECT, SOLD))
    if credit["withheld"]:
        text = f"{text}\n{language.say(WITHHELD, **facts)}"
    return Mail("sold", seller.email, subject, text, language=language.code)
