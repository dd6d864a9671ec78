"""What admins and the operator change: written down before it is done, and with its outcome afterwards.

`Endpoint` calls a handler of an audited route inside `ActionBook.entry` and in no other way. When the entry cannot be
written, nothing is done; when the process dies in between, the entry stands without an outcome.
"""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from flask import request
from pydantic import BaseModel

from shared import tracing
from shared.errors import DependencyUnavailable, MatchdayError
from shared.http.callers import Caller

REQUEST_LONGEST = 2000
UNEXPECTED = 500


@dataclass(frozen=True, slots=True)
class Action:
    """Who did what, on what, when and from where. Without an account it was a bearer of the service token."""

    id: str
    at: datetime
    service: str
    operation: str  # the route's name, such as createRefund
    method: str
    path: str  # with the ids
    account_id: str | None
    email: str | None
    address: str
    request_id: str | None
    request: str | None  # the body as JSON, cut off at `REQUEST_LONGEST` characters


class Auditor(Protocol):
    """Keeps the log of actions."""

    def begin(self, action: Action) -> None:
        """The action is about to happen. Raises `DependencyUnavailable` when that cannot be written: it must not."""

    def end(self, action_id: str, status: int, at: datetime) -> None:
        """How it ended, as an HTTP status; does not raise."""


class NoAuditor:
    """What a service has that was given no auditor: no admin can change anything there."""

    def begin(self, action: Action) -> None:  # noqa: ARG002
        raise DependencyUnavailable("there is no audit log")

    def end(self, action_id: str, status: int, at: datetime) -> None:
        pass


class Outcome:
    """Filled in while the action runs."""

    status = UNEXPECTED


class ActionBook:
    """The log of one service's actions."""

    def __init__(self, service: str, auditor: Auditor | None) -> None:
        self._service = service
        self._auditor = auditor or NoAuditor()

    @contextlib.contextmanager
    def entry(self, operation: str, caller: Caller, body: BaseModel | None) -> Iterator[Outcome]:
        """What happens inside is one action; whoever is inside leaves the status in the outcome."""
        action, outcome = self._action(operation, caller, body), Outcome()
        self._auditor.begin(action)
        try:
            yield outcome
        except MatchdayError as error:
            outcome.status = error.status
            raise
        finally:
            self._auditor.end(action.id, outcome.status, datetime.now(UTC))

    def _action(self, operation: str, caller: Caller, body: BaseModel | None) -> Action:
        account = caller.account
        return Action(
            id=str(uuid.uuid4()),
            at=datetime.now(UTC),
            service=self._service,
            operation=operation,
            method=request.method,
            path=request.path,
            account_id=None if account is None else account.id,
            email=None if account is None else account.email,
            address=caller.address,
            request_id=tracing.request_id(),
            request=None if body is None else body.model_dump_json(by_alias=True, exclude_unset=True)[:REQUEST_LONGEST],
        )
