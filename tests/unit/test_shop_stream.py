"""The live stream: everything first, then what changes, once for everybody."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from shared.errors import DependencyUnavailable, NotFound, TooManyStreams, TooManyStreamsOfAddress
from shop import snapshot
from shop import stream as stream_module
from shop.domain import Availability, LogPosition, Match, Shelf, ShownPool
from shop.schemas import AvailabilityAnswer, encode_availability
from shop.snapshot import Snapshots
from shop.stream import CHANGES_MAX, HEARTBEAT, UNAVAILABLE, Stream

HERE = "192.0.2.1"


class Shop:
    """A shelf of matches 1 to 3 with two categories; every look sees it as it is."""

    def __init__(self, viewers_max: int = 10, heartbeat_seconds: float = 30.0, address_viewers_max: int = 10) -> None:
        self.pending = {(match, category): 20 for match in (1, 2, 3) for category in (1, 2)}
        self.offset = 0
        self.down = False
        snapshots = Snapshots(self.load, 1e-9)
        self.stream = Stream(
            snapshots,
            partial(encode_availability, currency="USD"),
            viewers_max=viewers_max,
            address_viewers_max=address_viewers_max,
            pause_seconds=0.001,
            heartbeat_seconds=heartbeat_seconds,
        )

    def load(self) -> Shelf:
        if self.down:
            raise DependencyUnavailable
        return Shelf(tuple(self._match(number) for number in (1, 2, 3)), LogPosition("sales", 0, self.offset))

    def _match(self, number: int) -> Match:
        pools = tuple(
            ShownPool(category, 20, self.pending[number, category], 20, Decimal(75), Availability.AVAILABLE)
            for category in (1, 2)
        )
        when = datetime(2022, 11, 20, tzinfo=UTC)
        return Match(number, 1, "Group stage", when, "Stadium 974", "Doha", "A", "B", "A", pools)

    def hold(self, match: int, category: int) -> None:
        self.pending[match, category] -= 1
        self.offset += 1
        self.stream.look()


@dataclass
class Event:
    name: str
    data: Any
    id: str | None


def _events(piece: bytes) -> list[Event]:
    events = []
    for block in piece.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if "event" in lines:
            events.append(Event(lines["event"], json.loads(lines["data"]), lines.get("id")))
    return events


def _numbers(events: list[Event]) -> list[tuple[int, list[tuple[int, int]]]]:
    return [
        (event.data["matchNumber"], [(pool["category"], pool["pending"]) for pool in event.data["categories"]])
        for event in events
    ]


EVERYTHING = [(1, [(1, 20), (2, 20)]), (2, [(1, 20), (2, 20)]), (3, [(1, 20), (2, 20)])]


@pytest.fixture
def shop() -> Shop:
    return Shop()


def _open(shop: Shop, match: int | None = None, last: str | None = None) -> Iterator[bytes]:
    viewer = shop.stream.open(match, last, HERE)
    assert next(viewer).startswith(b"retry: ")
    return viewer


def test_a_viewer_gets_everything_first(shop: Shop) -> None:
    events = _events(next(_open(shop)))
    assert _numbers(events) == EVERYTHING
    assert {event.name for event in events} == {"availability"}
    assert all(AvailabilityAnswer.model_validate(event.data) for event in events)


def test_then_only_what_has_changed(shop: Shop) -> None:
    viewer = _open(shop)
    next(viewer)
    shop.hold(2, 1)
    events = _events(next(viewer))
    assert _numbers(events) == [(2, [(1, 19)])]
    assert events[0].data["asOf"] == {"topic": "sales", "partition": 0, "offset": 1}


def test_changes_between_two_sendings_come_together(shop: Shop) -> None:
    viewer = _open(shop)
    next(viewer)
    shop.hold(1, 1)
    shop.hold(3, 2)
    shop.hold(1, 1)
    assert _numbers(_events(next(viewer))) == [(1, [(1, 19)]), (3, [(2, 19)]), (1, [(1, 18)])]


def test_a_viewer_of_one_match_hears_of_no_other(shop: Shop) -> None:
    viewer = _open(shop, match=2)
    assert _numbers(_events(next(viewer))) == [EVERYTHING[1]]
    shop.hold(1, 1)
    shop.hold(2, 2)
    assert _numbers(_events(next(viewer))) == [(2, [(2, 19)])]


def test_only_the_last_event_of_a_sending_has_an_id(shop: Shop) -> None:
    events = _events(next(_open(shop)))
    assert [event.id is not None for event in events] == [False, False, True]


def test_who_comes_back_gets_what_was_missed(shop: Shop) -> None:
    viewer = _open(shop)
    last = _events(next(viewer))[-1].id
    shop.hold(1, 1)
    shop.hold(2, 1)
    assert _numbers(_events(next(_open(shop, last=last)))) == [(1, [(1, 19)]), (2, [(1, 19)])]


@pytest.mark.parametrize("last", ["", "nonsense", "deadbeef-1", "-1", "x-y", "é", "0" * 100])
def test_an_unknown_last_event_means_everything(shop: Shop, last: str) -> None:
    assert _numbers(_events(next(_open(shop, last=last)))) == EVERYTHING


def test_a_number_from_the_future_means_everything(shop: Shop) -> None:
    last = _events(next(_open(shop)))[-1].id
    assert last is not None
    assert _numbers(_events(next(_open(shop, last=last + "9")))) == EVERYTHING


def test_who_was_away_too_long_gets_everything(shop: Shop) -> None:
    viewer = _open(shop)
    last = _events(next(viewer))[-1].id
    shop.pending = dict.fromkeys(shop.pending, 10_000)
    for _ in range(CHANGES_MAX + 1):
        shop.hold(1, 1)
    assert len(_events(next(_open(shop, last=last)))) == 3


def test_silence_is_filled_with_comments() -> None:
    viewer = _open(Shop(heartbeat_seconds=0.01))
    next(viewer)
    assert next(viewer) == HEARTBEAT


def test_an_outage_is_told_and_its_end_brings_everything(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FAILURE_SECONDS", 0.0)
    viewer = _open(shop)
    next(viewer)
    shop.down = True
    shop.stream.look()
    shop.stream.look()
    assert next(viewer) == UNAVAILABLE
    shop.down = False
    shop.stream.look()
    assert _numbers(_events(next(viewer))) == EVERYTHING


def test_nobody_can_begin_to_watch_in_an_outage(shop: Shop) -> None:
    shop.down = True
    with pytest.raises(DependencyUnavailable):
        shop.stream.open(None, None, HERE)


def test_who_comes_while_others_watch_is_told_what_they_know_without_another_look(shop: Shop) -> None:
    viewer = _open(shop)
    next(viewer)
    shop.down = True  # a look would fail
    events = _events(next(_open(shop)))
    assert _numbers(events) == EVERYTHING
    shop.stream.look()
    assert next(viewer) == UNAVAILABLE
    with pytest.raises(DependencyUnavailable):
        shop.stream.open(None, None, HERE)


def test_a_match_that_does_not_exist_cannot_be_followed(shop: Shop) -> None:
    with pytest.raises(NotFound):
        shop.stream.open(4, None, HERE)
    assert shop.stream.viewers == 0


def test_viewers_wait_longer_than_readers_for_the_look_that_all_need(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "WAIT_SECONDS_MAX", 0.05)
    begun, go_on = threading.Event(), threading.Event()
    load = shop.load

    def slow() -> Shelf:
        begun.set()
        assert go_on.wait(30)
        return load()

    monkeypatch.setattr(shop.stream._snapshots, "_load", slow)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(_open, shop)
        assert begun.wait(30)
        second = threads.submit(_open, shop)
        with pytest.raises(DependencyUnavailable):
            shop.stream._snapshots.get()
        go_on.set()
        assert [_numbers(_events(next(viewer.result(30)))) for viewer in (first, second)] == [EVERYTHING] * 2


def test_the_number_of_viewers_is_bounded() -> None:
    shop = Shop(viewers_max=2)
    viewers = [_open(shop), _open(shop)]
    with pytest.raises(TooManyStreams):
        shop.stream.open(None, None, HERE)
    viewers.pop().close()  # type: ignore[attr-defined]
    assert shop.stream.viewers == 1
    _open(shop)


def test_a_viewer_that_never_began_to_read_leaves_too(shop: Shop) -> None:
    shop.stream.open(None, None, HERE).close()  # type: ignore[attr-defined]
    assert shop.stream.viewers == 0


def test_stopping_ends_all_streams(shop: Shop) -> None:
    viewer = _open(shop)
    next(viewer)
    shop.stream.stop()
    assert list(viewer) == []
    assert shop.stream.viewers == 0
    with pytest.raises(TooManyStreams):
        shop.stream.open(None, None, HERE)


def test_an_event_is_written_once_for_all_viewers(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    viewers = [_open(shop) for _ in range(5)]
    for viewer in viewers:
        next(viewer)
    shop.hold(1, 1)
    pieces = [next(viewer) for viewer in viewers]
    assert all(piece is pieces[0] for piece in pieces)


def test_the_pause_grows_with_what_is_sent(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = _open(shop)
    next(viewer)
    shop.hold(1, 1)
    assert shop.stream._pause() == 0.001
    monkeypatch.setattr(stream_module, "BYTES_PER_SECOND", 1)
    assert shop.stream._pause() == stream_module.PAUSE_SECONDS_MAX


def test_the_thread_finds_changes_by_itself(shop: Shop) -> None:
    shop.stream.start()
    viewer = _open(shop)
    next(viewer)
    shop.pending[3, 1] = 7
    assert _numbers(_events(next(viewer))) == [(3, [(1, 7)])]
    shop.stream.stop()


def test_one_address_has_only_so_many_streams_and_gets_them_back_when_they_end() -> None:
    shop = Shop(address_viewers_max=2)
    first, second = (shop.stream.open(None, None, HERE) for _ in range(2))
    with pytest.raises(TooManyStreamsOfAddress) as refused:
        shop.stream.open(None, None, HERE)
    assert (refused.value.status, refused.value.code) == (429, "too_many_streams_of_address")
    shop.stream.open(None, None, "192.0.2.2")
    for _ in range(2):
        first.close()  # type: ignore[attr-defined]
    third = shop.stream.open(None, None, HERE)
    with pytest.raises(TooManyStreamsOfAddress):
        shop.stream.open(None, None, HERE)
    for viewer in (second, third):
        viewer.close()  # type: ignore[attr-defined]
    assert shop.stream.viewers == 1
