"""The relay's surroundings in memory: a clock, a database with outbox and lease, a log, and a publisher that can fail.

The relay and its lease are the real ones; of the lease only its three statements are played here.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

import shared.relay
from shared import outbox
from shared.errors import BrokerUnavailable, DependencyUnavailable
from shared.kafka.publisher import Outgoing, Place
from shared.outbox import Published, Waiting
from shared.relay import LEASE_SECONDS, Lease, Relay, Tables
from shared.wire import RawRecord

TOPIC = "sales"
PARTITIONS = 2


@dataclass
class Row:
    """One message of the outbox."""

    waiting: Waiting
    place: Place | None = None
    dropped: bool = False

    @property
    def is_unsent(self) -> bool:
        return self.place is None and not self.dropped


@dataclass
class Memory:
    """What outlives a relay: the database, the log and the time. Its methods stand for SQL."""

    rows: list[Row] = field(default_factory=list)
    log: list[list[RawRecord]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])
    now: float = 1000.0
    holder: str = ""
    expires_at: float = 0.0
    marked: dict[str, int] = field(default_factory=dict)
    commits_fail: list[bool] = field(default_factory=list)
    reads: list[tuple[int, int, int]] = field(default_factory=list)
    when_idle: Callable[[], None] = lambda: None

    # -- the writer's side

    def write(self, *keys: str, too_late: bool = False) -> list[str]:
        """Appends a message for each key; returns their ids."""
        ids = []
        for key in keys:
            number = len(self.rows) + 1
            ids.append(f"message-{number}")
            self.rows.append(Row(Waiting(number, ids[-1], TOPIC, key.encode(), b"{}", {}, too_late)))
        return ids

    def unsent(self) -> list[str]:
        return [row.waiting.message_id for row in self.rows if row.is_unsent]

    # -- the broker

    def append(self, message: Outgoing) -> Place:
        partition = sum(message.key) % PARTITIONS
        records = self.log[partition]
        records.append(RawRecord(len(records), 0, message.key, message.value, list(message.headers)))
        return Place(partition, len(records) - 1)

    def in_log(self) -> list[str]:
        """The ids of all messages in the log, partition by partition."""
        return [dict(record.headers)["messageId"].decode() for part in self.log for record in part]  # type: ignore[union-attr]

    def bounds(self) -> dict[int, tuple[int, int]]:
        return {partition: (0, len(records)) for partition, records in enumerate(self.log)}

    def read(self, partition: int, start: int, end: int) -> Iterator[tuple[list[RawRecord], int]]:
        self.reads.append((partition, start, end))
        if start < end:
            yield self.log[partition][start:end], end

    @contextlib.contextmanager
    def open_reader(self) -> Iterator["Memory"]:
        yield self

    # -- the database

    @contextlib.contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        transaction = Transaction(self)
        yield transaction
        if self.commits_fail and self.commits_fail.pop(0):
            raise DependencyUnavailable("the connection is lost")
        for change in transaction.changes:
            change()

    def listener(self, *_: Any) -> Any:
        return SimpleNamespace(start=lambda: None, stop=lambda: None)

    def may_take_lease(self, holder: str) -> bool:
        return self.expires_at <= self.now or self.holder == holder

    def take_lease(self, holder: str, until: float) -> None:
        self.holder, self.expires_at = holder, until


@dataclass
class Transaction:
    """Changes that come true together, or not at all."""

    memory: Memory
    changes: list[Callable[[], None]] = field(default_factory=list)


class MemoryLease(Lease):
    """The lease's statements; its clockwork is the real one."""

    memory: Memory

    def acquire(self) -> dict[str, int] | None:
        asked = self.memory.now
        if not self.memory.may_take_lease(self.holder):
            return None
        with self.memory.transaction() as transaction:
            transaction.changes.append(lambda: self.memory.take_lease(self.holder, asked + LEASE_SECONDS))
        self._valid_until = asked + LEASE_SECONDS
        return dict(self.memory.marked)

    def renew(self, connection: Any, marked: dict[str, int]) -> Callable[[], bool]:
        memory = self.memory
        is_ours = memory.holder == self.holder and memory.expires_at > memory.now
        if is_ours:
            until = memory.now + LEASE_SECONDS
            connection.changes.append(lambda: memory.take_lease(self.holder, until))
            connection.changes.append(lambda: memory.marked.update(marked))
        return lambda: is_ours

    def release(self) -> None:
        self._valid_until = 0.0
        if self.memory.holder == self.holder:
            self.memory.expires_at = self.memory.now


class FakePublisher:
    """Writes into the memory's log. `failures` says of each batch to come what goes wrong."""

    def __init__(self, memory: Memory, guard: Callable[[], None]) -> None:
        self.memory = memory
        self.guard = guard
        self.failures: list[str] = []
        self.batches: list[list[str]] = []
        self.calls: list[str] = []
        self.on_publish: Callable[[], None] = lambda: None

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def ping(self) -> None:
        self.calls.append("ping")

    def publish(self, messages: Sequence[Outgoing]) -> list[Place]:
        self.calls.append("publish")
        failure = self.failures.pop(0) if self.failures else ""
        if failure == "nothing written":
            raise BrokerUnavailable("not written")
        self.guard()
        self.batches.append([dict(message.headers)["messageId"].decode() for message in messages])
        written = messages[: len(messages) // 2] if failure == "half written" else messages
        places = [self.memory.append(message) for message in written]
        self.on_publish()
        if failure:
            raise BrokerUnavailable("perhaps written")
        return places


class Bench:
    """A relay on a memory, run until nothing is left to send."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.publisher: FakePublisher
        tables: Any = Tables(None, None)  # type: ignore[arg-type]
        self.relay = Relay(memory, tables, TOPIC, self._make_publisher, memory.open_reader)  # type: ignore[arg-type]
        memory.when_idle = self.relay.stop

    def _make_publisher(self, guard: Callable[[], None]) -> FakePublisher:
        self.publisher = FakePublisher(self.memory, guard)
        return self.publisher

    @property
    def lease(self) -> Lease:
        return self.relay._lease

    def run(self) -> None:
        self.relay.run()


class ImpatientEvent(threading.Event):
    """Nobody waits here."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def install(monkeypatch: pytest.MonkeyPatch, memory: Memory) -> None:
    """Puts the memory in the place of clock, SQL and waiting times."""

    def unsent(_connection: Any, _table: Any, limit: int) -> Callable[[], list[Waiting]]:
        def read() -> list[Waiting]:
            rows = [row.waiting for row in memory.rows if row.is_unsent][:limit]
            if not rows:
                memory.when_idle()
            return rows

        return read

    def mark_published(connection: Any, _table: Any, published: Sequence[Published]) -> None:
        for mark in published:
            connection.changes.append(lambda mark=mark: _place(memory, mark))

    def mark_dropped(connection: Any, _table: Any, ids: Sequence[int]) -> None:
        for number in ids:
            connection.changes.append(lambda number=number: setattr(memory.rows[number - 1], "dropped", True))

    MemoryLease.memory = memory
    for name, played in (("unsent", unsent), ("mark_published", mark_published), ("mark_dropped", mark_dropped)):
        monkeypatch.setattr(outbox, name, played)
    monkeypatch.setattr(shared.relay, "Lease", MemoryLease)
    monkeypatch.setattr(shared.relay, "together", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(shared.relay, "tell", lambda *_: None)
    monkeypatch.setattr(shared.relay, "time", SimpleNamespace(monotonic=lambda: memory.now))
    monkeypatch.setattr(shared.relay.Relay, "_own", _own)
    monkeypatch.setattr(shared.relay, "threading", SimpleNamespace(Event=ImpatientEvent))


def _place(memory: Memory, mark: Published) -> None:
    memory.rows[mark.id - 1].place = Place(mark.partition, mark.offset)


def _own(_relay: Relay, connection: Any, places: dict[str, Place]) -> list[Published]:
    return [
        Published(row.waiting.id, *_numbers(places[row.waiting.message_id]))
        for row in connection.memory.rows
        if row.is_unsent and row.waiting.message_id in places
    ]


def _numbers(place: Place) -> tuple[int, int]:
    return place.partition, place.offset
