"""Relays of one site as real processes, a writer who fills the outbox, and the check that the log holds it all once."""

import random
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.rows import dict_row
from sqlalchemy import text

from matchday.paths import CHECKOUT
from matchday.run import Run
from shared import outbox
from shared.database import Database
from shared.errors import DependencyUnavailable
from shared.outbox import OutboxMessage
from shared.settings import DatabaseSettings
from shared.wire import Action, encode_ticket_message, pool_key
from shop.inventory.tables import outbox as outbox_table
from tests.eventually import eventually
from tests.saleslog import Entry, read_log

POOLS = [(match, category) for match in (1, 2, 3) for category in (1, 2)]
SENT_SECONDS = 60.0
PAUSE_SECONDS_MAX = 0.02
OUTBOX = 'SELECT id, message_id::text, key, published_at, dropped_at, partition, "offset" FROM shop.outbox ORDER BY id'
LEFT = "SELECT count(*) AS n FROM shop.outbox WHERE published_at IS NULL AND dropped_at IS NULL"
LEASE = "SELECT holder, expires_at > clock_timestamp() AS held FROM shop.relay_leases"


@dataclass
class RelayProcess:
    """One relay; `name` tells its log apart."""

    process: subprocess.Popen[bytes]
    log: Path

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 30.0) -> int:
        return self.process.wait(seconds)

    def said(self, event: str) -> int:
        """How often the relay has said this."""
        return self.log.read_text("utf-8").count(f'"event":"{event}"')

    def connections_to(self, port: int) -> int:
        """How many connections to a server on this machine it has open."""
        found = psutil.Process(self.process.pid).net_connections(kind="tcp")
        return sum(1 for connection in found if connection.raddr and connection.raddr.port == port)

    def last_words(self) -> str:
        return self.log.read_text("utf-8")[-2000:]

    def is_stopped(self) -> bool:
        """Whether it hangs (SIGSTOP)."""
        state = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        return state == "T"


@dataclass
class Stage:
    """One site's outbox and topic, and the relays that were started on them."""

    run: Run
    directory: Path
    environment: dict[str, str]
    topic: str
    relays: list[RelayProcess] = field(default_factory=list)

    def start(self, fault: str = "") -> RelayProcess:
        """A relay, with `RELAY_FAULT` as in tests/relay_process.py; returns at once."""
        log = self.directory / f"relay-{self.topic}-{len(self.relays)}.log"
        process = self.run.spawn(
            [sys.executable, "-m", "tests.relay_process"],
            log,
            environment={**self.environment, "RELAY_FAULT": fault},
            directory=CHECKOUT,
        )
        self.relays.append(RelayProcess(process, log))
        return self.relays[-1]

    def start_sending(self, fault: str = "") -> RelayProcess:
        """A relay that holds the lease and has read the log."""
        relay = self.start(fault)
        eventually(lambda: relay.said("relay_sends"), SENT_SECONDS, f"the relay sends; {relay.last_words()}")
        return relay

    def close(self) -> None:
        for relay in self.relays:
            if relay.process.poll() is None:
                relay.process.kill()
                relay.process.wait()

    def rows(self, query: str) -> list[dict[str, Any]]:
        with psycopg.connect(self.environment["DATABASE_URL"], row_factory=dict_row) as connection:
            return connection.execute(query.encode()).fetchall()

    def holder(self) -> str | None:
        """Who holds the lease now."""
        rows = self.rows(LEASE)
        return rows[0]["holder"] if rows and rows[0]["held"] else None

    def published(self) -> int:
        return sum(row["published_at"] is not None for row in self.rows(OUTBOX))

    def entries(self) -> list[Entry]:
        return read_log(self.environment["KAFKA_BOOTSTRAP_SERVERS"], self.topic)

    def wait_until_sent(self) -> None:
        """Until nothing in the outbox waits."""

        def is_sent() -> bool:
            try:
                return bool(self.rows(LEFT)[0]["n"] == 0)
            except psycopg.OperationalError:
                return False

        eventually(is_sent, SENT_SECONDS, "everything is sent")

    def check(self) -> None:
        """Each message stands in the log once, where its mark says, and those of a pool in the outbox's order."""
        written = [row for row in self.rows(OUTBOX) if row["dropped_at"] is None]
        entries = self.entries()
        twice = [name for name, count in Counter(entry.message_id for entry in entries).items() if count > 1]
        assert not twice, f"{len(twice)} messages entered the log more than once: {twice[:5]}"
        places = {entry.message_id: (entry.partition, entry.offset) for entry in entries}
        lost = [row["message_id"] for row in written if row["message_id"] not in places]
        assert not lost, f"{len(lost)} of {len(written)} messages did not enter the log: {lost[:5]}"
        assert places == {row["message_id"]: (row["partition"], row["offset"]) for row in written}
        self._check_order(written)

    def _check_order(self, written: list[dict[str, Any]]) -> None:
        of_pool = defaultdict(list)
        for row in written:
            of_pool[bytes(row["key"])].append((row["partition"], row["offset"]))
        for key, places in of_pool.items():
            assert places == sorted(places), f"the messages of {key!r} are out of order"
            assert len({partition for partition, _ in places}) == 1


class Writer(threading.Thread):
    """Writes messages about six pools into the outbox, a few a transaction, pool by pool locked, in a seeded rhythm."""

    def __init__(self, stage: Stage, count: int, seed: int = 0) -> None:
        super().__init__(name="writer", daemon=True)
        self._chance = random.Random(f"writer {seed}")
        self._count = count
        self._topic = stage.topic
        self._database = _database(stage)

    def run(self) -> None:
        left, pause = self._count, threading.Event()
        while left > 0:
            batch = min(left, self._chance.randint(1, 5))
            try:
                self._write(batch)
                left -= batch
            except DependencyUnavailable:
                pass  # it may have been written all the same: what counts is what the outbox holds
            pause.wait(self._chance.uniform(0, PAUSE_SECONDS_MAX))
        self._database.close()

    def _write(self, count: int) -> None:
        with self._database.transaction() as connection:
            for pool in sorted(self._chance.sample(POOLS, k=min(count, len(POOLS)))):
                # As a service locks the pool's row: a pool's messages get their numbers in the order of their commits.
                connection.execute(text("SELECT pg_advisory_xact_lock(:m, :c)"), {"m": pool[0], "c": pool[1]})
                outbox.append(connection, outbox_table, [new_message(self._topic, pool)])


def new_message(topic: str, pool: tuple[int, int] = POOLS[0], **more: Any) -> OutboxMessage:
    """A message as the reservations service writes it."""
    value = encode_ticket_message(Action.PENDING, *pool, 1, Decimal(75))
    return OutboxMessage(topic, pool_key(*pool), value, {"clientId": "matchday", "saleId": "sale"}, **more)


def write(stage: Stage, *messages: OutboxMessage) -> None:
    """Writes messages in one transaction."""
    database = _database(stage)
    with database.transaction() as connection:
        outbox.append(connection, outbox_table, messages)
    database.close()


def _database(stage: Stage) -> Database:
    return Database(DatabaseSettings.model_validate({"database_url": stage.environment["DATABASE_URL"]}), "writer")
