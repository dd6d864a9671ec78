"""Submitting a wish and waiting for the log's verdict, and following a reservation until something changes."""

from reservations import handlers
from reservations.domain import Standing, Submit
from reservations.wiring import Wiring
from shared.errors import BrokerUnavailable
from shop.inventory.domain import State


def submit(wiring: Wiring, wish: Submit, seconds: float) -> Standing:
    """Submits and waits at most so long for the verdict. Raises what `submit_all` says, or `BrokerUnavailable`.

    A wish whose idempotency key was used before gets what it made then, and waits for the verdict on that.
    """
    if not seconds:
        return wiring.submitter.submit(wish).standing()
    waiter = wiring.waiting.expect(wish.sale_id, State.SUBMITTED)
    try:
        ticket = wiring.submitter.submit(wish, waiter.event)
        sale = wiring.waiting.wait(waiter, seconds)
        standing = ticket.standing()
    finally:
        wiring.waiting.forget(waiter)
    if standing.sale.key.sale_id != wish.sale_id:
        return follow(wiring, standing, seconds) if standing.status is State.SUBMITTED else standing
    if sale is not None:
        return Standing(standing.reservation, sale)
    return _decided(wiring, wish) if standing.status is State.SUBMITTED else standing


def _decided(wiring: Wiring, wish: Submit) -> Standing:
    """Where it stands after the wait. When the broker is away the hold is given back rather than left hanging."""
    standing = handlers.get(wiring.site, wish.id)
    if standing.status is State.SUBMITTED and wiring.broker.is_away():
        standing = handlers.give_back(wiring.site, wish.id, wish.key_scope, wish.key)
        if standing.status in (State.CANCELLED, State.EXPIRED):
            raise BrokerUnavailable("the federation's log is out of reach; the tickets were given back")
    return standing


def follow(wiring: Wiring, standing: Standing, seconds: float) -> Standing:
    """Where it stands once it has left the state in which it is known to be, or when the time is over."""
    waiter = wiring.waiting.expect(standing.reservation.sale_id, standing.status)
    try:
        now = handlers.get(wiring.site, standing.reservation.id)
        if now.status is standing.status:
            wiring.waiting.wait(waiter, seconds)
            now = handlers.get(wiring.site, standing.reservation.id)
    finally:
        wiring.waiting.forget(waiter)
    return now
