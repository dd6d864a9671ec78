"""One's account at the users service, on real PostgreSQL: address, passwords, profile, end, roles."""

import concurrent.futures
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from matchday.servers import Postgres
from shared.clock import FixedClock
from tests.counter import is_problem
from tests.people import PASSWORD, Users, admin, claims_of, moment, open_with_a_clock, reset_password, token_in
from tests.resources import Databases

OTHER = "a quite different one"
NOBODYS = "00000000-0000-4000-8000-000000000000"


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
    reset_password(users, "ada@example.org", "a third one, by mail")
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


def test_an_operator_has_a_deletion_told_again_that_was_refused(users: Users) -> None:
    ada = users.sign_up("ada@example.org")
    assert ada.call("DELETE", "/api/users/me").status_code == 204
    users.sql.execute("UPDATE users.deliveries SET refused_at = now() WHERE target = 'analytics'")
    path, operator = "/internal/deliveries", users.service_token
    (refused,) = users.call("GET", path, token=operator).get_json()["items"]
    told = (refused["target"], refused["path"], refused["subject"])
    assert told == ("analytics", "/internal/accounts/deleted", ada.id)
    assert users.call("POST", f"{path}/{refused['id']}/retry", token=operator).status_code == 204
    assert users.call("GET", path, token=operator).get_json()["items"] == []
    waiting = users.call("GET", f"{path}?state=waiting", token=operator).get_json()["items"]
    assert {item["target"] for item in waiting if item["subject"] == ada.id} == {
        "reservations",
        "payments",
        "analytics",
    }
    is_problem(users.call("GET", path), 401, "unauthenticated")
    is_problem(users.call("POST", f"{path}/{NOBODYS}/retry", token=operator), 404, "not_found")


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
