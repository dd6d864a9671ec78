"""The kernel keeps what its own document promises: schemathesis tries every operation of the example service."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case

from tests.example_service import SERVICE_TOKEN, example_app

schema = schemathesis.openapi.from_wsgi("/openapi.json", example_app())


@schema.exclude(path="/api/broken").parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_a_documented_one(case: Case[Any]) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {SERVICE_TOKEN}"})
