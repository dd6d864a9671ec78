"""The lake as a place: its tables, what has been written of each partition, and SQL over what is committed."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import TableNotFoundError

from analytics.lake.tables import MOMENT, SCHEMA_VERSION, TABLES, LakeTable
from shared.errors import DependencyUnavailable

# DuckDB would fetch extensions from the network when a query seems to need one.
OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
FOLDERS = ", hive_partitioning = true, hive_types = {'day': DATE}"


class LakeUnavailable(DependencyUnavailable):
    """The data lake is out of reach."""

    code = "lake_unavailable"


@contextmanager
def reaching() -> Iterator[None]:
    """Turns what the store raises when it is out of reach into `LakeUnavailable`."""
    try:
        yield
    except OSError as error:
        raise LakeUnavailable(f"the lake is out of reach: {str(error).splitlines()[0]}") from error


class Lake:
    """Tables below one address: a folder, or `s3://bucket/path`. Safe for one writer and any number of readers."""

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

    def create(self) -> None:
        """Makes the tables that do not exist."""
        for table in TABLES:
            DeltaTable.create(
                self.place(table),
                pa.schema(table.columns),
                mode="ignore",
                partition_by=list(table.partition_by) or None,
                storage_options=self._storage,
            )

    def open(self, table: LakeTable) -> DeltaTable:
        """The table as it is committed now. Raises `TableNotFoundError`."""
        return DeltaTable(self.place(table), storage_options=self._storage)

    def position(self, table: LakeTable, source: str) -> int:
        """The offset before which the table has all that `source`, a partition by its name, holds; 0 for none."""
        return self.open(table).transaction_version(source) or 0

    def append(self, table: LakeTable, rows: pa.Table, positions: Mapping[str, int]) -> None:
        """Adds rows and moves the positions of their sources, in one commit."""
        write_deltalake(
            self.open(table),
            rows.cast(table.columns),
            mode="append",
            commit_properties=CommitProperties(
                app_transactions=[Transaction(source, offset) for source, offset in positions.items()],
            ),
        )

    def replace(self, table: LakeTable, rows: pa.Table) -> None:
        """Puts the rows in the place of all that the table has."""
        write_deltalake(self.open(table), rows.cast(table.columns), mode="overwrite")

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
