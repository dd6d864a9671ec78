"""What visitors look at and search for, told to analytics: nobody's name, no address, and no cost worth speaking of.

Counted is what somebody sees: a GET that is answered, also with 304, since who comes back looks again. Programs that
say so, such as crawlers, are not counted, and neither is a look-up for another page (`X-View: no`) nor a further page
of a search.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from security.engine import agents
from shared.event_outbox import Happening
from shared.http.callers import CALLER_KEY
from shared.site_events import TEXT_CHARS_MAX, EventKind
from shared.visitors import Visitors

# Nothing that could be somebody's: an address, a telephone or card number, a booking's number.
PRIVATE = re.compile(r"@|[0-9](?:[^\w]*[0-9]){6}")
PROGRAM_SIGNALS = frozenset({"program", "scanner", "no_user_agent"})


def searched_text(text: str) -> str | None:
    """What was searched for, in one spelling and of bounded length; None when it may say something of a person."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    if not folded or PRIVATE.search(folded):
        return None
    return folded[:TEXT_CHARS_MAX].rstrip()


class Interest:
    """Makes events of requests; `offer` takes them, or drops them, without waiting."""

    def __init__(
        self,
        offer: Callable[[Happening], bool],
        visitors: Visitors,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._offer = offer
        self._visitors = visitors
        self._now = now

    def viewed(self, environ: Mapping[str, Any], match_number: int) -> None:
        """A match is shown to who sent this request."""
        self._tell(environ, EventKind.MATCH_VIEWED, match_number=match_number)

    def searched(self, environ: Mapping[str, Any], text: str) -> None:
        """What was searched for is shown."""
        kept = searched_text(text)
        if kept is not None:
            self._tell(environ, EventKind.SEARCHED, text=kept)

    def _tell(
        self, environ: Mapping[str, Any], kind: EventKind, *, match_number: int | None = None, text: str | None = None
    ) -> None:
        if environ["REQUEST_METHOD"] != "GET" or PROGRAM_SIGNALS.intersection(agents.look(environ).signals):
            return
        caller = environ.get(CALLER_KEY)
        account = None if caller is None else caller.account
        visitor = self._visitors.visitor(environ, account)
        self._offer(
            Happening(
                kind, self._now(), None if account is None else account.id, visitor.country, visitor.language,
                match_number, text=text,
            )
        )  # fmt: skip
