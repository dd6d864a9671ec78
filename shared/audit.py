"""What admins change in a service, told to `security`, which keeps the log of it (ADR 15).

Both entries are deliveries in the acting service's own database: the one before the action is committed before it
begins.
"""

from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa
import structlog
from pydantic.alias_generators import to_camel

from shared import delivery
from shared.database import Database
from shared.delivery import Delivery
from shared.errors import DependencyUnavailable
from shared.http.actions import Action

log = structlog.get_logger(__name__)

TARGET = "security"
PATH = "/internal/admin-actions"
PRUNE_MAX = 100


class DeliveredAudit:
    """`shared.http.actions.Auditor` of a service with a table of deliveries."""

    def __init__(self, database: Database, deliveries: sa.Table) -> None:
        self._database = database
        self._deliveries = deliveries

    def begin(self, action: Action) -> None:
        body = {to_camel(name): value for name, value in asdict(action).items()}
        self._send(Delivery(TARGET, PATH, {**body, "at": action.at.isoformat()}, action.id))

    def end(self, action_id: str, status: int, at: datetime) -> None:
        told = Delivery(TARGET, f"{PATH}/{action_id}/outcome", {"status": status, "endedAt": at.isoformat()}, action_id)
        try:
            self._send(told)
        except DependencyUnavailable as error:
            # What was done is done; its entry stands without an outcome.
            log.error("audit_without_outcome", action=action_id, status=status, error=str(error))

    def _send(self, told: Delivery) -> None:
        with self._database.transaction() as connection:
            delivery.prune(connection, self._deliveries, PRUNE_MAX)  # not every service has a worker to do it
            delivery.send(connection, self._deliveries, [told])
