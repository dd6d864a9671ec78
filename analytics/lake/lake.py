"""The lake as a place: its tables, what has been written of each partition, and SQL over what is committed."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError, TableNotFoundError

from analytics.lake.tables import MOMENT, SCHEMA_VERSION, TABLES, LakeTable
from shared.errors import DependencyUnavailable, in_a_line

# DuckDB would fetch extensions from the network when a query seems to need one.
OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
KEEP_SECONDS = 3600
LOG_SECONDS_MIN = 3600  # a commit that meets others looks at what they did
FOLDERS = ", hive_partitioning = true, hive_types = {'day': DATE}"


class LakeUnavailable(DependencyUnavailable):
    """The data lake is out of reach."""

    code = "lake_unavailable"


@contextmanager
def reaching() -> Iterator[None]:
    """Turns what the store raises when it is out of reach, or its disk is full, into `LakeUnavailable`."""
    try:
        yield
    except (TableNotFoundError, SchemaMismatchError, CommitFailedError):
        raise
    except (OSError, DeltaError) as error:
        # A file that cannot be written is an OSError only if it is a commit; of rows it is a DeltaError.
        raise LakeUnavailable(f"the lake is out of reach: {in_a_line(error)}") from error


class StalePosition(Exception):
    """Somebody else has written meanwhile."""


@contextmanager
def conflicting() -> Iterator[None]:
    """Turns a commit that another one was faster than into `StalePosition`."""
    try:
        yield
    except CommitFailedError as error:
        raise StalePosition(in_a_line(error)) from error


def moving(positions: Mapping[str, int]) -> CommitProperties:
    """What a commit carries besides its files: where it has read its sources up to."""
    return CommitProperties(app_transactions=[Transaction(source, offset) for source, offset in positions.items()])


class Lake:
    """Tables below one address: a folder, or `s3://bucket/path`. Any number may read, and write."""

    def __init__(self, uri: str, storage: Mapping[str, str] | None = None) -> None:
        """`storage` is how to reach S3, in the words of the object store (`AWS_ENDPOINT_URL`, ...)."""
        self.uri = f"{uri.rstrip('/')}/v{SCHEMA_VERSION}"
        self._storage = dict(storage or {})

    @property
    def is_local(self) -> bool:
        return "://" not in self.uri

    def check(self) -> None:
        """Readiness: raises `LakeUnavailable` when the place is out of reach; tables may be missing."""
        with contextlib.suppress(TableNotFoundError), reaching():
            self.open(TABLES[0])

    def create(self, keep_seconds: int = KEEP_SECONDS) -> None:
        """Makes the tables that do not exist; `keep_seconds` is how long readers may use a commit that is replaced."""
        for table in TABLES:
            with reaching():
                DeltaTable.create(
                    self.place(table),
                    pa.schema(table.columns),
                    mode="ignore",
                    partition_by=list(table.partition_by) or None,
                    configuration=_configuration(table, keep_seconds),
                    storage_options=self._storage,
                )

    def open(self, table: LakeTable) -> DeltaTable:
        """The table as it is committed now. Raises `TableNotFoundError`."""
        return DeltaTable(self.place(table), storage_options=self._storage)

    def position(self, table: LakeTable, source: str) -> int:
        """The offset before which the table has all that `source`, a partition by its name, holds; 0 for none."""
        return self.open(table).transaction_version(source) or 0

    def positions(self, table: LakeTable, sources: Iterable[str]) -> dict[str, int]:
        """The positions of several sources, of one commit. Raises `LakeUnavailable`."""
        with reaching():
            return _positions(self.open(table), sources)

    def append(
        self,
        table: LakeTable,
        rows: pa.Table,
        positions: Mapping[str, int],
        since: Mapping[str, int] | None = None,
    ) -> None:
        """Adds rows and moves the positions of their sources, in one commit.

        With `since` only if the table stands there: of two writers that have read the same records one gets
        `StalePosition`, whether the other has written before or writes at the same moment. Raises `LakeUnavailable`
        when it is not known whether the commit was made; the positions tell.
        """
        with reaching():
            opened = self.open(table)
            if since is not None and (found := _positions(opened, since)) != since:
                raise StalePosition(f"{table.name} stands at {found}, not at {dict(since)}")
            with conflicting():
                write_deltalake(opened, rows.cast(table.columns), mode="append", commit_properties=moving(positions))

    def replace(self, table: LakeTable, rows: pa.Table, positions: Mapping[str, int] | None = None) -> None:
        """Puts the rows in the place of all that the table has, and moves the positions if any, in one commit."""
        with reaching(), conflicting():
            write_deltalake(
                self.open(table),
                rows.cast(table.columns),
                mode="overwrite",
                commit_properties=moving(positions or {}),
            )

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """SQL over one committed state of each table, a view of its name; an event that came twice is seen once.

        Moments are TIMESTAMPs in UTC: types with a zone need an extension that DuckDB has not built in.
        """
        with duckdb.connect(":memory:", config=OFFLINE) as connection:
            for table in TABLES:
                self._show(connection, table)
            yield connection

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of one SELECT, as mappings by column; `$name` in it stands for a parameter. Moments are UTC."""
        with self.connect() as connection:
            found = connection.execute(sql, _plain(parameters or {}))
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def place(self, table: LakeTable) -> str:
        """Where the table lies."""
        return f"{self.uri}/{table.name}"

    def _show(self, connection: duckdb.DuckDBPyConnection, table: LakeTable) -> None:
        files = self.files(table)
        source = f"{table.name}_stored"
        if files and self.is_local:
            literal = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
            folders = FOLDERS if table.partition_by else ""
            connection.execute(f"CREATE VIEW {source} AS SELECT * FROM read_parquet([{literal}]{folders})")
        elif files:
            connection.register(source, self.open(table).to_pyarrow_dataset())
        else:
            connection.register(source, table.columns.empty_table())
        columns = ", ".join(_shown(column) for column in table.columns)
        connection.execute(f"CREATE VIEW {table.name} AS SELECT {columns} FROM {source}{_once(table)}")

    def files(self, table: LakeTable) -> Sequence[str]:
        """Addresses of the Parquet files of what is committed now; none when the table was never made."""
        try:
            return [unquote(file) for file in self.open(table).file_uris()]
        except TableNotFoundError:
            return []


def _configuration(table: LakeTable, keep_seconds: int) -> dict[str, str | None]:
    """What the log of commits tells of each file besides its size, and how long what was replaced is kept.

    Of the columns the log knows the least and greatest value: of none that names an account, which would outlive it.
    """
    plain = [column.name for column in table.columns if not pa.types.is_string(column.type)]
    return {
        "delta.dataSkippingStatsColumns": ",".join(name for name in plain if name not in table.partition_by),
        "delta.deletedFileRetentionDuration": f"interval {keep_seconds} seconds",
        "delta.logRetentionDuration": f"interval {max(keep_seconds, LOG_SECONDS_MIN)} seconds",
    }


def _positions(opened: DeltaTable, sources: Iterable[str]) -> dict[str, int]:
    return {source: opened.transaction_version(source) or 0 for source in sources}


def _once(table: LakeTable) -> str:
    if "event_id" not in table.columns.names:
        return ""
    return ' QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY "partition", "offset") = 1'


def _shown(column: pa.Field) -> str:
    return f'CAST("{column.name}" AS TIMESTAMP) AS "{column.name}"' if column.type == MOMENT else f'"{column.name}"'


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value
        for name, value in parameters.items()
    }
