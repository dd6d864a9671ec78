"""HTTP: parse, one use case, answer."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from shared.errors import BrokerUnavailable, DependencyUnavailable, NotFound
from shared.http import Routes, roles
from shared.http.deliveries import delivery_routes
from shop.inventory import tables
from shop_consumer import handlers
from shop_consumer.handlers import AlreadyReplayed, CountersDiffer, Operations, StillRefused
from shop_consumer.schemas import (
    ID_MAX,
    EvidenceItem,
    EvidencePage,
    EvidenceQuery,
    Lag,
    PartitionLag,
    RefusedItem,
    RefusedPage,
    RefusedQuery,
    SoldAnswer,
    SoldQuery,
    Verified,
)

routes = Routes("log", "What became of the records of the log.")
deliveries = delivery_routes(tables.deliveries, lambda wiring: wiring.database)
OPERATORS = roles("admin", services=True)
RefusedId = Annotated[int, Field(ge=1, le=ID_MAX)]


@routes.get("/api/refused", answer=RefusedPage, raises=[DependencyUnavailable])
def list_refused(wiring: Operations, query: RefusedQuery) -> RefusedPage:
    """Refused records, raw and with the reason."""
    found = handlers.list_refused(wiring, query.cursor, query.limit, query.reason, query.replayed)
    more = found[-1].id if len(found) == query.limit else None
    return RefusedPage(items=[RefusedItem.of(record) for record in found], next_cursor=more)


@routes.post(
    "/api/refused/{refusedId}/replay",
    answer=RefusedItem,
    raises=[NotFound, AlreadyReplayed, StillRefused, DependencyUnavailable],
    access=OPERATORS,
)
def replay_refused(wiring: Operations, refused_id: RefusedId) -> RefusedItem:
    """Let a refused record count after all, once, at the place where the consumer is now."""
    return RefusedItem.of(handlers.replay(wiring, refused_id))


@routes.get("/api/evidence", answer=EvidencePage, raises=[DependencyUnavailable])
def list_evidence(wiring: Operations, query: EvidenceQuery) -> EvidencePage:
    """What was flagged in the log: over-committed pools, violations, orphans, duplicates, wrong prices."""
    found = handlers.list_evidence(wiring, query.cursor, query.limit, query.kind)
    more = found[-1].id if len(found) == query.limit else None
    return EvidencePage(items=[EvidenceItem.of(row) for row in found], next_cursor=more)


@routes.get("/api/verify", answer=Verified, raises=[CountersDiffer, BrokerUnavailable, DependencyUnavailable])
def verify(wiring: Operations) -> Verified:
    """Recount the whole log and compare: 409 with every difference when the counters are not what it says."""
    return Verified.of(handlers.verify(wiring))


@routes.get("/api/lag", answer=Lag, access=OPERATORS, raises=[DependencyUnavailable])
def get_lag(wiring: Operations) -> Lag:
    """How far behind the end of the log the counters are, in each partition that this process reads."""
    return Lag(state=wiring.state(), items=[PartitionLag(**partition) for partition in wiring.lag()])


@routes.get("/api/sales", answer=SoldAnswer, access=OPERATORS, raises=[DependencyUnavailable])
def get_sales(wiring: Operations, query: SoldQuery) -> SoldAnswer:
    """What the log shows as sold over time, by this site and by its partners."""
    found = handlers.sold(wiring, query.window(datetime.now(UTC)))
    return SoldAnswer.of(found, wiring.federation.client_id)
