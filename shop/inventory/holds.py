"""What this site does with its own buyers' tickets: hold, confirm, release, expire.

Each changes the counters, the sale and the outbox in the caller's one transaction, so that nothing can be counted here
without being told to the other sites.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from shared import outbox
from shared.errors import MatchdayError, NotFound
from shared.outbox import OutboxMessage
from shared.wire import Action
from shop.inventory import store
from shop.inventory.apply import Federation, tell_changes
from shop.inventory.domain import Counters, HoldExpired, Pool, Sale, SaleKey, State
from shop.inventory.domain import confirm as confirm_sale
from shop.inventory.domain import hold as hold_tickets
from shop.inventory.domain import release as release_sale
from shop.inventory.outgoing import cancelled, message
from shop.inventory.tables import outbox as outbox_table

# A RESERVED must be in the log before its hold's time to live ends there; clocks of sites and brokers may differ by
# this much, and an outbox may stand still for as long.
LATE_MARGIN_MS_MAX = 60_000


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """A buyer's wish, to be held for `seconds`; `sale_id` is new."""

    sale_id: str
    pool: Pool
    quantity: int
    seconds: float
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A hold that stands here and is on its way to the log, with the price that counts."""

    sale: Sale
    counters: Counters


def submit(
    connection: Connection, federation: Federation, requests: Sequence[HoldRequest], now: datetime
) -> list[Held | MatchdayError]:
    """Holds tickets for many buyers at once: of each request the hold, or the error that its buyer is to see.

    Errors: `NotFound`, `SoldOut`, `TemporarilyUnavailable`. A request that fails changes nothing.
    """
    pools = store.lock_pools(connection, {request.pool for request in requests})
    spare = _releasable(connection, federation, pools, requests)
    results: list[Held | MatchdayError] = []
    for request in requests:
        try:
            results.append(_hold(federation, pools, spare, request, now))
        except MatchdayError as error:
            results.append(error)
    held = [(result, request) for result, request in zip(results, requests, strict=True) if isinstance(result, Held)]
    _write(connection, pools, [result for result, _ in held])
    outbox.append(
        connection, outbox_table, [_pending(federation, result, request.traceparent) for result, request in held]
    )
    return results


def _releasable(
    connection: Connection, federation: Federation, pools: dict[Pool, Counters], requests: Iterable[HoldRequest]
) -> dict[Pool, int]:
    wanted: dict[Pool, int] = {}
    for request in requests:
        wanted[request.pool] = wanted.get(request.pool, 0) + request.quantity
    short = [pool for pool, quantity in wanted.items() if pool in pools and pools[pool].pending < quantity]
    return store.releasable(connection, short, federation.topic, federation.hold_ms) if short else {}


def _hold(
    federation: Federation, pools: dict[Pool, Counters], spare: dict[Pool, int], request: HoldRequest, now: datetime
) -> Held:
    counters = pools.get(request.pool)
    if counters is None:
        raise NotFound(f"match {request.pool.match_number} has no category {request.pool.category}")
    key = SaleKey(federation.client_id, request.sale_id, request.pool)
    expires_at = now + timedelta(seconds=request.seconds)
    return Held(hold_tickets(counters, key, request.quantity, spare.get(request.pool, 0), expires_at), counters)


def _write(connection: Connection, pools: dict[Pool, Counters], held: Sequence[Held]) -> None:
    if held:
        touched = {result.sale.key.pool for result in held}
        store.write_pools(connection, [pools[pool] for pool in touched])
        store.insert_sales(connection, [result.sale for result in held])


def _pending(federation: Federation, held: Held, traceparent: str | None) -> OutboxMessage:
    sale = held.sale
    return message(
        federation.sender, Action.PENDING, sale.key.sale_id, held.counters, sale.quantity, traceparent=traceparent
    )


def confirm(
    connection: Connection, federation: Federation, key: SaleKey, now: datetime, traceparent: str | None = None
) -> Sale:
    """Sells what is held, for good. A sale that is sold already is returned as it is.

    Raises `HoldExpired` unless the log has admitted the hold and TICKET_RESERVED can be there in time.
    """
    pools, sales = _lock(connection, federation, [key])
    counters, sale = pools[key.pool], sales[key.sale_id]
    if sale.state is State.RESERVED:
        return sale
    not_after = _not_after(federation, sale)
    if sale.state is State.HELD and now > not_after:
        raise HoldExpired("the federation is about to release these tickets")
    confirm_sale(counters, sale)
    _save(connection, pools, [sale])
    reserved = message(
        federation.sender,
        Action.RESERVED,
        key.sale_id,
        counters,
        sale.quantity,
        not_after=not_after,
        traceparent=traceparent,
    )
    outbox.append(connection, outbox_table, [reserved])
    return sale


def _not_after(federation: Federation, sale: Sale) -> datetime:
    margin_ms = min(LATE_MARGIN_MS_MAX, federation.hold_ms // 10)
    return datetime.fromtimestamp((sale.born_ms + federation.hold_ms - margin_ms) / 1000, UTC)


def release(
    connection: Connection,
    federation: Federation,
    keys: Iterable[SaleKey],
    into: State,
    traceparent: str | None = None,
) -> dict[str, Sale]:
    """Gives holds back, `into` cancelled or expired. Sales that are no longer open are returned as they are."""
    pools, sales = _lock(connection, federation, keys)
    released = [sale for sale in sales.values() if release_sale(pools[sale.key.pool], sale, into)]
    _save(connection, pools, released)
    told = [
        cancelled(federation.sender, sale.key.sale_id, pools[sale.key.pool], sale.quantity, traceparent)
        for sale in released
    ]
    outbox.append(connection, outbox_table, told)
    return sales


def take_back(connection: Connection, federation: Federation, key: SaleKey) -> Sale:
    """Undoes a confirmation whose TICKET_RESERVED was never sent, since the log had released the hold by then."""
    pools, sales = _lock(connection, federation, [key])
    counters, sale = pools[key.pool], sales[key.sale_id]
    if sale.state is State.RESERVED:
        counters.sold -= sale.quantity
        sale.state = State.EXPIRED
        _save(connection, pools, [sale])
        outbox.append(connection, outbox_table, [cancelled(federation.sender, key.sale_id, counters, sale.quantity)])
    return sale


def due(connection: Connection, now: datetime, undecided_before: datetime, limit: int) -> list[SaleKey]:
    """This site's open holds whose time is over, oldest first, unlocked.

    A hold that the log has not judged counts as over when it would end at `undecided_before` or earlier.
    """
    rows = connection.execute(
        text(
            "SELECT client_id, sale_id, match_number, category FROM shop.sales"
            " WHERE follows = 'site' AND state IN ('submitted', 'held')"
            " AND (expires_at <= :now OR state = 'submitted' AND expires_at <= :undecided_before)"
            " ORDER BY expires_at LIMIT :limit"
        ),
        {"now": now, "undecided_before": undecided_before, "limit": limit},
    )
    return [SaleKey(row[0], row[1], Pool(row[2], row[3])) for row in rows]


def states(connection: Connection, federation: Federation, sale_ids: Sequence[str]) -> dict[str, Sale]:
    """This site's own sales by id, as they stand now."""
    return store.find_sales(connection, federation.client_id, sale_ids)


def _lock(
    connection: Connection, federation: Federation, keys: Iterable[SaleKey]
) -> tuple[dict[Pool, Counters], dict[str, Sale]]:
    listed = list(keys)
    pools = store.lock_pools(connection, {key.pool for key in listed})
    sales = store.find_sales(connection, federation.client_id, [key.sale_id for key in listed])
    if len(sales) != len({key.sale_id for key in listed}):
        raise NotFound("there is no such sale")
    return pools, sales


def _save(connection: Connection, pools: dict[Pool, Counters], sales: Sequence[Sale]) -> None:
    if sales:
        store.write_pools(connection, [pools[pool] for pool in {sale.key.pool for sale in sales}])
        store.update_sales(connection, sales)
        tell_changes(connection, [sale.key.sale_id for sale in sales])
