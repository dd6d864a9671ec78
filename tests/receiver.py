"""A service that others tell things, as far as a courier can see it: remembers each request, answers as it is told.

with receiver() as there:
    there.answers = [503, 200]                 # one after the other, then 200; or (409, {"Retry-After": "1"})
    there.url, there.requests                  # requests: path, headers, body
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

Told = int | tuple[int, dict[str, str]]


@dataclass
class Request:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Receiver:
    """What arrived, and what is answered next."""

    url: str = ""
    answers: list[Told] = field(default_factory=list)
    answer: Any = field(default_factory=lambda: {"outcome": "understood"})
    requests: list[Request] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)  # cleared: requests hang until it is set
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, request: Request) -> Told:
        with self.lock:
            self.requests.append(request)
            told = self.answers.pop(0) if self.answers else 200
        self.open.wait(20)
        return told

    def bodies(self) -> list[Any]:
        return [request.body for request in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        there = cast(Any, self.server).receiver
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        told = there.take(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(raw)))
        status, headers = told if isinstance(told, tuple) else (told, {})
        content = json.dumps(there.answer if status < 300 else {"code": "told_so"}).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a port of its own, until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    there = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    there.open.set()
    cast(Any, server).receiver = there
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield there
    finally:
        there.open.set()
        server.shutdown()
        server.server_close()
        thread.join()
