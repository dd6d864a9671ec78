"""Use cases: somebody is to be forgotten, and is."""

import uuid

import structlog
from pydantic import SecretStr

from analytics import store
from analytics.lake.erase import erase
from analytics.lake.lake import Lake
from shared.clock import Clock
from shared.database import Database
from shared.site_events import pseudonym

log = structlog.get_logger(__name__)


def forget(database: Database, secret: SecretStr, account_id: uuid.UUID) -> None:
    """An account is gone. Told again, nothing changes; the lake's writer does the rest."""
    with database.transaction() as connection:
        store.ask_erasure(connection, pseudonym(secret, str(account_id)))


def erase_due(database: Database, lake: Lake, clock: Clock) -> int:
    """Takes the accounts that are due out of the lake, a bounded number of them; returns how many.

    Raises `StalePosition` when somebody writes at the same moment: try again.
    """
    with database.transaction() as connection:
        due = store.open_erasures(connection)
    if not due:
        return 0
    rows = erase(lake, [one.subject for one in due], max(one.number for one in due))
    with database.transaction() as connection:
        store.close_erasures(connection, [one.number for one in due], clock.now())
    log.info("accounts_erased", accounts=len(due), rows=rows)
    return len(due)


class Erased:
    """Whom the lake's writer leaves out: all that were ever erased, read again for what is new."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.subjects: set[str] = set()
        self.number = 0

    def refresh(self) -> int:
        """The highest number, after a look at the database."""
        with self._database.transaction() as connection:
            found = store.erasures(connection, self.number)
        self.subjects.update(one.subject for one in found)
        self.number = max([self.number, *(one.number for one in found)])
        return self.number
