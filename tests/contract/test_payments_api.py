"""The payments service keeps what its document promises, for strangers, buyers and the site's own services."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)

from matchday.servers import Postgres
from shared.http import HttpApp
from tests.contract.door import Door
from tests.resources import Databases
from tests.till import Till, open_till

door = Door("payments")
schema = schemathesis.openapi.from_wsgi("/openapi.json", door)
# What no schema can say: what Stripe has signed, and which cards and expiry dates there are.
HAS_RULES = ("/api/payments/webhook", "/internal/payments/card")
# By their form these could be names of payments, which can be read.
BESIDE_PAYMENTS = (
    "/api/payments/webhook",
    "/api/payments/payouts",
    "/internal/payments/cancelled",
    "/internal/payments/card",
    "/internal/payments/credits",
)


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    databases = Databases(_postgres, _template)
    with open_till(databases.create(), tmp_path_factory.mktemp("till")) as till:
        yield till
    databases.drop_all()


@pytest.fixture
def till(opened: Till) -> Iterator[Till]:
    before, door.app = door.app, cast(HttpApp, opened.server.app)
    yield opened
    door.app = before


def _excluded(case: Case[Any]) -> list[CheckFunction]:
    excluded: list[CheckFunction] = [positive_data_acceptance] if case.path in HAS_RULES else []
    return excluded + ([unsupported_method, allow_header_conformance] if case.path in BESIDE_PAYMENTS else [])


@schema.parametrize()
@pytest.mark.usefixtures("till")
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_to_a_stranger_is_a_documented_one(case: Case[Any]) -> None:
    case.call_and_validate(excluded_checks=_excluded(case))


@schema.parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_about_a_payment_of_ones_own_is_a_documented_one(case: Case[Any], till: Till) -> None:
    held = till.twin.hold()
    payment = till.pay(held)
    if "paymentId" in case.path_parameters:
        case.path_parameters["paymentId"] = payment["id"]
    if isinstance(case.body, dict) and "reservationId" in case.body:
        case.body = {**case.body, "reservationId": held.id}
    credential = till.operator if case.path.startswith("/internal/") else held.credential
    # What was wrong in an example may be what was put right just now.
    case.call_and_validate(headers=credential, excluded_checks=[*_excluded(case), negative_data_rejection])
