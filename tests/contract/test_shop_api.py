"""The shop keeps what its document promises, on a real PostgreSQL with the small master list."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from shared.database import Database
from shared.http import HttpApp
from shared.masterlist import parse_masterlist
from shared.settings import load
from shop.app import create_app
from shop.inventory.catalogue import apply_match
from shop.inventory.positions import create_position
from shop.settings import ShopSettings

SMALL = Path(__file__).parents[2] / "matchday" / "masterlists" / "small.json"


def _settings(database_url: str) -> ShopSettings:
    given = {
        "PORT": "3000",
        "DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "SERVICE_TOKEN": secrets.token_urlsafe(32),
    }
    return load(ShopSettings, given)


class Door:
    """Where requests go: the document is known before there is a database, the answers come from one with it."""

    def __init__(self) -> None:
        self.app = create_app(_settings("postgresql://nobody@127.0.0.1:1/none"))

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


door = Door()


@pytest.fixture
def shop(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpApp]:
    loaded = _settings(database_url)
    database = Database(loaded, "test")
    with database.transaction() as connection:
        for entry in parse_masterlist(SMALL.read_bytes()):
            apply_match(connection, entry, 0)
        create_position(connection, loaded.sales_topic, 0, 0, 0)
    database.close()
    app = create_app(loaded)
    monkeypatch.setattr(door, "app", app)
    yield app
    app.stop()
    app.end()


schema = schemathesis.openapi.from_wsgi("/openapi.json", door)


# The stream never ends, and ticket messages are read more liberally than any schema could say: both have tests of
# their own.
@schema.exclude(path=["/api/availability/stream", "/internal/ticket-messages"]).parametrize()
@pytest.mark.usefixtures("shop")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_a_documented_one(case: Case[Any]) -> None:
    # No schema can say that a cursor must be one of ours, or which end of a range is the lower one.
    case.call_and_validate(excluded_checks=[positive_data_acceptance] if case.path == "/api/matches" else [])


def _schema_of(app: HttpApp, path: str) -> Draft202012Validator:
    document = app.openapi()
    content = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    return Draft202012Validator({**content["schema"], "components": document["components"]})


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/matches", "/api/matches"),
        ("/api/matches?limit=3", "/api/matches"),
        ("/api/matches/64", "/api/matches/{matchNumber}"),
        ("/api/matches/64/availability", "/api/matches/{matchNumber}/availability"),
    ],
)
def test_what_is_put_together_from_pieces_fits_its_schema(shop: HttpApp, path: str, template: str) -> None:
    answer = shop.test_client().get(path)
    assert answer.status_code == 200
    _schema_of(shop, template).validate(answer.get_json())
