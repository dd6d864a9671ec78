"""Seeded traffic of several partners, and a recount of it that shares no line of code with the product.

The recount works on what was meant, not on what stands in the log, and knows nothing of batches, transactions or
offsets: it is the specification's three lines of arithmetic, with the rules for sales that do not fit.
"""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

PENDING, RESERVED, CANCELLED = "TICKET_PENDING", "TICKET_RESERVED", "TICKET_CANCELLED"
PRICES = {1: 75, 2: 125, 3: 195}
PARTNERS = ("atlas", "boreas", "cygnus")
OWN = "matchday"

Pool = tuple[int, int]
Lines = tuple[tuple[int, int], ...]  # (category, quantity)


@dataclass(frozen=True)
class Meant:
    """One record as its sender meant it; `reason` is why it must be refused, if it must."""

    action: str
    match: int
    lines: Lines
    client_id: str | None = None
    sale_id: str | None = None
    reason: str | None = None
    raw: bytes | None = None

    def value(self) -> bytes | None:
        """The bytes that are sent: a client id travels in `meta` unless a sale id takes it to the headers."""
        if self.reason is not None:
            return self.raw
        what: list[dict[str, Any]] = [{"category": c, "quantity": q, "price": PRICES[c]} for c, q in self.lines]
        meta = {"action": self.action}
        if self.client_id is not None and self.sale_id is None:
            meta["clientId"] = self.client_id
        tickets: Any = what[0] if len(what) == 1 else what
        return json.dumps({"meta": meta, "body": {"matchNumber": self.match, "tickets": tickets}}).encode()

    def headers(self) -> list[tuple[str, bytes]]:
        if self.sale_id is None:
            return []
        return [("clientId", (self.client_id or "").encode()), ("saleId", self.sale_id.encode())]


def _bad(match: int) -> list[tuple[bytes | None, str]]:
    def raw(action: str, match: Any, tickets: Any) -> bytes:
        return json.dumps({"meta": {"action": action}, "body": {"matchNumber": match, "tickets": tickets}}).encode()

    return [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"null", "not_json"),
        (b"{}", "no_action"),
        (raw("TICKET_SOLD", match, {"category": 1, "quantity": 1}), "unknown_action"),
        (raw(PENDING, match, {"category": 1, "quantity": 3}), "bad_quantity"),
        (raw(PENDING, match, [{"category": 1, "quantity": 1}, {"category": 2, "quantity": 0}]), "bad_quantity"),
        (raw(RESERVED, match, {"category": 9, "quantity": 1}), "unknown_category"),
        (raw(PENDING, 999, {"category": 1, "quantity": 1}), "unknown_match"),
        (b" " * 65_537, "body_too_large"),
    ]


class Traffic:
    """What partners write, record by record."""

    def __init__(self, seed: int, matches: range) -> None:
        self._random = random.Random(seed)
        self._matches = matches
        self._open: list[Meant] = []
        self._ended: list[Meant] = []
        self._count = 0

    def take(self, count: int) -> list[Meant]:
        return [self._next() for _ in range(count)]

    def _next(self) -> Meant:
        make = self._random.choices(
            (self._hold, self._end, self._anonymous, self._odd, self._refused, self._from_us),
            (34, 30, 26, 4, 5, 1),
        )[0]
        return make()

    def _lines(self) -> Lines:
        count = 1 if self._random.random() < 0.9 else 2
        return tuple((category, self._random.randint(1, 2)) for category in self._random.sample((1, 2, 3), count))

    def _hold(self) -> Meant:
        self._count += 1
        client_id = self._random.choice(PARTNERS)
        meant = Meant(PENDING, self._random.choice(self._matches), self._lines(), client_id, f"sale-{self._count}")
        self._open.append(meant)
        return meant

    def _end(self) -> Meant:
        if not self._open:
            return self._hold()
        index = self._random.randrange(len(self._open))
        self._open[index], self._open[-1] = self._open[-1], self._open[index]
        began = self._open.pop()
        action = self._random.choice((RESERVED, RESERVED, CANCELLED))
        meant = Meant(action, began.match, began.lines, began.client_id, began.sale_id)
        self._ended.append(meant)
        return meant

    def _anonymous(self) -> Meant:
        action = self._random.choice((PENDING, PENDING, RESERVED, CANCELLED))
        client_id = self._random.choice((*PARTNERS, None))
        return Meant(action, self._random.choice(self._matches), self._lines(), client_id)

    def _odd(self) -> Meant:
        """A message again, one that comes too late, or one of a sale that nobody knows."""
        if self._ended and self._random.random() < 0.7:
            old = self._random.choice(self._ended)
            action = self._random.choice((PENDING, RESERVED, CANCELLED))
            return Meant(action, old.match, old.lines, old.client_id, old.sale_id)
        self._count += 1
        action = self._random.choice((RESERVED, CANCELLED))
        match, client_id = self._random.choice(self._matches), self._random.choice(PARTNERS)
        return Meant(action, match, self._lines(), client_id, f"unheard-of-{self._count}")

    def _refused(self) -> Meant:
        match = self._random.choice(self._matches)
        raw, reason = self._random.choice(_bad(match))
        return Meant("", match, (), None, None, reason, raw)

    def _from_us(self) -> Meant:
        action = self._random.choice((PENDING, RESERVED, CANCELLED))
        return Meant(action, self._random.choice(self._matches), self._lines(), OWN)


@dataclass
class Numbers:
    """One pool."""

    capacity: int
    held: int = 0
    sold: int = 0
    anonymous: int = 0

    @property
    def free(self) -> int:
        return self.capacity - self.held - self.sold


@dataclass
class Recount:
    """What every site must count, after `see` was told every record in the order of the log."""

    capacity: int
    pools: dict[Pool, Numbers] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    flagged: Counter[str] = field(default_factory=Counter)
    _sales: dict[tuple[str, str, Pool], str] = field(default_factory=lambda: defaultdict(lambda: "unknown"))

    def see_all(self, records: Sequence[Meant]) -> None:
        for meant in records:
            self.see(meant)

    def see(self, meant: Meant) -> None:
        if meant.reason is not None:
            self.refused[meant.reason] += 1
        elif meant.client_id == OWN:
            self.flagged["own_client_id"] += len(meant.lines)
        elif meant.sale_id is None:
            for pool, quantity in self._lines(meant):
                self._anonymous(meant.action, pool, quantity)
        elif meant.action == PENDING:
            self._judge(meant)
        else:
            for pool, quantity in self._lines(meant):
                key = (meant.client_id or "", meant.sale_id, pool)
                (self._sell if meant.action == RESERVED else self._give_back)(key, quantity)

    def _pool(self, pool: Pool) -> Numbers:
        return self.pools.setdefault(pool, Numbers(self.capacity))

    def _lines(self, meant: Meant) -> Iterator[tuple[Pool, int]]:
        for category, quantity in meant.lines:
            yield (meant.match, category), quantity

    def _anonymous(self, action: str, pool: Pool, quantity: int) -> None:
        numbers = self._pool(pool)
        if action == PENDING:
            self.flagged["over_committed"] += numbers.free < quantity
            numbers.held += quantity
            numbers.anonymous += quantity
            return
        taken = min(quantity, numbers.anonymous)
        numbers.anonymous -= taken
        numbers.held -= taken
        if action == RESERVED:
            numbers.sold += quantity
        if taken < quantity:
            self.flagged["orphan_reserved" if action == RESERVED else "orphan_cancelled"] += 1

    def _judge(self, meant: Meant) -> None:
        lines = list(self._lines(meant))
        keys = [(meant.client_id or "", meant.sale_id or "", pool) for pool, _ in lines]
        if any(self._sales[key] != "unknown" for key in keys):
            self.flagged["duplicate"] += len(lines)
            return
        admitted = all(self._pool(pool).free >= quantity for pool, quantity in lines)
        for key, (pool, quantity) in zip(keys, lines, strict=True):
            self._sales[key] = "held" if admitted else "rejected"
            self._pool(pool).held += quantity if admitted else 0

    def _sell(self, key: tuple[str, str, Pool], quantity: int) -> None:
        state, numbers = self._sales[key], self._pool(key[2])
        kind = {
            "sold": "duplicate",
            "unknown": "orphan_reserved",
            "rejected": "reserved_after_rejection",
            "given back": "reserved_after_release",
        }.get(state)
        if kind is not None:
            self.flagged[kind] += 1
        if state == "sold":
            return
        numbers.held -= quantity if state == "held" else 0
        numbers.sold += quantity
        self._sales[key] = "sold"

    def _give_back(self, key: tuple[str, str, Pool], quantity: int) -> None:
        state = self._sales[key]
        if state == "unknown":
            self.flagged["orphan_cancelled"] += 1
        elif state == "sold":
            self.flagged["cancelled_after_reserved"] += 1
        if state == "held":
            self._pool(key[2]).held -= quantity
        if state in ("held", "unknown"):
            self._sales[key] = "given back"

    def counters(self) -> dict[Pool, tuple[int, int]]:
        """Of each pool held and sold."""
        return {pool: (numbers.held, numbers.sold) for pool, numbers in self.pools.items()}
