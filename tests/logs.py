"""The logs of a process for the length of a test; afterwards the test process logs as it did before."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog

from shared import logs


@contextmanager
def logging_to(stream: TextIO, service: str, level: str) -> Iterator[None]:
    """As `service` logs at `level`. With a stream of its own no logger remembers this configuration."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    logs.configure(service, level, stream)
    try:
        yield
    finally:
        structlog.reset_defaults()
        logging.captureWarnings(False)
        root.handlers[:], kept = before
        root.setLevel(kept)
