"""Wiring of the pages."""

import httpx

from client import routes
from client.calls import Lines
from client.kernel.assets import Assets
from client.kernel.languages import Languages
from client.kernel.pages import PagesApp
from client.kernel.rendering import make_environment
from client.kernel.sessions import Sessions
from client.kernel.visits import Site
from client.live import Live
from client.pages import ALL
from client.settings import ClientSettings
from client.wiring import Wiring
from security.engine.gate import RedisGate
from shared.http import docs
from shared.http.health import Readiness, health_routes
from shared.http.identity import JwksAccounts


def create_app(settings: ClientSettings, transport: httpx.BaseTransport | None = None) -> PagesApp:
    """The pages; `transport` stands for the network in tests."""
    lines = Lines(settings, transport)
    languages, assets = Languages(), Assets()
    site = Site(settings, languages, assets, make_environment(languages, assets))
    accounts = JwksAccounts.of(settings)
    gate = RedisGate("client", settings, counted="pages").start()
    app = PagesApp(site, lines, Sessions(accounts), gate=gate)
    live = Live(settings.live_relays_max)
    for pages in ALL:
        app.add_pages(pages)
    app.add_scripts(routes.scripts, Wiring(live))
    # Without the shop there is nothing to show; without the others some pages say so.
    app.add_routes(health_routes("client", Readiness("client", {"shop": lines.check_shop}, None)))
    app.add_routes(docs.documentation_routes(app.openapi, app.page))
    app.on_stop(accounts.stop)
    app.on_stop(live.stop)
    app.on_end(gate.close)
    app.on_end(lines.close)
    return app
