"""`python -m reservations.relay`: sends what stands in the outbox to the sales log."""

import signal
from functools import partial

from shared import logs, memory
from shared.database import Database
from shared.kafka.publisher import Publisher
from shared.kafka.reader import LogReader
from shared.relay import Relay, Tables
from shared.settings import load
from shop.inventory.settings import InventorySettings
from shop.inventory.tables import outbox, relay_leases


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    settings = load(InventorySettings)
    logs.configure("reservations-relay", settings.log_level)
    database = Database(settings, "reservations-relay")
    relay = Relay(
        database,
        Tables(outbox, relay_leases),
        settings.sales_topic,
        partial(Publisher, settings),
        partial(LogReader, settings, settings.sales_topic),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stop())
    memory.settle()
    relay.run()
    database.close()


if __name__ == "__main__":
    main()
