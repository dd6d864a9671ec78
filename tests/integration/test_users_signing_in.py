"""Signing up and in at the users service, on real PostgreSQL; and that nobody learns there who has an account."""

import concurrent.futures
import hashlib
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from argon2 import PasswordHasher
from werkzeug.test import TestResponse

from matchday.servers import Postgres
from shared.clock import FixedClock
from tests.counter import is_problem
from tests.eventually import eventually
from tests.people import PASSWORD, Users, claims_of, open_with_a_clock, reset_password
from tests.resources import Databases
from users import passwords

OTHER = "a quite different one"


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


def test_a_sign_up_that_is_repeated_after_a_reset_opens_nobody_s_account(users: Users) -> None:
    """Somebody signs up with a victim's address; the victim asks for a new password and chooses one."""
    body, keyed = {"email": "victim@example.org", "password": PASSWORD}, {"Idempotency-Key": "k"}
    thief = users.call("POST", "/api/users/signup", json=body, headers=keyed).get_json()
    reset_password(users, "victim@example.org", OTHER)
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
    monkeypatch.setattr(passwords, "WAIT_SECONDS_MAX", 60.0)  # however long it takes until all have come
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
