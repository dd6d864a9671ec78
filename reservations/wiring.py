"""What `app.py` makes and the routes use."""

from dataclasses import dataclass

from flask import request

from reservations import handlers
from reservations.access import AccessTokens
from reservations.broker import BrokerWatch
from reservations.cashier import Cashier
from reservations.domain import Standing
from reservations.handlers import Site
from reservations.schemas import Reservation
from reservations.settings import ReservationsSettings
from reservations.submitter import Submitter
from reservations.tickets.codes import TicketCodes
from reservations.waiting import Waiting
from reservations.waiting_room.handlers import WaitingRooms
from shared.http import Accounts, Caller
from shared.visitors import Visitors


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the routes use."""

    settings: ReservationsSettings
    site: Site
    submitter: Submitter
    waiting: Waiting
    access: AccessTokens
    accounts: Accounts
    broker: BrokerWatch
    codes: TicketCodes
    cashier: Cashier
    rooms: WaitingRooms
    visitors: Visitors

    def country(self, caller: Caller) -> str | None:
        """Where who sends this request is from, if that is known."""
        return self.visitors.visitor(request.environ, caller.account).country

    def answer(self, standing: Standing, *, with_token: bool = False) -> Reservation:
        """The reservation as its buyer sees it."""
        token = self.access.token(standing.reservation.id) if with_token else None
        return Reservation.of(standing, self.site.federation.topic, token)

    def opened(self, caller: Caller, reservation_id: str) -> Standing:
        """A reservation of the caller's. Raises `Unauthenticated`, `Forbidden`, `NotFound`."""
        opener = self.access.opener(caller)
        opener.check_id(reservation_id)
        standing = handlers.get(self.site, reservation_id)
        opener.check(standing.reservation)
        return standing
