"""Sessions of the users service, on real PostgreSQL: refresh tokens, cookies and pages, signing out."""

import concurrent.futures
from collections.abc import Iterator

import pytest
from werkzeug.test import Client

from matchday.servers import Postgres
from shared.clock import FixedClock
from tests.counter import is_problem
from tests.people import PASSWORD, Users, admin, claims_of, open_with_a_clock
from tests.resources import Databases


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str) -> Iterator[tuple[Users, FixedClock]]:
    with open_with_a_clock(Databases(_postgres, _template)) as service:
        yield service


@pytest.fixture
def users(opened: tuple[Users, FixedClock]) -> Users:
    """The service before its first account."""
    opened[0].clear()
    return opened[0]


@pytest.fixture
def clock(opened: tuple[Users, FixedClock]) -> FixedClock:
    return opened[1]


# -- refreshing ------------------------------------------------------------------------------------------------------


def test_a_refresh_token_is_used_once_and_gives_the_next(users: Users) -> None:
    ada = users.sign_up("ada@example.org")
    first = ada.refresh, ada.access
    answer = ada.renew()
    assert answer.status_code == 200
    assert answer.get_json()["user"]["id"] == ada.id
    assert (ada.refresh, ada.access) != first
    assert claims_of(ada.access)["sid"] == claims_of(first[1])["sid"]
    assert ada.renew().status_code == 200


def test_a_stolen_refresh_token_ends_the_session_for_owner_and_thief(users: Users) -> None:
    ada = users.sign_up("ada@example.org")
    other = users.sign_in("ada@example.org")
    stolen = ada.refresh
    ada.renew()
    reused = users.call("POST", "/api/users/refresh", json={"refreshToken": stolen})
    is_problem(reused, 401, "refresh_token_reused")
    is_problem(ada.renew(), 401, "unauthenticated")
    is_problem(ada.call("GET", "/api/users/me"), 401, "unauthenticated")
    assert other.renew().status_code == 200


def test_two_at_once_with_one_refresh_token_are_not_both_served(users: Users) -> None:
    ada = users.sign_up("ada@example.org")

    def renew(_number: int) -> int:
        return users.call("POST", "/api/users/refresh", json={"refreshToken": ada.refresh}).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(renew, range(8)))
    assert statuses.count(200) == 1
    assert users.count("sessions") == 0


@pytest.mark.parametrize("token", ["x", "A" * 43, "A" * 200])
def test_a_made_up_refresh_token_is_refused(users: Users, token: str) -> None:
    is_problem(users.call("POST", "/api/users/refresh", json={"refreshToken": token}), 401, "unauthenticated")


def test_without_a_refresh_token_there_is_nothing_to_go_on_with(users: Users) -> None:
    is_problem(users.call("POST", "/api/users/refresh"), 401, "unauthenticated")
    is_problem(users.call("POST", "/api/users/refresh", json={}), 401, "unauthenticated")


def test_a_session_that_is_not_used_ends(users: Users, clock: FixedClock) -> None:
    ada = users.sign_up("ada@example.org")
    clock.advance(30 * 86_400 - 1)
    assert ada.renew().status_code == 200
    clock.advance(30 * 86_400 + 1)
    is_problem(ada.renew(), 401, "unauthenticated")


def test_a_session_ends_however_it_is_used(users: Users, clock: FixedClock) -> None:
    ada = users.sign_up("ada@example.org")
    for _ in range(4):
        clock.advance(20 * 86_400)
        assert ada.renew().status_code == 200
    clock.advance(10 * 86_400)
    is_problem(ada.renew(), 401, "unauthenticated")


def test_new_roles_come_with_the_next_access_token(users: Users) -> None:
    boss, ada = admin(users), users.sign_up("ada@example.org")
    answer = boss.call("PUT", f"/api/users/accounts/{ada.id}/roles", json={"roles": ["gate"]})
    assert answer.get_json()["roles"] == ["buyer", "gate"]
    ada.renew()
    assert claims_of(ada.access)["roles"] == ["buyer", "gate"]


# -- cookies and pages -----------------------------------------------------------------------------------------------


def page(users: Users) -> Client:
    """A browser that has signed up."""
    browser = users.app.test_client()
    answer = browser.post("/api/users/signup", json={"email": "ada@example.org", "password": PASSWORD})
    assert answer.status_code == 201
    return browser


def csrf(browser: Client) -> dict[str, str]:
    cookie = browser.get_cookie("matchday_csrf")
    assert cookie is not None
    return {"X-CSRF-Token": cookie.value}


def test_cookies_are_as_closed_as_they_can_be(users: Users) -> None:
    answer = users.call("POST", "/api/users/signup", json={"email": "ada@example.org", "password": PASSWORD})
    cookies = {text.partition("=")[0]: text.partition(";")[2] for text in answer.headers.getlist("Set-Cookie")}
    assert set(cookies) == {"matchday_access", "matchday_refresh", "matchday_csrf"}
    assert all("Secure" in attributes for attributes in cookies.values())
    assert all("HttpOnly" in cookies[name] for name in ("matchday_access", "matchday_refresh"))
    assert "HttpOnly" not in cookies["matchday_csrf"]
    assert "SameSite=Lax" in cookies["matchday_access"]
    assert "Path=/;" in cookies["matchday_access"] + ";"
    assert "SameSite=Strict" in cookies["matchday_refresh"]
    assert "Path=/api/users" in cookies["matchday_refresh"]


def test_a_page_reads_by_cookie_and_changes_only_with_its_proof(users: Users) -> None:
    browser = page(users)
    base = {"base_url": "https://localhost"}
    assert browser.get("/api/users/me", **base).status_code == 200
    before = users.facts()
    for headers in ({}, {"X-CSRF-Token": "made up"}, {"X-CSRF-Token": ""}):
        is_problem(browser.patch("/api/users/me", json={"country": "FR"}, headers=headers, **base), 403, "csrf_failed")
        is_problem(browser.delete("/api/users/me", headers=headers, **base), 403, "csrf_failed")
        is_problem(browser.post("/api/users/signout", headers=headers, **base), 403, "csrf_failed")
        is_problem(browser.post("/api/users/refresh", headers=headers, **base), 403, "csrf_failed")
    assert users.facts() == before
    changed = browser.patch("/api/users/me", json={"country": "FR"}, headers=csrf(browser), **base)
    assert changed.get_json()["country"] == "FR"


def test_the_proof_of_another_session_is_none(users: Users) -> None:
    browser, other = page(users), page(users)
    answer = browser.delete("/api/users/me", headers=csrf(other), base_url="https://localhost")
    is_problem(answer, 403, "csrf_failed")


def test_a_page_goes_on_by_cookie(users: Users, clock: FixedClock) -> None:
    browser = page(users)
    base = {"base_url": "https://localhost"}
    clock.advance(700)
    is_problem(browser.get("/api/users/me", **base), 401, "unauthenticated")
    assert browser.post("/api/users/refresh", headers=csrf(browser), **base).status_code == 200
    assert browser.get("/api/users/me", **base).status_code == 200


def test_a_page_goes_on_and_signs_out_without_a_body(users: Users) -> None:
    browser = page(users)
    given = {"base_url": "https://localhost", "environ_overrides": {"wsgi.input_terminated": True}}
    assert browser.post("/api/users/refresh", headers=csrf(browser), **given).status_code == 200
    headers = csrf(browser) | {"Content-Type": "application/json", "Content-Length": "0"}
    assert browser.post("/api/users/signout", headers=headers, **given).status_code == 204


def test_signing_in_works_with_an_expired_cookie(users: Users, clock: FixedClock) -> None:
    browser = page(users)
    clock.advance(700)
    body = {"email": "ada@example.org", "password": PASSWORD}
    assert browser.post("/api/users/signin", json=body, base_url="https://localhost").status_code == 200


def test_a_page_signs_out_and_forgets(users: Users) -> None:
    browser = page(users)
    assert browser.post("/api/users/signout", headers=csrf(browser), base_url="https://localhost").status_code == 204
    assert all(browser.get_cookie(name) is None for name in ("matchday_access", "matchday_csrf"))
    assert users.count("sessions") == 0


# -- signing out -----------------------------------------------------------------------------------------------------


def test_signing_out_ends_the_session_at_once_here(users: Users) -> None:
    ada, other = users.sign_up("ada@example.org"), users.sign_in("ada@example.org")
    assert ada.call("POST", "/api/users/signout").status_code == 204
    is_problem(ada.call("GET", "/api/users/me"), 401, "unauthenticated")
    is_problem(ada.renew(), 401, "unauthenticated")
    assert other.call("GET", "/api/users/me").status_code == 200


def test_signing_out_works_by_the_refresh_token_when_the_access_token_has_expired(
    users: Users, clock: FixedClock
) -> None:
    ada = users.sign_up("ada@example.org")
    clock.advance(700)
    assert ada.call("POST", "/api/users/signout", json={"refreshToken": ada.refresh}).status_code == 204
    assert users.count("sessions") == 0


def test_signing_out_without_a_session_is_no_error(users: Users) -> None:
    assert users.call("POST", "/api/users/signout").status_code == 204
