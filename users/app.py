"""Wiring of the HTTP service."""

from security.engine.gate import RedisGate
from shared.audit import DeliveredAudit
from shared.clock import Clock, SystemClock
from shared.database import Database
from shared.http import HttpApp, create_http_app
from shared.http.identity import JwksAccounts
from users import routes
from users.cookies import Cookies
from users.handlers import Site
from users.keys import KeyRing
from users.passwords import Passwords
from users.routes import Wiring
from users.settings import UsersSettings
from users.tables import deliveries
from users.vault import Vault


def create_app(settings: UsersSettings, clock: Clock | None = None) -> HttpApp:
    """The service; the first one to ask makes the site's first key."""
    database = Database(settings, "users")
    clock = clock or SystemClock()
    keys = KeyRing(database, settings, clock)
    site = Site(database, settings, clock, keys, Passwords(settings), Vault(settings.users_secret))
    # Verifies as every other service does, by the keys that it would publish.
    accounts = JwksAccounts(
        keys.jwks, settings.token_issuer, settings.jwks_refresh_seconds, lambda: clock.now().timestamp()
    )
    gate = RedisGate("users", settings).start()
    app = create_http_app(
        "users",
        "Accounts, sessions, roles, and the keys that access tokens are verified by.",
        settings,
        routes=[routes.routes, routes.mine, routes.admin, routes.internal, routes.deliveries],
        wiring=Wiring(site, Cookies(settings)),
        readiness={"postgresql": database.ping},
        accounts=accounts,
        gate=gate,
        auditor=DeliveredAudit(database, deliveries),
    )
    accounts.start()
    app.on_stop(accounts.stop)
    app.on_end(gate.close)
    app.on_end(database.close)
    return app
