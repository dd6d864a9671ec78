"""Buying in one call, by the partners' known contract: hold, charge the card, sell; or give everything back.

Each step is a transaction, and each may be repeated: with the same idempotency key a request takes up where the one
before it was lost. Who charges and dies leaves a payment that payments tells of by itself, so that the money ends in
tickets or goes back.
"""

from collections.abc import Callable
from decimal import Decimal

from reservations import handlers, paying, store
from reservations.cashier import Card
from reservations.domain import CardDeclined, Charge, Outcome, PriceMismatch, PurchaseUndecided, Standing, Submit
from reservations.following import submit
from reservations.wiring import Wiring
from shared.database import Busy, Lease
from shared.errors import BrokerUnavailable, DependencyUnavailable
from shop.inventory.domain import HoldExpired, State, TemporarilyUnavailable


def buy(wiring: Wiring, wish: Submit, price: Decimal, card: Card) -> Standing:
    """The reservation, paid. Raises `PriceMismatch` before anything happens.

    After `PurchaseUndecided` the same key tells the end; after any other error nothing is held, and what may have been
    charged meanwhile by another request with the same key ends in tickets or goes back by itself. A key is given back
    only when it is known that nothing was charged with it, so that none charges twice.
    """
    _check_price(handlers.price(wiring.site, wish.pool), price)
    wiring.broker.require()
    if wish.key is None:
        return _buy(wiring, wish, price, card, None)
    try:
        # Of requests with one key one works at a time: one whose card is declined must not give back what another
        # one is charging. Who waited is answered from how things stand then.
        with wiring.site.database.alone(f"{wish.key_scope}:{wish.key}", wiring.settings.card_purchase_seconds) as lease:
            return _buy(wiring, wish, price, card, lease)
    except Busy as error:
        raise PurchaseUndecided("another request with this key is at work") from error


def _buy(wiring: Wiring, wish: Submit, price: Decimal, card: Card, lease: Lease | None) -> Standing:
    standing = submit(wiring, wish, wiring.settings.card_purchase_seconds)
    if standing.status is State.RESERVED:
        return standing
    try:
        _check_price(standing.reservation.price, price)
        return STEPS[standing.status](wiring, standing, card)
    except (PriceMismatch, CardDeclined, BrokerUnavailable, TemporarilyUnavailable):
        _give_back(wiring, wish, standing, lease)
        raise
    except HoldExpired:
        _end(wiring, wish, standing, None)
        raise
    except DependencyUnavailable as error:
        if wish.key is not None:
            # An earlier request with this key may have charged, or one that runs now may.
            raise PurchaseUndecided("the service payments is out of reach; ask again with the same key") from error
        _end(wiring, wish, standing, None)
        raise


def _check_price(right: Decimal, offered: Decimal) -> None:
    if right != offered:
        raise PriceMismatch(f"a ticket of this category costs {right}")


def _pay(wiring: Wiring, standing: Standing, card: Card) -> Standing:
    charge = wiring.cashier.charge(standing.reservation, card)
    outcome = _keep(wiring, charge).outcome
    if outcome is Outcome.REFUSED:
        raise HoldExpired("the hold ended before the payment came; the money goes back by itself")
    if outcome is Outcome.ASKING:
        raise PurchaseUndecided("the payment came late; the federation's log is asked once more")
    return handlers.get(wiring.site, standing.reservation.id)


def _keep(wiring: Wiring, charge: Charge) -> Charge:
    try:
        return paying.paid(wiring.site, wiring.settings, charge)
    except DependencyUnavailable as error:
        # The money is taken; payments tells of it again until we have heard.
        raise PurchaseUndecided("the card is charged, the tickets are on their way") from error


def _undecided(wiring: Wiring, standing: Standing, _card: Card) -> Standing:
    if _is_paid(wiring, standing):
        raise PurchaseUndecided("the payment came late; the federation's log is asked once more")
    raise BrokerUnavailable("the federation's log has not decided in time; the tickets were given back")


def _lost(_wiring: Wiring, _standing: Standing, _card: Card) -> Standing:
    raise TemporarilyUnavailable("another site was first")


# What has ended may have been charged before: payments knows, and charges no hold that has ended.
STEPS: dict[State, Callable[[Wiring, Standing, Card], Standing]] = {
    State.HELD: _pay,
    State.EXPIRED: _pay,
    State.CANCELLED: _pay,
    State.SUBMITTED: _undecided,
    State.LOST: _lost,
}


def _give_back(wiring: Wiring, wish: Submit, standing: Standing, lease: Lease | None) -> None:
    """Ends the hold, and lets the key be used again, unless another request may be charging with it by now."""
    if lease is not None and not lease.is_held():
        raise PurchaseUndecided("another request with this key may be at work")
    _end(wiring, wish, standing, wish.key)


def _end(wiring: Wiring, wish: Submit, standing: Standing, key: str | None) -> None:
    if not _is_paid(wiring, standing):
        handlers.give_back(wiring.site, standing.reservation.id, wish.key_scope, key)


def _is_paid(wiring: Wiring, standing: Standing) -> bool:
    """Whether payments has ever told of a payment for it, kept or not."""
    with wiring.site.database.transaction() as connection:
        return store.has_charge(connection, standing.reservation.id)
