"""What is decided about a request: marks, buckets and solutions that count once; pure, the clock is an argument.

`decide` and `report` are what `decide.lua` and `report.lua` do on Redis, written once more on a dictionary: the model
that the scripts are tested against, and what a process goes by alone while Redis is away.

A bucket is GCRA (the generic cell rate algorithm, ITU-T I.371): one number, the theoretical arrival time of the next
request. A bucket of capacity c and interval t takes c requests at once and one more every t.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

# Redis counts in doubles: microseconds since 1970 are exact until the year 2255.
MICROSECONDS = 1_000_000


class Level(enum.IntEnum):
    """What a full bucket means."""

    CHALLENGE = 1
    LIMIT = 2


class Code(enum.IntEnum):
    """How it was decided; the numbers are those of the scripts."""

    ALLOWED = 0
    MARKED = 1  # challenged, for what this caller did before
    BANNED = 2  # blocked for a time, for the same
    SUSPECT = 3  # challenged: too many for somebody unknown
    LIMITED = 4  # too many for anybody
    REPLAYED = 5  # the solution was used before
    LISTED = 6  # blocked, by an operator's list
    SCANNER = 7  # blocked, for what it says it is
    LISTED_SUSPECT = 8  # challenged, by an operator's list


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit: `capacity` requests at once, one more every `interval` µs; this request takes `cost` of it."""

    key: str
    interval: int
    capacity: int
    level: Level
    cost: int = 1

    def __post_init__(self) -> None:
        if not (self.interval > 0 and self.capacity >= self.cost > 0):
            raise ValueError(f"a bucket that can take nothing: {self}")


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked about one request.

    `marks` are keys under which it may have been marked before; who is `excused`, having solved a challenge, is not
    challenged again. `once` is the key of a solution that is used with this request, kept for `once_ms`. What is
    decided is written to the audit log when it is not "allowed", or always, as `note`. `verdict` is what was decided
    before, by what the process itself knows; it is only written down.
    """

    marks: Sequence[str]
    buckets: Sequence[Bucket]
    excused: bool = False
    once: str = ""
    once_ms: int = 0
    always: bool = False
    note: bytes = b""
    verdict: Code = Code.ALLOWED


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was decided. `index`: of the mark or bucket that decided, from 0.

    `wait`: µs until the same request would pass; `bucket`, `left` and `reset`: the bucket with least left, how many
    requests it still takes, and in how many µs it is empty again.
    """

    code: Code
    index: int = 0
    wait: int = 0
    bucket: int = 0
    left: int = 0
    reset: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that went wrong, counted under `key`: who does it beyond `soft` is marked, beyond `hard` banned."""

    key: str
    mark: str
    interval: int
    soft: int
    hard: int
    mark_ms: int
    ban_ms: int


class Memory:
    """Numbers that expire, as Redis keeps them, for one process; at most `size` of them."""

    def __init__(self, size: int = 100_000) -> None:
        self.now = 0
        self._size = size
        self._kept: dict[str, tuple[int, int]] = {}

    def get(self, key: str) -> int:
        """The number, 0 when there is none (any more)."""
        value, until = self._kept.get(key, (0, 0))
        return value if until > self.now else 0

    def keep(self, key: str, value: int, milliseconds: int) -> None:
        """Remembers the number for so long."""
        if len(self._kept) >= self._size and key not in self._kept:
            self._make_room()
        self._kept[key] = (value, self.now + milliseconds * 1000)

    def left(self, key: str) -> int:
        """For how many µs it is still kept."""
        return self._kept[key][1] - self.now

    def __len__(self) -> int:
        return len(self._kept)

    def _make_room(self) -> None:
        self._kept = {key: kept for key, kept in self._kept.items() if kept[1] > self.now}
        # Still full: the older half goes. Who is forgotten may begin anew.
        too_many = len(self._kept) // 2 if len(self._kept) >= self._size else 0
        for key in list(self._kept)[:too_many]:
            del self._kept[key]


MARK, BAN = 1, 2


def decide(memory: Memory, ask: Ask, now: int) -> Ruling:
    """What becomes of the request at `now` µs; nothing is taken from any bucket unless it is allowed."""
    memory.now = max(memory.now, now)
    if ask.verdict is not Code.ALLOWED:
        return Ruling(ask.verdict)
    ruling = _by_marks(memory, ask) or _replayed(memory, ask) or _by_buckets(memory, ask)
    if ruling.code is Code.ALLOWED:
        for bucket in ask.buckets:
            due = _due(memory, bucket)
            memory.keep(bucket.key, due, _milliseconds(due - memory.now))
        if ask.once:
            memory.keep(ask.once, 1, ask.once_ms)
    return ruling


def _by_marks(memory: Memory, ask: Ask) -> Ruling | None:
    found = None
    for index, key in enumerate(ask.marks):
        mark = memory.get(key)
        if mark == BAN:
            return Ruling(Code.BANNED, index, memory.left(key))
        if mark == MARK and not ask.excused and found is None:
            found = Ruling(Code.MARKED, index)
    return found


def _replayed(memory: Memory, ask: Ask) -> Ruling | None:
    return Ruling(Code.REPLAYED) if ask.once and memory.get(ask.once) else None


def _by_buckets(memory: Memory, ask: Ask) -> Ruling:
    refused: Ruling | None = None
    least, allowed = None, Ruling(Code.ALLOWED)
    for index, bucket in enumerate(ask.buckets):
        backlog = _due(memory, bucket) - memory.now
        room = bucket.interval * bucket.capacity - backlog
        if room < 0 and bucket.level is Level.LIMIT:
            return Ruling(Code.LIMITED, index, -room, index, 0, backlog - bucket.interval * bucket.cost)
        if room < 0 and refused is None:
            refused = Ruling(Code.SUSPECT, index, -room, index, 0, backlog - bucket.interval * bucket.cost)
        left = room // bucket.interval
        if least is None or left < least:
            least, allowed = left, Ruling(Code.ALLOWED, 0, 0, index, left, backlog)
    return refused or allowed


def _due(memory: Memory, bucket: Bucket) -> int:
    return max(memory.get(bucket.key), memory.now) + bucket.interval * bucket.cost


def report(memory: Memory, failures: Sequence[Failure], now: int) -> None:
    """Counts what went wrong and marks who did it too often."""
    memory.now = max(memory.now, now)
    for failure in failures:
        due = max(memory.get(failure.key), memory.now) + failure.interval
        backlog = due - memory.now
        if backlog > failure.interval * failure.hard:
            due = memory.now + failure.interval * failure.hard
            memory.keep(failure.mark, BAN, failure.ban_ms)
        elif backlog > failure.interval * failure.soft and memory.get(failure.mark) != BAN:
            memory.keep(failure.mark, MARK, failure.mark_ms)
        memory.keep(failure.key, due, _milliseconds(due - memory.now))


def _milliseconds(microseconds: int) -> int:
    return -(-microseconds // 1000)
