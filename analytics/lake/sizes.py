"""How much there is of each table."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import TableNotFoundError

from analytics.lake.lake import Lake, reaching
from analytics.lake.tables import TABLES, LakeTable


@dataclass(frozen=True, slots=True)
class Size:
    """A table as it is committed: number of its last commit, files, bytes and rows."""

    name: str
    version: int
    files: int
    bytes: int
    rows: int


def sizes(lake: Lake) -> list[Size]:
    """Of each table that was made. Raises `LakeUnavailable`."""
    found = []
    for table in TABLES:
        try:
            with reaching():
                found.append(_size(lake, table))
        except TableNotFoundError:
            continue
    return found


def _size(lake: Lake, table: LakeTable) -> Size:
    opened = lake.open(table)
    files = pa.table(opened.get_add_actions(flatten=True))
    total = pc.sum(files["size_bytes"]).as_py() or 0
    return Size(table.name, opened.version(), files.num_rows, total, pc.sum(files["num_records"]).as_py() or 0)
