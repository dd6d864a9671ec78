"""The shop's live numbers on the pages' own origin.

In production the proxy leads this path to the shop itself. Where there is none, as on a developer's machine, the pages
hand the stream on, so that a browser never has to speak to another origin.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator

import httpx
from flask import Response, request

from client.kernel.pages import Pages
from client.kernel.visits import Visit
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


def live_pages(live: Live) -> Pages:
    """The one path."""
    pages = Pages()

    @pages.get(PATH)
    def follow(visit: Visit) -> Response:
        number = request.args.get("matchNumber", "")
        query = f"?matchNumber={number}" if number.isascii() and number.isdecimal() else ""
        answer = visit.calls.follow("shop", PATH + query, request.headers.get("Last-Event-ID"))
        live.take(answer)
        pieces = live.pieces(answer)
        return Response(pieces, 200, [("X-Accel-Buffering", "no")], content_type=EVENT_STREAM)

    return pages
