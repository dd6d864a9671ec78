"""How the lake's writer is: what it has last said, for whoever looks after the site."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from analytics import store
from analytics.ingest.topics import Progress
from shared import metrics
from shared.clock import Clock
from shared.database import Database

NEVER = "no writer has been heard of yet"


def lake_details(database: Database, clock: Clock) -> Mapping[str, Any]:
    """The member `lake` of `/health/ready`; the metrics of the lake's writer follow it."""
    with database.transaction() as connection:
        heard = store.heard(connection)
    if heard is None:
        return {"lake": {"state": NEVER, "silentSeconds": None, "partitions": [], "leftOut": {}}}
    silent = max(0.0, (clock.now() - heard.seen_at).total_seconds())
    _measure(heard, silent)
    shown = {"state": heard.state, "silentSeconds": round(silent, 1)}
    return {"lake": {**shown, "partitions": heard.progress, "leftOut": heard.left_out}}


def said(state: str, now: datetime, progress: list[Progress], left_out: dict[str, int]) -> store.WriterState:
    """What the writer says, in the form in which it is kept and shown."""
    partitions = [
        {
            "topic": one.topic,
            "partition": one.partition,
            "nextOffset": one.next_offset,
            "endOffset": one.end_offset,
            "lag": one.lag,
        }
        for one in progress
    ]
    return store.WriterState(state, now, partitions, left_out)


def _measure(heard: store.WriterState, silent: float) -> None:
    metrics.LAKE_SILENT.set(silent)
    for reason, count in heard.left_out.items():
        metrics.LAKE_LEFT_OUT.labels(reason).set(count)
    for topic in {part["topic"] for part in heard.progress}:
        metrics.LAKE_LAG.labels(topic).set(sum(part["lag"] for part in heard.progress if part["topic"] == topic))
