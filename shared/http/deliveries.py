"""What an operator sees of what a service has to tell others, and has told again: the same in each service."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field

from shared import delivery
from shared.database import Database
from shared.delivery import Kept
from shared.errors import DependencyUnavailable, NotFound
from shared.http.models import AnswerModel, QueryModel
from shared.http.routes import Routes


class ListDeliveries(QueryModel):
    """Which deliveries."""

    state: Literal["refused", "waiting"] = Field("refused", description="Refused by the receiver, or on their way.")
    limit: int = Field(100, ge=1, le=1000)


class Delivery(AnswerModel):
    """Something that another service is, or was, to be told."""

    id: UUID
    target: str
    path: str
    subject: str
    created_at: datetime
    attempts: int
    next_attempt_at: datetime
    last_error: str | None

    @classmethod
    def of(cls, kept: Kept) -> Self:
        """The delivery as an operator sees it."""
        names = ("target", "path", "subject", "created_at", "attempts", "next_attempt_at", "last_error")
        return cls(id=UUID(kept.id), **{name: getattr(kept, name) for name in names})


class Deliveries(AnswerModel):
    """Deliveries, oldest first."""

    items: list[Delivery]
    next_cursor: None = None


def delivery_routes(table: sa.Table, database_of: Callable[[Any], Database]) -> Routes:
    """Routes over a service's own table of deliveries; `database_of` finds the database in the service's wiring."""
    routes = Routes("deliveries", "What this service has to tell others.")

    @routes.get("/internal/deliveries", answer=Deliveries, raises=[DependencyUnavailable])
    def list_deliveries(wiring: Any, query: ListDeliveries) -> Deliveries:
        """What other services were told in vain, or are still to be told."""
        with database_of(wiring).transaction() as connection:
            found = delivery.listed(connection, table, refused=query.state == "refused", limit=query.limit)
        return Deliveries(items=[Delivery.of(kept) for kept in found])

    @routes.post(
        "/internal/deliveries/{deliveryId}/retry", status=204, audited=True, raises=[NotFound, DependencyUnavailable]
    )
    def retry_delivery(wiring: Any, delivery_id: UUID) -> None:
        """Tell it once more."""
        with database_of(wiring).transaction() as connection:
            if not delivery.try_again(connection, table, str(delivery_id)):
                raise NotFound("there is no such delivery that has not arrived")

    return routes
