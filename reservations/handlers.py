"""Use cases: one function each, one transaction each; `submit_all` is one transaction for many buyers."""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from reservations import store
from reservations.domain import Reservation, Standing, Submit, amount_minor, within_limit
from reservations.settings import HoldSettings, ReservationsSettings
from reservations.tables import idempotency_keys
from shared import outbox, tracing
from shared.clock import Clock
from shared.database import Database, together
from shared.errors import IdempotencyKeyReused, MatchdayError, NotFound
from shared.idempotency import Claim, Outcome, Verdict, claim_many, forget_many
from shop.inventory import holds
from shop.inventory.apply import Federation
from shop.inventory.domain import OPEN, AlreadyReserved, Counters, HoldExpired, Pool, Sale, SaleKey, State
from shop.inventory.holds import Held, HoldRequest
from shop.inventory.tables import outbox as outbox_table

KEY_SCOPE = "reservations"
Result = Standing | MatchdayError
Results = dict[str, Result | str]


@dataclass(frozen=True, slots=True)
class Site:
    """What the use cases need."""

    database: Database
    federation: Federation
    clock: Clock


def submit_all(site: Site, settings: ReservationsSettings, wishes: Sequence[Submit]) -> list[Result]:
    """Submits many buyers' wishes in one transaction: of each the reservation, or the error that its buyer sees.

    Errors: `IdempotencyKeyReused`, `PurchaseLimit`, `NotFound`, `SoldOut`, `TemporarilyUnavailable`. A wish that fails
    changes nothing. Raises `DependencyUnavailable` for all.
    """
    now = site.clock.now()
    results: Results = {}
    with site.database.transaction() as connection:
        fresh = _claim_keys(connection, site, wishes, results, now)
        names = {(wish.buyer, wish.pool.match_number) for wish in fresh}
        with together(connection):
            store.lock_buyers(connection, names)
            known = store.of_buyers(connection, names)
            pools = holds.lock(connection, {wish.pool for wish in fresh})
        owned = _owned(connection, site, known())
        allowed = _check_limits(owned, settings.purchase_limit, fresh, results)
        held = _hold(connection, site, settings, pools(), allowed, results, now)
        _give_keys_back(connection, wishes, results)
        with together(connection, commit=True):
            holds.write_holds(connection, site.federation, held, [wish.traceparent for wish in _made(allowed, results)])
            store.insert_reservations(connection, [_standing_of(results, wish) for wish in _made(allowed, results)])
    return [_result(results, wish.id) for wish in wishes]


def _result(results: Results, wish_id: str) -> Result:
    """A wish that repeats another of the same batch has that one's result."""
    result = results[wish_id]
    return _result(results, result) if isinstance(result, str) else result


def _claim_keys(
    connection: Connection, site: Site, wishes: Sequence[Submit], results: Results, now: datetime
) -> list[Submit]:
    keyed = [wish for wish in wishes if wish.key]
    claims = [Claim(KEY_SCOPE, wish.key or "", wish.body_hash, wish.id) for wish in keyed]
    outcomes = dict(
        zip((wish.id for wish in keyed), claim_many(connection, idempotency_keys, claims, now), strict=True)
    )
    replayed = {
        wish_id: outcome.resource_id for wish_id, outcome in outcomes.items() if outcome.verdict is Verdict.REPLAY
    }
    standing = _standing(connection, site, list(set(replayed.values()))) if replayed else {}
    return [wish for wish in wishes if not _was_made(wish, outcomes.get(wish.id), standing, results)]


def _was_made(wish: Submit, outcome: Outcome | None, standing: dict[str, Standing], results: Results) -> bool:
    if outcome is None or outcome.verdict is Verdict.NEW:
        return False
    if outcome.verdict is Verdict.REUSED:
        results[wish.id] = IdempotencyKeyReused()
    else:
        results[wish.id] = standing.get(outcome.resource_id) or outcome.resource_id
    return True


def _give_keys_back(connection: Connection, wishes: Sequence[Submit], results: Results) -> None:
    """A wish that is refused may be tried again with its key; one whose key is another's has none to give back."""
    refused = [
        (KEY_SCOPE, wish.key)
        for wish in wishes
        if wish.key
        and isinstance(results[wish.id], MatchdayError)
        and not isinstance(results[wish.id], IdempotencyKeyReused)
    ]
    forget_many(connection, idempotency_keys, refused)


def _owned(connection: Connection, site: Site, known: Sequence[Reservation]) -> Counter[tuple[str, int]]:
    """How many tickets each buyer of a match holds or has bought."""
    sales = holds.states(connection, site.federation, [reservation.sale_id for reservation in known]) if known else {}
    owned: Counter[tuple[str, int]] = Counter()
    for reservation in known:
        sale = sales.get(reservation.sale_id)
        if sale is not None and sale.state in (*OPEN, State.RESERVED):
            owned[reservation.buyer, reservation.pool.match_number] += reservation.quantity
    return owned


def _check_limits(
    owned: Counter[tuple[str, int]], limit: int, wishes: Sequence[Submit], results: Results
) -> list[Submit]:
    allowed = []
    for wish in wishes:
        name = (wish.buyer, wish.pool.match_number)
        try:
            within_limit(owned[name], wish.quantity, limit)
        except MatchdayError as error:
            results[wish.id] = error
        else:
            owned[name] += wish.quantity
            allowed.append(wish)
    return allowed


def _hold(
    connection: Connection,
    site: Site,
    settings: ReservationsSettings,
    pools: dict[Pool, Counters],
    wishes: Sequence[Submit],
    results: Results,
    now: datetime,
) -> list[Held]:
    requests = [HoldRequest(wish.sale_id, wish.pool, wish.quantity, settings.hold_seconds) for wish in wishes]
    decisions = holds.decide(connection, site.federation, pools, requests, now)
    for wish, decision in zip(wishes, decisions, strict=True):
        results[wish.id] = _reserve(wish, decision, settings.currency, now) if isinstance(decision, Held) else decision
    return [decision for decision in decisions if isinstance(decision, Held)]


def _made(wishes: Sequence[Submit], results: Results) -> list[Submit]:
    return [wish for wish in wishes if isinstance(results[wish.id], Standing)]


def _standing_of(results: Results, wish: Submit) -> Reservation:
    standing = results[wish.id]
    assert isinstance(standing, Standing)
    return standing.reservation


def _reserve(wish: Submit, held: Held, currency: str, now: datetime) -> Standing:
    price = held.counters.price
    reservation = Reservation(
        wish.id,
        wish.sale_id,
        wish.buyer,
        wish.email,
        wish.pool,
        wish.quantity,
        price,
        amount_minor(price, wish.quantity),
        currency,
        now,
        None,
    )
    return Standing(reservation, held.sale)


def get(site: Site, reservation_id: str) -> Standing:
    """A reservation as it stands. Raises `NotFound`."""
    with site.database.transaction() as connection:
        return _get(connection, site, reservation_id)


def _get(connection: Connection, site: Site, reservation_id: str) -> Standing:
    standing = _standing(connection, site, [reservation_id]).get(reservation_id)
    if standing is None:
        raise NotFound("there is no such reservation")
    return standing


def _standing(connection: Connection, site: Site, ids: Sequence[str]) -> dict[str, Standing]:
    found = store.find(connection, ids)
    sales = holds.states(connection, site.federation, [reservation.sale_id for reservation in found.values()])
    return {
        reservation.id: Standing(reservation, sales[reservation.sale_id])
        for reservation in found.values()
        if reservation.sale_id in sales
    }


def sales(site: Site, ids: Sequence[str]) -> dict[str, Sale]:
    """Sales by id, as they stand."""
    with site.database.transaction() as connection, together(connection, commit=True):
        found = holds.ask_states(connection, site.federation, ids)
    return found()


def cancel(site: Site, reservation_id: str) -> Standing:
    """Gives the tickets back; one that has ended already stays as it is. Raises `NotFound`, `AlreadyReserved`."""
    with site.database.transaction() as connection:
        key = _get(connection, site, reservation_id).reservation.sale_key(site.federation.client_id)
        holds.release(connection, site.federation, [key], State.CANCELLED, tracing.traceparent())
        standing = _get(connection, site, reservation_id)
        if standing.status is State.RESERVED:
            raise AlreadyReserved("what is paid is given back by a refund, not by cancelling")
        return standing


def give_back(site: Site, wish: Submit) -> Standing:
    """Cancels for a buyer who is told that nothing was done, and may come again with the same idempotency key."""
    with site.database.transaction() as connection:
        key = SaleKey(site.federation.client_id, wish.sale_id, wish.pool)
        holds.release(connection, site.federation, [key], State.CANCELLED, tracing.traceparent())
        standing = _get(connection, site, wish.id)
        if wish.key and standing.status is State.CANCELLED:
            forget_many(connection, idempotency_keys, [(KEY_SCOPE, wish.key)])
        return standing


def confirm(site: Site, reservation_id: str) -> Standing:
    """Sells what is held; again has no further effect. Raises `NotFound`, `NotHeld`, `HoldExpired`."""
    now = site.clock.now()
    with site.database.transaction() as connection:
        key = _get(connection, site, reservation_id).reservation.sale_key(site.federation.client_id)
        holds.confirm(connection, site.federation, key, now, tracing.traceparent())
        store.set_confirmed(connection, reservation_id, now)
        return _get(connection, site, reservation_id)


def expire(site: Site, settings: HoldSettings, limit: int) -> int:
    """Ends holds whose time is over, and those that the log did not judge in time; returns how many."""
    now = site.clock.now()
    undecided = now + timedelta(seconds=settings.hold_seconds - settings.verdict_seconds)
    with site.database.transaction() as connection:
        keys = holds.due(connection, site.federation, now, undecided, limit)
        released = holds.release(connection, site.federation, keys, State.EXPIRED) if keys else {}
    return sum(1 for sale in released.values() if sale.state is State.EXPIRED)


def resubmit(site: Site, settings: HoldSettings, outbox_id: int, sale_id: str) -> Sale | MatchdayError | None:
    """Asks the log again for a paid sale whose TICKET_RESERVED came too late to be sent (and stands in the outbox).

    The new sale, or the error why there is none (then the buyer is owed a refund); None when there is nothing to do.
    """
    now = site.clock.now()
    with site.database.transaction() as connection:
        if not outbox.forget(connection, outbox_table, outbox_id):
            return None
        reservation = store.find_by_sales(connection, [sale_id]).get(sale_id)
        if reservation is None:
            return None
        holds.take_back(connection, site.federation, reservation.sale_key(site.federation.client_id))
        request = HoldRequest(str(uuid.uuid4()), reservation.pool, reservation.quantity, settings.hold_seconds)
        pools = holds.lock(connection, [reservation.pool])()
        decision = holds.decide(connection, site.federation, pools, [request], now)[0]
        if not isinstance(decision, Held):
            return decision
        holds.write_holds(connection, site.federation, [decision], [None])
        store.replace_sale(connection, reservation.id, request.sale_id)
        return decision.sale


def settle_resubmitted(site: Site, limit: int) -> list[tuple[str, State]]:
    """Confirms paid sales that the log has admitted the second time: the reservations decided, and how.

    Those that are not `reserved` now are lost: their buyers are owed a refund.
    """
    now = site.clock.now()
    with site.database.transaction() as connection:
        waiting = store.resubmitted(connection, limit)
        sales = holds.states(connection, site.federation, [reservation.sale_id for reservation in waiting])
        decided = [
            (reservation.id, _settle(connection, site, reservation, sales[reservation.sale_id].state, now))
            for reservation in waiting
            if sales[reservation.sale_id].state is not State.SUBMITTED
        ]
        store.settle_resubmitted(connection, [reservation_id for reservation_id, _ in decided])
    return decided


def _settle(connection: Connection, site: Site, reservation: Reservation, state: State, now: datetime) -> State:
    if state is not State.HELD:
        return state
    key = reservation.sale_key(site.federation.client_id)
    try:
        return holds.confirm(connection, site.federation, key, now).state
    except HoldExpired:
        return holds.release(connection, site.federation, [key], State.EXPIRED)[key.sale_id].state
