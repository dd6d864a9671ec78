"""The reservations service keeps what its document promises, on a real PostgreSQL and without a broker."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    ignored_auth,
    positive_data_acceptance,
    unsupported_method,
)

from reservations.app import create_app
from reservations.settings import ReservationsSettings
from shared.http import HttpApp, identity
from tests.contract.door import Door, fill
from tests.tokens import Signer

SIGNER = Signer()
door = Door("reservations")


@pytest.fixture
def reservations(database_url: str) -> Iterator[HttpApp]:
    fill(database_url)
    # No verdict comes, so a wait would last as long as it may.
    yield from door.open(create_app, ReservationsSettings, database_url)


@pytest.fixture
def signed(database_url: str) -> Iterator[HttpApp]:
    """The same, believing the tokens of a signer."""
    fill(database_url)
    with mock.patch.object(identity, "fetch_from", return_value=SIGNER.jwks):
        yield from door.open(create_app, ReservationsSettings, database_url)


# What no schema can say: that a guest must give an address, and that a price must be the master list's.
HAS_RULES = ("/api/reservations", "/api/reservation", "/api/resale/listings", "/api/resale/listings/{listingId}/hold")
# By their form these could be names of tickets, which can be read, or of listings, which can be changed.
BESIDE_TICKETS = ("/api/tickets/verify", "/api/tickets/admissions", "/api/resale/listings/mine")
schema = schemathesis.openapi.from_wsgi("/openapi.json", door)


# Without a relay that sees the broker the service says that it is not ready, and right so.
@schema.exclude(path="/health/ready").parametrize()
@pytest.mark.usefixtures("reservations")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_a_documented_one(case: Case[Any]) -> None:
    if "wait" in (case.query or {}):
        case.query = {**case.query, "wait": 0}
    excluded: list[CheckFunction] = [positive_data_acceptance] if case.path in HAS_RULES else []
    excluded += [allow_header_conformance, unsupported_method] if case.path in BESIDE_TICKETS else []
    case.call_and_validate(excluded_checks=excluded)


@schema.include(path_regex="^/api/resale/listings").parametrize()
@pytest.mark.usefixtures("signed")
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_about_listings_to_an_account_is_a_documented_one(case: Case[Any]) -> None:
    # Two decimals, a ticket of one's own, a cursor of ours: no schema can say that.
    excluded: list[CheckFunction] = [positive_data_acceptance, ignored_auth]
    excluded += [allow_header_conformance, unsupported_method] if case.path in BESIDE_TICKETS else []
    case.call_and_validate(headers=SIGNER.bearer(), excluded_checks=excluded)


@schema.include(path=["/api/resale/listings", "/api/resale/listings/{listingId}/end"]).parametrize()
@pytest.mark.usefixtures("signed")
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_about_listings_to_an_admin_is_a_documented_one(case: Case[Any]) -> None:
    case.call_and_validate(headers=SIGNER.bearer("admin"), excluded_checks=[positive_data_acceptance, ignored_auth])
