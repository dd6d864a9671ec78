"""Small lakes for tests, written line by line."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from analytics.lake.lake import Lake
from analytics.lake.tables import MATCHES, POOLS, SITE_EVENTS, TICKET_MESSAGES

NOON = datetime(2022, 11, 20, 12, tzinfo=UTC)
Row = dict[str, Any]


@dataclass
class LakeOfLines:
    """Rows to be, each at the next offset of one partition; `write` makes the lake."""

    messages: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    pools: list[Row] = field(default_factory=list)
    matches: list[Row] = field(default_factory=list)

    def match(self, number: int, capacities: Sequence[int], *, price: float = 75, **more: Any) -> None:
        """A match of the catalogue with its categories from 1 on."""
        self.matches.append({"match_number": number, **more})
        for category, capacity in enumerate(capacities, 1):
            self.pools.append(
                {"match_number": number, "category": category, "capacity": capacity, "price": price, "currency": "USD"}
            )

    def message(
        self,
        site: str | None,
        action: str,
        quantity: int,
        *,
        sale: str | None = None,
        pool: tuple[int, int] = (1, 1),
        minutes: float = 0,
        price: float | None = 75,
        refused: str | None = None,
    ) -> int:
        """A line `minutes` after noon; returns its offset."""
        at = NOON + timedelta(minutes=minutes)
        self.messages.append(
            {
                "partition": 0, "offset": len(self.messages), "line": 0, "logged_at": at, "day": at.date(),
                "site": site, "sale_id": sale, "action": f"TICKET_{action}", "match_number": pool[0],
                "category": pool[1], "quantity": quantity, "price": price, "refused": refused,
            }
        )  # fmt: skip
        return len(self.messages) - 1

    def event(self, kind: str, *, minutes: float = 0, synthetic: bool = False, **more: Any) -> None:
        """An event of this site `minutes` after noon."""
        at, offset = NOON + timedelta(minutes=minutes), len(self.events)
        self.events.append(
            {
                "partition": 0, "offset": offset, "event_id": str(offset), "kind": kind, "happened_at": at,
                "day": at.date(), "synthetic": synthetic, **more,
            }
        )  # fmt: skip

    def write(self, folder: Path) -> Lake:
        """The lake in this folder."""
        lake = Lake(str(folder))
        lake.create()
        if self.messages:
            rows = pa.Table.from_pylist(self.messages, TICKET_MESSAGES.columns)
            lake.append(TICKET_MESSAGES, rows, {"sales-0": len(self.messages)})
        if self.events:
            rows = pa.Table.from_pylist(self.events, SITE_EVENTS.columns)
            lake.append(SITE_EVENTS, rows, {"events-0": len(self.events)})
        lake.replace(POOLS, pa.Table.from_pylist(self.pools, POOLS.columns))
        lake.replace(MATCHES, pa.Table.from_pylist(self.matches, MATCHES.columns))
        return lake
