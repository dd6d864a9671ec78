"""After the race: what each site's database says, what the log says, and whether they agree.

The log is judged by rules written down here once more, in plain words, so that a mistake in the product's fold cannot
hide itself.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.eventually import eventually
from tests.saleslog import CANCELLED, PENDING, RESERVED, Entry, read_log
from tests.sites import RunningSite

DRAINED_SECONDS = 60.0
VERIFY_SECONDS = 30.0

OUTBOX_LEFT = "SELECT count(*) AS n FROM shop.outbox WHERE published_at IS NULL"
OPEN_SALES = "SELECT count(*) AS n FROM shop.sales WHERE follows = 'site' AND state IN ('submitted', 'held')"
POSITION = "SELECT next_offset AS n FROM shop.log_positions WHERE topic = %s"
COUNTERS = """
    SELECT match_number, category, held, sold, log_held, log_sold FROM shop.pools ORDER BY match_number, category
"""
RESERVATIONS = """
    SELECT r.id::text, r.sale_id, r.quantity, s.state, s.follows, s.log_state, s.log_held
      FROM reservations.reservations r
      JOIN shop.sales s ON s.client_id = %s AND s.sale_id = r.sale_id
     WHERE r.match_number = %s AND r.category = %s
"""
KEYS = "SELECT key, resource_id FROM reservations.idempotency_keys"
MESSAGES = """
    SELECT message_id::text, headers ->> 'saleId' AS sale_id, published_at, partition, "offset", dropped_at
      FROM shop.outbox WHERE key = %s
"""


@dataclass(frozen=True)
class Books:
    """What one site's database says about the pool."""

    site: RunningSite
    counters: dict[tuple[int, int], tuple[int, int, int, int]]
    reservations: dict[str, dict[str, Any]]
    keys: dict[str, str]
    messages: list[dict[str, Any]]

    def sold(self) -> int:
        return sum(row["quantity"] for row in self.reservations.values() if row["state"] == "reserved")


def rows(site: RunningSite, query: str, *values: Any) -> list[dict[str, Any]]:
    with psycopg.connect(site.database_url, row_factory=dict_row) as connection:
        return connection.execute(query.encode(), values).fetchall()


def number(site: RunningSite, query: str, *values: Any) -> int:
    return int(rows(site, query, *values)[0]["n"])


def drain(sites: list[RunningSite], bootstrap_servers: str, topic: str) -> list[Entry]:
    """Waits until nothing is on its way any more; the whole log."""

    def at_rest() -> list[Entry]:
        for site in sites:
            assert number(site, OPEN_SALES) == 0, f"{site.name} has open holds"
            assert number(site, OUTBOX_LEFT) == 0, f"{site.name} has messages to send"
        entries = read_log(bootstrap_servers, topic)
        for site in sites:
            assert number(site, POSITION, topic) == len(entries), f"{site.name} has records to read"
        return entries

    return eventually(at_rest, DRAINED_SECONDS, "the log is drained")


def read_books(site: RunningSite, pool: tuple[int, int]) -> Books:
    counters = {
        (row["match_number"], row["category"]): (row["held"], row["sold"], row["log_held"], row["log_sold"])
        for row in rows(site, COUNTERS)
    }
    found = {row["id"]: row for row in rows(site, RESERVATIONS, site.name, *pool)}
    keys = {row["key"]: row["resource_id"] for row in rows(site, KEYS)}
    return Books(site, counters, found, keys, rows(site, MESSAGES, b"%d-%d" % pool))


def replay(entries: list[Entry], capacity: int) -> dict[tuple[str, str], str]:
    """The verdict on each sale of one pool by the log's order alone: the first come are held while there is room."""
    taken, verdicts = 0, dict[tuple[str, str], str]()
    for entry in entries:
        name = (entry.client_id or "", entry.sale_id or "")
        if entry.action == PENDING:
            admitted = taken + entry.quantity <= capacity
            verdicts[name] = "held" if admitted else "lost"
            taken += entry.quantity if admitted else 0
        elif entry.action == RESERVED:
            assert verdicts[name] == "held", f"{name} was sold without being held"
            verdicts[name] = "reserved"
        elif verdicts[name] == "held":
            verdicts[name] = "cancelled"
            taken -= entry.quantity
        assert taken <= capacity
    return verdicts


def check_log(entries: list[Entry], capacity: int) -> int:
    """Each sale's story is told once; returns how many tickets were sold."""
    stories: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in entries:
        stories[entry.client_id or "", entry.sale_id or ""].append(entry.action)
    allowed = ([PENDING, RESERVED], [PENDING, CANCELLED])
    wrong = {name: story for name, story in stories.items() if story not in allowed}
    assert not wrong, f"stories in the log that are not told once and to their end: {wrong}"
    twice = [name for name, count in Counter(entry.message_id for entry in entries).items() if count > 1]
    assert not twice, f"messages that entered the log more than once: {twice}"
    return sum(entry.quantity for entry in entries if entry.action == RESERVED)


def check_messages(books: list[Books], entries: list[Entry]) -> None:
    """The log holds what the sites' outboxes say, each message where its site believes it to be, and nothing else."""
    in_log = {entry.message_id: (entry.client_id, entry.sale_id, entry.partition, entry.offset) for entry in entries}
    told = {
        row["message_id"]: (book.site.name, row["sale_id"], row["partition"], row["offset"])
        for book in books
        for row in book.messages
    }
    assert in_log == told


def check_reservations(book: Books, verdicts: dict[tuple[str, str], str]) -> None:
    """A reservation ended as the log says; what its buyer gave up (or lost) by then is sold to nobody."""
    for row in book.reservations.values():
        verdict = verdicts[book.site.name, row["sale_id"]]
        assert row["follows"] == "site"
        assert row["log_held"] == 0, row
        assert (row["state"] == "reserved") == (verdict == "reserved"), (row, verdict)
        assert row["state"] in ("reserved", "cancelled", "expired", "lost"), row
        if row["state"] == "lost":
            assert verdict == "lost", row
    assert {name for name in verdicts if name[0] == book.site.name} == {
        (book.site.name, row["sale_id"]) for row in book.reservations.values()
    }


def verify(site: RunningSite) -> None:
    """The site's own recount of the log."""

    def equal() -> bool:
        answer = site.client("shop-consumer").get("/api/verify")
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["equal"])

    eventually(equal, VERIFY_SECONDS, f"the recount at {site.name}")
