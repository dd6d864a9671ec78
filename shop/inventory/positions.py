"""The consumer's place in each partition: it moves in the transaction that applies what was read, and fences it."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from shared.database import Rows, ask, tell

POSITION = (
    "SELECT next_offset, clock_ms, birth_offset FROM shop.log_positions"
    " WHERE topic = %(topic)s AND partition = %(partition)s"
)


@dataclass(frozen=True, slots=True)
class Position:
    """`next_offset` the first record to apply; `birth_offset` where the log ended when this database began."""

    next_offset: int
    clock_ms: int | None
    birth_offset: int


class StalePosition(Exception):
    """Another consumer has moved this partition on: what was read must not be applied."""


def create_position(connection: Connection, topic: str, partition: int, begin: int, end: int) -> None:
    """A new database begins at the start of the log; what the log holds by now is from before its birth."""
    tell(
        connection,
        "INSERT INTO shop.log_positions (topic, partition, next_offset, birth_offset)"
        " VALUES (%(topic)s, %(partition)s, %(begin)s, %(end)s) ON CONFLICT DO NOTHING",
        {"topic": topic, "partition": partition, "begin": begin, "end": end},
    )


def read_position(connection: Connection, topic: str, partition: int) -> Position | None:
    """Where the consumer stands in a partition; None when it never stood there."""
    return ask(connection, POSITION, {"topic": topic, "partition": partition}, _first)()


def lock_position(connection: Connection, topic: str, partition: int, start: int) -> Callable[[], Position]:
    """The partition's position, locked; what is returned raises `StalePosition` unless it is where the batch begins."""

    def read(rows: Rows) -> Position:
        position = _first(rows)
        if position is None or position.next_offset != start:
            raise StalePosition(f"{topic}-{partition}: batch begins at {start}, position is {position}")
        return position

    return ask(connection, f"{POSITION} FOR UPDATE", {"topic": topic, "partition": partition}, read)


def read_clocks(connection: Connection, topic: str) -> dict[int, int | None]:
    """The log's clock in each partition; None where no record was ever read."""
    statement = "SELECT partition, clock_ms FROM shop.log_positions WHERE topic = %(topic)s ORDER BY partition"
    return ask(connection, statement, {"topic": topic}, lambda rows: {row[0]: row[1] for row in rows})()


def lock_first_position(connection: Connection, topic: str) -> tuple[int, Position] | None:
    """The lowest partition and the position in it, locked; None when the log was never read."""
    statement = (
        "SELECT partition, next_offset, clock_ms, birth_offset FROM shop.log_positions"
        " WHERE topic = %(topic)s ORDER BY partition LIMIT 1 FOR UPDATE"
    )
    rows = ask(connection, statement, {"topic": topic}, list)()
    return (rows[0][0], Position(*rows[0][1:])) if rows else None


def move_position(connection: Connection, topic: str, partition: int, end: int, clock_ms: int | None) -> None:
    """Says that everything before `end` is applied."""
    tell(
        connection,
        "UPDATE shop.log_positions SET next_offset = %(end)s, clock_ms = %(clock_ms)s"
        " WHERE topic = %(topic)s AND partition = %(partition)s",
        {"topic": topic, "partition": partition, "end": end, "clock_ms": clock_ms},
    )


def _first(rows: Rows) -> Position | None:
    row = next(iter(rows), None)
    return None if row is None else Position(*row)
