"""For schemathesis: a document that is known before there is a database, and answers that come from one with it."""

import importlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from shared.database import Database
from shared.http import HttpApp, Routes, create_http_app
from shared.masterlist import parse_masterlist
from shared.settings import HttpSettings, load
from shop.inventory.catalogue import apply_match
from shop.inventory.positions import create_position
from shop.inventory.settings import InventorySettings
from tests.example_service import example_settings
from tests.no_redis import NO_REDIS

S = TypeVar("S", bound=HttpSettings)
SMALL = Path(__file__).parents[2] / "matchday" / "masterlists" / "small.json"
NOWHERE = "127.0.0.1:1"


def document_app(service: str) -> HttpApp:
    """The routes of a service, with nothing behind them."""
    module = importlib.import_module(f"{service}.routes")
    parts = [value for value in vars(module).values() if isinstance(value, Routes)]
    return create_http_app(service, "For its document.", example_settings(), routes=parts)


class Door:
    """A WSGI app that hands requests on to whichever app stands behind it at present."""

    def __init__(self, service: str) -> None:
        self._document = document_app(service)
        self.app = self._document

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)

    def open(
        self, create_app: Callable[[S], HttpApp], settings: type[S], database_url: str, **more: str
    ) -> Iterator[HttpApp]:
        """Puts the real app behind the door, on this database and without a broker."""
        given = {
            "PORT": "3000",
            "DATABASE_URL": database_url,
            "KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
            "SERVICE_TOKEN": secrets.token_urlsafe(32),
            "TOKEN_SECRET": secrets.token_urlsafe(32),
            "TICKET_KEYS": secrets.token_urlsafe(32),
            "ANALYTICS_SECRET": secrets.token_urlsafe(32),
            **NO_REDIS,
            **more,
        }
        self.app = create_app(load(settings, given))
        try:
            yield self.app
        finally:
            app, self.app = self.app, self._document
            app.stop()
            app.end()


def fill(database_url: str) -> None:
    """The small master list, as the consumer would have read it, and an empty log."""
    settings = load(InventorySettings, {"DATABASE_URL": database_url, "KAFKA_BOOTSTRAP_SERVERS": NOWHERE})
    database = Database(settings, "test")
    with database.transaction() as connection:
        for entry in parse_masterlist(SMALL.read_bytes()):
            apply_match(connection, entry, 0)
        create_position(connection, settings.sales_topic, 0, 0, 0)
    database.close()
