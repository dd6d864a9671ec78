"""The life of one sale, from the submit to the ticket and after, by the federation's rules."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from analytics.generator.admission import Outcome, Pool
from shared.site_events import EventKind
from shared.wire import Action

if TYPE_CHECKING:
    from analytics.generator.simulation import Simulation


@dataclass(frozen=True, slots=True)
class Sale:
    """What a buyer takes; `match` is the index in the tournament. The reservation is known by the sale's id."""

    buyer: int
    client_id: str
    match: int
    pool: Pool
    quantity: int
    sale_id: str

    @property
    def category(self) -> int:
        return self.pool.category


def purchase(simulation: "Simulation", sale: Sale) -> Iterator[float]:
    """Submits, waits for the log's verdict, and pays only when it is held."""
    choices, parameters = simulation.choices, simulation.parameters
    simulation.submitted[sale.client_id, sale.pool] += sale.quantity
    simulation.tell_of(sale, EventKind.RESERVATION_SUBMITTED)
    yield choices.seconds(parameters.log_seconds)
    simulation.submitted[sale.client_id, sale.pool] -= sale.quantity
    if simulation.send(sale, Action.PENDING) is not Outcome.ADMITTED:
        simulation.tell_of(sale, EventKind.RESERVATION_LOST)
        yield choices.seconds(parameters.log_seconds)
        simulation.send(sale, Action.CANCELLED)
        simulation.bought[sale.buyer].discard(sale.match)
        return
    simulation.tell_of(sale, EventKind.RESERVATION_HELD)
    yield from _after_hold(simulation, sale)


def _after_hold(simulation: "Simulation", sale: Sale) -> Iterator[float]:
    choices, parameters = simulation.choices, simulation.parameters
    if choices.happens(parameters.cancelled_share):
        yield min(choices.seconds(parameters.think_seconds), parameters.hold_seconds - 1)
        yield from _end(simulation, sale, EventKind.RESERVATION_CANCELLED)
        return
    left = parameters.hold_seconds
    tries = 0 if choices.happens(parameters.abandoned_share) else parameters.tries_max
    for _ in range(tries):
        pause = choices.seconds(parameters.think_seconds)
        if pause >= left:
            break
        left -= pause
        yield pause
        if choices.happens(parameters.decline_share):
            simulation.tell_of_money(sale, EventKind.PAYMENT_FAILED)
            continue
        yield from _paid(simulation, sale)
        return
    yield left
    yield from _end(simulation, sale, EventKind.RESERVATION_EXPIRED)


def _end(simulation: "Simulation", sale: Sale, kind: EventKind) -> Iterator[float]:
    simulation.tell_of(sale, kind)
    yield simulation.choices.seconds(simulation.parameters.log_seconds)
    simulation.send(sale, Action.CANCELLED)
    simulation.bought[sale.buyer].discard(sale.match)


def _paid(simulation: "Simulation", sale: Sale) -> Iterator[float]:
    simulation.tell_of_money(sale, EventKind.PAYMENT_SUCCEEDED)
    simulation.tell_of(sale, EventKind.RESERVATION_RESERVED)
    yield simulation.choices.seconds(simulation.parameters.log_seconds)
    simulation.send(sale, Action.RESERVED)
    if simulation.choices.happens(simulation.parameters.refund_share):
        yield from _refunded(simulation, sale)
    elif simulation.choices.happens(simulation.parameters.resale_share) and not simulation.is_guest(sale.buyer):
        yield from _resold(simulation, sale, by_site=False)


def _later(simulation: "Simulation") -> float:
    """Some days, as long as the sale lasts."""
    return _in_time(simulation, simulation.choices.seconds(simulation.parameters.later_days * 86_400))


def _in_time(simulation: "Simulation", seconds: float) -> float:
    """So many, or fewer at the end: nothing is told of the time after the first kick-off."""
    left = simulation.tournament.sale_days * 86_400 - simulation.now
    return min(seconds, max(1.0, left / 3))


def _refunded(simulation: "Simulation", sale: Sale) -> Iterator[float]:
    """The money goes back; the log is not told, and the tickets are the site's own to sell again."""
    yield _later(simulation)
    simulation.tell_of_money(sale, EventKind.REFUND_MADE)
    yield from _resold(simulation, sale, by_site=True)


def _resold(simulation: "Simulation", sale: Sale, *, by_site: bool) -> Iterator[float]:
    choices, parameters = simulation.choices, simulation.parameters
    factor = 1.0 if by_site else parameters.resale_premium
    yield _later(simulation)
    simulation.tell_of_listing(sale, EventKind.LISTING_OPENED, factor, by_site=by_site)
    yield _later(simulation)
    if not by_site and choices.happens(parameters.repriced_share):
        factor = 1.0
        simulation.tell_of_listing(sale, EventKind.LISTING_REPRICED, factor, by_site=by_site)
        yield _later(simulation)
    yield from _offered(simulation, sale, factor, by_site=by_site)


def _offered(simulation: "Simulation", sale: Sale, factor: float, *, by_site: bool) -> Iterator[float]:
    """Somebody holds it and pays, or lets the hold end, or nobody wants it. The site's own is ended by an admin."""
    choices, parameters = simulation.choices, simulation.parameters
    tell = partial(simulation.tell_of_listing, sale, factor=factor, by_site=by_site)
    sold = choices.happens(parameters.resale_sold_share)
    if sold or choices.happens(parameters.resale_released_share):
        held_by = simulation.identity()
        tell(EventKind.LISTING_HELD, held_by=held_by)
        thought = choices.seconds(parameters.think_seconds) if sold else parameters.hold_seconds
        yield _in_time(simulation, min(thought, parameters.hold_seconds))
        tell(EventKind.LISTING_SOLD if sold else EventKind.LISTING_RELEASED, held_by=held_by)
    if not sold:
        yield _later(simulation)
        tell(EventKind.LISTING_ENDED if by_site else EventKind.LISTING_WITHDRAWN)
