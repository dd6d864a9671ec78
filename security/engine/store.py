"""Where the numbers are: Redis, one script call a decision; or this process alone, while Redis is away."""

import functools
import hashlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import RedisError
from redis.retry import Retry

from security.engine import rules
from security.engine.rules import Ask, Code, Failure, Memory, Ruling

HERE = Path(__file__).parent
STREAM = "security:audit"
ANSWER_BYTES = 4096


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


class Line:
    """One connection, held by one thread while it asks.

    The client makes it (address, TLS, password, database); what is asked is written and read here, on the socket. A
    socket of Python's with a time-out makes two system calls of one and lets go of the interpreter at each, for which
    all threads of a busy process queue; so the time-out is the kernel's.
    """

    def __init__(self, pool: ConnectionPool, seconds_max: float) -> None:
        self._connection = cast(Any, pool.make_connection())
        self._connection.connect()
        self._socket: socket.socket = self._connection._sock
        limit = struct.pack("ll", int(seconds_max), int(seconds_max % 1 * 1e6))
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def ask(self, request: bytes) -> list[int]:
        """The numbers that a script returns. Raises `Forgotten`, `Closed`, `OSError` after the time-out."""
        self._socket.sendall(request)
        answer = self._socket.recv(ANSWER_BYTES)
        while not _whole(answer):
            more = self._socket.recv(ANSWER_BYTES)
            if not more:
                raise Closed("Redis closed the connection")
            answer += more
        if answer.startswith(b"-"):
            raise (Forgotten if answer.startswith(b"-NOSCRIPT") else RedisError)(answer.decode("utf-8", "replace"))
        return [int(part) for part in answer.replace(b":", b"").split(b"\r\n")[1:-1]]

    def load(self, text: bytes) -> None:
        """Gives Redis a script that it does not have."""
        self._connection.send_command("SCRIPT", "LOAD", text)
        self._connection.read_response()

    def close(self) -> None:
        self._connection.disconnect()


class Forgotten(RedisError):
    """Redis does not have the script."""


class Closed(ConnectionError):
    """The connection was closed by the other side."""


def _whole(answer: bytes) -> bool:
    """Whether this is an error, or all members of an array of numbers."""
    if not answer.endswith(b"\r\n"):
        return False
    return answer[:1] == b"-" or answer.count(b"\r\n") == 1 + int(answer[1 : answer.index(b"\r")])


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
        self._idle: deque[Line] = deque()
        self._seconds_max = seconds_max
        self._decide, self._report = Script("decide.lua"), Script("report.lua")
        self._audit_entries_max = audit_entries_max

    def decide(self, ask: Ask, now: int = 0) -> Ruling:
        keys = [STREAM, ask.once, *ask.marks, *[bucket.key for bucket in ask.buckets]]
        always, note = b"1" if ask.always else b"0", ask.note
        arguments = [
            _bulks(now, len(ask.marks), int(ask.excused), ask.once_ms),
            b"$1\r\n%b\r\n$%d\r\n%b\r\n" % (always, len(note), note),
            _bulks(self._audit_entries_max, ask.verdict),
            *[_bulks(bucket.interval, bucket.capacity, bucket.cost, bucket.level) for bucket in ask.buckets],
        ]
        code, *numbers = self._call(self._decide, keys, 8 + 4 * len(ask.buckets), arguments)
        return Ruling(Code(code), *numbers)

    def report(self, failures: Sequence[Failure], now: int = 0) -> None:
        keys = [key for failure in failures for key in (failure.key, failure.mark)]
        arguments = [_bulks(each.interval, each.soft, each.hard, each.mark_ms, each.ban_ms) for each in failures]
        self._call(self._report, keys, 1 + 5 * len(failures), [_bulks(now), *arguments])

    def close(self) -> None:
        """Closes what is not in use."""
        while self._idle:
            self._idle.pop().close()

    def _call(self, script: Script, keys: Sequence[str], count: int, arguments: Sequence[bytes]) -> list[int]:
        request = _command(script, keys, count, arguments)
        try:
            try:
                line = self._idle.pop()
            except IndexError:
                return self._ask(Line(self._pool, self._seconds_max), script, request)
            try:
                return self._ask(line, script, request)
            except ConnectionError:
                # Redis has been started anew: what is idle is as dead as this one.
                self.close()
                return self._ask(Line(self._pool, self._seconds_max), script, request)
        except (RedisError, OSError) as error:
            raise StoreUnavailable(str(error) or type(error).__name__) from error

    def _ask(self, line: Line, script: Script, request: bytes) -> list[int]:
        try:
            try:
                answer = line.ask(request)
            except Forgotten:
                line.load(script.text)
                answer = line.ask(request)
        except BaseException:
            # An answer that comes late must not be taken for another question's.
            line.close()
            raise
        self._idle.append(line)
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


@functools.lru_cache(maxsize=4096)
def _bulks(*numbers: int) -> bytes:
    """Numbers as Redis' protocol wants them; they are nearly always the same ones."""
    return b"".join([_bulk(b"%d" % number) for number in numbers])


def _command(script: Script, keys: Sequence[str], count: int, arguments: Sequence[bytes]) -> bytes:
    """The call as Redis' protocol wants it, with `count` arguments. The client's own writer takes twice as long."""
    parts = [b"*%d\r\n" % (3 + len(keys) + count), script.head, _bulks(len(keys))]
    for key in keys:
        encoded = key.encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(encoded), encoded))
    return b"".join(parts + list(arguments))
