"""One function a use case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from shared.database import Database
from shared.errors import Conflict, MatchdayError
from shared.wire import Refused
from shop import store
from shop.domain import Shelf
from shop.inventory.apply import Federation, apply_side_record


class MessageRefused(MatchdayError):
    """No site of the federation would apply this message"""

    code: ClassVar[str] = "message_refused"
    status: ClassVar[int] = 422
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "reason": {"type": "string", "description": "Why sites refuse it, such as `bad_quantity`."}
    }


class LogNotRead(Conflict):
    """This site has not read the log yet"""

    code: ClassVar[str] = "log_not_read"


@dataclass(frozen=True, slots=True)
class TicketMessage:
    """A message of the federation that came by HTTP: the record's value and headers, and what names it."""

    message_id: str
    value: bytes
    headers: Sequence[tuple[str, bytes]]


def read_shelf(database: Database, federation: Federation) -> Shelf:
    """Everything the shop shows, as one moment of the database has it."""
    with database.transaction("REPEATABLE READ") as connection:
        return store.read_shelf(connection, federation.topic, federation.hold_ms)


def apply_message(database: Database, federation: Federation, message: TicketMessage) -> bool:
    """Applies a ticket message as if it stood in the log; False when that was done before.

    Raises `MessageRefused` with the same reason that a record in the log would be refused for.
    """
    try:
        with database.transaction() as connection:
            return apply_side_record(connection, federation, message.message_id, message.value, message.headers)
    except Refused as refused:
        if refused.reason == "no_log":
            raise LogNotRead(refused.detail) from None
        raise MessageRefused(refused.detail, reason=refused.reason) from None
