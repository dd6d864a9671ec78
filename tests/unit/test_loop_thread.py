"""The loop in a thread of its own, as every Kafka client of a process has one."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from matchday.ports import LOOPBACK
from shared.errors import BrokerUnavailable
from shared.kafka.client import LoopThread

WAIT_SECONDS = 10


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server((LOOPBACK, 0)) as listening:
        listening.settimeout(WAIT_SECONDS)
        yield listening


def test_a_connection_that_nobody_closed_ends_with_the_loop(server: socket.socket) -> None:
    thread = LoopThread("left-open")
    thread.run(thread.loop.create_connection(asyncio.Protocol, *server.getsockname()), WAIT_SECONDS)
    other_side, _ = server.accept()
    with other_side:
        other_side.settimeout(WAIT_SECONDS)
        thread.close()
        assert other_side.recv(1) == b"", "the socket was closed, and not by the garbage collector's chance"


def test_an_answer_that_does_not_come_is_a_broker_out_of_reach(server: socket.socket) -> None:
    thread = LoopThread("no-answer")
    try:
        reader, writer = thread.run(asyncio.open_connection(*server.getsockname()), WAIT_SECONDS)
        with pytest.raises(BrokerUnavailable, match="TimeoutError"):
            thread.run(reader.read(1), 0.05)
        writer.close()
    finally:
        thread.close()
