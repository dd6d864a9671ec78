"""Wiring of the HTTP service."""

from functools import partial

from analytics import routes
from analytics.figures.looks import Looks, Site
from analytics.figures.watch import Watch
from analytics.ingest.health import lake_details
from analytics.lake.lake import Lake
from analytics.recommender.registry import Registry
from analytics.recommender.serving import Recommender
from analytics.settings import AnalyticsSettings
from analytics.wiring import Wiring
from security.engine.gate import RedisGate
from shared.clock import SystemClock
from shared.database import Database
from shared.http import HttpApp, create_http_app
from shared.http.identity import JwksAccounts


def create_app(settings: AnalyticsSettings) -> HttpApp:
    """The service."""
    database = Database(settings, "analytics")
    lake = Lake(settings.lake_uri, settings.storage())
    clock = SystemClock()
    site = Site(settings.client_id, settings.log_hold_seconds)
    figures = Looks(lake, site, settings.figures_fresh_seconds, settings.figures_seconds_max)
    watch = Watch(figures, clock, settings.figures_watch_seconds)
    recommender = Recommender(lake, Registry(settings.model_folder), settings, clock)
    accounts = JwksAccounts.of(settings)
    gate = RedisGate("analytics", settings).start()
    app = create_http_app(
        "analytics",
        "Keeps the data lake of all bookings, and answers from it.",
        settings,
        routes=[routes.lake, routes.erasure, routes.statistics, routes.recommendations],
        wiring=Wiring(database, lake, settings.analytics_secret, figures, clock, recommender),
        readiness={"postgresql": database.ping, "lake": lake.check},
        details=partial(lake_details, database, clock),
        accounts=accounts,
        gate=gate,
    )
    watch.start()
    recommender.start()
    app.on_stop(watch.stop)
    app.on_stop(recommender.stop)
    app.on_stop(accounts.stop)
    app.on_end(gate.close)
    app.on_end(database.close)
    return app
