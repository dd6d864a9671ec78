"""Takes what is of erased accounts out of the lake."""

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, QueryBuilder, write_deltalake

from analytics.lake.lake import Lake, conflicting, moving, reaching
from analytics.lake.tables import SITE_EVENTS

ERASURES = "erasures"  # a position of `site_events`: up to which number accounts are erased
OFFSETS_AT_ONCE = 1000


def erase(lake: Lake, subjects: Collection[str], number: int) -> int:
    """Deletes the events of the pseudonyms, and moves `ERASURES` to `number`; returns how many there were.

    The commits name offsets, not pseudonyms, since the log of commits outlives them. The files that the rows were in
    are no part of the table any more, and deleted when upkeep deletes replaced files. Each commit moves `ERASURES`, so
    that whoever is about to append without knowing of these accounts gets `StalePosition`.
    """
    with reaching(), conflicting():
        opened = lake.open(SITE_EVENTS)
        before = opened.transaction_version(ERASURES) or 0
        marks = moving({ERASURES: max(number, before)})
        found = _rows_of(opened, subjects)
        for predicate in _predicates(found):
            _write_without(opened, predicate, marks)
        if not found.num_rows:
            schema = opened.schema()
            opened.create_write_transaction(
                [], mode="append", schema=schema, partition_by=list(SITE_EVENTS.partition_by), commit_properties=marks
            )
        return len(found)


def _rows_of(opened: DeltaTable, subjects: Collection[str]) -> pa.Table:
    theirs = ", ".join("'" + subject.replace("'", "''") + "'" for subject in subjects)
    query = f'SELECT "partition", "offset" FROM events WHERE subject IN ({theirs})'
    return pa.table(QueryBuilder().register("events", opened).execute(query))


def _write_without(opened: DeltaTable, predicate: str, marks: CommitProperties) -> None:
    """Writes the files that have such rows anew without them.

    Not by `DeltaTable.delete`: the texts in files that it writes are of a type (`string_view`) that pyarrow, and DuckDB
    through it, cannot compare, so that nobody could look for an account or a kind of event in them any more.
    """
    nothing = SITE_EVENTS.columns.empty_table()
    write_deltalake(opened, nothing, mode="overwrite", predicate=predicate, commit_properties=marks)


def _predicates(rows: pa.Table) -> Iterator[str]:
    for partition in pc.unique(rows["partition"]).to_pylist():
        offsets = rows.filter(pc.equal(rows["partition"], partition))["offset"].to_pylist()
        for start in range(0, len(offsets), OFFSETS_AT_ONCE):
            yield f'"partition" = {partition} AND "offset" IN ({_listed(offsets[start : start + OFFSETS_AT_ONCE])})'


def _listed(offsets: Sequence[int]) -> str:
    return ", ".join(map(str, offsets))
