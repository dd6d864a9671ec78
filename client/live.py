"""The shop's live numbers on the pages' own origin.

In production the proxy leads this path to the shop itself. Where there is none, as on a developer's machine, the pages
hand the stream on, so that a browser never has to speak to another origin.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator

import httpx

from client.calls import Calls
from shared.errors import TooManyStreams

PATH = "/api/availability/stream"
EVENT_STREAM = "text/event-stream; charset=utf-8"


class Live:
    """The streams that are handed on at present."""

    def __init__(self, relays_max: int) -> None:
        self._relays_max = relays_max
        self._lock = threading.Lock()
        self._open: set[httpx.Response] = set()
        self._stopping = False

    def follow(self, calls: Calls, match_number: int | None, last_event_id: str | None) -> Iterator[bytes]:
        """The stream of one match, or of all, as it comes. Raises `Refused`, `TooManyStreams`."""
        query = "" if match_number is None else f"?matchNumber={match_number}"
        answer = calls.follow("shop", PATH + query, last_event_id)
        self.take(answer)
        return self.pieces(answer)

    def take(self, answer: httpx.Response) -> None:
        """Counts a stream that was opened. Raises `TooManyStreams`."""
        with self._lock:
            if not self._stopping and len(self._open) < self._relays_max:
                self._open.add(answer)
                return
        answer.close()
        raise TooManyStreams(f"at most {self._relays_max} streams are handed on at once")

    def pieces(self, answer: httpx.Response) -> Iterator[bytes]:
        """What comes, as it comes; ends when either side does."""
        try:
            yield from answer.iter_raw()
        except httpx.HTTPError:
            return  # the browser comes back by itself
        finally:
            with self._lock:
                self._open.discard(answer)
            answer.close()

    def stop(self) -> None:
        """Ends all streams: a thread that reads one waits for the next event, until its socket says it is over."""
        with self._lock:
            self._stopping = True
            streams = [answer.extensions.get("network_stream") for answer in self._open]
        for stream in streams:
            connection = stream.get_extra_info("socket") if stream is not None else None
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
