"""Wiring of the shop."""

from functools import partial

from security.engine.gate import RedisGate
from shared.clock import SystemClock
from shared.database import Database
from shared.event_buffer import STOP_SECONDS_MAX, EventBuffer
from shared.http import HttpApp, create_http_app
from shared.http.identity import JwksAccounts
from shared.visitors import Visitors
from shop import handlers, routes
from shop.interest import Interest
from shop.recommendations.adviser import Adviser
from shop.recommendations.wiring import Advised
from shop.schemas import encode_availability
from shop.search.handlers import Finder
from shop.settings import ShopSettings
from shop.snapshot import Snapshots
from shop.stream import Stream
from shop.wiring import Wiring


def create_app(settings: ShopSettings) -> HttpApp:
    """The service, with its stream ready for viewers."""
    database = Database(settings, "shop")
    federation = settings.federation()
    snapshots = Snapshots(partial(handlers.read_shelf, database, federation), settings.snapshot_seconds)
    stream = Stream(
        snapshots,
        partial(encode_availability, currency=settings.currency),
        viewers_max=settings.sse_viewers_max,
        address_viewers_max=max(1, round(settings.sse_address_viewers_max * settings.failure_scale())),
        pause_seconds=settings.sse_pause_seconds,
        heartbeat_seconds=settings.sse_heartbeat_seconds,
    )
    gate = RedisGate("shop", settings).start()
    accounts = JwksAccounts.of(settings)
    events = EventBuffer(settings)
    visitors = Visitors(settings.country_header, settings.trusted_proxies)
    interest = Interest(events.offer, visitors)
    adviser = Adviser(settings, settings.service_token, settings.analytics_secret)
    ends_at_kick_off = settings.recommendations_end_at_kick_off == "on"
    advised = Advised(adviser, visitors, SystemClock(), ends_at_kick_off, settings.country_header)
    app = create_http_app(
        "shop",
        "Matches of the tournament, their prices, and what is left of them.",
        settings,
        routes=[routes.matches, routes.listings, routes.internal, routes.listing_events, routes.recommendations],
        wiring=Wiring(database, federation, snapshots, stream, settings.currency, Finder(database), interest, advised),
        readiness={"postgresql": database.ping},
        details=lambda: {"viewers": stream.viewers},
        accounts=accounts,
        gate=gate,
    )
    app.on_stop(stream.stop)
    app.on_stop(accounts.stop)
    app.on_end(adviser.close)
    app.on_end(events.stop)
    app.on_end(stream.join)
    app.on_end(partial(events.join, STOP_SECONDS_MAX))
    app.on_end(gate.close)
    app.on_end(database.close)
    stream.start()
    events.start()
    return app
