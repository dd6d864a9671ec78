"""Baseline of the drain: the product's own apply code, one transaction a message, on a sample of the log.

`python -m benchmarks.one_by_one TOPIC RECORDS`, settings from the environment. The records are read
before the clock starts.
"""

import json
import sys
import time

from benchmarks.bed import large_masterlist
from shared.database import Database
from shared.kafka.reader import LogReader
from shared.settings import load
from shop.inventory.apply import Batch, apply_batch
from shop.inventory.catalogue import apply_match
from shop.inventory.positions import create_position
from shop.inventory.settings import InventorySettings

PARTITION = 0


def drain(settings: InventorySettings, count: int) -> tuple[float, float]:
    """Seconds, and of these CPU seconds of this process, to apply the first `count` records of the log."""
    federation = settings.federation()
    database = Database(settings, "one-by-one")
    with database.transaction() as connection:
        for entry in large_masterlist():
            apply_match(connection, entry, 0)
        create_position(connection, federation.topic, PARTITION, 0, 0)
    with LogReader(settings, federation.topic) as reader:
        records = [record for batch, _ in reader.read(PARTITION, 0, count) for record in batch]
    begun, cpu = time.perf_counter(), time.process_time()
    clock_ms = None
    for record in records:
        batch = Batch(PARTITION, record.offset, record.offset + 1, [record], clock_ms)
        with database.transaction() as connection:
            clock_ms = apply_batch(connection, federation, batch).clock_ms
    found = time.perf_counter() - begun, time.process_time() - cpu
    database.close()
    return found


def main() -> None:
    seconds, cpu_seconds = drain(load(InventorySettings), int(sys.argv[2]))
    json.dump({"seconds": seconds, "cpuSeconds": cpu_seconds}, sys.stdout)


if __name__ == "__main__":
    main()
