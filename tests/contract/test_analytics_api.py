"""The analytics service keeps what its document promises, on a real PostgreSQL and a lake in a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from analytics.app import create_app
from analytics.lake.lake import Lake
from analytics.settings import AnalyticsSettings
from shared.http import HttpApp, identity
from tests.contract.door import Door
from tests.tokens import Signer

TOKEN = "a-service-token-of-the-contract-tests"
door = Door("analytics")
signer = Signer()


@pytest.fixture
def analytics(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpApp]:
    monkeypatch.setattr(identity, "fetch_from", lambda _: signer.jwks)
    Lake(str(tmp_path / "lake")).create()
    given = {"LAKE_URI": str(tmp_path / "lake"), "ANALYTICS_SECRET": "a secret of sixteen", "SERVICE_TOKEN": TOKEN}
    yield from door.open(create_app, AnalyticsSettings, database_url, **given)


schema = schemathesis.openapi.from_wsgi("/openapi.json", door)


@schema.parametrize()
@pytest.mark.usefixtures("analytics")
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_to_a_stranger_is_a_documented_one(case: Case[Any]) -> None:
    case.call_and_validate()


@schema.parametrize()
@pytest.mark.usefixtures("analytics")
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_to_an_admin_or_the_operator_is_a_documented_one(case: Case[Any]) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"} if case.path.startswith("/internal/") else signer.bearer("admin")
    # No schema can say which end of a range of times is the later one.
    excluded: list[CheckFunction] = [positive_data_acceptance]
    if case.path == "/internal/recommendations":
        excluded.append(not_a_server_error)  # without a model the answer is the documented 503
    case.call_and_validate(headers=headers, excluded_checks=excluded)
