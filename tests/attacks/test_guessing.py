"""Somebody tries many: passwords, cards, solutions."""

from collections.abc import Iterator

import pytest

from tests.attacks.challenged import solution
from tests.counter import Service, open_service
from tests.integration.test_card_purchase import Payments, log_that_says, nothing_is_held, payments, purchase
from tests.people import Users, open_users

__all__ = ["payments"]

CODE = "challenge_required"


@pytest.fixture
def users(database_url: str, as_in_production: dict[str, str]) -> Iterator[Users]:
    with open_users(database_url, None, **as_in_production) as users:
        yield users


def sign_in(users: Users, email: str, password: str, address: str = "127.0.0.1", **headers: str) -> tuple[int, str]:
    answer = users.call(
        "POST", "/api/users/signin", json={"email": email, "password": password}, headers=headers,
        environ_overrides={"REMOTE_ADDR": address},
    )  # fmt: skip
    return answer.status_code, str(answer.get_json().get("code", ""))


def test_who_tries_one_password_on_many_accounts_is_challenged_and_others_are_not(users: Users) -> None:
    ada = users.sign_up()
    tried = [sign_in(users, f"{number}@example.org", "spring2026!!") for number in range(25)]
    assert (401, "wrong_credentials") in tried
    assert tried[-1] == (403, CODE)
    assert sign_in(users, ada.email, ada.password) == (403, CODE), "not even the right one, from there"
    assert sign_in(users, ada.email, ada.password, address="192.0.2.1")[0] == 200, "but from elsewhere"


def test_a_solved_challenge_is_good_for_few_guesses_and_not_for_a_second_time(users: Users) -> None:
    ada = users.sign_up()
    for number in range(25):
        sign_in(users, f"{number}@example.org", "spring2026!!")
    solved = solution(users.settings)
    assert sign_in(users, ada.email, ada.password, **solved)[0] == 200
    assert sign_in(users, ada.email, ada.password, **solved) == (403, CODE), "replayed"
    assert sign_in(users, ada.email, ada.password, **solution(users.settings, "192.0.2.7")) == (403, CODE), "borrowed"


def test_accounts_are_not_made_by_the_thousand(users: Users) -> None:
    bodies = [{"email": f"{number}@example.org", "password": "correct horse battery"} for number in range(20)]
    statuses = [users.call("POST", "/api/users/signup", json=body).status_code for body in bodies]
    assert statuses.count(201) <= 10
    assert statuses[-1] == 403
    assert users.count("accounts") <= 10


def test_nobody_makes_us_send_mail_without_end(users: Users) -> None:
    statuses = [
        users.call("POST", "/api/users/password/forgotten", json={"email": f"{n}@example.org"}).status_code
        for n in range(20)
    ]
    assert statuses[-1] == 403
    assert users.count("mail_requests") <= 10


@pytest.fixture
def service(database_url: str, payments: Payments, as_in_production: dict[str, str]) -> Iterator[Service]:
    settings = {"PAYMENTS_URL": payments.url, "CARD_PURCHASE_SECONDS": "5"}
    with open_service(database_url, **as_in_production, **settings) as service, log_that_says(service, "held"):
        yield service


def test_stolen_cards_are_not_tried_out_here(service: Service, payments: Payments) -> None:
    payments.answer = lambda _: (402, {"code": "card_declined", "declineCode": "stolen_card"})
    answers = [purchase(service, email=f"{number}@example.org") for number in range(25)]
    assert answers[0].status_code == 402
    assert (answers[-1].status_code, answers[-1].get_json()["code"]) == (403, CODE)
    # Ten refused cards are a bad day; what comes after costs a proof of work each few times.
    assert len(payments.asked) <= 12
    nothing_is_held(service)
