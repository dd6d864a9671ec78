"""Wiring of the consumer and its HTTP side, which share a process."""

import threading
from functools import partial

from security.engine.gate import RedisGate
from shared import audit
from shared.audit import DeliveredAudit
from shared.database import Database
from shared.delivery import Couriers
from shared.http import HttpApp, create_http_app
from shared.http.identity import JwksAccounts
from shared.kafka.reader import LogReader
from shop.inventory.tables import deliveries
from shop_consumer import routes
from shop_consumer.consumer import Consumer
from shop_consumer.handlers import Operations
from shop_consumer.settings import ConsumerSettings


def create_app(settings: ConsumerSettings) -> HttpApp:
    """The service, with its consumer running."""
    database = Database(settings, "shop-consumer")
    federation = settings.federation()
    consumer = Consumer(database, federation, settings)
    operations = Operations(
        database,
        federation,
        partial(LogReader, settings, federation.topic),
        threading.Lock(),
        lambda: consumer.state,
        consumer.lag,
    )
    couriers = Couriers(database, deliveries, {audit.TARGET: settings.security_url}, settings.service_token)
    accounts = JwksAccounts.of(settings)
    gate = RedisGate("shop_consumer", settings).start()
    app = create_http_app(
        "shop_consumer",
        "Keeps the counters of every pool as the federation's log says.",
        settings,
        routes=[routes.routes, routes.deliveries],
        wiring=operations,
        readiness={"postgresql": database.ping, "kafka": consumer.check},
        details=lambda: {"state": consumer.state, "partitions": consumer.lag()},
        accounts=accounts,
        gate=gate,
        auditor=DeliveredAudit(database, deliveries),
    )
    app.on_stop(consumer.stop)
    app.on_stop(accounts.stop)
    app.on_stop(couriers.stop)
    app.on_end(gate.close)
    app.on_end(database.close)
    consumer.start()
    couriers.start()
    return app
