"""One look at the database for all readers, never older than allowed, never old numbers in an outage."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import DependencyUnavailable
from shop import snapshot
from shop.domain import LogPosition, Shelf
from shop.snapshot import Snapshots


class Database:
    """Looks at it are counted; it can be down, slow or changed."""

    def __init__(self) -> None:
        self.looks = 0
        self.offset = 0
        self.down = False
        self.gate = threading.Event()
        self.gate.set()

    def load(self) -> Shelf:
        self.looks += 1
        assert self.gate.wait(10)
        if self.down:
            raise DependencyUnavailable("the database is out of reach or busy")
        return Shelf((), LogPosition("sales", 0, self.offset))


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def snapshots(database: Database, time: Time) -> Snapshots:
    return Snapshots(database.load, 0.2, time)


def test_readers_within_the_time_share_one_look(snapshots: Snapshots, database: Database, time: Time) -> None:
    first = snapshots.get()
    time.now += 0.19
    assert snapshots.get() is first
    assert database.looks == 1


def test_after_the_time_there_is_a_new_look(snapshots: Snapshots, database: Database, time: Time) -> None:
    snapshots.get()
    database.offset, time.now = 7, time.now + 0.2
    assert snapshots.get().shelf.as_of == LogPosition("sales", 0, 7)
    assert database.looks == 2


def test_what_has_not_changed_keeps_its_answers(snapshots: Snapshots, time: Time) -> None:
    first = snapshots.get()
    answer = first.answer("key", lambda: b"made once")
    time.now += 1
    again = snapshots.get()
    assert again is first
    assert again.answer("key", lambda: b"never made") is answer


def test_what_has_changed_is_made_anew(snapshots: Snapshots, database: Database, time: Time) -> None:
    old = snapshots.get().answer("key", lambda: b"old")
    database.offset, time.now = 1, time.now + 1
    new = snapshots.get().answer("key", lambda: b"new")
    assert (old.body, new.body) == (b"old", b"new")
    assert old.etag != new.etag


def test_the_number_of_kept_answers_is_bounded(snapshots: Snapshots) -> None:
    content = snapshots.get()
    for number in range(snapshot.ANSWERS_MAX * 3):
        content.answer(number, lambda: b"x")
    assert len(content._answers) <= snapshot.ANSWERS_MAX


def test_an_outage_gives_an_error_and_no_old_number(snapshots: Snapshots, database: Database, time: Time) -> None:
    snapshots.get()
    database.down, time.now = True, time.now + 0.2
    with pytest.raises(DependencyUnavailable):
        snapshots.get()


def test_an_outage_costs_few_looks_and_its_end_is_seen(snapshots: Snapshots, database: Database, time: Time) -> None:
    database.down = True
    for _ in range(50):
        with pytest.raises(DependencyUnavailable):
            snapshots.get()
    assert database.looks == 1
    database.down, time.now = False, time.now + snapshot.FAILURE_SECONDS
    assert snapshots.get().shelf.as_of is not None


def test_many_readers_at_once_cost_one_look(database: Database) -> None:
    snapshots = Snapshots(database.load, 0.2)
    database.gate.clear()
    with ThreadPoolExecutor(20) as threads:
        reading = [threads.submit(snapshots.get) for _ in range(20)]
        database.gate.set()
        contents = {id(reader.result(10)) for reader in reading}
    assert (database.looks, len(contents)) == (1, 1)


def test_a_slow_database_is_not_waited_for_longer_than_allowed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "WAIT_SECONDS_MAX", 0.05)
    snapshots = Snapshots(database.load, 0.2)
    database.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(snapshots.get)
        while not database.looks:
            threading.Event().wait(0.001)
        with pytest.raises(DependencyUnavailable):
            snapshots.get()
        database.gate.set()
        assert first.result(10)


def test_who_comes_when_a_look_has_hung_for_long_does_not_wait_at_all(database: Database, time: Time) -> None:
    snapshots = Snapshots(database.load, 0.2, time)
    database.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(snapshots.get)
        while not database.looks:
            threading.Event().wait(0.001)
        time.now += snapshot.WAIT_SECONDS_MAX + 1
        with pytest.raises(DependencyUnavailable, match="too slowly"):
            snapshots.get()
        database.gate.set()
        assert first.result(10)


def test_a_failure_reaches_all_who_wait_for_the_same_look(database: Database) -> None:
    snapshots = Snapshots(database.load, 0.2)
    database.down = True
    database.gate.clear()
    with ThreadPoolExecutor(10) as threads:
        reading = [threads.submit(snapshots.get) for _ in range(10)]
        database.gate.set()
        assert all(isinstance(reader.exception(10), DependencyUnavailable) for reader in reading)
