"""What the users service answers, on a real PostgreSQL; and that a refusal changes nothing."""

import concurrent.futures
import hashlib
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from argon2 import PasswordHasher
from werkzeug.test import Client, TestResponse

from matchday.servers import Postgres
from shared.clock import FixedClock, SystemClock
from tests.counter import is_problem
from tests.eventually import eventually
from tests.people import PASSWORD, Person, Users, claims_of, moment, open_users, token_in
from tests.resources import Databases
from users import passwords

OTHER = "a quite different one"
NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str) -> Iterator[tuple[Users, FixedClock]]:
    databases = Databases(_postgres, _template)
    clock = FixedClock(SystemClock().now())
    with open_users(databases.create(), clock) as service:
        yield service, clock
    databases.drop_all()


@pytest.fixture
def users(opened: tuple[Users, FixedClock]) -> Users:
    """The service before its first account."""
    opened[0].clear()
    return opened[0]


@pytest.fixture
def clock(opened: tuple[Users, FixedClock]) -> FixedClock:
    return opened[1]


def admin(users: Users) -> Person:
    """Somebody whom the operator has made an admin."""
    person = users.verify(users.sign_up())
    body = {"email": person.email, "role": "admin"}
    assert users.call("POST", "/internal/accounts/roles", token=users.service_token, json=body).status_code == 200
    return users.sign_in(person.email)


# -- signing up ------------------------------------------------------------------------------------------------------


def test_who_signs_up_is_signed_in(users: Users) -> None:
    body = {"email": "Ada@example.org", "password": PASSWORD, "country": "GB", "language": "en"}
    answer = users.call("POST", "/api/users/signup", json=body)
    assert answer.status_code == 201
    made = answer.get_json()
    assert set(made) == {"accessToken", "refreshToken", "expiresIn", "user"}
    assert made["expiresIn"] == 600
    assert {name: made["user"][name] for name in ("email", "emailVerified", "roles", "country", "language")} == {
        "email": "Ada@example.org", "emailVerified": False, "roles": ["buyer"], "country": "GB", "language": "en",
    }  # fmt: skip
    assert users.call("GET", "/api/users/me", token=made["accessToken"]).get_json() == made["user"]


def test_an_access_token_says_what_the_others_need(users: Users, clock: FixedClock) -> None:
    ada = users.sign_up("ada@example.org")
    claims = claims_of(ada.access)
    now = int(clock.now().timestamp())
    assert {name: claims[name] for name in ("iss", "aud", "sub", "email", "email_verified", "roles", "iat", "exp")} == {
        "iss": "matchday", "aud": ["matchday"], "sub": ada.id, "email": "ada@example.org", "email_verified": False,
        "roles": ["buyer"], "iat": now, "exp": now + 600,
    }  # fmt: skip
    assert uuid.UUID(claims["sid"])
    assert uuid.UUID(claims["jti"])


def test_an_access_token_says_the_language_once_there_is_one(users: Users) -> None:
    ada = users.sign_up("ada@example.org")
    assert "locale" not in claims_of(ada.access)
    ada.call("PATCH", "/api/users/me", json={"language": "pt-BR"})
    ada.renew()
    assert claims_of(ada.access)["locale"] == "pt-BR"


def test_neither_password_nor_token_stands_in_a_table(users: Users) -> None:
    ada = users.sign_up("ada@example.org")
    stored = repr(users.facts())
    assert PASSWORD not in stored
    assert ada.refresh not in stored
    (account,) = users.rows("SELECT password_hash FROM users.accounts")
    assert account["password_hash"].startswith("$argon2id$v=19$m=8192,t=1,p=1$")


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("no e-mail", {"password": PASSWORD}, "/email", "required"),
    ("no password", {"email": "a@example.org"}, "/password", "required"),
    ("no address", {"email": "ada", "password": PASSWORD}, "/email", "wrong_format"),
    ("a line break", {"email": "a@example.org\nBcc: b@example.org", "password": PASSWORD}, "/email", "wrong_format"),
    ("two recipients", {"email": "a@example.org,b@example.org", "password": PASSWORD}, "/email", "wrong_format"),
    ("a short password", {"email": "a@example.org", "password": "short"}, "/password", "wrong_length"),
    ("a long password", {"email": "a@example.org", "password": "ab" * 200}, "/password", "wrong_length"),
    ("a common password", {"email": "a@example.org", "password": "password123"}, "/password", "too_weak"),
    ("NUL", {"email": "a@example.org", "password": "abc\0defgh"}, "/password", "nul_character"),
    ("no country", {"email": "a@example.org", "password": PASSWORD, "country": "Britain"}, "/country", "wrong_format"),
    ("a role", {"email": "a@example.org", "password": PASSWORD, "roles": ["admin"]}, "/roles", "unknown"),
    ("verified", {"email": "a@example.org", "password": PASSWORD, "emailVerified": True}, "/emailVerified", "unknown"),
]


@pytest.mark.parametrize(("body", "pointer", "code"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_sign_up_is_explained_and_changes_nothing(
    users: Users, body: dict[str, Any], pointer: str, code: str
) -> None:
    before = users.facts()
    problem = is_problem(users.call("POST", "/api/users/signup", json=body), 422, "validation_failed")
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in problem["errors"]]
    assert users.facts() == before


def test_a_repeated_sign_up_makes_one_account(users: Users) -> None:
    body = {"email": "ada@example.org", "password": PASSWORD}
    answers = [users.call("POST", "/api/users/signup", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.get_json()["user"]["id"] for answer in answers}) == 1
    assert users.count("accounts") == 1
    assert users.count("mail_requests") == 1
    other = users.call("POST", "/api/users/signup", json=body | {"password": OTHER}, headers={"Idempotency-Key": "k"})
    is_problem(other, 409, "idempotency_key_reused")


def reset(users: Users, email: str, password: str) -> None:
    users.call("POST", "/api/users/password/forgotten", json={"email": email})
    body = {"token": users.mailed_token(email, "reset"), "password": password}
    assert users.call("POST", "/api/users/password/reset", json=body).status_code == 204


def test_a_sign_up_that_is_repeated_after_a_reset_opens_nobody_s_account(users: Users) -> None:
    """Somebody signs up with a victim's address; the victim asks for a new password and chooses one."""
    body, keyed = {"email": "victim@example.org", "password": PASSWORD}, {"Idempotency-Key": "k"}
    thief = users.call("POST", "/api/users/signup", json=body, headers=keyed).get_json()
    reset(users, "victim@example.org", OTHER)
    victim = users.sign_in("victim@example.org", OTHER)
    again = users.call("POST", "/api/users/signup", json=body, headers=keyed).get_json()
    assert victim.id not in (thief["user"]["id"], again["user"]["id"])
    assert not again["user"]["emailVerified"]
    assert claims_of(again["accessToken"])["email_verified"] is False
    assert len(victim.call("GET", "/api/users/me/sessions").get_json()["items"]) == 1


def test_a_sign_up_that_is_repeated_after_the_password_was_changed_opens_nothing(users: Users) -> None:
    body, keyed = {"email": "ada@example.org", "password": PASSWORD}, {"Idempotency-Key": "k"}
    made = users.call("POST", "/api/users/signup", json=body, headers=keyed).get_json()
    change = {"currentPassword": PASSWORD, "newPassword": OTHER}
    changed = users.call("POST", "/api/users/me/password", token=made["accessToken"], json=change)
    assert changed.status_code == 204
    again = users.call("POST", "/api/users/signup", json=body, headers=keyed).get_json()
    assert again["user"]["id"] != made["user"]["id"]


def test_a_sign_up_that_is_repeated_after_the_address_was_verified_opens_nothing(users: Users) -> None:
    body, keyed = {"email": "ada@example.org", "password": PASSWORD}, {"Idempotency-Key": "k"}
    users.call("POST", "/api/users/signup", json=body, headers=keyed)
    token = users.mailed_token("ada@example.org", "verify")
    users.call("POST", "/api/users/email/verify", json={"token": token, "password": PASSWORD})
    again = users.call("POST", "/api/users/signup", json=body, headers=keyed)
    is_problem(again, 409, "idempotency_key_reused")
    assert users.count("sessions") == 1


def test_a_stranger_s_claims_lock_nobody_out(users: Users, clock: FixedClock) -> None:
    ada = users.sign_up("ada@example.org")
    for _ in range(6):
        clock.advance(1)
        users.sign_up("ada@example.org", OTHER)
    clock.advance(1)
    bob = users.sign_up("ada@example.org", "the password of bob")
    assert users.sign_in("ada@example.org").id == ada.id
    assert users.sign_in("ada@example.org", "the password of bob").id == bob.id


def test_a_repeated_sign_up_at_the_same_time_makes_one_account(users: Users) -> None:
    def sign_up(_number: int) -> str:
        body = {"email": "ada@example.org", "password": PASSWORD}
        answer = users.call("POST", "/api/users/signup", json=body, headers={"Idempotency-Key": "same"})
        assert answer.status_code == 201
        return str(answer.get_json()["user"]["id"])

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(sign_up, range(6)))) == 1
    assert users.count("accounts") == 1


def test_a_key_s_body_cannot_be_guessed_from_the_table(users: Users) -> None:
    body = b'{"email":"ada@example.org","password":"' + PASSWORD.encode() + b'","country":null,"language":null}'
    users.call(
        "POST", "/api/users/signup", data=body, content_type="application/json", headers={"Idempotency-Key": "k"}
    )
    (row,) = users.rows("SELECT body_hash FROM users.idempotency_keys")
    assert bytes(row["body_hash"]) != hashlib.sha256(body).digest()


# -- signing in ------------------------------------------------------------------------------------------------------


def test_sign_in_takes_the_address_in_any_case(users: Users) -> None:
    ada = users.sign_up("Ada@Example.org")
    assert users.sign_in("aDA@example.ORG").id == ada.id


def test_a_wrong_password_and_an_unknown_address_are_answered_alike(users: Users) -> None:
    users.verify(users.sign_up("ada@example.org"))
    answers = [users.try_to_sign_in("ada@example.org", OTHER), users.try_to_sign_in("nobody@example.org", OTHER)]
    problems = [is_problem(answer, 401, "wrong_credentials") for answer in answers]
    for problem in problems:
        del problem["requestId"]
    assert problems[0] == problems[1]
    assert {name for name, _ in answers[0].headers} == {name for name, _ in answers[1].headers}


def test_a_guesser_has_to_wait_and_the_right_password_does_not_help(users: Users, clock: FixedClock) -> None:
    users.verify(users.sign_up("ada@example.org"))
    for _ in range(20):
        is_problem(users.try_to_sign_in("ada@example.org", OTHER), 401, "wrong_credentials")
    refused = users.try_to_sign_in("ADA@example.org")
    is_problem(refused, 429, "rate_limited")
    assert int(refused.headers["Retry-After"]) == 900
    clock.advance(901)
    assert users.try_to_sign_in("ada@example.org").status_code == 200


def test_addresses_that_nobody_has_make_guessers_wait_too(users: Users) -> None:
    for _ in range(20):
        is_problem(users.try_to_sign_in("nobody@example.org", OTHER), 401, "wrong_credentials")
    is_problem(users.try_to_sign_in("nobody@example.org", OTHER), 429, "rate_limited")


def test_a_guesser_with_an_account_of_the_same_address_cannot_start_anew(users: Users) -> None:
    """Signing in to the own unverified account forgives that attempt and no other."""
    users.verify(users.sign_up("ada@example.org"))
    users.sign_up("ada@example.org", OTHER)
    for _ in range(20):
        assert users.try_to_sign_in("ada@example.org", OTHER).status_code == 200
        is_problem(users.try_to_sign_in("ada@example.org", "guess number one"), 401, "wrong_credentials")
    is_problem(users.try_to_sign_in("ada@example.org", OTHER), 429, "rate_limited")


def test_guesses_at_once_are_counted_all(users: Users) -> None:
    users.sign_up("ada@example.org")

    def guess(number: int) -> int:
        return users.try_to_sign_in("ada@example.org", f"guess number {number}").status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(guess, range(40)))
    assert statuses.count(401) == 20
    assert statuses.count(429) == 20


def test_hashes_take_bounded_memory_and_who_comes_too_many_is_told_at_once(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    users.sign_up("ada@example.org")
    going, entered = threading.Event(), []
    verify = PasswordHasher.verify

    def slow(self: PasswordHasher, *arguments: Any) -> Any:
        entered.append(1)
        assert going.wait(30)
        return verify(self, *arguments)

    monkeypatch.setattr(PasswordHasher, "verify", slow)
    at_once, waiting = 4, 4 * passwords.WAITING_MAX
    with concurrent.futures.ThreadPoolExecutor(at_once + waiting) as pool:
        answers = [pool.submit(users.try_to_sign_in, f"{n}@example.org") for n in range(at_once + waiting)]
        wiring: Any = users.app.endpoints[0]._wiring["wiring"]
        queue = wiring.site.passwords._queue
        eventually(lambda: queue._value == 0 and len(entered) == at_once, what="all places are taken")
        is_problem(users.try_to_sign_in("ada@example.org"), 503, "overloaded")
        going.set()
        assert {answer.result().status_code for answer in answers} == {401}
    assert users.try_to_sign_in("ada@example.org").status_code == 200
    # What was not looked at was no wrong guess.
    (row,) = users.rows("SELECT failures FROM users.sign_in_attempts WHERE email_key = 'ada@example.org'")
    assert row["failures"] == 0


def test_a_password_that_is_changed_while_it_is_checked_opens_nothing(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = users.verify(users.sign_up("ada@example.org"))
    is_outdated = PasswordHasher.check_needs_rehash

    def meanwhile(self: PasswordHasher, hashed: str) -> bool:
        monkeypatch.setattr(PasswordHasher, "check_needs_rehash", is_outdated)
        body = {"currentPassword": PASSWORD, "newPassword": OTHER}
        assert ada.call("POST", "/api/users/me/password", json=body).status_code == 204
        return False

    monkeypatch.setattr(PasswordHasher, "check_needs_rehash", meanwhile)
    is_problem(users.try_to_sign_in("ada@example.org"), 401, "wrong_credentials")
    assert users.count("sessions") == 1


def test_the_oldest_session_gives_way(users: Users, clock: FixedClock) -> None:
    first = users.sign_up("ada@example.org")
    for _ in range(20):
        clock.advance(1)
        last = users.sign_in("ada@example.org")
    assert users.count("sessions") == 20
    is_problem(first.call("GET", "/api/users/me"), 401, "unauthenticated")
    assert last.call("GET", "/api/users/me").status_code == 200


# -- enumeration -----------------------------------------------------------------------------------------------------


def shape(answer: TestResponse) -> tuple[int, list[str], list[str], list[str]]:
    """All of an answer that could tell one case from another."""
    body = answer.get_json(silent=True) or {}
    user = {name: value for name, value in body.get("user", {}).items() if name not in ("id", "createdAt")}
    names = sorted(name for name, _ in answer.headers)
    return answer.status_code, sorted(body), [f"{name}={value}" for name, value in sorted(user.items())], names


def test_signing_up_with_a_known_address_is_answered_like_a_new_one(users: Users) -> None:
    users.verify(users.sign_up("known@example.org"))
    shapes = []
    for email in ("known@example.org", "other@example.org"):
        steps = [users.call("POST", "/api/users/signup", json={"email": email, "password": OTHER})]
        token = steps[0].get_json()["accessToken"]
        steps += [
            users.try_to_sign_in(email, OTHER),
            users.call("GET", "/api/users/me", token=token),
            users.call("POST", "/api/users/email/verification", token=token),
            users.call("GET", "/api/users/me/export", token=token),
            users.call("PATCH", "/api/users/me", token=token, json={"country": "FR"}),
        ]
        shapes.append([(shape(step), b"known" in step.data.replace(email.encode(), b"")) for step in steps])
    assert str(shapes[0]).replace("known@", "other@") == str(shapes[1])


def test_the_owner_hears_that_somebody_signed_up_with_their_address(users: Users) -> None:
    ada = users.verify(users.sign_up("ada@example.org"))
    thief = users.sign_up("Ada@Example.org", OTHER)
    users.deliver()
    (mail,) = users.mails("ada@example.org", "known")
    assert mail["Subject"] == "You already have an account"
    assert "token=" not in mail.get_content()
    # Nothing that the thief has opens the owner's account, or the other way round.
    assert users.sign_in("ada@example.org").id == ada.id
    assert users.sign_in("ada@example.org", OTHER).id == thief.id


def test_a_forgotten_password_is_answered_alike_and_writes_alike(users: Users) -> None:
    users.verify(users.sign_up("ada@example.org"))
    before = users.count("mail_requests")
    answers = [
        users.call("POST", "/api/users/password/forgotten", json={"email": email})
        for email in ("ada@example.org", "nobody@example.org")
    ]
    assert shape(answers[0]) == shape(answers[1])
    assert answers[0].data == answers[1].data == b""
    assert answers[0].status_code == 202
    assert users.count("mail_requests") == before + 2
    users.deliver()
    assert len(users.mails("ada@example.org", "reset")) == 1
    assert users.mails("nobody@example.org") == []


def test_nobody_s_mailbox_is_filled(users: Users, clock: FixedClock) -> None:
    users.verify(users.sign_up("ada@example.org"))
    for spelling in ("ada@example.org", "Ada@example.org", "ADA@EXAMPLE.ORG", "aDa@example.org") * 3:
        users.call("POST", "/api/users/password/forgotten", json={"email": spelling})
        users.sign_up(spelling, OTHER)
    users.deliver()
    assert len(users.mails("ada@example.org", "reset")) == 5
    assert len(users.mails("ada@example.org", "known")) == 5
    clock.advance(3601)
    users.call("POST", "/api/users/password/forgotten", json={"email": "ada@example.org"})
    users.deliver()
    assert len(users.mails("ada@example.org", "reset")) == 6


def test_passwords_cost_the_same_whether_or_not_there_is_an_account(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the number of Argon2 hashes, which is nearly all of a sign-in's time."""
    users.verify(users.sign_up("both@example.org"))
    users.sign_up("both@example.org", OTHER)
    users.verify(users.sign_up("verified@example.org"))
    users.sign_up("claimed@example.org")
    for _ in range(8):
        users.sign_up("often@example.org")
    verify, counted = PasswordHasher.verify, []

    def counting(self: PasswordHasher, *arguments: Any) -> Any:
        counted.append(1)
        return verify(self, *arguments)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    costs = []
    for email in (
        "both@example.org", "verified@example.org", "claimed@example.org", "often@example.org", "nobody@example.org"
    ):  # fmt: skip
        counted.clear()
        is_problem(users.try_to_sign_in(email, "not the password"), 401, "wrong_credentials")
        costs.append(len(counted))
    assert costs == [6, 6, 6, 6, 6]


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


# -- verifying an address --------------------------------------------------------------------------------------------


def test_an_address_is_verified_by_what_was_mailed_to_it(users: Users) -> None:
    ada = users.sign_up("Ada@example.org")
    users.verify(ada)
    assert ada.call("GET", "/api/users/me").get_json()["emailVerified"] is True
    ada.renew()
    assert claims_of(ada.access)["email_verified"] is True
    assert users.told("/internal/accounts/verified") == [
        {"target": "reservations", "body": {"accountId": ada.id, "email": "Ada@example.org"}}
    ]


def test_the_mail_s_token_alone_gives_nobody_an_address(users: Users) -> None:
    """Somebody signs up with a victim's address; the victim clicks on the link."""
    users.sign_up("victim@example.org")
    token = users.mailed_token("victim@example.org", "verify")
    path = "/api/users/email/verify"
    is_problem(users.call("POST", path, json={"token": token}), 403, "password_required")
    victim = users.sign_up("victim@example.org", OTHER)
    is_problem(victim.call("POST", path, json={"token": token}), 403, "password_required")
    is_problem(victim.call("POST", path, json={"token": token, "password": OTHER}), 401, "wrong_credentials")
    assert users.rows("SELECT id FROM users.accounts WHERE verified_at IS NOT NULL") == []
    users.verify(victim)
    # From now on the first one's link opens nothing, whoever has it.
    answer = users.call("POST", path, json={"token": token, "password": PASSWORD})
    is_problem(answer, 422, "invalid_token")


def test_with_the_password_the_link_works_on_another_machine(users: Users) -> None:
    users.sign_up("ada@example.org")
    token = users.mailed_token("ada@example.org", "verify")
    answer = users.call("POST", "/api/users/email/verify", json={"token": token, "password": PASSWORD})
    assert answer.get_json()["emailVerified"] is True


def test_a_link_works_once_and_for_three_days(users: Users, clock: FixedClock) -> None:
    ada = users.sign_up("ada@example.org")
    token = users.mailed_token("ada@example.org", "verify")
    clock.advance(3 * 86_400)
    ada.renew()
    is_problem(ada.call("POST", "/api/users/email/verify", json={"token": token}), 422, "invalid_token")
    ada.call("POST", "/api/users/email/verification")
    users.verify(ada)
    again = users.rows("SELECT 1 AS one FROM users.mail_tokens WHERE used_at IS NULL")
    assert again == []
    is_problem(ada.call("POST", "/api/users/email/verify", json={"token": token}), 422, "invalid_token")


def test_passwords_are_not_guessed_by_the_link_either(users: Users) -> None:
    users.sign_up("ada@example.org")
    token = users.mailed_token("ada@example.org", "verify")
    path = "/api/users/email/verify"
    for _ in range(20):
        is_problem(users.call("POST", path, json={"token": token, "password": OTHER}), 401, "wrong_credentials")
    is_problem(users.call("POST", path, json={"token": token, "password": PASSWORD}), 429, "rate_limited")


def test_two_who_verify_one_address_at_once_do_not_both_get_it(users: Users) -> None:
    people = [users.sign_up("ada@example.org"), users.sign_up("ada@example.org", OTHER)]
    users.deliver()
    tokens = [token_in(mail.get_content()) for mail in users.mails("ada@example.org", "verify")]

    def verify(number: int) -> int:
        body = {"token": tokens[number % 2], "password": [PASSWORD, OTHER][number // 2]}
        return users.call("POST", "/api/users/email/verify", json=body).status_code

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(verify, range(4)))
    assert statuses.count(200) == 1
    assert len(users.rows("SELECT id FROM users.accounts WHERE verified_at IS NOT NULL")) == 1
    assert len(users.told("/internal/accounts/verified")) == 1
    assert len(people) == 2


# -- passwords -------------------------------------------------------------------------------------------------------


def test_a_forgotten_password_is_replaced_and_all_sessions_end(users: Users) -> None:
    ada = users.verify(users.sign_up("ada@example.org"))
    users.call("POST", "/api/users/password/forgotten", json={"email": "ADA@example.org"})
    token = users.mailed_token("ada@example.org", "reset")
    body = {"token": token, "password": OTHER}
    assert users.call("POST", "/api/users/password/reset", json=body).status_code == 204
    is_problem(ada.renew(), 401, "unauthenticated")
    is_problem(users.try_to_sign_in("ada@example.org"), 401, "wrong_credentials")
    assert users.sign_in("ada@example.org", OTHER).id == ada.id
    is_problem(users.call("POST", "/api/users/password/reset", json=body), 422, "invalid_token")
    users.deliver()
    assert len(users.mails("ada@example.org", "password_changed")) == 1


def test_a_reset_takes_an_address_back_from_who_only_claims_it(users: Users) -> None:
    thief = users.sign_up("ada@example.org")
    users.call("POST", "/api/users/password/forgotten", json={"email": "ada@example.org"})
    token = users.mailed_token("ada@example.org", "reset")
    users.call("POST", "/api/users/password/reset", json={"token": token, "password": OTHER})
    is_problem(thief.renew(), 401, "unauthenticated")
    is_problem(users.try_to_sign_in("ada@example.org"), 401, "wrong_credentials")
    ada = users.sign_in("ada@example.org", OTHER)
    assert ada.call("GET", "/api/users/me").get_json()["emailVerified"] is True


def test_a_reset_hands_over_no_stranger_s_account(users: Users) -> None:
    """An access token outlives its session; what an address brings joins an account that no such token is for."""
    strangers = [users.sign_up("ada@example.org", country="FR"), users.sign_up("ada@example.org", OTHER)]
    reset(users, "ada@example.org", "a third one, by mail")
    ada = users.sign_in("ada@example.org", "a third one, by mail")
    assert ada.id not in [stranger.id for stranger in strangers]
    me = ada.call("GET", "/api/users/me").get_json()
    assert (me["emailVerified"], me["country"]) == (True, None)
    for stranger in strangers:
        is_problem(stranger.call("GET", "/api/users/me"), 401, "unauthenticated")
        is_problem(stranger.renew(), 401, "unauthenticated")
    is_problem(users.try_to_sign_in("ada@example.org", OTHER), 401, "wrong_credentials")
    assert users.count("accounts") == 1
    assert [told["body"]["accountId"] for told in users.told("/internal/accounts/verified")] == [ada.id]


def test_a_reset_link_works_for_an_hour_and_only_for_that(users: Users, clock: FixedClock) -> None:
    ada = users.verify(users.sign_up("ada@example.org"))
    users.call("POST", "/api/users/password/forgotten", json={"email": "ada@example.org"})
    token = users.mailed_token("ada@example.org", "reset")
    is_problem(ada.call("POST", "/api/users/email/verify", json={"token": token}), 422, "invalid_token")
    weak = users.call("POST", "/api/users/password/reset", json={"token": token, "password": "password123"})
    is_problem(weak, 422, "validation_failed")
    clock.advance(3600)
    late = users.call("POST", "/api/users/password/reset", json={"token": token, "password": OTHER})
    is_problem(late, 422, "invalid_token")
    assert users.try_to_sign_in("ada@example.org").status_code == 200


def test_a_reset_lets_somebody_in_who_was_locked_out_by_a_guesser(users: Users) -> None:
    users.verify(users.sign_up("ada@example.org"))
    for _ in range(21):
        users.try_to_sign_in("ada@example.org", "guess guess guess")
    users.call("POST", "/api/users/password/forgotten", json={"email": "ada@example.org"})
    token = users.mailed_token("ada@example.org", "reset")
    users.call("POST", "/api/users/password/reset", json={"token": token, "password": OTHER})
    assert users.try_to_sign_in("ada@example.org", OTHER).status_code == 200


def test_a_repeated_request_for_a_new_password_is_one(users: Users) -> None:
    users.verify(users.sign_up("ada@example.org"))
    for _ in range(2):
        users.call(
            "POST", "/api/users/password/forgotten", json={"email": "ada@example.org"},
            headers={"Idempotency-Key": "k"},
        )  # fmt: skip
    users.deliver()
    assert len(users.mails("ada@example.org", "reset")) == 1


def test_a_password_is_changed_by_who_knows_it(users: Users) -> None:
    ada, other = users.verify(users.sign_up("ada@example.org")), users.sign_in("ada@example.org")
    path = "/api/users/me/password"
    wrong = ada.call("POST", path, json={"currentPassword": "not it at all", "newPassword": OTHER})
    is_problem(wrong, 401, "wrong_credentials")
    weak = ada.call("POST", path, json={"currentPassword": PASSWORD, "newPassword": "password123"})
    assert is_problem(weak, 422, "validation_failed")["errors"][0]["pointer"] == "/newPassword"
    assert ada.call("POST", path, json={"currentPassword": PASSWORD, "newPassword": OTHER}).status_code == 204
    assert ada.call("GET", "/api/users/me").status_code == 200
    is_problem(other.call("GET", "/api/users/me"), 401, "unauthenticated")
    is_problem(users.try_to_sign_in("ada@example.org"), 401, "wrong_credentials")
    assert users.sign_in("ada@example.org", OTHER).id == ada.id


# -- one's own account -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/users/me"),
        ("PATCH", "/api/users/me"),
        ("DELETE", "/api/users/me"),
        ("GET", "/api/users/me/export"),
        ("GET", "/api/users/me/sessions"),
        ("DELETE", "/api/users/me/sessions"),
        ("DELETE", f"/api/users/me/sessions/{NOBODYS}"),
        ("POST", "/api/users/me/password"),
        ("POST", "/api/users/email/verification"),
        ("GET", "/api/users/accounts"),
        ("PUT", f"/api/users/accounts/{NOBODYS}/roles"),
        ("POST", "/internal/accounts/roles"),
    ],
)
def test_an_account_is_nobody_else_s_business(users: Users, method: str, path: str) -> None:
    is_problem(users.call(method, path, json={}), 401, "unauthenticated")
    is_problem(users.call(method, path, json={}, token="a.b.c"), 401, "unauthenticated")
    is_problem(users.call(method, path, json={}, token="guess"), 401, "unauthenticated")


def test_a_profile_is_changed_member_by_member(users: Users) -> None:
    ada = users.sign_up("ada@example.org", country="GB", language="en")
    assert ada.call("PATCH", "/api/users/me", json={"country": "BR"}).get_json()["country"] == "BR"
    assert ada.call("PATCH", "/api/users/me", json={"language": None}).get_json()["language"] is None
    me = ada.call("PATCH", "/api/users/me", json={}).get_json()
    assert (me["country"], me["language"]) == ("BR", None)
    wrong = ada.call("PATCH", "/api/users/me", json={"email": "other@example.org"})
    is_problem(wrong, 422, "validation_failed")


def test_sessions_are_listed_and_ended(users: Users, clock: FixedClock) -> None:
    ada = users.sign_up("ada@example.org")
    clock.advance(5)
    phone = users.sign_in("ada@example.org")
    eve = users.sign_up("eve@example.org")
    listed = ada.call("GET", "/api/users/me/sessions").get_json()["items"]
    assert [session["current"] for session in listed] == [False, True]
    assert listed[0]["address"] == "127.0.0.1"
    assert moment(listed[0]["signedInAt"]) > moment(listed[1]["signedInAt"])
    path = f"/api/users/me/sessions/{listed[0]['id']}"
    is_problem(eve.call("DELETE", path), 404, "not_found")
    assert ada.call("DELETE", path).status_code == 204
    is_problem(phone.call("GET", "/api/users/me"), 401, "unauthenticated")
    is_problem(ada.call("DELETE", path), 404, "not_found")
    tablet = users.sign_in("ada@example.org")
    assert tablet.call("DELETE", "/api/users/me/sessions").status_code == 204
    is_problem(ada.call("GET", "/api/users/me"), 401, "unauthenticated")
    assert eve.call("GET", "/api/users/me").status_code == 200


def test_one_s_data_is_exported_and_nobody_else_s(users: Users) -> None:
    ada = users.verify(users.sign_up("ada@example.org", country="GB"))
    users.sign_up("ada@example.org", OTHER)
    data = ada.call("GET", "/api/users/me/export").get_json()
    assert data["user"]["email"] == "ada@example.org"
    assert len(data["sessions"]) == 1
    assert [mail["kind"] for mail in data["mails"]] == ["verify"]


def test_who_only_claims_an_address_sees_no_mail_of_its_owner(users: Users) -> None:
    users.verify(users.sign_up("ada@example.org"))
    thief = users.sign_up("ada@example.org", OTHER)
    users.deliver()
    assert len(users.mails("ada@example.org")) == 2
    assert thief.call("GET", "/api/users/me/export").get_json()["mails"] == []


def test_a_deleted_account_is_gone_and_the_others_are_told(users: Users) -> None:
    ada = users.verify(users.sign_up("ada@example.org"))
    users.call("POST", "/api/users/password/forgotten", json={"email": "ada@example.org"})
    token = users.mailed_token("ada@example.org", "reset")
    assert ada.call("DELETE", "/api/users/me").status_code == 204
    assert {
        table: users.count(table) for table in ("accounts", "sessions", "refresh_tokens", "mail_tokens", "mails")
    } == {"accounts": 0, "sessions": 0, "refresh_tokens": 0, "mail_tokens": 0, "mails": 0}
    assert "ada" not in repr(users.rows("SELECT * FROM users.sign_in_attempts"))
    told = users.told("/internal/accounts/deleted")
    assert told == [
        {"target": "reservations", "body": {"accountId": ada.id, "email": "ada@example.org"}},
        {"target": "payments", "body": {"accountId": ada.id}},
        {"target": "analytics", "body": {"accountId": ada.id}},
    ]
    is_problem(ada.call("GET", "/api/users/me"), 401, "unauthenticated")
    is_problem(users.try_to_sign_in("ada@example.org"), 401, "wrong_credentials")
    reset = users.call("POST", "/api/users/password/reset", json={"token": token, "password": OTHER})
    is_problem(reset, 422, "invalid_token")
    users.deliver()
    assert [mail["Subject"] for mail in users.mails("ada@example.org")] == ["Your account was deleted"]


def test_a_deleted_account_takes_no_address_with_it_that_it_only_claimed(users: Users) -> None:
    thief = users.sign_up("ada@example.org")
    assert thief.call("DELETE", "/api/users/me").status_code == 204
    told = users.told("/internal/accounts/deleted")
    assert [news["body"] for news in told] == [{"accountId": thief.id}] * 3


def test_deleting_needs_a_sign_in_of_the_last_minutes(users: Users, clock: FixedClock) -> None:
    ada = users.sign_up("ada@example.org")
    clock.advance(901)
    ada.renew()
    before = users.facts()
    is_problem(ada.call("DELETE", "/api/users/me"), 403, "recent_sign_in_required")
    assert users.facts() == before
    assert users.sign_in("ada@example.org").call("DELETE", "/api/users/me").status_code == 204


# -- roles -----------------------------------------------------------------------------------------------------------


def test_only_an_admin_gives_roles(users: Users) -> None:
    ada = users.verify(users.sign_up("ada@example.org"))
    path = f"/api/users/accounts/{ada.id}/roles"
    is_problem(ada.call("PUT", path, json={"roles": ["admin"]}), 403, "forbidden")
    is_problem(ada.call("GET", "/api/users/accounts"), 403, "forbidden")
    boss = admin(users)
    assert boss.call("PUT", path, json={"roles": ["partner"]}).get_json()["roles"] == ["buyer", "partner"]
    assert boss.call("PUT", path, json={"roles": []}).get_json()["roles"] == ["buyer"]
    is_problem(boss.call("PUT", f"/api/users/accounts/{boss.id}/roles", json={"roles": []}), 403, "forbidden")
    is_problem(boss.call("PUT", f"/api/users/accounts/{NOBODYS}/roles", json={"roles": []}), 404, "not_found")
    is_problem(boss.call("PUT", path, json={"roles": ["root"]}), 422, "validation_failed")


def test_the_operator_gives_a_role_to_who_has_verified_the_address(users: Users) -> None:
    users.sign_up("ada@example.org", OTHER)

    def grant(**more: Any) -> TestResponse:
        body = {"email": "Ada@example.org", "role": "gate", **more}
        return users.call("POST", "/internal/accounts/roles", token=users.service_token, json=body)

    is_problem(grant(), 404, "not_found")
    ada = users.verify(users.sign_up("ada@example.org"))
    assert grant().get_json() | {"createdAt": None} == {
        "id": ada.id, "email": "ada@example.org", "emailVerified": True, "roles": ["buyer", "gate"],
        "country": None, "language": None, "createdAt": None,
    }  # fmt: skip
    assert grant(granted=False).get_json()["roles"] == ["buyer"]


def test_accounts_are_listed_page_by_page(users: Users) -> None:
    boss = admin(users)
    made = {boss.id, *(users.sign_up().id for _ in range(6))}
    seen: list[str] = []
    cursor = None
    for _ in range(10):
        query = f"?limit=3{'' if cursor is None else f'&cursor={cursor}'}"
        answer = boss.call("GET", f"/api/users/accounts{query}").get_json()
        seen += [user["id"] for user in answer["items"]]
        cursor = answer["nextCursor"]
        if cursor is None:
            break
    assert (sorted(seen), len(seen)) == (sorted(made), 7)
    found = boss.call("GET", f"/api/users/accounts?email={boss.email.upper()}").get_json()["items"]
    assert [user["id"] for user in found] == [boss.id]


def test_mails_are_in_the_account_s_language(users: Users) -> None:
    ada = users.sign_up("ada@example.org", language="fr-CA")
    users.verify(ada)
    assert users.mails("ada@example.org", "verify")[-1]["Subject"] == "Confirmez votre adresse e-mail"
    ada.call("PATCH", "/api/users/me", json={"language": "ar"})
    users.call("POST", "/api/users/password/forgotten", json={"email": "ada@example.org"})
    users.deliver()
    letter = users.mails("ada@example.org", "reset")[-1]
    assert (letter["Subject"], letter["Content-Language"]) == ("اختر كلمة مرور جديدة", "ar")
    assert "/reset-password?token=" in letter.get_content()
