"""PostgreSQL: one engine a process; one request or one batch is one transaction.

Every session has a lock and a statement time-out, so that no wait is unbounded. What the driver raises when
the server is out of reach becomes `DependencyUnavailable`, which HTTP answers as 503 and loops retry.

Where many statements make one transaction (a batch of submits, a batch of the log) they are sent together: inside
`together` the driver waits for no answer until one is asked for, so that a batch costs two round trips, not ten. There,
statements go to the driver itself with `ask` and `tell`, as SQLAlchemy waits for each.
"""

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

import psycopg
import structlog
from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url, text
from sqlalchemy.pool import QueuePool

from shared.arrays import ArrayDumper
from shared.errors import DependencyUnavailable
from shared.settings import DatabaseSettings

log = structlog.get_logger(__name__)

# SQLSTATE classes that say "come again": connection, resources, operator intervention; and lock time-outs.
RETRIABLE_CLASSES = ("08", "53", "57", "58")
RETRIABLE_STATES = ("25P03", "25P04", "40001", "40P01", "55P03")
TRANSACTION_TIMEOUT_SINCE = 170_000  # PostgreSQL 17
LISTEN_POLL_SECONDS = 1.0
CLOSE_SECONDS_MAX = 5.0
CLOSE_POLL_SECONDS = 0.01
PREPARE_AFTER = 1  # uses of a statement on a connection before it is prepared there
LISTEN_RETRY_SECONDS = 0.5


class Busy(Exception):
    """Somebody else is at it, for longer than one would wait."""


class Lease:
    """That one is alone with something, as long as the connection lives."""

    def __init__(self, raw: psycopg.Connection) -> None:
        self._raw = raw

    def is_held(self) -> bool:
        """Whether it still is so: PostgreSQL lets the next one in when the connection breaks."""
        try:
            self._raw.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True


class Database:
    """The way of one process to its database."""

    def __init__(self, settings: DatabaseSettings, application_name: str) -> None:
        self.settings = settings
        self.url = make_url(settings.database_url).set(drivername="postgresql+psycopg")
        self.application_name = application_name
        self.engine: Engine = create_engine(
            self.url,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_connect_seconds,
            pool_use_lifo=True,
            connect_args=self._connect_args(),
        )
        event.listen(self.engine, "connect", _write_lists_fast)
        event.listen(self.engine, "connect", self._bound_transactions)

    def _bound_transactions(self, connection: psycopg.Connection, _record: object) -> None:
        """Ends transactions of a process that hangs, with the row locks that it holds.

        Between the statements of a pipeline no other limit counts, not even that for idle transactions; servers before
        PostgreSQL 17 do not know this one.
        """
        if connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
            longest_ms = int(self.settings.database_statement_seconds * 2000)
            connection.execute(f"SET transaction_timeout = {longest_ms}".encode())
            connection.commit()

    def _connect_args(self) -> dict[str, object]:
        settings = self.settings
        options = (
            f"-c lock_timeout={int(settings.database_lock_seconds * 1000)}"
            f" -c statement_timeout={int(settings.database_statement_seconds * 1000)}"
            " -c idle_in_transaction_session_timeout=60000 -c timezone=UTC"
            # Our statements are few and good for any values; to plan one costs more than to run it.
            " -c plan_cache_mode=force_generic_plan -c jit=off"
        )
        return {
            "connect_timeout": settings.database_connect_seconds,
            "application_name": self.application_name,
            "options": options,
            "prepare_threshold": PREPARE_AFTER,
        }

    @contextlib.contextmanager
    def transaction(self, isolation: str | None = None) -> Iterator[Connection]:
        """A connection whose changes are committed at the end, or all undone by any exception.

        Raises `DependencyUnavailable` when the server cannot be reached or gave up waiting for a lock.
        """
        with unavailable_as_error(), self.engine.connect() as connection:
            if isolation is not None:
                connection = connection.execution_options(isolation_level=isolation)
            try:
                with connection.begin():
                    yield connection
            except psycopg.Error:
                if driver(connection).closed:
                    connection.invalidate()
                    self.engine.dispose()  # the others of the pool are as dead as this one
                raise

    @contextlib.contextmanager
    def alone(self, name: str, seconds: float) -> Iterator["Lease"]:
        """Lets one at a time into what has this name, of all processes; ends with this one's life at the latest.

        It is held on a connection of its own, so that no transaction stays open and no connection of the pool is kept
        while others are asked. Raises `Busy` when it does not become free in time, and `DependencyUnavailable`.
        """
        dsn = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        with unavailable_as_error():
            raw = psycopg.connect(
                dsn,
                autocommit=True,
                connect_timeout=self.settings.database_connect_seconds,
                application_name=f"{self.application_name}-alone",
            )
        with contextlib.closing(raw):
            with unavailable_as_error():
                raw.execute(f"SET lock_timeout = {max(1, int(seconds * 1000))}".encode())
                try:
                    raw.execute("SELECT pg_advisory_lock(%s)", (number,))
                except psycopg.errors.LockNotAvailable as error:
                    raise Busy(name) from error
            yield Lease(raw)

    def ping(self) -> None:
        """Readiness: one round trip, or `DependencyUnavailable`."""
        with self.transaction() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Closes all connections; first waits a moment for those in use, which would stay open otherwise."""
        pool = cast(QueuePool, self.engine.pool)
        deadline = time.monotonic() + CLOSE_SECONDS_MAX
        while pool.checkedout() > 0 and time.monotonic() < deadline:
            time.sleep(CLOSE_POLL_SECONDS)
        self.engine.dispose()

    def listener(self, channel: str, on_notice: Callable[[str], None], on_connect: Callable[[], None]) -> "Listener":
        """A thread that hands on what is sent with NOTIFY on the channel; not started yet."""
        return Listener(self, channel, on_notice, on_connect)


def _write_lists_fast(raw: psycopg.Connection, _record: object) -> None:
    raw.adapters.register_dumper(list, ArrayDumper)


T = TypeVar("T")
Rows = Iterable[tuple[Any, ...]]
Params = Mapping[str, Any]


def driver(connection: Connection) -> psycopg.Connection:
    """The driver's own connection, in the same transaction."""
    return cast(psycopg.Connection, connection.connection.driver_connection)


@contextlib.contextmanager
def together(connection: Connection, *, commit: bool = False) -> Iterator[None]:
    """What is asked and told inside is sent together; an error of any of it is raised at the end at the latest.

    With `commit` the transaction ends there as well: nothing may follow.
    """
    raw = driver(connection)
    with raw.pipeline():
        yield
        if commit:
            raw.commit()


def ask(connection: Connection, statement: str, params: Params, read: Callable[[Rows], T]) -> Callable[[], T]:
    """Sends a query; the function that is returned waits for the rows and reads them."""
    cursor = driver(connection).execute(statement, params)
    return lambda: read(cursor)


def tell(connection: Connection, statement: str, params: Params) -> None:
    """Sends a statement whose answer nobody needs."""
    driver(connection).execute(statement, params)


class Listener(threading.Thread):
    """LISTEN on one channel for as long as the process lives.

    Notices sent while the connection was away are lost, so `on_connect` is called after each (re)connect: what
    waits for a notice looks at the tables once more there.
    """

    def __init__(
        self,
        database: Database,
        channel: str,
        on_notice: Callable[[str], None],
        on_connect: Callable[[], None],
    ) -> None:
        super().__init__(name=f"listen-{channel}", daemon=True)
        self._database = database
        self._channel = channel
        self._on_notice = on_notice
        self._on_connect = on_connect
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except psycopg.OperationalError as error:
                log.warning("listen_lost", channel=self._channel, error=str(error).strip())
                self._stopping.wait(LISTEN_RETRY_SECONDS)

    def _listen(self) -> None:
        database = self._database
        dsn = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(
            dsn,
            autocommit=True,
            connect_timeout=database.settings.database_connect_seconds,
            application_name=f"{database.application_name}-listen",
        ) as connection:
            connection.execute(f'LISTEN "{self._channel}"')
            self._on_connect()
            while not self._stopping.is_set():
                for notice in connection.notifies(timeout=LISTEN_POLL_SECONDS):
                    self._on_notice(notice.payload)


@contextlib.contextmanager
def unavailable_as_error() -> Iterator[None]:
    """Turns the driver's "out of reach, come again" into `DependencyUnavailable`; other errors pass."""
    try:
        yield
    except exc.TimeoutError as error:
        raise DependencyUnavailable("no database connection became free in time") from error
    except (exc.DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, exc.DBAPIError) else error
        if is_retriable(cause):
            raise DependencyUnavailable("the database is out of reach or busy") from error
        raise


def is_retriable(error: BaseException | None) -> bool:
    """Whether the same statement may succeed later, unchanged."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        return isinstance(error, psycopg.OperationalError)
    return state[:2] in RETRIABLE_CLASSES or state in RETRIABLE_STATES
