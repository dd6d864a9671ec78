"""The waiting room over HTTP, on a real PostgreSQL and Valkey: who passes, who waits, and what jumps no queue."""

import random
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
import redis

from matchday.servers import Postgres, Valkey
from tests.counter import Service, is_problem, open_replica, open_service
from tests.eventually import eventually
from tests.jwks import serve_keys
from tests.resources import Databases
from tests.tokens import Signer

SIGNER = Signer()
NUMBERS = count(1)
QUICK = {
    "REDIS_SECONDS_MAX": "5",  # a busy machine is not what these tests are about
    "WAITING_ROOM_SETTLE_SECONDS": "0",
    "WAITING_ROOM_ADDRESS_PLACES_MAX": "1000",
    "WAITING_ROOM_LINGER_SECONDS": "1",
}


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str, _valkey: Valkey) -> Iterator[Service]:
    databases = Databases(_postgres, _template)
    with (
        serve_keys(SIGNER) as users,
        open_service(databases.create(), REDIS_URL=_valkey.url, USERS_URL=users, **QUICK) as service,
    ):
        yield service
    databases.drop_all()


@pytest.fixture
def service(opened: Service, redis_url: str) -> Service:
    return opened


@pytest.fixture
def match() -> int:
    """A match that no other test has a room for."""
    return next(NUMBERS)


def _plan(service: Service, match: int, mode: str = "on", **more: Any) -> Any:
    answer = service.call(
        "PUT", f"/api/waiting-rooms/{match}", token=service.service_token, json={"mode": mode, **more}
    )
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def _take(service: Service, match: int, *, token: str | None = None, address: str = "192.0.2.1", **headers: str) -> Any:
    return service.call(
        "POST",
        f"/api/waiting-rooms/{match}/places",
        token=token,
        headers=headers,
        environ_base={"REMOTE_ADDR": address},
    )


def _taken(service: Service, match: int, **options: Any) -> dict[str, Any]:
    answer = _take(service, match, **options)
    assert answer.status_code == 201, answer.text
    place: dict[str, Any] = answer.get_json()
    return place


def _look(service: Service, match: int, place: dict[str, Any], wait: float = 0, **options: Any) -> Any:
    address = options.pop("address", "192.0.2.1")
    headers = {"X-Waiting-Place": options.pop("place_token", None) or place["token"]}
    path = f"/api/waiting-rooms/{match}/places/{place['id']}?wait={wait:g}"
    return service.call("GET", path, headers=headers, environ_base={"REMOTE_ADDR": address}, **options)


def _hold(service: Service, match: int, place: dict[str, Any] | None = None, **options: Any) -> Any:
    body = {
        "matchNumber": match,
        "category": options.pop("category", 1),
        "quantity": 1,
        "email": options.pop("email", f"{uuid.uuid4()}@example.org"),
    }
    headers = {"X-Waiting-Place": place["token"]} if place else {}
    if key := options.pop("key", None):
        headers["Idempotency-Key"] = key
    environ = {"REMOTE_ADDR": options.pop("address", "192.0.2.1")}
    return service.call("POST", "/api/reservations", json=body, headers=headers, environ_base=environ, **options)


def _refused(answer: Any, state: str, match: int) -> None:
    problem = is_problem(answer, 409, "waiting_room")
    assert (problem["placeState"], problem["places"]) == (state, f"/api/waiting-rooms/{match}/places")
    assert answer.headers["Retry-After"]


# -- open and closed -------------------------------------------------------------------------------------------------


def test_without_a_room_nobody_waits(service: Service, match: int) -> None:
    assert _hold(service, match).status_code == 201
    place = _taken(service, match)
    assert (place["state"], place["position"], place["token"], place["admittedSeconds"]) == ("admitted", 0, None, None)
    room = service.call("GET", f"/api/waiting-rooms/{match}").get_json()
    assert (room["mode"], room["open"], room["waiting"], room["estimateSeconds"]) == ("off", True, 0, 0)


def test_who_runs_the_site_opens_and_closes_rooms_and_nobody_else(service: Service, match: int) -> None:
    path, body = f"/api/waiting-rooms/{match}", {"mode": "on", "ratePerSecond": 5, "capacity": 7}
    is_problem(service.call("PUT", path, json=body), 401, "unauthenticated")
    is_problem(service.call("PUT", path, json=body, headers=SIGNER.bearer("gate")), 403, "forbidden")
    is_problem(service.call("PUT", path, json=body, token="not-the-service-token"), 401, "unauthenticated")
    assert _hold(service, match).status_code == 201, "it was not opened by that"
    made = service.call("PUT", path, json=body, headers=SIGNER.bearer("admin")).get_json()
    assert (made["mode"], made["open"], made["ratePerSecond"], made["capacity"]) == ("on", False, 5, 7)
    _refused(_hold(service, match), "none", match)
    assert _hold(service, match + 1).status_code == 201, "other matches have no room"
    _plan(service, match, "off")
    assert _hold(service, match).status_code == 201


def test_a_room_needs_a_match_and_sensible_numbers(service: Service) -> None:
    token = service.service_token
    is_problem(service.call("PUT", "/api/waiting-rooms/65", token=token, json={"mode": "on"}), 404, "not_found")
    for body in ({"mode": "maybe"}, {"mode": "on", "ratePerSecond": 0}, {"mode": "on", "capacity": 0}, {}):
        is_problem(service.call("PUT", "/api/waiting-rooms/1", token=token, json=body), 422, "validation_failed")


def test_admins_see_all_rooms(service: Service, match: int) -> None:
    _plan(service, match, "on", capacity=1)
    for number in range(3):
        _taken(service, match, address=f"192.0.2.{number}")
    is_problem(service.call("GET", "/api/waiting-rooms"), 401, "unauthenticated")
    rooms = service.call("GET", "/api/waiting-rooms", headers=SIGNER.bearer("admin")).get_json()["items"]
    (room,) = (room for room in rooms if room["matchNumber"] == match)
    assert (room["waiting"], room["admitted"], room["open"]) == (2, 1, False)


def test_another_process_knows_of_a_room_within_a_second_or_so(service: Service, match: int) -> None:
    with open_replica(service) as replica:
        assert _hold(replica, match).status_code == 201
        _plan(service, match)
        eventually(lambda: _hold(replica, match).status_code == 409, 10)
        place = _taken(service, match)
        assert _hold(replica, match, place).status_code == 201, "one line for all"


# -- a place -----------------------------------------------------------------------------------------------------------


def test_an_admitted_place_holds_once(service: Service, match: int) -> None:
    _plan(service, match)
    place = _taken(service, match)
    assert (place["state"], place["position"]) == ("admitted", 0)
    assert 0 < place["admittedSeconds"] <= 120
    assert _hold(service, match, place).status_code == 201
    assert _look(service, match, place).get_json()["state"] == "used"
    _refused(_hold(service, match, place), "used", match)
    assert service.held(match, 1) == 1


def test_of_many_requests_with_one_place_one_holds(service: Service, match: int) -> None:
    _plan(service, match)
    place = _taken(service, match)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: _hold(service, match, place), range(16)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 15
    assert {answer.get_json()["placeState"] for answer in answers if answer.status_code == 409} <= {"busy", "used"}
    assert service.held(match, 1) == 1


def test_a_refused_hold_leaves_the_place(service: Service, match: int) -> None:
    _plan(service, match)
    service.count_as(match, 1, sold=20)
    place = _taken(service, match)
    is_problem(_hold(service, match, place), 409, "sold_out")
    is_problem(_hold(service, match, place, category=99), 404, "not_found")
    assert _hold(service, match, place, category=2).status_code == 201
    _refused(_hold(service, match, place, category=3), "used", match)


def test_a_key_that_others_use_again_opens_no_used_place(service: Service, match: int) -> None:
    _plan(service, match)
    place, key = _taken(service, match), str(uuid.uuid4())
    assert _hold(service, match, place, key=key, email="first@example.org").status_code == 201
    for other in ("second@example.org", "third@example.org"):
        _refused(_hold(service, match, place, key=key, email=other), "used", match)
    is_problem(
        _hold(service, match, place, key=key, email="first@example.org", category=2), 409, "idempotency_key_reused"
    )
    assert (service.held(match, 1), service.held(match, 2)) == (1, 0)


def test_a_hold_whose_answer_was_lost_is_asked_for_again(service: Service, match: int) -> None:
    _plan(service, match)
    place, key, email = _taken(service, match), str(uuid.uuid4()), "ada@example.org"
    first = _hold(service, match, place, key=key, email=email)
    again = _hold(service, match, place, key=key, email=email)
    assert (again.status_code, again.get_json()["id"]) == (201, first.get_json()["id"])
    _refused(_hold(service, match, place, key="another", email=email), "used", match)


def test_the_one_call_needs_a_place_as_well(service: Service, match: int) -> None:
    _plan(service, match)
    body = {
        "email": "ada@example.org",
        "matchNumber": match,
        "tickets": {"category": 1, "quantity": 1, "price": 1},
        "card": {"number": "4242424242424242", "expirationMonth": 12, "expirationYear": 2040, "cvc": "123"},
    }
    environ = {"REMOTE_ADDR": "192.0.2.1"}
    _refused(service.call("POST", "/api/reservation", json=body, environ_base=environ), "none", match)
    place = _taken(service, match)
    headers = {"X-Waiting-Place": place["token"]}
    # A wrong price is refused behind the room, and leaves the place.
    for _ in range(2):
        answer = service.call("POST", "/api/reservation", json=body, headers=headers, environ_base=environ)
        is_problem(answer, 422, "price_mismatch")


def test_who_waits_is_told_where_and_until_when(service: Service, match: int) -> None:
    _plan(service, match, capacity=1, ratePerSecond=10)
    first, second, third = (_taken(service, match) for _ in range(3))
    assert [each["position"] for each in (first, second, third)] == [0, 1, 2]
    assert third["estimateSeconds"] >= 1
    assert 1 <= third["pollSeconds"] <= 10
    _refused(_hold(service, match, second), "waiting", match)
    assert _hold(service, match, first).status_code == 201
    assert _look(service, match, second, wait=10).get_json()["state"] == "admitted"
    assert _look(service, match, third).get_json()["position"] == 1


def test_who_waits_for_an_answer_gets_it_when_the_turn_has_come(service: Service, match: int) -> None:
    _plan(service, match, capacity=1, ratePerSecond=100)
    first, second = _taken(service, match), _taken(service, match)
    with ThreadPoolExecutor(1) as pool:
        begun = time.monotonic()
        answer = pool.submit(_look, service, match, second, 25)
        assert _hold(service, match, first).status_code == 201
        assert answer.result(30).get_json()["state"] == "admitted"
    assert time.monotonic() - begun < 25


# -- one place a person ------------------------------------------------------------------------------------------------


def test_an_account_has_one_place_in_all_its_tabs(service: Service, match: int) -> None:
    _plan(service, match, capacity=1)
    _taken(service, match)
    account = SIGNER.sign(SIGNER.claims())
    places = [_taken(service, match, token=account, address=f"198.51.100.{number}") for number in range(4)]
    assert {(place["id"], place["position"]) for place in places} == {(places[0]["id"], 1)}
    assert places[0]["visitor"] is None


def test_a_guests_browser_has_one_place_in_all_its_tabs(service: Service, match: int) -> None:
    _plan(service, match, capacity=1)
    _taken(service, match)
    answer = _take(service, match)
    place = answer.get_json()
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"matchday_visitor={place['visitor']};")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    browser = service.app.test_client(use_cookies=False)
    environ = {"REMOTE_ADDR": "192.0.2.1", "HTTP_COOKIE": cookie.partition(";")[0]}
    by_cookie = browser.post(f"/api/waiting-rooms/{match}/places", environ_base=environ).get_json()
    by_header = _taken(service, match, **{"X-Waiting-Visitor": place["visitor"]})
    by_token = _taken(service, match, **{"X-Waiting-Place": place["token"]})
    assert {each["id"] for each in (by_cookie, by_header, by_token)} == {place["id"]}
    # Shown from elsewhere it is nobody's.
    assert _taken(service, match, address="198.51.100.1", **{"X-Waiting-Visitor": place["visitor"]})["position"] == 2


def test_a_repeated_request_for_a_place_makes_one(service: Service, match: int) -> None:
    _plan(service, match, capacity=1)
    _taken(service, match)
    key = str(uuid.uuid4())
    places = [_taken(service, match, **{"Idempotency-Key": key}) for _ in range(3)]
    assert len({place["id"] for place in places}) == 1
    assert _taken(service, match, **{"Idempotency-Key": "another"})["position"] == 2


def test_guests_behind_one_address_get_few_places_and_verified_accounts_their_own(service: Service, match: int) -> None:
    with open_replica(service, waiting_room_address_places_max=3) as narrow:
        _plan(narrow, match, capacity=1)
        for _ in range(3):
            _taken(narrow, match)
        is_problem(_take(narrow, match), 409, "too_many_places")
        unverified = SIGNER.sign({**SIGNER.claims(), "email_verified": False})
        is_problem(_take(narrow, match, token=unverified), 409, "too_many_places")
        assert _taken(narrow, match, token=SIGNER.sign(SIGNER.claims()))["position"] == 3
        assert _taken(narrow, match, address="198.51.100.1")["position"] == 4


def test_a_full_room_says_so(service: Service, match: int) -> None:
    with open_replica(service, waiting_room_places_max=1) as small:
        _plan(small, match, capacity=1)
        assert [_take(small, match).status_code for _ in range(2)] == [201, 201]
        answer = _take(small, match)
        is_problem(answer, 503, "waiting_room_full")
        assert answer.headers["Retry-After"]


def test_a_place_is_of_no_use_to_anybody_else(service: Service, match: int) -> None:
    _plan(service, match)
    guest = _taken(service, match)
    account = SIGNER.sign(SIGNER.claims())
    owned = _taken(service, match, token=account)
    forged = guest["token"][:-4] + ("AAAA" if not guest["token"].endswith("AAAA") else "BBBB")
    earlier = guest["token"].split(".")
    earlier[2] = str(int(earlier[2]) - 10**9)
    for place, options in (
        (guest, {"address": "198.51.100.1"}),
        (guest, {"place_token": forged}),
        (guest, {"place_token": ".".join(earlier)}),
        (guest, {"place_token": owned["token"]}),
        (owned, {}),
        (owned, {"token": SIGNER.sign(SIGNER.claims())}),
    ):
        is_problem(_look(service, match, place, **options), 403, "forbidden")
    other = {"id": str(uuid.uuid4()), "token": guest["token"]}
    is_problem(_look(service, match, other), 403, "forbidden")
    is_problem(_look(service, match + 1, guest), 403, "forbidden")
    _refused(_hold(service, match, guest, address="198.51.100.1"), "none", match)
    _refused(_hold(service, match, {"token": forged}), "none", match)
    _refused(_hold(service, match, owned), "none", match)
    assert service.held(match, 1) == 0
    assert _hold(service, match, guest, address="192.0.2.99").status_code == 201, "the same network is the same guest"
    assert _hold(service, match, owned, token=account).status_code == 201


def test_a_guest_who_signs_in_while_waiting_keeps_the_place(service: Service, match: int) -> None:
    _plan(service, match)
    place = _taken(service, match)
    account = SIGNER.sign(SIGNER.claims())
    assert _look(service, match, place, token=account).get_json()["state"] == "admitted"
    assert _hold(service, match, place, token=account).status_code == 201


# -- what may happen to Redis ------------------------------------------------------------------------------------------


def test_a_reload_and_a_redis_that_lost_everything_keep_the_order(service: Service, match: int, redis_url: str) -> None:
    _plan(service, match, capacity=1)
    places = [_taken(service, match) for _ in range(6)]
    with redis.Redis.from_url(redis_url) as connection:
        connection.flushall()
    with open_replica(service, waiting_room_settle_seconds=60) as slow:
        newcomer = _taken(slow, match)
        for place in reversed(places):
            _look(slow, match, place)
        again = [_taken(slow, match, **{"X-Waiting-Place": place["token"]}) for place in places]
        assert [place["id"] for place in again] == [place["id"] for place in places]
        assert [place["position"] for place in again] == list(range(1, 7))
        assert _look(slow, match, newcomer).get_json()["position"] == 7


def test_no_places_can_be_collected_before_the_room_opens(service: Service, match: int) -> None:
    early = [_taken(service, match) for _ in range(5)]
    assert {place["token"] for place in early} == {None}
    _plan(service, match, capacity=1)
    assert [_taken(service, match)["position"] for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(("setting", "status"), [("closed", 503), ("open", 201)])
def test_without_redis_a_room_does_what_the_setting_says(
    service: Service, match: int, valkey: Valkey, setting: str, status: int
) -> None:
    with open_replica(service, waiting_room_without_redis=setting) as alone:
        _plan(alone, match)
        place = _taken(alone, match)
        valkey.kill()
        try:
            assert _hold(alone, match).status_code == status
            assert _take(alone, match).status_code == status
            assert _look(alone, match, place).status_code == (200 if status == 201 else 503)
            assert _hold(alone, match + 1).status_code == 201, "a match without a room has nothing to do with it"
        finally:
            valkey.start()
        eventually(lambda: _taken(alone, match)["state"] == "admitted", 10)


# -- by itself ---------------------------------------------------------------------------------------------------------


def test_an_automatic_room_opens_in_a_rush_and_closes_when_its_line_is_empty(service: Service, match: int) -> None:
    with open_replica(service, waiting_room_auto_requests=1) as pressed, open_replica(service) as calm:
        _plan(pressed, match, "auto", capacity=1)
        eventually(lambda: calm.call("GET", f"/api/waiting-rooms/{match}").get_json()["mode"] == "auto", 10)
        assert _hold(calm, match).status_code == 201
        _refused(_hold(pressed, match), "none", match)
        # Every process sees it, soon.
        eventually(lambda: _hold(calm, match).status_code == 409, 10)
        place = _taken(calm, match)
        assert _hold(calm, match, place).status_code == 201
        eventually(lambda: calm.call("GET", f"/api/waiting-rooms/{match}").get_json()["open"], 15)
        eventually(lambda: _hold(calm, match).status_code == 201, 10)


# -- many --------------------------------------------------------------------------------------------------------------


def test_two_hundred_buyers_come_through_in_the_order_in_which_they_came_and_nobody_is_lost(
    service: Service, match: int
) -> None:
    service.sql.execute(b"UPDATE shop.pools SET capacities = '[[0, 1000]]' WHERE match_number = %s", (match,))
    _plan(service, match, capacity=20, ratePerSecond=200)
    places = [_taken(service, match, address=f"198.51.100.{number}") for number in range(200)]
    numbers = [int(place["token"].split(".")[2]) for place in places]
    assert numbers == sorted(set(numbers)), "numbered as they came"
    chance, done = random.Random(1), 0

    def state(index: int) -> tuple[int, str]:
        return index, _look(service, match, places[index], address=f"198.51.100.{index}").get_json()["state"]

    def hold(index: int) -> int:
        return int(_hold(service, match, places[index], address=f"198.51.100.{index}").status_code)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(500):
            # They ask in any order; whoever is inside are always the first of those who are left.
            waiting = list(range(done, len(places)))
            chance.shuffle(waiting)
            inside = sorted(index for index, seen in pool.map(state, waiting) if seen == "admitted")
            assert inside == list(range(done, done + len(inside)))
            assert len(inside) <= 20
            assert set(pool.map(hold, inside)) <= {201}
            done += len(inside)
            if done == len(places):
                break
    assert service.held(match, 1) == 200
    room = service.call("GET", f"/api/waiting-rooms/{match}").get_json()
    assert (room["waiting"], room["admitted"]) == (0, 0)
