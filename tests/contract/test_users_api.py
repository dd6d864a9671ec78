"""The users service keeps what its document promises, on a real PostgreSQL, for anybody, accounts and operators."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.contract.door import Door
from tests.people import Person, Users, open_users

door = Door("users")
schema = schemathesis.openapi.from_wsgi("/openapi.json", door)
HAS_RULES = (
    "/api/users/signup",
    "/api/users/email/verify",
    "/api/users/password/reset",
    "/api/users/me/password",
)


@pytest.fixture
def users(database_url: str) -> Iterator[Users]:
    # The examples are thousands of guesses and mails; what limits them has tests of its own.
    with open_users(database_url, SIGN_IN_FAILURES_MAX="10000", RATE_SCALE="1000000") as service:
        before, door.app = door.app, service.app
        yield service
        door.app = before


def admin(users: Users) -> Person:
    person = users.verify(users.sign_up("boss@example.org"))
    body = {"email": person.email, "role": "admin"}
    users.call("POST", "/internal/accounts/roles", token=users.service_token, json=body)
    return users.sign_in(person.email)


@schema.parametrize()
@pytest.mark.usefixtures("users")
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_to_a_stranger_is_a_documented_one(case: Case[Any]) -> None:
    case.call_and_validate(excluded_checks=rules_in_words(case))


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_to_an_admin_or_the_operator_is_a_documented_one(
    case: Case[Any], users: Users, signed_in: list[str]
) -> None:
    if not signed_in:
        signed_in.append(users.service_token if case.path.startswith("/internal/") else admin(users).access)
    headers = {"Authorization": f"Bearer {signed_in[0]}"}
    case.call_and_validate(headers=headers, excluded_checks=rules_in_words(case))


@pytest.fixture
def signed_in() -> list[str]:
    """One sign-in for all examples of a test."""
    return []


def rules_in_words(case: Case[Any]) -> list[Any]:
    """What no schema can say: which passwords are tried first, and which tokens were mailed."""
    return [positive_data_acceptance] if case.path in HAS_RULES else []
