"""Live availability for many viewers: each change is written once and sent to everybody.

One thread looks at the shelf while anybody watches and keeps the last changes, each with a number. A viewer is a
thread that sleeps until its bell rings, sends what came after the number it knows, and sleeps again. Who comes
back with the number of its last event gets what it missed; who was away too long gets everything anew.
"""

import dataclasses
import random
import secrets
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

import structlog

from shared import metrics
from shared.errors import DependencyUnavailable, NotFound, TooManyStreams, TooManyStreamsOfAddress
from shop.domain import LogPosition, Match, ShownPool
from shop.snapshot import WAIT_SECONDS_MAX, Content, Snapshots

log = structlog.get_logger(__name__)

CHANGES_MAX = 256
RETRY_MILLISECONDS = (1000, 5000)  # viewers come back spread over this time, not all at once
BYTES_PER_SECOND = 32_000_000
# A thousand viewers who come in one second keep the interpreter from whoever looks for all of them. What they open
# lasts for minutes: they wait longer than who asks for a page.
OPEN_SECONDS_MAX = 10.0
PAUSE_SECONDS_MAX = 0.75  # with the age of the look itself, less than a second
RING_SLICE = 100
RING_PAUSE_SECONDS = 0.005
UNAVAILABLE = b'event: unavailable\ndata: {"code":"dependency_unavailable"}\n\n'
HEARTBEAT = b": \n\n"

Encode = Callable[[int, tuple[ShownPool, ...], LogPosition | None], bytes]


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What changed between two looks: the events by match number, without the id."""

    number: int
    events: dict[int, bytes]


@dataclasses.dataclass(slots=True, eq=False)
class Viewer:
    """One open stream: what it follows, the number of the last change it knows, and the bell that wakes it."""

    match_number: int | None
    known: int | None
    address: str = ""
    bell: "SimpleQueue[None]" = dataclasses.field(default_factory=SimpleQueue)

    def ring(self) -> None:
        """Wakes the viewer; ringing twice wakes once."""
        if self.bell.empty():
            self.bell.put(None)


class Stream:
    """All viewers of one process."""

    def __init__(
        self,
        snapshots: Snapshots,
        encode: Encode,
        *,
        viewers_max: int,
        address_viewers_max: int,
        pause_seconds: float,
        heartbeat_seconds: float,
    ) -> None:
        self._snapshots = snapshots
        self._encode = encode
        self._viewers_max = viewers_max
        self._address_viewers_max = address_viewers_max
        self._of_address: Counter[str] = Counter()
        self._pause_seconds = pause_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._epoch = secrets.token_hex(4)  # numbers of another process mean nothing here
        self._lock = threading.Lock()
        self._viewers: set[Viewer] = set()
        self._changes: deque[Change] = deque(maxlen=CHANGES_MAX)
        self._content: Content | None = None
        self._number = 0
        self._is_unavailable = False
        self._has_viewers = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="availability-stream", daemon=True)
        self._pieces: dict[tuple[int, int, int | None], bytes] = {}

    def start(self) -> None:
        """Starts to look for changes whenever there are viewers."""
        self._thread.start()

    def join(self) -> None:
        """Waits, not for ever, until the last look after `stop` is over."""
        if self._thread.is_alive():
            self._thread.join(WAIT_SECONDS_MAX)

    def stop(self) -> None:
        """Ends all streams; viewers come back to whoever serves then."""
        self._stopping.set()
        self._has_viewers.set()
        for viewer in list(self._viewers):
            viewer.ring()

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return len(self._viewers)

    def open(self, match_number: int | None, last_event_id: str | None, address: str) -> Iterator[bytes]:
        """The pieces of one viewer's stream; `address` is where he comes from, as the gate counts it.

        Raises `NotFound`, `TooManyStreams`, `TooManyStreamsOfAddress`, `DependencyUnavailable`.
        """
        content = self._present()
        if match_number is not None and match_number not in content.matches:
            raise NotFound(f"there is no match {match_number}")
        viewer = Viewer(match_number, self._known(last_event_id), address)
        with self._lock:
            if self._of_address.get(address, 0) >= self._address_viewers_max:
                raise TooManyStreamsOfAddress(f"at most {self._address_viewers_max} streams are open from one address")
            if len(self._viewers) >= self._viewers_max or self._stopping.is_set():
                raise TooManyStreams(f"at most {self._viewers_max} streams are open at once")
            if not self._viewers or self._content is None:
                self._take(content)
            self._viewers.add(viewer)
            self._of_address[address] += 1
            metrics.STREAM_VIEWERS.set(len(self._viewers))
        self._has_viewers.set()
        return _Pieces(self._watch(viewer), lambda: self._leave(viewer))

    def _present(self) -> Content:
        # What all viewers know is good enough for one more: no look is needed while somebody watches.
        with self._lock:
            if self._viewers and self._content is not None and not self._is_unavailable:
                return self._content
        return self._snapshots.get(OPEN_SECONDS_MAX)

    def _watch(self, viewer: Viewer) -> Iterator[bytes]:
        yield b"retry: %d\n\n" % random.randint(*RETRY_MILLISECONDS)
        while not self._stopping.is_set():
            piece = self._next(viewer)
            if piece:
                yield piece
            try:
                viewer.bell.get(timeout=self._heartbeat_seconds)
            except Empty:
                yield HEARTBEAT

    def _leave(self, viewer: Viewer) -> None:
        with self._lock:
            if viewer in self._viewers:
                self._viewers.remove(viewer)
                self._of_address -= Counter({viewer.address: 1})  # keeps none that is zero
            metrics.STREAM_VIEWERS.set(len(self._viewers))
            if not self._viewers and not self._stopping.is_set():
                self._has_viewers.clear()

    def _known(self, last_event_id: str | None) -> int | None:
        epoch, _, number = (last_event_id or "").partition("-")
        # At most 9 digits: an id is only ever compared.
        return (
            int(number) if epoch == self._epoch and number.isascii() and number.isdigit() and len(number) < 10 else None
        )

    # -- what a viewer is sent ---------------------------------------------------------------------------------------

    def _next(self, viewer: Viewer) -> bytes:
        """What the viewer does not know yet, possibly nothing."""
        with self._lock:
            if self._is_unavailable:
                return UNAVAILABLE
            known, now = viewer.known, self._number
            viewer.known = now
            if known == now:
                return b""
            is_kept = known is not None and bool(self._changes) and self._changes[0].number - 1 <= known < now
            since = known if is_kept and known is not None else -1
            return self._piece(since, now, viewer.match_number)

    def _piece(self, since: int, now: int, match_number: int | None) -> bytes:
        key = (since, now, match_number)
        piece = self._pieces.get(key)
        if piece is None:
            piece = self._pieces[key] = self._make_piece(since, match_number)
        return piece

    def _make_piece(self, since: int, match_number: int | None) -> bytes:
        if since >= 0:
            changes = [change.events for change in self._changes if change.number > since]
        else:
            assert self._content is not None
            changes = [{number: self._event(match) for number, match in self._content.matches.items()}]
        events = [event for change in changes for number, event in change.items() if match_number in (None, number)]
        # Only the last event bears the id, so that whoever is cut off in the middle gets all of them again.
        return (
            b"".join(events[:-1]) + b"id: %s-%d\n" % (self._epoch.encode(), self._number) + events[-1]
            if events
            else b""
        )

    def _event(self, match: Match, pools: tuple[ShownPool, ...] | None = None) -> bytes:
        assert self._content is not None
        numbers = self._encode(match.match_number, match.pools if pools is None else pools, self._content.shelf.as_of)
        return b"event: availability\ndata: %s\n\n" % numbers

    # -- looking for changes -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.wait(self._pause()):
            self._has_viewers.wait()
            if not self._stopping.is_set():
                self.look()

    def _pause(self) -> float:
        """Longer when much was sent, so that viewers leave room for readers."""
        sent = len(self._viewers) * sum(map(len, self._changes[-1].events.values())) if self._changes else 0
        return min(max(self._pause_seconds, sent / BYTES_PER_SECOND), PAUSE_SECONDS_MAX)

    def look(self) -> None:
        """Looks at the shelf once and rings when there is something to tell."""
        try:
            content = self._snapshots.get()
        except DependencyUnavailable:
            self._tell_unavailable()
            return
        except Exception:
            log.exception("stream_look_failed")
            self._tell_unavailable()
            return
        with self._lock:
            has_news = self._take(content)
        if has_news:
            self._ring()

    def _tell_unavailable(self) -> None:
        # Viewers must not believe that the numbers on their page still hold.
        if not self._is_unavailable:
            self._is_unavailable = True
            self._ring()

    def _take(self, content: Content) -> bool:
        """Makes this the present content; whether viewers are to be told."""
        before, self._content = self._content, content
        was_unavailable, self._is_unavailable = self._is_unavailable, False
        if before is content and not was_unavailable:
            return False
        events = self._differences(None if was_unavailable else before, content)
        if before is not None and not events:
            return False
        self._number += 1
        self._pieces.clear()
        self._changes.append(Change(self._number, events))
        return True

    def _differences(self, before: Content | None, after: Content) -> dict[int, bytes]:
        events = {}
        for number, match in after.matches.items():
            old = None if before is None else before.matches.get(number)
            changed = match.pools if old is None else tuple(pool for pool in match.pools if pool not in old.pools)
            if changed:
                events[number] = self._event(match, changed)
        return events

    def _ring(self) -> None:
        # A thousand threads that wake at once would keep readers waiting; they wake in slices.
        viewers = list(self._viewers)
        for first in range(0, len(viewers), RING_SLICE):
            for viewer in viewers[first : first + RING_SLICE]:
                viewer.ring()
            self._stopping.wait(RING_PAUSE_SECONDS)


class _Pieces:
    """An iterator that tells when nobody listens any more, also when it was never begun."""

    def __init__(self, pieces: Iterator[bytes], on_close: Callable[[], None]) -> None:
        self._pieces = pieces
        self._on_close = on_close

    def __iter__(self) -> "_Pieces":
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            self._on_close()
            raise

    def close(self) -> None:
        self._on_close()
