"""`python -m analytics.writer`: brings what the topics hold into the lake. One writes, others stand by."""

import signal

from analytics.ingest.writer import LakeWriter
from analytics.lake.lake import Lake
from analytics.settings import WriterSettings
from shared import logs, memory
from shared.clock import SystemClock
from shared.database import Database
from shared.settings import load


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    settings = load(WriterSettings)
    logs.configure("analytics-writer", settings.log_level)
    database = Database(settings, "analytics-writer")
    writer = LakeWriter(database, Lake(settings.lake_uri, settings.storage()), SystemClock(), settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: writer.stop())
    memory.settle()
    writer.run()
    database.close()


if __name__ == "__main__":
    main()
