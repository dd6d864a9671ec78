"""Keeps the lake quick to read and its disk bounded: few large files, no old ones, a short log of commits."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import structlog
from deltalake import DeltaTable

from analytics.lake.lake import Lake, conflicting, reaching
from analytics.lake.tables import TABLES, LakeTable

log = structlog.get_logger(__name__)

FILE_BYTES = 128 * 1024 * 1024
SMALL_BYTES = FILE_BYTES // 2


@dataclass(frozen=True, slots=True)
class Kept:
    """What one round has done to a table, in files."""

    table: str
    joined: int
    deleted: int


def keep_up(lake: Lake, small_files_max: int) -> list[Kept]:
    """One round over all tables. Raises `LakeUnavailable`, and `StalePosition` when another one is at the same files.

    What was replaced is deleted when the table's time for it is over, so that readers of an older commit finish; so is
    what a killed writer has left and no commit names.
    """
    kept = []
    for table in TABLES:
        with reaching(), conflicting():
            opened = lake.open(table)
            joined = _compact(opened, table, small_files_max)
            deleted = len(opened.vacuum(dry_run=False, full=True))
            opened.create_checkpoint()
            opened.cleanup_metadata()
        kept.append(Kept(table.name, joined, deleted))
    log.info("lake_kept_up", joined=sum(one.joined for one in kept), deleted=sum(one.deleted for one in kept))
    return kept


def _compact(opened: DeltaTable, table: LakeTable, small_files_max: int) -> int:
    """Joins the small files of each folder that has more than `small_files_max`; returns how many."""
    joined = 0
    for day, count in _small_files(opened, table).items():
        if count > small_files_max:
            filters = None if day is None else [("day", "=", day)]
            joined += opened.optimize.compact(partition_filters=filters, target_size=FILE_BYTES)["numFilesRemoved"]
    return joined


def _small_files(opened: DeltaTable, table: LakeTable) -> Counter[str | None]:
    """How many small files each folder has; None stands for a table without folders."""
    files = pa.table(opened.get_add_actions(flatten=True))
    days = files["partition.day"].to_pylist() if table.partition_by else [None] * files.num_rows
    sizes = files["size_bytes"].to_pylist()
    return Counter(
        None if day is None else str(day) for day, size in zip(days, sizes, strict=True) if size < SMALL_BYTES
    )
