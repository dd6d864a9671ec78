"""A thousand viewers follow one shop process live, and it answers readers all the while."""

import asyncio
import itertools
import json
import resource
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from shared.database import Database
from shared.masterlist import parse_masterlist
from shared.settings import DatabaseSettings, load
from shop.inventory.catalogue import apply_match
from tests.eventually import eventually
from tests.sites import RunningSite

VIEWERS = 1000
READERS = 4
SMALL = Path(__file__).parents[2] / "matchday" / "masterlists" / "small.json"


class Viewers:
    """Many open streams, read by one event loop in a thread; counts who has seen which number of match 1."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: list[asyncio.Task[None]] = []
        self.pending: dict[int, int] = {}  # viewer → what it was told last of match 1, category 1
        self.refused: Counter[bytes] = Counter()
        self.ended = 0
        self._thread.start()

    def open(self, count: int) -> None:
        async def begin() -> None:
            for viewer in range(count):
                self._tasks.append(self._loop.create_task(self._watch(viewer)))
                await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(begin(), self._loop).result(60)

    async def _watch(self, viewer: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"GET /api/availability/stream?matchNumber=1 HTTP/1.1\r\nHost: shop\r\n\r\n")
            if b" 200 " not in (status := await reader.readline()):
                self.refused[status] += 1
            while line := await reader.readline():
                if line.startswith(b"data: {"):
                    self._note(viewer, json.loads(line[6:]))
        finally:
            self.ended += 1
            writer.close()

    def _note(self, viewer: int, data: dict[str, list[dict[str, int]]]) -> None:
        for pool in data["categories"]:
            if pool["category"] == 1:
                self.pending[viewer] = pool["pending"]

    def told(self) -> Counter[int]:
        return Counter(list(self.pending.values()))

    def close(self) -> None:
        async def end() -> None:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()


@pytest.fixture
def shop(make_site: Callable[..., RunningSite]) -> RunningSite:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    return make_site("viewers", only=["shop"]).start()


@pytest.fixture
def database(shop: RunningSite) -> Iterator[Database]:
    database = Database(load(DatabaseSettings, {"DATABASE_URL": shop.database_url}), "test")
    with database.transaction() as connection:
        for entry in parse_masterlist(SMALL.read_bytes()):
            apply_match(connection, entry, 0)
    yield database
    database.close()


@pytest.fixture
def viewers(shop: RunningSite, database: Database) -> Iterator[Viewers]:
    viewers = Viewers(shop.ports["shop"])
    yield viewers
    viewers.close()


def _hold(database: Database, held: int) -> None:
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE shop.pools SET held = :held WHERE match_number = 1 AND category = 1"), {"held": held}
        )


def _all_know(viewers: Viewers, pending: int) -> None:
    def all_know() -> bool:
        assert (viewers.told(), viewers.refused) == ({pending: VIEWERS}, {})
        return True

    eventually(all_know, 120, f"all viewers are told {pending}")


def test_a_thousand_viewers_follow_and_readers_are_answered(
    shop: RunningSite, database: Database, viewers: Viewers
) -> None:
    viewers.open(VIEWERS)
    _all_know(viewers, 20)
    stop = threading.Event()

    def read() -> Counter[int]:
        answers: Counter[int] = Counter()
        with httpx.Client(base_url=shop.url("shop"), timeout=30, trust_env=False) as client:
            while not stop.is_set():
                answers[client.get("/api/matches/1/availability").status_code] += 1
        return answers

    with ThreadPoolExecutor(READERS) as threads:
        readers = [threads.submit(read) for _ in range(READERS)]
        try:
            for held in (1, 5, 20):
                _hold(database, held)
                _all_know(viewers, 20 - held)
        finally:
            stop.set()
        answers = sum((reader.result(60) for reader in readers), Counter())
    assert set(answers) == {200}
    assert answers[200] >= 100
    assert viewers.ended == 0
    assert shop.restarts("shop") == 0


def test_viewers_that_leave_are_forgotten_and_a_stop_ends_the_rest(
    shop: RunningSite, database: Database, viewers: Viewers
) -> None:
    leaving = Viewers(shop.ports["shop"])
    leaving.open(50)
    viewers.open(50)

    def open_streams() -> int:
        return int(shop.client("shop").get("/health/ready").json()["viewers"])

    eventually(lambda: open_streams() == 100, 60)
    leaving.close()
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", shop.ports["shop"])) as hasty:
            hasty.sendall(b"GET /api/availability/stream HTTP/1.1\r\nHost: shop\r\n\r\n")
    assert shop.client("shop").head("/api/availability/stream").status_code == 200
    held = itertools.count()

    def only_the_rest_is_left() -> bool:
        _hold(database, next(held) % 7)  # who has left is noticed when there is something to send
        return open_streams() == 50

    eventually(only_the_rest_is_left, 60, "those who left are forgotten")
    shop.stop()
    eventually(lambda: viewers.ended == 50, 60, "a stop ends the streams")
