"""Use cases: one function each, one transaction each; `submit_all` is one transaction for many buyers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection

from reservations import analytics, store
from reservations.domain import MailDue, Reservation, Standing, Submit, amount_minor, within_limit
from reservations.resale import store as resale
from reservations.resale import transitions
from reservations.settings import HoldSettings, ReservationsSettings
from reservations.tables import idempotency_keys
from reservations.telling import tell_ended
from reservations.tickets import store as tickets
from reservations.tickets.domain import TicketState
from shared import tracing
from shared.clock import Clock
from shared.database import Database, together
from shared.errors import IdempotencyKeyReused, MatchdayError, NotFound
from shared.idempotency import Claim, Outcome, Verdict, claim_many, forget_many
from shared.site_events import EventKind
from shop.inventory import holds
from shop.inventory.apply import Federation
from shop.inventory.catalogue import find_price
from shop.inventory.domain import OPEN, AlreadyReserved, Counters, NotHeld, Pool, Sale, State
from shop.inventory.holds import Held, HoldRequest

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
        with together(connection):
            store.lock_owners(connection, {(owner, wish.pool.match_number) for wish in fresh for owner in wish.owners})
            known = store.of_buyers(connection, fresh)
            pools = holds.lock(connection, {wish.pool for wish in fresh})
        has = owned(connection, site, known())
        allowed = _check_limits(has, settings.purchase_limit, fresh, results)
        held = _hold(connection, site, settings, pools(), allowed, results, now)
        _give_keys_back(connection, wishes, results)
        with together(connection, commit=True):
            holds.write_holds(connection, site.federation, held, [wish.traceparent for wish in _made(allowed, results)])
            made = [_standing_of(results, wish) for wish in _made(allowed, results)]
            store.insert_reservations(connection, made)
            analytics.tell(connection, EventKind.RESERVATION_SUBMITTED, made, now)
    return [_result(results, wish.id) for wish in wishes]


def _result(results: Results, wish_id: str) -> Result:
    """A wish that repeats another of the same batch has that one's result."""
    result = results[wish_id]
    return _result(results, result) if isinstance(result, str) else result


def _claim_keys(
    connection: Connection, site: Site, wishes: Sequence[Submit], results: Results, now: datetime
) -> list[Submit]:
    keyed = [wish for wish in wishes if wish.key]
    claims = [Claim(wish.key_scope, wish.key or "", wish.body_hash, wish.id) for wish in keyed]
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
        (wish.key_scope, wish.key)
        for wish in wishes
        if wish.key
        and isinstance(results[wish.id], MatchdayError)
        and not isinstance(results[wish.id], IdempotencyKeyReused)
    ]
    forget_many(connection, idempotency_keys, refused)


def owned(connection: Connection, site: Site, known: Sequence[Reservation]) -> Counter[tuple[str, int]]:
    """How many tickets of a match each address and each account holds or has bought."""
    sales = _sales(connection, site, known) if known else {}
    has: Counter[tuple[str, int]] = Counter()
    for reservation in known:
        sale = sales.get(reservation.sale_id)
        if sale is not None and sale.state in (*OPEN, State.RESERVED):
            for owner in reservation.owners:
                has[owner, reservation.pool.match_number] += reservation.quantity
    return has


def _sales(connection: Connection, site: Site, of: Iterable[Reservation]) -> dict[str, Sale]:
    """By its id, each reservation's sale, or what stands for it when a ticket is sold again."""
    listed = list(of)
    found = holds.states(connection, site.federation, [each.sale_id for each in listed if not each.is_resale])
    again = [each.sale_id for each in listed if each.is_resale]
    return found | resale.sales(connection, site.federation.client_id, again) if again else found


def _check_limits(
    has: Counter[tuple[str, int]], limit: int, wishes: Sequence[Submit], results: Results
) -> list[Submit]:
    allowed = []
    for wish in wishes:
        names = [(owner, wish.pool.match_number) for owner in wish.owners]
        try:
            within_limit(max(has[name] for name in names), wish.quantity, limit)
        except MatchdayError as error:
            results[wish.id] = error
        else:
            has.update(dict.fromkeys(names, wish.quantity))
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
        wish.account_id,
        language=wish.language,
        country=wish.country,
    )
    return Standing(reservation, held.sale)


def get(site: Site, reservation_id: str) -> Standing:
    """A reservation as it stands. Raises `NotFound`."""
    with site.database.transaction() as connection:
        return find(connection, site, reservation_id)


def find(connection: Connection, site: Site, reservation_id: str) -> Standing:
    """The same in the caller's transaction."""
    standing = _standing(connection, site, [reservation_id]).get(reservation_id)
    if standing is None:
        raise NotFound("there is no such reservation")
    return standing


def _standing(connection: Connection, site: Site, ids: Sequence[str]) -> dict[str, Standing]:
    found = store.find(connection, ids)
    sales = _sales(connection, site, found.values())
    return {
        reservation.id: Standing(reservation, sales[reservation.sale_id])
        for reservation in found.values()
        if reservation.sale_id in sales
    }


def price(site: Site, pool: Pool) -> Decimal:
    """What a ticket of the pool costs now, in major units. Raises `NotFound`."""
    with site.database.transaction() as connection:
        found = find_price(connection, pool)
    if found is None:
        raise NotFound(f"match {pool.match_number} has no category {pool.category}")
    return found


def listed(
    site: Site, account_id: str, after: tuple[datetime, str] | None, limit: int
) -> tuple[list[Standing], tuple[datetime, str] | None]:
    """An account's reservations, newest first, and where the next page begins."""
    with site.database.transaction() as connection:
        found = store.of_account(connection, account_id, after, limit + 1)
        page = found[:limit]
        states = _sales(connection, site, page)
    standing = [Standing(each, states[each.sale_id]) for each in page if each.sale_id in states]
    return standing, (page[-1].created_at, page[-1].id) if len(found) > limit else None


def sales(site: Site, ids: Sequence[str]) -> dict[str, Sale]:
    """Sales by id, as they stand."""
    with site.database.transaction() as connection, together(connection, commit=True):
        found = holds.ask_states(connection, site.federation, ids)
    known = found()
    again = [sale_id for sale_id in ids if sale_id not in known]
    if not again:
        return known
    with site.database.transaction() as connection:
        return known | resale.sales(connection, site.federation.client_id, again)


def cancel(site: Site, reservation_id: str) -> Standing:
    """Gives the tickets back; one that has ended already stays as it is. Raises `NotFound`, `AlreadyReserved`."""
    with site.database.transaction() as connection:
        _release(connection, site, find(connection, site, reservation_id), State.CANCELLED)
        standing = find(connection, site, reservation_id)
        if standing.status is State.RESERVED:
            raise AlreadyReserved("what is paid is given back by a refund, not by cancelling")
        return standing


def give_back(site: Site, reservation_id: str, scope: str, key: str | None) -> Standing:
    """Cancels for a buyer who is told that nothing was done, and may come again with the same idempotency key."""
    with site.database.transaction() as connection:
        _release(connection, site, find(connection, site, reservation_id), State.CANCELLED)
        standing = find(connection, site, reservation_id)
        if key and standing.status not in (*OPEN, State.RESERVED):
            forget_many(connection, idempotency_keys, [(scope, key)])
        return standing


def _release(connection: Connection, site: Site, standing: Standing, into: State) -> None:
    reservation = standing.reservation
    if reservation.listing_id is not None:
        transitions.release(connection, reservation.listing_id, reservation.id, into, site.clock.now())
        return
    key = reservation.sale_key(site.federation.client_id)
    sale = holds.release(connection, site.federation, [key], into, tracing.traceparent())[key.sale_id]
    if sale.state is standing.status:
        return
    analytics.tell_end(connection, sale.state, [reservation], site.clock.now())
    if sale.log_state is State.HELD:
        tell_ended(connection, [reservation.id])


def confirm(site: Site, reservation_id: str) -> Standing:
    """Sells what is held and issues the tickets; again has no further effect.

    Raises `NotFound`, `NotHeld`, `HoldExpired`.
    """
    now = site.clock.now()
    with site.database.transaction() as connection:
        standing = find(connection, site, reservation_id)
        if not standing.reservation.is_resale:
            sell(connection, site, standing.reservation, now)
        elif standing.status is not State.RESERVED:
            raise NotHeld("a ticket that is sold again is paid by way of payments, which credits its seller")
        return find(connection, site, reservation_id)


def sell(connection: Connection, site: Site, reservation: Reservation, now: datetime) -> None:
    """Sells what is held, issues its tickets, and lets the buyer be written. Raises `NotHeld`, `HoldExpired`."""
    key = reservation.sale_key(site.federation.client_id)
    holds.confirm(connection, site.federation, key, now, tracing.traceparent())
    if store.set_confirmed(connection, reservation.id, now):
        analytics.tell(connection, EventKind.RESERVATION_RESERVED, [reservation], now)
    if store.is_refunded(connection, reservation.id):
        # It is sold once more, and nobody's: only a ticket with which somebody had gone in before counts again.
        tickets.set_state(connection, reservation.id, TicketState.VALID)
    elif tickets.issue(connection, reservation, now):
        store.set_mail_due(connection, reservation.id, MailDue.TICKETS)


def expire(site: Site, settings: HoldSettings, limit: int) -> int:
    """Ends holds whose time is over, and those that the log did not judge in time; returns how many."""
    now = site.clock.now()
    undecided = now + timedelta(seconds=settings.hold_seconds - settings.verdict_seconds)
    with site.database.transaction() as connection:
        keys = holds.due(connection, site.federation, now, undecided, limit)
        released = holds.release(connection, site.federation, keys, State.EXPIRED) if keys else {}
        expired = [sale_id for sale_id, sale in released.items() if sale.state is State.EXPIRED]
        found = store.find_by_sales(connection, expired) if expired else {}
        analytics.tell_end(connection, State.EXPIRED, list(found.values()), now)
        payable = [each.id for sale_id, each in found.items() if released[sale_id].log_state is State.HELD]
        tell_ended(connection, payable)
    return len(expired)
