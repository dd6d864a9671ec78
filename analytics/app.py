"""Wiring of the HTTP service."""

from analytics import routes
from analytics.lake.lake import Lake
from analytics.settings import AnalyticsSettings
from analytics.wiring import Wiring
from security.engine.gate import RedisGate
from shared.database import Database
from shared.http import HttpApp, create_http_app
from shared.http.identity import JwksAccounts


def create_app(settings: AnalyticsSettings) -> HttpApp:
    """The service."""
    database = Database(settings, "analytics")
    lake = Lake(settings.lake_uri, settings.storage())
    accounts = JwksAccounts.of(settings)
    gate = RedisGate("analytics", settings).start()
    app = create_http_app(
        "analytics",
        "Keeps the data lake of all bookings, and answers from it.",
        settings,
        routes=[routes.lake],
        wiring=Wiring(database, lake),
        readiness={"postgresql": database.ping, "lake": lake.check},
        accounts=accounts,
        gate=gate,
    )
    app.on_stop(accounts.stop)
    app.on_end(gate.close)
    app.on_end(database.close)
    return app
