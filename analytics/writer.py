"""`python -m analytics.writer`: brings what the topics hold into the lake."""

import signal
import threading

import structlog

from analytics.lake.lake import Lake, LakeUnavailable
from analytics.settings import WriterSettings
from shared import logs, memory
from shared.settings import load

log = structlog.get_logger(__name__)


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    settings = load(WriterSettings)
    logs.configure("analytics-writer", settings.log_level)
    lake = Lake(settings.lake_uri, settings.storage())
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    memory.settle()
    while not stopping.is_set():
        try:
            lake.create()
        except LakeUnavailable as error:
            log.warning("writer_waits", error=str(error))
        stopping.wait(settings.lake_commit_seconds)


if __name__ == "__main__":
    main()
