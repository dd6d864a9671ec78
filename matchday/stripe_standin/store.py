"""What the stand-in remembers, in SQLite: what was answered is there after a kill -9, as at Stripe.

One connection and one lock: a request is a transaction, and requests follow each other.
"""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]
SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, parent TEXT,
    created INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS objects_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_parent ON objects (parent, kind, seq);
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS webhooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, due REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, status INTEGER);
CREATE INDEX IF NOT EXISTS webhooks_due ON webhooks (due) WHERE done = 0 AND held = 0;
CREATE TABLE IF NOT EXISTS later (id TEXT PRIMARY KEY, due REAL NOT NULL, status TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Page:
    """Which objects of a list: newest first."""

    limit: int = 10
    starting_after: str | None = None
    ending_before: str | None = None
    created_from: int = 0
    created_to: int = 2**62


class Store:
    """The one file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self.sql = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.sql.execute("PRAGMA journal_mode = WAL")
        self.sql.execute("PRAGMA synchronous = NORMAL")
        self.sql.executescript(SCHEMA)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and alone."""
        with self._lock:
            self.sql.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.sql.execute("ROLLBACK")
                raise
            self.sql.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self.sql.close()

    def add(self, kind: str, thing: Object, parent: str | None = None) -> Object:
        """A new object; `parent` is what lists of it are filtered by."""
        self.sql.execute(
            "INSERT INTO objects (id, kind, parent, created, body) VALUES (?, ?, ?, ?, ?)",
            (thing["id"], kind, parent, thing["created"], json.dumps(thing)),
        )
        return thing

    def put(self, thing: Object) -> Object:
        """An object that has changed."""
        self.sql.execute("UPDATE objects SET body = ? WHERE id = ?", (json.dumps(thing), thing["id"]))
        return thing

    def find(self, kind: str, object_id: str) -> Object | None:
        row = self.sql.execute("SELECT body FROM objects WHERE id = ? AND kind = ?", (object_id, kind)).fetchone()
        return None if row is None else json.loads(row[0])

    def any(self, object_id: str) -> Object | None:
        """An object of whatever kind."""
        row = self.sql.execute("SELECT body FROM objects WHERE id = ?", (object_id,)).fetchone()
        return None if row is None else json.loads(row[0])

    def page(self, kind: str, page: Page, parent: str | None = None) -> tuple[list[Object], bool]:
        """One page of a list, and whether there is more."""
        where, values = ["kind = ?", "created >= ?", "created <= ?"], [kind, page.created_from, page.created_to]
        if parent is not None:
            where.append("parent = ?")
            values.append(parent)
        if page.starting_after is not None:
            where.append("seq < (SELECT seq FROM objects WHERE id = ?)")
            values.append(page.starting_after)
        if page.ending_before is not None:
            where.append("seq > (SELECT seq FROM objects WHERE id = ?)")
            values.append(page.ending_before)
        order = "ASC" if page.ending_before is not None else "DESC"
        rows = self.sql.execute(
            f"SELECT body FROM objects WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?",
            (*values, page.limit + 1),
        ).fetchall()
        found = [json.loads(row[0]) for row in rows[: page.limit]]
        return found[::-1] if order == "ASC" else found, len(rows) > page.limit

    # Idempotency keys: what was answered to a key, whatever it was.

    def answered(self, key: str) -> tuple[str, int, str] | None:
        """The request of a key, and its answer."""
        row = self.sql.execute("SELECT request, status, body FROM keys WHERE key = ?", (key,)).fetchone()
        return None if row is None else (row[0], row[1], row[2])

    def keep_answer(self, key: str, request: str, status: int, body: str) -> None:
        self.sql.execute(
            "INSERT INTO keys (key, request, status, body) VALUES (?, ?, ?, ?)", (key, request, status, body)
        )
