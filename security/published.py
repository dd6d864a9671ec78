"""The adapter to Redis: the lists as every process reads them, and the stream of decisions that wait for the log."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import redis
import structlog

from security.domain import ListEntry, Record
from security.engine import lists
from security.engine.lists import Entry, Kind
from security.engine.refusals import DECISIONS
from security.engine.rules import Code
from security.engine.store import STREAM, connections
from security.engine.watch import LISTS, VERSION
from shared.errors import DependencyUnavailable

log = structlog.get_logger(__name__)

REDIS_SECONDS_MAX = 2.0


class Published:
    """What all processes of the site share in Redis. Every method raises `DependencyUnavailable` when it is away."""

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis(connection_pool=connections(url, REDIS_SECONDS_MAX))

    def close(self) -> None:
        self._client.connection_pool.disconnect()

    def ping(self) -> None:
        """Readiness."""
        self._call("PING")

    def lists(self, entries: Iterable[ListEntry]) -> bool:
        """Lets every process know these entries, within a second; whether they are new."""
        raw = lists.encode(_entry(entry) for entry in entries)
        version = hashlib.blake2b(raw, digest_size=12).hexdigest()
        if self._call("GET", VERSION) == version.encode():
            return False
        self._call("MSET", LISTS, raw, VERSION, version)
        return True

    def decisions(self, after: str, count: int) -> tuple[list[Record], str]:
        """The next decisions, and the id of the last of them."""
        entries = cast(
            list[tuple[bytes, dict[bytes, bytes]]], self._call("XRANGE", STREAM, f"({after}", "+", "COUNT", count)
        )
        read = [_record(name.decode(), fields) for name, fields in entries]
        return [record for record in read if record is not None], entries[-1][0].decode() if entries else after

    def forget(self, last_id: str) -> None:
        """Drops decisions up to this one, which are in the log."""
        milliseconds, _, number = last_id.partition("-")
        self._call("XTRIM", STREAM, "MINID", f"{milliseconds}-{int(number) + 1}")

    def waiting(self) -> int:
        """How many decisions are in Redis."""
        return int(self._call("XLEN", STREAM))

    def _call(self, *command: Any) -> Any:
        try:
            return self._client.execute_command(*command)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            raise DependencyUnavailable("Redis is out of reach") from error


def _entry(entry: ListEntry) -> Entry:
    until = None if entry.expires_at is None else entry.expires_at.timestamp()
    return Entry(entry.id, Kind(entry.kind), entry.network, entry.account_id, until)


def _record(name: str, fields: dict[bytes, bytes]) -> Record | None:
    try:
        verdict, reason = DECISIONS[Code(int(fields[b"c"]))]
        service, rate_class, method, route, address, holder, account, bearer, signals, request = orjson.loads(
            fields[b"d"]
        )
        at = datetime.fromtimestamp(int(name.partition("-")[0]) / 1000, UTC)
    except (KeyError, TypeError, ValueError):
        # Somebody else wrote it; it must not hold up the rest.
        log.error("decision_not_readable", id=name)
        return None
    return Record(
        at, at, 1, verdict, reason, service, rate_class, method, route, address, holder, account, bearer,
        tuple(signals), request,
    )  # fmt: skip
