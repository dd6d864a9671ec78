"""The security service keeps what its document promises, on a real PostgreSQL and a real Valkey."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from security.app import create_app
from security.settings import SecuritySettings
from shared.http import HttpApp, identity
from tests.contract.door import Door
from tests.tokens import Signer

TOKEN = "a-service-token-of-the-contract-tests"
door = Door("security")
signer = Signer()


@pytest.fixture
def security(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpApp]:
    monkeypatch.setattr(identity, "fetch_from", lambda _: signer.jwks)
    yield from door.open(
        create_app, SecuritySettings, database_url, REDIS_URL=redis_url, SERVICE_TOKEN=TOKEN, CHALLENGE_COST="1"
    )


schema = schemathesis.openapi.from_wsgi("/openapi.json", door)


@schema.parametrize()
@pytest.mark.usefixtures("security")
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_to_a_stranger_is_a_documented_one(case: Case[Any]) -> None:
    case.call_and_validate()


@schema.parametrize()
@pytest.mark.usefixtures("security")
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_to_an_admin_or_the_operator_is_a_documented_one(case: Case[Any]) -> None:
    operator = case.path.startswith("/internal/") or case.path == "/api/security/check"
    headers = {"Authorization": f"Bearer {TOKEN}"} if operator else signer.bearer("admin")
    # The rules of networks and of what belongs together are in words, not in the schema.
    case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])
