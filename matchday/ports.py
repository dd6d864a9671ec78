"""Ports of this machine: which are free, and who has the others."""

import random
import socket
from collections.abc import Iterable

import psutil

from matchday.errors import RunnerError

LOOPBACK = "127.0.0.1"
# Below the range from which Linux and macOS take the local ports of outgoing connections, so that a server
# which restarts finds its port again.
FREE_FROM, FREE_TO = 20_000, 32_000
_given: set[int] = set()


def is_free(port: int) -> bool:
    """Whether a server may listen on the port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A free port that this process has not been given before."""
    for port in random.SystemRandom().sample(range(FREE_FROM, FREE_TO), k=500):
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise RunnerError(f"no free port found between {FREE_FROM} and {FREE_TO}")


def free_offset(ports: Iterable[int]) -> int:
    """What to add to each of the ports so that all are free and none has been given before."""
    wanted = sorted(ports)
    for offset in random.SystemRandom().sample(range(FREE_FROM - wanted[0], FREE_TO - wanted[-1]), k=500):
        moved = {port + offset for port in wanted}
        if moved.isdisjoint(_given) and all(map(is_free, moved)):
            _given.update(moved)
            return offset
    raise RunnerError(f"no {len(wanted)} free ports found between {FREE_FROM} and {FREE_TO}")


def owner(port: int) -> str:
    """A few words on the process that listens on `port`, as far as this user may know."""
    for process in psutil.process_iter():
        try:
            connections = process.net_connections(kind="tcp")
        except (psutil.Error, OSError):
            continue
        if any(c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port for c in connections):
            return f"process {process.pid} ({_command(process)})"
    return "another process"


def _command(process: psutil.Process) -> str:
    try:
        words = process.cmdline() or [process.name()]
    except psutil.Error:
        return "of another user"
    return " ".join(" ".join([words[0].rpartition("/")[2], *words[1:3]]).split())[:60]


def require_free(ports: Iterable[tuple[str, int]]) -> None:
    """Raise with every port in use, who has it and what to change."""
    taken = [f"port {port} for {name} is used by {owner(port)}" for name, port in ports if not is_free(port)]
    if taken:
        raise RunnerError("; ".join(taken) + ": stop it, or choose other ports, e.g. PORT_OFFSET=100")
