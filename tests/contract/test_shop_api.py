"""The shop keeps what its document promises, on a real PostgreSQL with the small master list."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from shared.http import HttpApp
from shop.app import create_app
from shop.settings import ShopSettings
from tests.contract.door import Door, fill

door = Door("shop")


@pytest.fixture
def shop(database_url: str) -> Iterator[HttpApp]:
    fill(database_url)
    yield from door.open(create_app, ShopSettings, database_url)


SEARCHES = ("/api/matches", "/api/listings")
schema = schemathesis.openapi.from_wsgi("/openapi.json", door)


# The stream never ends, and ticket messages are read more liberally than any schema could say: both have tests of
# their own.
@schema.exclude(path=["/api/availability/stream", "/internal/ticket-messages"]).parametrize()
@pytest.mark.usefixtures("shop")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_a_documented_one(case: Case[Any]) -> None:
    # No schema can say that a cursor must be one of ours, or which end of a range is the lower one.
    case.call_and_validate(excluded_checks=[positive_data_acceptance] if case.path in SEARCHES else [])


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
