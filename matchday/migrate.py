"""Makes the site's database when there is none and brings its schema up to date.

Run as a process of its own (`python -m matchday.migrate`, address in DATABASE_URL): a stop can end it.
"""

import sys

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import make_url

from matchday.errors import RunnerError
from matchday.paths import CHECKOUT
from shared.errors import in_a_line
from shared.settings import DatabaseSettings, load

MAINTENANCE_DATABASES = ("postgres", "template1")
CONNECT_SECONDS = 5


def ensure_database(url: str) -> bool:
    """Create the database of `url` when the server does not have it; True when it was created."""
    address = make_url(url).set(drivername="postgresql")
    plain = address.render_as_string(hide_password=False)
    try:
        psycopg.connect(plain, connect_timeout=CONNECT_SECONDS).close()
    except psycopg.OperationalError as error:
        # libpq tells no SQLSTATE for a failed start of a session, only the server's words.
        if f'database "{address.database}" does not exist' not in str(error):
            raise RunnerError(f"DATABASE_URL: {' '.join(str(error).split())}") from error
    else:
        return False
    _create(plain, address.database or "")
    return True


def _create(url: str, name: str) -> None:
    problem = ""
    for maintenance in MAINTENANCE_DATABASES:
        elsewhere = make_url(url).set(database=maintenance).render_as_string(hide_password=False)
        try:
            with psycopg.connect(elsewhere, connect_timeout=CONNECT_SECONDS, autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            return
        except psycopg.errors.DuplicateDatabase:
            return
        except psycopg.Error as error:
            problem = in_a_line(error)
    raise RunnerError(f"DATABASE_URL: there is no database {name!r} and it cannot be created: {problem}")


def upgrade() -> None:
    """Run all migrations that the database of DATABASE_URL does not have yet."""
    configuration = CHECKOUT / "alembic.ini"
    if configuration.exists() and (CHECKOUT / "migrations" / "env.py").exists():
        command.upgrade(Config(str(configuration)), "head")


def main() -> int:
    try:
        ensure_database(load(DatabaseSettings).database_url)
        upgrade()
    except RunnerError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
