"""The reservations service keeps what its document promises, on a real PostgreSQL and without a broker."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import allow_header_conformance, positive_data_acceptance

from reservations.app import create_app
from reservations.settings import ReservationsSettings
from shared.http import HttpApp
from tests.contract.door import Door, fill

door = Door("reservations")


@pytest.fixture
def reservations(database_url: str) -> Iterator[HttpApp]:
    fill(database_url)
    # No verdict comes, so a wait would last as long as it may.
    yield from door.open(create_app, ReservationsSettings, database_url)


# What no schema can say: that a guest must give an address, and that a price must be the master list's.
HAS_RULES = ("/api/reservations", "/api/reservation")
# By their form these could be names of tickets, which can be read.
BESIDE_TICKETS = ("/api/tickets/verify", "/api/tickets/admissions")
schema = schemathesis.openapi.from_wsgi("/openapi.json", door)


# Without a relay that sees the broker the service says that it is not ready, and right so.
@schema.exclude(path="/health/ready").parametrize()
@pytest.mark.usefixtures("reservations")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_a_documented_one(case: Case[Any]) -> None:
    if "wait" in (case.query or {}):
        case.query = {**case.query, "wait": 0}
    excluded: list[CheckFunction] = [positive_data_acceptance] if case.path in HAS_RULES else []
    excluded += [allow_header_conformance] if case.path in BESIDE_TICKETS else []
    case.call_and_validate(excluded_checks=excluded)
