"""Alembic's entry: one history, every service's tables, the address from DATABASE_URL."""

from alembic import context
from sqlalchemy import Connection, create_engine, make_url, text

import analytics.tables
import payments.tables
import reservations.tables
import reservations.waiting_room.tables
import security.tables
import shop.inventory.tables
import shop.listings.tables
import shop.search.tables
import users.tables
from shared.settings import DatabaseSettings, load

METADATA = [
    analytics.tables.metadata,
    payments.tables.metadata,
    shop.inventory.tables.metadata,
    shop.listings.tables.metadata,
    shop.search.tables.metadata,
    reservations.tables.metadata,
    reservations.waiting_room.tables.metadata,
    security.tables.metadata,
    users.tables.metadata,
]
SCHEMAS = [metadata.schema for metadata in METADATA]
# A migration that cannot have a table's lock soon gives up, rather than let everybody wait behind it.
LOCK_TIMEOUT = "5s"


def _include_name(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "schema" or name in SCHEMAS


def run(connection: Connection) -> None:
    """Runs the migrations that are asked for, all or none."""
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        include_schemas=True,
        include_name=_include_name,
        version_table="alembic_version",
        compare_server_default=True,
    )
    with context.begin_transaction():
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        context.run_migrations()


def main() -> None:
    """Uses the connection that a caller hands over, or opens one."""
    given = context.config.attributes.get("connection")
    if given is not None:
        run(given)
        return
    url = make_url(load(DatabaseSettings).database_url).set(drivername="postgresql+psycopg")
    with create_engine(url).connect() as connection:
        run(connection)


main()
