"""Closes connections on which nothing of ours has arrived for long: slow bodies, and viewers that do not read.

A request's thread waits for its body without a limit that we could set, and the address of the client does
not say which connection it is. The kernel knows, though: as long as answers flow, the count of bytes that the
client has acknowledged grows. A connection where it stands still is either a client that sends its request
byte by byte, one that stopped in the middle, or one that does not read what it asked for.
"""

import os
import socket
import stat
import struct
import sys
import threading
import time

import structlog

from shared import metrics

log = structlog.get_logger(__name__)

SWEEP_SECONDS_MAX = 5.0
_TCP_INFO_BYTES = 192
_BYTES_ACKED = 120  # offset of tcpi_bytes_acked in Linux' struct tcp_info


class QuietConnections:
    """Watches this process' connections on one port.

    `seconds` must be more than any request may wait for its answer and than the silence of a stream.
    """

    def __init__(self, port: int, seconds: float) -> None:
        self._port = port
        self._seconds = seconds
        self._seen: dict[tuple[object, ...], tuple[int, float]] = {}  # client → bytes acknowledged, since when

    def start(self) -> None:
        """Watches from a thread, where the system tells what is needed (Linux)."""
        if sys.platform == "linux":
            threading.Thread(target=self._run, name="quiet-connections", daemon=True).start()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(min(SWEEP_SECONDS_MAX, self._seconds / 4)):
            self.sweep(time.monotonic())

    def sweep(self, now: float) -> int:
        """Looks at every connection once, closes those that were quiet for too long, and returns how many."""
        seen: dict[tuple[object, ...], tuple[int, float]] = {}
        closed = 0
        for descriptor in _descriptors():
            closed += self._look(descriptor, now, seen)
        self._seen = seen
        return closed

    def _look(self, descriptor: int, now: float, seen: dict[tuple[object, ...], tuple[int, float]]) -> int:
        try:
            # A copy stays the same connection even when the server closes its own descriptor meanwhile.
            copy = os.dup(descriptor)
        except OSError:
            return 0
        if not stat.S_ISSOCK(os.fstat(copy).st_mode):
            os.close(copy)
            return 0
        with socket.socket(fileno=copy) as connection:
            try:
                return self._judge(connection, now, seen)
            except OSError:
                return 0

    def _judge(self, connection: socket.socket, now: float, seen: dict[tuple[object, ...], tuple[int, float]]) -> int:
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getsockname()[1] != self._port:
            return 0
        client = connection.getpeername()
        acknowledged = _bytes_acknowledged(connection)
        before, since = self._seen.get(client, (acknowledged, now))
        since = since if before == acknowledged else now
        seen[client] = (acknowledged, since)
        if now - since < self._seconds:
            return 0
        metrics.HTTP_QUIET_CONNECTIONS.inc()
        log.warning("quiet_connection_closed", address=client[0], seconds=round(now - since, 1))
        connection.shutdown(socket.SHUT_RDWR)
        return 1


def _descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _bytes_acknowledged(connection: socket.socket) -> int:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    return int(struct.unpack_from("=Q", info, _BYTES_ACKED)[0])
