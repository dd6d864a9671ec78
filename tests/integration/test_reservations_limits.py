"""Limits per buyer and match, and idempotency keys, when requests come at once: to one process and to two."""

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from werkzeug.test import TestResponse

from matchday.servers import Postgres
from reservations import handlers
from reservations.domain import Standing, Submit
from reservations.handlers import Result, Site
from shared.clock import SystemClock
from shared.database import Database
from shared.errors import IdempotencyKeyReused
from shop.inventory.domain import Pool, TemporarilyUnavailable
from tests.counter import Service, is_problem, open_replica, open_service
from tests.resources import Databases

LIMIT = 6
ROUNDS = 15
ADA = "ada@example.org"


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str) -> Iterator[list[Service]]:
    """Two processes of one service, as it were: each with connections and threads of its own."""
    databases = Databases(_postgres, _template)
    with open_service(databases.create(), PURCHASE_LIMIT=str(LIMIT)) as service, open_replica(service) as replica:
        yield [service, replica]
    databases.drop_all()


@pytest.fixture
def services(opened: list[Service]) -> list[Service]:
    opened[0].clear()
    return opened


@pytest.fixture
def service(services: list[Service]) -> Service:
    return services[0]


def _at_once(services: list[Service], wishes: list[dict[str, Any]]) -> list[TestResponse]:
    """All wishes together, in turn to each of the services."""
    start = Barrier(len(wishes))

    def buy(number: int) -> TestResponse:
        start.wait(30)
        return services[number % len(services)].buy(**wishes[number])

    with ThreadPoolExecutor(len(wishes)) as pool:
        return list(pool.map(buy, range(len(wishes))))


def _statuses(answers: list[TestResponse]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


# -- limits ----------------------------------------------------------------------------------------------------------


def test_a_buyer_gets_as_many_tickets_of_a_match_as_the_limit_says_in_all_categories(service: Service) -> None:
    for category in (1, 2, 3):
        assert service.buy(1, category, 2, ADA).status_code == 201
    before = service.facts()
    problem = is_problem(service.buy(1, 1, 1, ADA), 409, "purchase_limit")
    assert problem["limit"] == LIMIT
    assert service.facts() == before


def test_nobody_learns_from_the_limit_how_many_tickets_an_address_has(service: Service) -> None:
    details = set()
    for match, owned in ((1, (2, 2, 1)), (2, (2, 2, 2))):
        for quantity in owned:
            service.buy(match, 1, quantity, ADA)
        details.add(is_problem(service.buy(match, 1, 2, ADA), 409, "purchase_limit")["detail"])
    assert details == {f"at most {LIMIT} tickets of a match a buyer, held or bought"}


def test_the_limit_is_for_one_match_and_one_buyer(service: Service) -> None:
    for category in (1, 2, 3):
        service.buy(1, category, 2, ADA)
    assert service.buy(2, 1, 2, ADA).status_code == 201
    assert service.buy(1, 1, 2, "bob@example.org").status_code == 201


def test_two_tickets_that_would_pass_the_limit_are_refused_and_one_is_not(service: Service) -> None:
    for quantity in (2, 2, 1):
        service.buy(1, 1, quantity, ADA)
    is_problem(service.buy(1, 1, 2, ADA), 409, "purchase_limit")
    assert service.buy(1, 1, 1, ADA).status_code == 201


@pytest.mark.parametrize(
    "written", ["ADA@example.org", "ada@EXAMPLE.ORG", "Ada@Example.Org", "ada+second@example.org", "Ada++@example.org"]
)
def test_an_address_in_other_letters_or_with_a_tag_is_the_same_buyer(service: Service, written: str) -> None:
    for category in (1, 2, 3):
        service.buy(1, category, 2, ADA)
    is_problem(service.buy(1, 1, 1, written), 409, "purchase_limit")


def test_what_was_given_back_does_not_count(service: Service) -> None:
    made = [service.buy(1, 1, 2, ADA).get_json() for _ in range(3)]
    is_problem(service.buy(1, 1, 2, ADA), 409, "purchase_limit")
    service.call("DELETE", f"/api/reservations/{made[0]['id']}", token=made[0]["accessToken"])
    assert service.buy(1, 1, 2, ADA).status_code == 201


@pytest.mark.parametrize("replicas", [1, 2])
def test_of_many_requests_at_once_as_many_succeed_as_the_limit_lets(services: list[Service], replicas: int) -> None:
    emails = (ADA, "ADA@example.org", "ada@Example.org")
    wishes = [{"category": 1 + number % 3, "email": emails[number % 3]} for number in range(4 * LIMIT)]
    answers = _at_once(services[:replicas], wishes)
    assert _statuses(answers) == {201: LIMIT, 409: 3 * LIMIT}
    assert {answer.get_json(force=True).get("code") for answer in answers} == {None, "purchase_limit"}
    assert sum(services[0].held(1, category) for category in (1, 2, 3)) == LIMIT


def test_of_two_requests_at_once_for_the_last_ticket_of_the_limit_one_succeeds(services: list[Service]) -> None:
    """In pools of their own, so that nothing but the limit keeps them apart; often, since it is a matter of moments."""
    for number in range(ROUNDS):
        email = f"ada-{number}@example.org"
        for match in (1, 2):
            services[0].buy(match, 3, 1, email)
        wishes = [{"match": 1, "category": 1 + turn, "quantity": 2, "email": email} for turn in (0, 1)]
        wishes += [{"match": 2, "category": 1 + turn, "quantity": 2, "email": email.upper()} for turn in (0, 1)]
        _at_once(services, wishes * 2)
        owned = services[0].rows(
            "SELECT match_number, sum(quantity) AS n FROM reservations.reservations WHERE buyer = %s GROUP BY 1", email
        )
        assert {row["match_number"]: int(row["n"]) for row in owned} == {1: LIMIT - 1, 2: LIMIT - 1}
        services[0].clear()


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_pool_is_never_held_beyond_its_capacity_by_many_at_once(services: list[Service], replicas: int) -> None:
    answers = _at_once(services[:replicas], [{"quantity": 1 + number % 2} for number in range(40)])
    held = sum(answer.get_json()["quantity"] for answer in answers if answer.status_code == 201)
    codes = {answer.get_json(force=True)["code"] for answer in answers if answer.status_code != 201}
    assert held == services[0].held() == 20
    assert codes == {"temporarily_unavailable"}


# -- idempotency keys ------------------------------------------------------------------------------------------------


def test_a_repeated_request_gets_what_the_first_one_made(service: Service) -> None:
    first = service.buy(1, 1, 2, ADA, key="k").get_json()
    before = service.facts()
    again = service.buy(1, 1, 2, ADA, key="k")
    assert (again.status_code, again.get_json()) == (201, first)
    assert service.facts() == before


def test_a_body_is_the_same_however_it_is_written(service: Service) -> None:
    first = service.buy(1, 1, 2, ADA, key="k").get_json()
    raw = f'{{ "email": "{ADA}",\n"quantity": 2.0, "category": 1e0, "matchNumber": 1 }}'
    headers = {"Idempotency-Key": "k"}
    again = service.call("POST", "/api/reservations", data=raw, content_type="application/json", headers=headers)
    assert again.get_json() == first


def test_a_repeated_request_gets_the_reservation_as_it_stands_now(service: Service) -> None:
    made = service.buy(1, 1, 2, ADA, key="k").get_json()
    service.call("DELETE", f"/api/reservations/{made['id']}", token=made["accessToken"])
    assert service.buy(1, 1, 2, ADA, key="k").get_json() == {**made, "status": "cancelled"}


@pytest.mark.parametrize("other", [{"quantity": 1}, {"category": 2}, {"match": 2}])
def test_a_key_with_another_body_is_refused_and_nothing_changes(service: Service, other: dict[str, Any]) -> None:
    wish: dict[str, Any] = {"match": 1, "category": 1, "quantity": 2, "email": ADA, "key": "k"}
    service.buy(**wish)
    before = service.facts()
    is_problem(service.buy(**(wish | other)), 409, "idempotency_key_reused")
    assert service.facts() == before


def test_the_same_key_of_another_guest_is_another_key(service: Service) -> None:
    mine = service.buy(1, 1, 2, ADA, key="k").get_json()
    others = service.buy(1, 1, 2, "bob@example.org", key="k").get_json()
    assert others["id"] != mine["id"], "nobody is given somebody else's access token"
    assert service.held() == 4


@pytest.mark.parametrize("replicas", [1, 2])
def test_the_same_request_many_times_at_once_makes_one_reservation(services: list[Service], replicas: int) -> None:
    answers = _at_once(services[:replicas], [{"quantity": 2, "email": ADA, "key": "k"}] * 16)
    assert _statuses(answers) == {201: 16}
    assert len({json.dumps(answer.get_json(), sort_keys=True) for answer in answers}) == 1
    assert services[0].held() == 2
    assert len(services[0].facts()["outbox"]) == 1


@pytest.mark.parametrize("replicas", [1, 2])
def test_of_different_requests_with_one_key_at_once_one_is_served(services: list[Service], replicas: int) -> None:
    wishes = [{"category": 1 + number % 3, "email": ADA, "key": "k"} for number in range(15)]
    answers = _at_once(services[:replicas], wishes)
    made = {answer.get_json()["id"] for answer in answers if answer.status_code == 201}
    codes = {answer.get_json(force=True)["code"] for answer in answers if answer.status_code != 201}
    assert (len(made), codes) == (1, {"idempotency_key_reused"})
    assert sum(services[0].held(1, category) for category in (1, 2, 3)) == 1


def test_a_refused_request_has_its_key_back(service: Service) -> None:
    service.count_as(held=20)
    is_problem(service.buy(1, 1, 1, ADA, key="k"), 409, "temporarily_unavailable")
    is_problem(service.buy(1, 1, 1, ADA, key="k"), 409, "temporarily_unavailable")
    service.count_as(held=0)
    assert service.buy(1, 1, 1, ADA, key="k").status_code == 201


def test_a_request_refused_by_the_limit_has_its_key_back_for_another_body(service: Service) -> None:
    for category in (1, 2, 3):
        service.buy(1, category, 2, ADA)
    is_problem(service.buy(1, 1, 1, ADA, key="k"), 409, "purchase_limit")
    assert service.buy(2, 1, 1, ADA, key="k").status_code == 201


# -- one batch -------------------------------------------------------------------------------------------------------


@pytest.fixture
def site(service: Service) -> Iterator[Site]:
    database = Database(service.settings, "test")
    yield Site(database, service.settings.federation(), SystemClock())
    database.close()


def _wish(email: str = ADA, key: str | None = None, quantity: int = 1, pool: Pool = Pool(1, 1)) -> Submit:  # noqa: B008
    body = f"{email} {pool} {quantity}".encode()
    return Submit(str(uuid.uuid4()), str(uuid.uuid4()), email, pool, quantity, key, body, None)


def _ids(results: list[Result]) -> list[Any]:
    return [result.reservation.id if isinstance(result, Standing) else type(result) for result in results]


def test_in_one_batch_a_repeated_wish_has_the_first_ones_result(site: Site, service: Service) -> None:
    wishes = [_wish(key="k"), _wish("bob@example.org"), _wish(key="k"), _wish(key="k", quantity=2), _wish(key="l")]
    results = handlers.submit_all(site, service.settings, wishes)
    first, bobs, _, _, other = (wish.id for wish in wishes)
    assert _ids(results) == [first, bobs, first, IdempotencyKeyReused, other]
    assert service.held() == 3


def test_in_one_batch_a_repeated_wish_that_is_refused_is_refused_each_time_and_frees_its_key(
    site: Site, service: Service
) -> None:
    service.count_as(held=20)
    results = handlers.submit_all(site, service.settings, [_wish(key="k"), _wish(key="k")])
    assert _ids(results) == [TemporarilyUnavailable, TemporarilyUnavailable]
    assert service.facts()["keys"] == []


def test_in_one_batch_the_limit_and_the_pool_count_what_the_batch_itself_takes(site: Site, service: Service) -> None:
    service.count_as(held=17)
    wishes = [_wish("bob@example.org", quantity=2), _wish(quantity=2), _wish(quantity=1), _wish("eve@example.org")]
    results = handlers.submit_all(site, service.settings, wishes)
    assert _ids(results) == [wishes[0].id, TemporarilyUnavailable, wishes[2].id, TemporarilyUnavailable]
    assert service.held() == 20
    mixed = [_wish(email, pool=Pool(1, 2)) for email in ("ADA@example.org", ADA) * LIMIT]
    results = handlers.submit_all(site, service.settings, mixed)
    assert sum(isinstance(result, Standing) for result in results) == LIMIT - 1
