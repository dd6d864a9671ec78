"""Wiring of the HTTP service."""

from functools import partial

from reservations import handlers, routes
from reservations.access import AccessTokens
from reservations.broker import BrokerWatch
from reservations.cashier import Cashier
from reservations.settings import ReservationsSettings
from reservations.submitter import Submitter
from reservations.tables import deliveries
from reservations.waiting import Waiting
from reservations.waiting_room.handlers import WaitingRooms
from reservations.waiting_room.pressure import Pressure
from reservations.waiting_room.store import RedisRooms
from reservations.waiting_room.tokens import Tokens
from reservations.wiring import Wiring
from security.engine.gate import RedisGate
from shared.audit import DeliveredAudit
from shared.clock import SystemClock
from shared.database import Database
from shared.http import HttpApp, create_http_app
from shared.http.identity import JwksAccounts
from shared.visitors import Visitors


def create_app(settings: ReservationsSettings) -> HttpApp:
    """The service, with its submit threads and its listener running."""
    database = Database(settings, "reservations")
    site = handlers.Site(database, settings.federation(), SystemClock())
    accounts = JwksAccounts.of(settings)
    submitter = Submitter(
        partial(handlers.submit_all, site, settings),
        batch_max=settings.submit_batch_max,
        gather_seconds=settings.submit_gather_seconds,
        threads=settings.submit_threads,
        queue_max=settings.submit_queue_max,
    )
    wiring = Wiring(
        settings,
        site,
        submitter,
        Waiting(database, partial(handlers.sales, site), max(1, settings.http_threads * 3 // 4)),
        AccessTokens(settings.token_secret),
        accounts,
        BrokerWatch(database, site.federation.topic),
        settings.codes(),
        Cashier(settings.payments_url, settings.service_token),
        _waiting_rooms(site, settings, submitter),
        Visitors(settings.country_header, settings.trusted_proxies),
    )
    parts = [
        routes.routes, routes.waiting_rooms, routes.tickets, routes.gate, routes.listings, routes.admin_listings,
        routes.internal, routes.deliveries,
    ]  # fmt: skip
    if settings.card_purchases == "on":
        parts.append(routes.cards)
    gate = RedisGate("reservations", settings).start()
    app = create_http_app(
        "reservations",
        "Holds tickets of one federation-wide inventory and follows the log's verdict on each hold.",
        settings,
        routes=parts,
        wiring=wiring,
        readiness={"postgresql": database.ping, "kafka": wiring.broker.check},
        accounts=accounts,
        gate=gate,
        auditor=DeliveredAudit(database, deliveries),
    )
    app.on_stop(wiring.waiting.end_all)
    app.on_stop(wiring.rooms.stop)
    app.on_stop(accounts.stop)
    app.on_end(wiring.cashier.close)
    app.on_end(wiring.rooms.close)
    app.on_end(gate.close)
    app.on_end(database.close)
    return app


def _waiting_rooms(site: handlers.Site, settings: ReservationsSettings, submitter: Submitter) -> WaitingRooms:
    return WaitingRooms(
        site,
        settings,
        RedisRooms(settings.redis_url, settings.redis_seconds_max),
        Tokens(settings.token_secret),
        Pressure(
            settings.waiting_room_auto_requests, settings.waiting_room_auto_wait_seconds, submitter.waited_seconds
        ),
        max(1, settings.http_threads // 4),
    )
