"""Wiring of the service."""

from datetime import timedelta

from security import routes
from security.engine.gate import RedisGate
from security.handlers import Desk, OwnAudit
from security.keeper import Keeper
from security.published import Published
from security.routes import Wiring
from security.settings import SecuritySettings
from shared.clock import SystemClock
from shared.database import Database
from shared.http import HttpApp, create_http_app
from shared.http.identity import JwksAccounts


def create_app(settings: SecuritySettings) -> HttpApp:
    """The service, with its keeper running."""
    database = Database(settings, "security")
    published = Published(settings.redis_url)
    desk = Desk(
        database,
        published,
        SystemClock(),
        settings.list_entries_max,
        timedelta(days=settings.audit_days),
        timedelta(days=settings.admin_audit_days),
    )
    gate = RedisGate("security", settings).start()
    edge = RedisGate("edge", settings, counted="edge").start()
    accounts = JwksAccounts.of(settings)
    keeper = Keeper(desk, settings.audit_entries_max)
    app = create_http_app(
        "security",
        "Decides about requests, challenges, and keeps lists and the audit log.",
        settings,
        routes=[routes.routes, routes.admin, routes.actions, routes.internal],
        wiring=Wiring(desk, edge),
        readiness={"postgresql": database.ping, "redis": published.ping},
        accounts=accounts,
        gate=gate,
        auditor=OwnAudit(desk),
    )
    app.on_stop(keeper.stop)
    app.on_stop(accounts.stop)
    for end in (keeper.end, gate.close, edge.close, published.close, database.close):
        app.on_end(end)
    keeper.start()
    return app
