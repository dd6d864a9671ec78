"""Where the numbers are: Redis, one script call a decision; or this process alone, while Redis is away."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from security.engine import rules
from security.engine.rules import Ask, Code, Failure, Memory, Ruling

HERE = Path(__file__).parent
STREAM = "security:audit"
IDLE_CONNECTIONS_MAX = 64


class StoreUnavailable(Exception):
    """Redis does not answer, or not in time."""


class Store(Protocol):
    """Decides, and remembers."""

    def decide(self, ask: Ask, now: int = 0) -> Ruling:
        """See `rules.decide`; `now` in µs, 0 for the store's own clock."""

    def report(self, failures: Sequence[Failure], now: int = 0) -> None:
        """See `rules.report`."""


class LocalStore:
    """One process by itself; nothing is written to the audit log."""

    def __init__(self) -> None:
        self._memory = Memory()
        self._lock = threading.Lock()

    def decide(self, ask: Ask, now: int = 0) -> Ruling:
        with self._lock:
            return rules.decide(self._memory, ask, now or _microseconds())

    def report(self, failures: Sequence[Failure], now: int = 0) -> None:
        with self._lock:
            rules.report(self._memory, failures, now or _microseconds())


def _microseconds() -> int:
    return time.time_ns() // 1000


class Connection(Protocol):
    """What is used of the client's connection, which has no types of its own."""

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def send_command(self, *parts: object) -> None: ...
    def send_packed_command(self, command: Sequence[bytes], check_health: bool) -> None: ...
    def read_response(self) -> Any: ...


class Script:
    """A script by its hash."""

    def __init__(self, name: str) -> None:
        self.text = (HERE / name).read_bytes()
        self.head = _bulk(b"EVALSHA") + _bulk(hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode())


class RedisStore:
    """One round trip a decision, each thread on a connection of its own while it asks."""

    def __init__(self, url: str, seconds_max: float, audit_entries_max: int = 100_000) -> None:
        self._pool = connections(url, seconds_max)
        # Used as a stack without a lock: what was used last is used next, and the rest may rest.
        self._idle: deque[Connection] = deque(maxlen=IDLE_CONNECTIONS_MAX)
        self._decide, self._report = Script("decide.lua"), Script("report.lua")
        self._audit_entries_max = b"%d" % audit_entries_max

    def decide(self, ask: Ask, now: int = 0) -> Ruling:
        keys = [STREAM, ask.once, *ask.marks, *(bucket.key for bucket in ask.buckets)]
        arguments = [
            b"%d" % now, b"%d" % len(ask.marks), b"1" if ask.excused else b"0", b"%d" % ask.once_ms,
            b"1" if ask.always else b"0", ask.note, self._audit_entries_max, b"%d" % ask.verdict,
        ]  # fmt: skip
        for bucket in ask.buckets:
            arguments += (b"%d" % bucket.interval, b"%d" % bucket.capacity, b"%d" % bucket.cost, b"%d" % bucket.level)
        code, *numbers = self._call(self._decide, keys, arguments)
        return Ruling(Code(code), *numbers)

    def report(self, failures: Sequence[Failure], now: int = 0) -> None:
        keys = [key for failure in failures for key in (failure.key, failure.mark)]
        arguments = [b"%d" % now]
        for failure in failures:
            numbers = (failure.interval, failure.soft, failure.hard, failure.mark_ms, failure.ban_ms)
            arguments += [b"%d" % number for number in numbers]
        self._call(self._report, keys, arguments)

    def close(self) -> None:
        """Closes what is not in use."""
        while self._idle:
            self._idle.pop().disconnect()

    def _call(self, script: Script, keys: Sequence[str], arguments: Sequence[bytes]) -> Any:
        request = _command(script, keys, arguments)
        try:
            try:
                used = self._idle.pop()
            except IndexError:
                return self._ask(self._connect(), script, request)
            try:
                return self._ask(used, script, request)
            except redis.TimeoutError:
                raise
            except redis.ConnectionError:
                # Redis has been started anew: what is idle is as dead as this one.
                self.close()
                return self._ask(self._connect(), script, request)
        except (RedisError, OSError) as error:
            raise StoreUnavailable(str(error)) from error

    def _connect(self) -> Connection:
        connection = cast(Connection, self._pool.make_connection())
        connection.connect()
        return connection

    def _ask(self, connection: Connection, script: Script, request: bytes) -> Any:
        try:
            connection.send_packed_command([request], False)
            try:
                answer = connection.read_response()
            except NoScriptError:
                connection.send_command("SCRIPT", "LOAD", script.text)
                connection.read_response()
                connection.send_packed_command([request], False)
                answer = connection.read_response()
        except BaseException:
            # An answer that comes late must not be taken for another question's.
            connection.disconnect()
            raise
        self._idle.append(connection)
        return answer


def connections(url: str, seconds_max: float) -> ConnectionPool:
    """How connections to this Redis are made: without retries, and without a long wait."""
    return ConnectionPool.from_url(
        url,
        protocol=2,
        socket_timeout=seconds_max,
        socket_connect_timeout=max(seconds_max, 0.25),
        retry=Retry(NoBackoff(), 0),
    )


def _bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def _command(script: Script, keys: Sequence[str], arguments: Sequence[bytes]) -> bytes:
    """The call as Redis' protocol wants it. The client's own writer takes twice as long."""
    parts = [b"*%d\r\n" % (3 + len(keys) + len(arguments)), script.head, _bulk(b"%d" % len(keys))]
    parts += [_bulk(key.encode()) for key in keys]
    parts += [_bulk(argument) for argument in arguments]
    return b"".join(parts)
