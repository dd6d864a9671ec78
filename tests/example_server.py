"""The example service as a process: `python -m tests.example_server`, with routes that tell of the process."""

import os
import threading
from collections.abc import Iterator

from flask import Response
from pydantic import Field

from shared.http import Answer, AnswerModel, BodyModel, HttpApp, QueryModel, Routes, create_http_app
from shared.serve import main
from shared.settings import HttpSettings
from tests.example_service import Wiring, routes

STREAMS_MAX = 20


class ExampleSettings(HttpSettings):
    """As a service has them."""

    example_breaks: bool = Field(False, description="Whether the app cannot be made.")


class Process(AnswerModel):
    """The worker process."""

    pid: int
    parent: int


class Wait(QueryModel):
    seconds: float = Field(0, ge=0, le=60)


process_routes = Routes("process")


@process_routes.get("/api/process", answer=Process)
def process(query: Wait) -> Process:
    """Answers after a time with who answered."""
    threading.Event().wait(query.seconds)
    return Process(pid=os.getpid(), parent=os.getppid())


class Note(BodyModel):
    text: str


class Read(AnswerModel):
    """What was read."""

    text: str | None


@process_routes.post("/api/notes", answer=Read)
def take_note(body: Note | None) -> Read:
    """Reads a body, if there is one."""
    return Read(text=None if body is None else body.text)


def create_app(settings: ExampleSettings) -> HttpApp:
    if settings.example_breaks:
        raise RuntimeError("this app cannot be made")
    stopping = threading.Event()

    def endless(query: Wait) -> Response:
        """Sends until the process stops."""

        def pieces() -> Iterator[bytes]:
            yield b"begun\n"
            while not stopping.wait(query.seconds or 60):
                yield b"x" * 65_536
            yield b"stopping\n"

        return Response(pieces(), content_type="text/plain")

    part = Routes("endless")
    part.get("/api/endless", answer=Answer("Pieces", media_type="text/plain"))(endless)
    app = create_http_app("example", "For tests.", settings, routes=[routes, process_routes, part], wiring=Wiring())
    app.on_stop(stopping.set)
    app.on_end(lambda: print("the end", flush=True))
    return app


if __name__ == "__main__":
    main("tests.example_server:create_app", ExampleSettings, name="example", streams=lambda _: STREAMS_MAX)
