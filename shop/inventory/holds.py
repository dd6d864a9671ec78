"""What this site does with its own buyers' tickets: hold, confirm, release, expire.

Each changes the counters, the sale and the outbox in the caller's one transaction, so that nothing can be counted here
without being told to the other sites.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from shared import outbox
from shared.database import together
from shared.errors import MatchdayError, NotFound
from shared.outbox import OutboxMessage
from shared.wire import Action
from shop.inventory import silence, store, write
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


@dataclass(frozen=True, slots=True)
class Held:
    """A hold that stands here and is on its way to the log, with the price that counts.

    `passing` are holds that end at once and go before it, to bring the log's clock to now.
    """

    sale: Sale
    counters: Counters
    passing: Sequence[Sale] = ()


Decision = Held | MatchdayError


def lock(connection: Connection, pools: Iterable[Pool]) -> Callable[[], dict[Pool, Counters]]:
    """The pools that exist, locked until the transaction ends, for `decide`."""
    return store.lock_pools(connection, pools)


def decide(
    connection: Connection,
    federation: Federation,
    pools: dict[Pool, Counters],
    requests: Sequence[HoldRequest],
    now: datetime,
) -> list[Decision]:
    """Holds tickets of locked pools for many buyers, in their order: of each the hold, or the error it is to see.

    Errors: `NotFound`, `SoldOut`, `TemporarilyUnavailable`. Nothing is written yet: `write_holds` does that.
    """
    spare = _releasable(connection, federation, pools, requests)
    results: list[Decision] = []
    for request in requests:
        try:
            results.append(_hold(federation, pools, spare, request, now))
        except MatchdayError as error:
            results.append(error)
    return _after_silence(connection, federation, results, now)


def _after_silence(
    connection: Connection, federation: Federation, results: list[Decision], now: datetime
) -> list[Decision]:
    held = [result for result in results if isinstance(result, Held)]
    pools = dict.fromkeys(result.counters.pool for result in held)
    needed = silence.of_pools(connection, federation.topic, pools, int(now.timestamp() * 1000))
    if not any(needed.values()):
        return results
    for index, result in enumerate(results):
        if isinstance(result, Held) and (pairs := needed.pop(result.counters.pool, 0)):
            results[index] = replace(result, passing=[silence.passing(result.sale) for _ in range(pairs)])
    return results


def write_holds(
    connection: Connection, federation: Federation, held: Sequence[Held], traces: Sequence[str | None]
) -> None:
    """Counters, sales and TICKET_PENDING of what was decided; `traces` are the trace contexts of the requests."""
    write.write_pools(connection, {result.counters.pool: result.counters for result in held}.values())
    write.insert_sales(connection, [sale for result in held for sale in (*result.passing, result.sale)])
    told: list[OutboxMessage] = []
    for result, trace in zip(held, traces, strict=True):
        for sale in result.passing:
            told.append(_pending(federation, sale, result.counters, None))
            told.append(cancelled(federation.sender, sale.key.sale_id, result.counters, sale.quantity))
        told.append(_pending(federation, result.sale, result.counters, trace))
    outbox.append(connection, outbox_table, told)


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


def _pending(federation: Federation, sale: Sale, counters: Counters, traceparent: str | None) -> OutboxMessage:
    return message(
        federation.sender, Action.PENDING, sale.key.sale_id, counters, sale.quantity, traceparent=traceparent
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


def due(
    connection: Connection, federation: Federation, now: datetime, undecided_before: datetime, limit: int
) -> list[SaleKey]:
    """This site's open holds whose time is over, oldest first, unlocked.

    A hold that the log has not judged counts as over when it would end at `undecided_before` or earlier.
    """
    rows = connection.execute(
        text(
            "SELECT client_id, sale_id, match_number, category FROM shop.sales"
            " WHERE client_id = :client_id AND follows = 'site' AND state IN ('submitted', 'held')"
            " AND (expires_at <= :now OR state = 'submitted' AND expires_at <= :undecided_before)"
            " ORDER BY expires_at LIMIT :limit"
        ),
        {"client_id": federation.client_id, "now": now, "undecided_before": undecided_before, "limit": limit},
    )
    return [SaleKey(row[0], row[1], Pool(row[2], row[3])) for row in rows]


def states(connection: Connection, federation: Federation, sale_ids: Sequence[str]) -> dict[str, Sale]:
    """This site's own sales by id, as they stand now."""
    return ask_states(connection, federation, sale_ids)()


def ask_states(
    connection: Connection, federation: Federation, sale_ids: Sequence[str]
) -> Callable[[], dict[str, Sale]]:
    """The same, to be waited for."""
    return store.find_sales(connection, federation.client_id, sale_ids)


def _lock(
    connection: Connection, federation: Federation, keys: Iterable[SaleKey]
) -> tuple[dict[Pool, Counters], dict[str, Sale]]:
    listed = list(keys)
    with together(connection):
        locked = store.lock_pools(connection, {key.pool for key in listed})
        found = store.find_sales(connection, federation.client_id, [key.sale_id for key in listed])
    pools, sales = locked(), found()
    if len(sales) != len({key.sale_id for key in listed}):
        raise NotFound("there is no such sale")
    return pools, sales


def _save(connection: Connection, pools: dict[Pool, Counters], sales: Sequence[Sale]) -> None:
    if sales:
        write.write_pools(connection, [pools[pool] for pool in {sale.key.pool for sale in sales}])
        write.update_sales(connection, sales)
        tell_changes(connection, [sale.key.sale_id for sale in sales])
