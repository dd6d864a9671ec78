"""Lists that come in pages: all of them, within a bound, and where it goes on behind that."""

from collections.abc import Callable

from client.calls import Json

PAGES_MAX = 20  # of one visit: 1000 tickets, or 400 reservations


def gather(
    ask: Callable[[str | None], Json], cursor: str | None = None, pages_max: int = PAGES_MAX
) -> tuple[list[Json], str | None]:
    """The items of all pages that `ask` gives for a cursor, from `cursor` on; and the cursor of what the bound has
    left out, None when that is nothing. Raises `Refused`."""
    found: list[Json] = []
    for _page in range(pages_max):
        page = ask(cursor)
        found += page["items"]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    return found, cursor
