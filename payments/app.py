"""Wiring of the HTTP service."""

import threading
import time

from payments import routes
from payments.events import EventReader
from payments.gateway import Gateway
from payments.handlers import Site
from payments.reservations import Reservations
from payments.settings import PaymentsSettings
from payments.tables import deliveries
from payments.wiring import Wiring
from security.engine.gate import RedisGate
from shared.audit import DeliveredAudit
from shared.clock import SystemClock
from shared.database import Database
from shared.http import HttpApp, create_http_app
from shared.http.identity import JwksAccounts

STRIPE_ASKED_SECONDS = 15.0


class StripeWatch:
    """Whether Stripe answers; asked at most every quarter of a minute while it does."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self._seen_at = float("-inf")

    def check(self) -> None:
        """Readiness: raises `StripeUnavailable`."""
        with self._lock:
            if time.monotonic() - self._seen_at > STRIPE_ASKED_SECONDS:
                self._gateway.ping()
                self._seen_at = time.monotonic()


def create_app(settings: PaymentsSettings) -> HttpApp:
    """The service."""
    database = Database(settings, "payments")
    gateway = Gateway(settings, settings.client_id)
    reservations = Reservations(settings.reservations_url, settings.service_token)
    events = EventReader(
        settings.stripe_webhook_secret.get_secret_value(), settings.stripe_webhook_age_seconds, settings.client_id
    )
    accounts = JwksAccounts.of(settings)
    gate = RedisGate("payments", settings).start()
    site = Site(database, gateway, reservations, SystemClock(), settings.payment_tries_max, gate.blame)
    app = create_http_app(
        "payments",
        "Takes money for what is held, by Stripe, gives it back, and keeps the books.",
        settings,
        routes=[
            routes.routes,
            routes.stripe,
            routes.admin,
            routes.payouts,
            routes.admin_payouts,
            routes.internal,
            routes.credits,
            routes.deliveries,
        ],
        wiring=Wiring(site, events, settings.resale_fee_percent),
        readiness={"postgresql": database.ping, "stripe": StripeWatch(gateway).check},
        accounts=accounts,
        gate=gate,
        auditor=DeliveredAudit(database, deliveries),
    )
    app.on_stop(accounts.stop)
    app.on_end(reservations.close)
    app.on_end(gate.close)
    app.on_end(database.close)
    return app
